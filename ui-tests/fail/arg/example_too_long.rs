#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
fn refund(#[arg(len = ..5, example = "ord_1")] order: String) {} //~

fn main() {}
