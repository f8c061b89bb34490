#![allow(unused)]
use mcp_runtime::prelude::*;

/// Greet somebody.
#[mcp_prompt(public, complete = ["Ada", "Bob"])] //~
fn greet(name: String) -> String {
    format!("Greet {name}.")
}

fn main() {}
