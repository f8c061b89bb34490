#![allow(unused)]
use mcp_runtime::prelude::*;

enum Reason {}

/// Refund an order.
#[mcp_tool(public)]
fn refund(reason: Option<Reason>) {} //~

fn main() {
    let _: ToolSet = tools![refund];
}
