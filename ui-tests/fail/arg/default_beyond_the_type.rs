#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
fn refund(#[arg(default = 300)] cents: u8) {} //~

fn main() {}
