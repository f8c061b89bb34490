#![allow(unused)]
use mcp_runtime::prelude::*;

/// Read an order.
#[mcp_tool(scope = "orders:{id}:read")] //~
fn order(id: u32) -> u32 {
    id
}

fn main() {}
