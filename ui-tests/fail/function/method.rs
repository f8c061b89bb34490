#![allow(unused)]
use mcp_runtime::prelude::*;

struct Ledger;

impl Ledger {
    /// Refund an order.
    #[mcp_tool(public)]
    fn refund(&self, cents: u32) -> u32 { //~
        cents
    }
}

fn main() {}
