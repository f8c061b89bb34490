#![allow(unused)]
use mcp_runtime::prelude::*;

/// The chart.
#[mcp_resource("ui://weather/chart", public, mime = "text/html")] //~
fn chart() -> &'static str {
    "<!doctype html>"
}

fn main() {}
