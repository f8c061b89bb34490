#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
fn refund() -> impl Future<Output = u32> { //~
    async { 1 }
}

fn main() {}
