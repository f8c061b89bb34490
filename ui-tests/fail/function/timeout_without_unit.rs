#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public, timeout = "60")] //~
fn refund() {}

fn main() {}
