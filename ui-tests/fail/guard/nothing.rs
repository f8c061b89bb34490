#![allow(unused)]
use mcp_runtime::prelude::*;

fn log(cents: u32) {}

/// Refund an order.
#[mcp_tool(public, guard = log(cents))] //~
fn refund(cents: u32) {}

fn main() {
    let _: ToolSet = tools![refund];
}
