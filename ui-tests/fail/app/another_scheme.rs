#![allow(unused)]
use mcp_runtime::prelude::*;

/// The chart.
#[mcp_resource("weather://chart", public, mime = "text/html;profile=mcp-app")] //~
fn chart() -> &'static str {
    "<!doctype html>"
}

fn main() {}
