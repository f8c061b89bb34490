#![allow(unused)]
use mcp_runtime::prelude::*;

/// The forecast.
#[mcp_tool(public, ui = "https://example.com/chart")] //~
fn forecast() -> String {
    "sunny".into()
}

fn main() {}
