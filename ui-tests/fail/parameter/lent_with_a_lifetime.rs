#![allow(unused)]
use mcp_runtime::prelude::*;

struct Ledger<'a>(&'a str);

/// Refund an order.
#[mcp_tool(public)]
fn refund(ledger: &Ledger<'_>) {} //~

fn main() {}
