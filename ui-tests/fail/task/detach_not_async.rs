#![allow(unused)]
use mcp_runtime::prelude::*;

/// Count the stars.
#[mcp_tool(public, task = "detach")] //~
fn count(call: &Call) -> u32 {
    1
}

fn main() {}
