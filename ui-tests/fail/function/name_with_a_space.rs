#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public, name = "refund order")] //~
fn refund() {}

fn main() {}
