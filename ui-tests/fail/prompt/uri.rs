#![allow(unused)]
use mcp_runtime::prelude::*;

/// Say hello.
#[mcp_prompt("prompts://hello", public)] //~
fn hello() -> &'static str {
    "Hello!"
}

fn main() {}
