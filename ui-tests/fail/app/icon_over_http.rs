#![allow(unused)]
use mcp_runtime::prelude::*;

/// The forecast.
#[mcp_tool(public, icon = "http://example.com/icon.png")] //~
fn forecast() -> String {
    "sunny".into()
}

fn main() {}
