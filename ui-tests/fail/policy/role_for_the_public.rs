#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public, role = "clerk")] //~
fn refund() {}

fn main() {}
