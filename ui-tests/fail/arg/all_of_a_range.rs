#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
fn refund(#[arg(range = ..)] cents: u32) {} //~

fn main() {}
