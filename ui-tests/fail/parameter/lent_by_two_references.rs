#![allow(unused)]
use mcp_runtime::prelude::*;

struct Ledger;

/// Refund an order.
#[mcp_tool(public)]
fn refund(ledger: &&Ledger) {} //~

fn main() {}
