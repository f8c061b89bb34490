#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(scope = "orders:read orders:write")] //~
fn refund() {}

fn main() {}
