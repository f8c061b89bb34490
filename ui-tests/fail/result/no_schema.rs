#![allow(unused)]
use mcp_runtime::prelude::*;

#[derive(Serialize)]
struct Refund;

/// Refund an order.
#[mcp_tool(public)]
async fn refund() -> ToolResult<Refund> { //~
    Ok(Refund)
}

fn main() {
    let _: ToolSet = tools![refund];
}
