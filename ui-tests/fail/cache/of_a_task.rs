#![allow(unused)]
use mcp_runtime::prelude::*;

/// Find an order.
#[mcp_tool(public, read_only, task, cache = "5s")] //~
fn find() {}

fn main() {}
