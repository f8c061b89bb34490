#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(scoep = "orders:read")] //~
fn refund() {}

fn main() {}
