#![allow(unused)]
use mcp_runtime::prelude::*;

fn allowed(order: String) -> bool {
    order.is_empty()
}

/// Refund an order.
#[mcp_tool(public, guard = allowed(order))]
fn refund(order: String) -> String { //~
    order
}

fn main() {
    let _: ToolSet = tools![refund];
}
