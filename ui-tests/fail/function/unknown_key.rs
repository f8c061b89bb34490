#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public, readonly)] //~
fn refund() {}

fn main() {}
