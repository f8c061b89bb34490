#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
fn refund(
    #[arg(range = 1..)]
    #[arg(range = 2..)] //~
    cents: u32,
) {
}

fn main() {}
