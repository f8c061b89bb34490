#![allow(unused)]
use mcp_runtime::prelude::*;

struct Broken;

/// Refund an order.
#[mcp_tool(public)]
async fn refund() -> Result<u32, Broken> { //~
    Err(Broken)
}

fn main() {
    let _: ToolSet = tools![refund];
}
