#![allow(unused)]
use mcp_runtime::prelude::*;

/// The forecast.
#[mcp_prompt(public, icon = "data:text/html,x")] //~
fn forecast() -> String {
    "sunny".into()
}

fn main() {}
