#![allow(unused)]
use mcp_runtime::prelude::*;

/// The chart.
#[mcp_resource("ui://weather/chart", public, ui = "https://api.example.com")] //~
fn chart() -> &'static str {
    "<!doctype html>"
}

fn main() {}
