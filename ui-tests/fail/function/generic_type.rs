#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
fn refund<T>(order: T) -> T { //~
    order
}

fn main() {}
