#![allow(unused)]
use mcp_runtime::prelude::*;

/// Count the stars.
#[mcp_tool(public, task = "detach")] //~
async fn count() -> u32 {
    1
}

fn main() {}
