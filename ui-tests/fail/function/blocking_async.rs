#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public, blocking)] //~
async fn refund() {}

fn main() {}
