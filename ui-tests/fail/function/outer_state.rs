#![allow(unused)]
use mcp_runtime::prelude::*;

fn main() {
    struct Ledger;

    /// Refund an order.
    #[mcp_tool(public)]
    fn refund(ledger: &Leger) {} //~

    let _: ToolSet = tools![refund];
}
