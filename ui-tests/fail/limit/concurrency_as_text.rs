#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public, concurrency = "4")] //~
fn refund() {}

fn main() {}
