#![allow(unused)]
use mcp_runtime::prelude::*;

#[mcp_prompt(public)]
fn hello() -> &'static str { //~
    "Hello!"
}

fn main() {}
