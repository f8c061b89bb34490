#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(
    scope = "refunds:write",
    public //~
)]
fn refund() {}

fn main() {}
