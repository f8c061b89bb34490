#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public, guard = cents)] //~
fn refund(cents: u32) -> u32 {
    cents
}

fn main() {
    let _: ToolSet = tools![refund];
}
