#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
async fn refund() -> Result<u32, String> { //~
    Ok(1)
}

fn main() {}
