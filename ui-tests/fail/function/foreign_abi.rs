#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
extern "C" fn refund() {} //~

fn main() {}
