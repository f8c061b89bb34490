#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
fn refund(
    order: String,
    #[arg(rename = "order")] id: String, //~
) {
}

fn main() {}
