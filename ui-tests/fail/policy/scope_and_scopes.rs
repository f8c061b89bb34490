#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(
    scope = "refunds:write",
    scopes("orders:read", "orders:write") //~
)]
fn refund() {}

fn main() {}
