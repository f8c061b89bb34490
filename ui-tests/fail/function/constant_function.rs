#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
const fn refund() {} //~

fn main() {}
