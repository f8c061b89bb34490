#![allow(unused)]
use mcp_runtime::prelude::*;

/// Count the stars.
#[mcp_resource("sky://stars", public, task)] //~
async fn count() -> String {
    String::new()
}

fn main() {}
