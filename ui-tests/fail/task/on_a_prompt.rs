#![allow(unused)]
use mcp_runtime::prelude::*;

/// Count the stars.
#[mcp_prompt(public, task)] //~
async fn count() -> String {
    String::new()
}

fn main() {}
