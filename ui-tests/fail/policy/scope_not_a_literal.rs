#![allow(unused)]
use mcp_runtime::prelude::*;

const SCOPE: &str = "orders:read";

/// Refund an order.
#[mcp_tool(scope = SCOPE)] //~
fn refund() {}

fn main() {}
