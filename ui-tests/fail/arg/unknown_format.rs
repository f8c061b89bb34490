#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
fn refund(#[arg(format = "datetime")] day: String) {} //~

fn main() {}
