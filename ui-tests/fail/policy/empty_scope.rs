#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(scope = " ")] //~
fn refund() {}

fn main() {}
