#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public, guard = owner == 1)] //~
fn refund(cents: u32) -> u32 {
    cents
}

fn main() {
    let _: ToolSet = tools![refund];
}
