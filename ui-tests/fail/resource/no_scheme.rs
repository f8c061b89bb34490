#![allow(unused)]
use mcp_runtime::prelude::*;

/// Today's notes.
#[mcp_resource("notes/today", public)] //~
fn today() -> &'static str {
    "milk"
}

fn main() {}
