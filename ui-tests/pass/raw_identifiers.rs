//! A keyword as a name loses its `r#` on the wire.
#![deny(warnings)]
use mcp_runtime::prelude::*;

/// Match a type.
#[mcp_tool(public, guard = r#type != "x")]
async fn r#match(r#type: String, mut r#fn: u32) -> String {
    r#fn += 1;
    format!("{} {}", r#type, r#fn)
}

fn main() {
    let tools: ToolSet = tools![r#match];
    assert_eq!(tools.names().collect::<Vec<_>>(), ["match"]);
}
