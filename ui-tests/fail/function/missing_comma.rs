#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public destructive)] //~
fn refund() {}

fn main() {}
