#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public, rate = "10/minute")] //~
fn refund() {}

fn main() {}
