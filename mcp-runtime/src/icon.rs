//! Icons, as they stand beside tools, resources, prompts and the server.

use std::borrow::Cow;

use serde_json::{Value, json};

/// The longest `data:` URI, in bytes: every list repeats it.
const MAX_DATA: usize = 64 << 10;

/// Where the images are.
pub(crate) type Icons = Vec<Cow<'static, str>>;

/// The member `icons`, unless there is none.
pub(crate) fn json(icons: &[Cow<'static, str>]) -> Option<Value> {
    let icons: Vec<Value> = icons.iter().map(|src| json!({ "src": src })).collect();
    (!icons.is_empty()).then_some(Value::Array(icons))
}

/// What is wrong with icons. Clients fetch them only over TLS, or find them in the URI itself.
pub(crate) fn problems(icons: &[Cow<'static, str>]) -> impl Iterator<Item = String> {
    icons.iter().filter_map(|src| problem(src))
}

fn problem(src: &str) -> Option<String> {
    let shown: String = src.chars().take(64).collect();
    let shown = shown.escape_debug();
    if src.len() > MAX_DATA {
        return Some(format!(
            "its icon `{shown}…` is longer than {MAX_DATA} bytes: give its URL"
        ));
    }
    let embedded = src.strip_prefix("data:image/").is_some_and(|rest| {
        rest.split_once(',')
            .is_some_and(|(kind, data)| !kind.is_empty() && !data.is_empty())
    });
    let fetched = is_https(src);
    (!embedded && !fetched).then(|| {
        format!("its icon `{shown}` is neither an `https://` URL nor a `data:image/…` URI")
    })
}

/// Whether this is an absolute URL over TLS.
pub(crate) fn is_https(url: &str) -> bool {
    url.starts_with("https://")
        && url.is_ascii()
        && url
            .parse()
            .is_ok_and(|url: http::Uri| url.host().is_some_and(|host| !host.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::problem;

    #[test]
    fn an_icon_is_fetched_over_tls_or_embedded() {
        for src in [
            "https://example.com/icon.png",
            "data:image/png;base64,iVBORw0KGgo=",
            "data:image/svg+xml,%3Csvg/%3E",
        ] {
            assert_eq!(problem(src), None, "{src}");
        }
        for src in [
            "",
            "icon.png",
            "http://example.com/icon.png",
            "https://",
            "https://exa mple.com/",
            "javascript:alert(1)",
            "data:text/html,<script>",
            "data:image/png",
            &format!("data:image/png,{}", "A".repeat(70_000)),
        ] {
            assert!(problem(src).is_some(), "{src}");
        }
    }
}
