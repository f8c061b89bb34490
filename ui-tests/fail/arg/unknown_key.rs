#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
fn refund(#[arg(patern = "^ord_")] order: String) {} //~

fn main() {}
