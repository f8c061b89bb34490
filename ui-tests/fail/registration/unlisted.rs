#![deny(dead_code)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
fn refund() {} //~

/// Cancel an order.
#[mcp_tool(public)]
fn cancel() {}

fn main() {
    let _: ToolSet = tools![cancel];
}
