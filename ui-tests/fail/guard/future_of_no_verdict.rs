#![allow(unused)]
use mcp_runtime::prelude::*;

async fn count() -> u32 {
    1
}

/// Refund an order.
#[mcp_tool(public, guard = count())] //~
fn refund() {}

fn main() {
    let _: ToolSet = tools![refund];
}
