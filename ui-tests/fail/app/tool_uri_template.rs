#![allow(unused)]
use mcp_runtime::prelude::*;

/// The forecast.
#[mcp_tool(public, ui = "ui://weather/{place}")] //~
fn forecast() -> String {
    "sunny".into()
}

fn main() {}
