#![allow(unused)]
use mcp_runtime::prelude::*;

struct Refund;

/// Refund an order.
#[mcp_tool(public)]
async fn refund() -> ToolResult<Refund> { //~
    Ok(Refund)
}

fn main() {
    let _: ToolSet = tools![refund];
}
