#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public, title = "")] //~
fn refund() {}

fn main() {}
