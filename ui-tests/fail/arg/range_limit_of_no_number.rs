#![allow(unused)]
use mcp_runtime::prelude::*;

struct Most;

/// Refund an order.
#[mcp_tool(public)]
fn refund(#[arg(range = 1..=Most)] cents: u32) {} //~

fn main() {
    let _: ToolSet = tools![refund];
}
