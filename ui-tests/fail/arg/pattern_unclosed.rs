#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
fn refund(#[arg(pattern = "^ord_[a-z")] order: String) {} //~

fn main() {}
