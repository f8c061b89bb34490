#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(scopes("orders:read", "bücher:read"))] //~
fn refund() {}

fn main() {}
