#![allow(unused)]
use mcp_runtime::prelude::*;

struct Order<'a>(&'a str);

/// Refund an order.
#[mcp_tool(public)]
fn refund(order: Order<'_>) {} //~

fn main() {}
