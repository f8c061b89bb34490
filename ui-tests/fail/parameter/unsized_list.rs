#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund some orders.
#[mcp_tool(public)]
fn refund(orders: [Vec<u8>]) {} //~

fn main() {}
