#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
fn refund(cents: &u32) {}

fn main() {
    let _: ToolSet = tools![refund]; //~
}
