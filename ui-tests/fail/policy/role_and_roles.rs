#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(
    authenticated,
    role = "clerk",
    roles("boss", "owner") //~
)]
fn refund() {}

fn main() {}
