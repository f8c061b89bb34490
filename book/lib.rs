//! Every program in the book and in the README is a doctest of this crate: `cargo test -p book`.
//!
//! A program that should not run says so at its fence: `no_run`, `compile_fail`, `ignore`.

/// A module for each page, whose documentation is the page.
macro_rules! pages {
    ($($file:literal => $name:ident,)*) => {
        $(
            #[cfg(doctest)]
            #[doc = include_str!($file)]
            mod $name {}
        )*

        #[cfg(test)]
        const PAGES: &[&str] = &[$($file),*];
    };
}

pages! {
    "../README.md" => readme,
    "src/first-tool.md" => first_tool,
    "src/inputs.md" => inputs,
    "src/lending.md" => lending,
    "src/policy.md" => policy,
    "src/authorization.md" => authorization,
    "src/oauth-proxy.md" => oauth_proxy,
    "src/tenants.md" => tenants,
    "src/limits.md" => limits,
    "src/caching.md" => caching,
    "src/audit.md" => audit,
    "src/metrics.md" => metrics,
    "src/results.md" => results,
    "src/offers.md" => offers,
    "src/apps.md" => apps,
    "src/skills.md" => skills,
    "src/conversation.md" => conversation,
    "src/confirmation.md" => confirmation,
    "src/streams.md" => streams,
    "src/tasks.md" => tasks,
    "src/instances.md" => instances,
    "src/serving.md" => serving,
    "src/stores.md" => stores,
    "src/databases.md" => databases,
    "src/transports.md" => transports,
    "src/tls.md" => tls,
    "src/mounts.md" => mounts,
    "src/testing.md" => testing,
    "src/tools.md" => tools,
    "src/copilot.md" => copilot,
    "src/records.md" => records,
    "src/proxy.md" => proxy,
    "src/school.md" => school,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::PAGES;

    /// A page that is not in the list above would not be compiled, and one that is not in the
    /// summary would not be read.
    #[test]
    fn every_page_is_compiled_and_can_be_found() {
        let book = Path::new(env!("CARGO_MANIFEST_DIR"));
        let summary = std::fs::read_to_string(book.join("src/SUMMARY.md")).unwrap();
        for page in book.join("src").read_dir().unwrap() {
            let page = page.unwrap().file_name().into_string().unwrap();
            if page == "SUMMARY.md" {
                continue;
            }
            let listed = PAGES.contains(&format!("src/{page}").as_str());
            assert!(listed, "add src/{page} to `pages!` in book/lib.rs");
            assert!(
                summary.contains(&format!("({page})")),
                "add {page} to book/src/SUMMARY.md"
            );
        }
    }
}
