//! The tools as our macro wants them.

use std::fmt::Write;
use std::path::Path;

use super::rmcp::Finder;

pub(crate) const MAIN: &str = r#"//! Written by `cargo xtask compile-cost`.
use bench_domain::{FindResult, Status};
use mcp_runtime::prelude::*;

include!("gen.rs");

#[tokio::main]
async fn main() -> mcp_runtime::Result {
    let port: u16 = std::env::args().nth(1).map_or(8000, |p| p.parse().unwrap());
    let service = Server::new(all()).identity("bench", "1.0.0").build()?;
    service.serve_on(("127.0.0.1", port)).await
}
"#;

/// The same release profile and dependencies as rmcp's, the framework excepted.
pub(crate) fn manifest(package: &str, runtime: &Path) -> String {
    let runtime = runtime.display();
    format!(
        r#"[package]
name = "{package}"
version = "0.0.0"
edition = "2024"
publish = false

[workspace]

[dependencies]
mcp-runtime = {{ path = "{runtime}" }}
tokio = {{ version = "1", features = ["rt-multi-thread", "net", "macros"] }}
bench-domain = {{ path = "../domain", features = ["schemars"] }}

[profile.release]
lto = "thin"
codegen-units = 1
"#
    )
}

/// A function for each tool, as an author would write it; only the last has the literal to edit.
pub(crate) fn generate(finders: &[Finder], literal: u32) -> String {
    let mut tools = String::from(
        "
/// Add two integers.
#[mcp_tool(public)]
async fn add(
    /// Left operand
    a: i64,
    /// Right operand
    b: i64,
) -> String {
    (a + b).to_string()
}
",
    );
    let mut names = vec!["add"];
    for (index, Finder { name, noun }) in finders.iter().enumerate() {
        let limit = if index + 1 == finders.len() {
            format!("limit.min({literal})")
        } else {
            "limit".to_owned()
        };
        names.push(name);
        write!(
            tools,
            "
/// Find {noun} that match a query, optionally filtered by status, best match first.
#[mcp_tool(public)]
async fn {name}(
    /// Free-text query over {noun}
    #[arg(len = 1..=200)]
    query: String,
    /// Maximum number of {noun} to return
    #[arg(range = 1..=100, default = 10)]
    limit: u32,
    /// Only {noun} with this status
    status: Status,
) -> ToolResult<FindResult> {{
    bench_domain::find_items(&query, {limit}, status).map_err(ToolError::new)
}}
"
        )
        .expect("a String takes everything");
    }
    let names = names.join(",\n        ");
    write!(
        tools,
        "\nfn all() -> ToolSet {{\n    tools![\n        {names},\n    ]\n}}\n"
    )
    .expect("a String takes everything");
    tools
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_body_has_the_literal() {
        let finder = |name: &str| Finder {
            name: name.into(),
            noun: "orders".into(),
        };
        let tools = generate(&[finder("search_orders"), finder("query_orders")], 7);
        assert_eq!(tools.matches("limit.min(7)").count(), 1);
        assert!(tools.contains("async fn search_orders("));
    }
}
