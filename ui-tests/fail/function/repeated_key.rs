#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(
    public,
    timeout = "1s",
    timeout = "2s" //~
)]
fn refund() {}

fn main() {}
