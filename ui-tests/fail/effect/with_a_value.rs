#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public, read_only = true)] //~
fn refund() {}

fn main() {}
