#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public, timeout = "0s")] //~
fn refund() {}

fn main() {}
