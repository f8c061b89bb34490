#![allow(unused)]
use mcp_runtime::prelude::*;

/// Say hello.
#[mcp_prompt(public, mime = "text/plain")] //~
fn hello() -> &'static str {
    "Hello!"
}

fn main() {}
