#![allow(unused)]
use mcp_runtime::prelude::*;

/// Today's notes.
#[mcp_resource(TODAY, public)] //~
fn today() -> &'static str {
    "milk"
}

fn main() {}
