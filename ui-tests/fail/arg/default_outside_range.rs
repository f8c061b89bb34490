#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
fn refund(#[arg(range = 1..=50, default = 0)] cents: u32) {} //~

fn main() {}
