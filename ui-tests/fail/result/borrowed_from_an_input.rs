#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
async fn refund(order: String) -> &'static str {
    &order //~
}

fn main() {
    let _: ToolSet = tools![refund];
}
