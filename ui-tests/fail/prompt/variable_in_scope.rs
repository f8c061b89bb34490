#![allow(unused)]
use mcp_runtime::prelude::*;

/// Greet somebody.
#[mcp_prompt(scope = "greet:{name}")] //~
fn greet(name: String) -> String {
    format!("Greet {name}.")
}

fn main() {}
