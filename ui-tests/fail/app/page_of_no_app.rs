#![allow(unused)]
use mcp_runtime::Ui;
use mcp_runtime::prelude::*;

/// The chart.
#[mcp_resource("weather://chart", public, ui = Ui::new().border(true))] //~
fn chart() -> &'static str {
    "chart"
}

fn main() {}
