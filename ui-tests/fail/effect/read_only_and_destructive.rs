#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public, read_only, destructive)] //~
fn refund() {}

fn main() {}
