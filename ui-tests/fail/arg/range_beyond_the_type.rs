#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
fn refund(#[arg(range = -1..=5)] cents: Option<u32>) {} //~

fn main() {}
