#![allow(unused)]
use mcp_runtime::prelude::*;

struct Ledger;

/// Refund an order.
#[mcp_tool(authenticated)]
async fn refund(ledger: Ledger, cents: u32) {} //~

fn main() {
    let _: ToolSet = tools![refund];
}
