#![allow(unused)]
use mcp_runtime::prelude::*;

#[derive(Serialize, JsonSchema)]
enum Reason {
    Late,
}

/// Refund an order.
#[mcp_tool(public)]
fn refund(reason: Reason) {} //~

fn main() {
    let _: ToolSet = tools![refund];
}
