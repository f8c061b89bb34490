#![allow(unused)]
use mcp_runtime::prelude::*;

/// The forecast.
#[mcp_tool(public, ui = "ui://weather/chart", ui_visibility = "everybody")] //~
fn forecast() -> String {
    "sunny".into()
}

fn main() {}
