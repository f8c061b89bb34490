#![allow(unused)]
use mcp_runtime::prelude::*;

/// Find an order.
#[mcp_tool(public, read_only, cache = "0s")] //~
fn find() {}

fn main() {}
