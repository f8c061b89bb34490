#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public, rate = "0/min")] //~
fn refund() {}

fn main() {}
