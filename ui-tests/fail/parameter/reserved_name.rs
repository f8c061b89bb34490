#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
fn refund(#[arg(rename = "_meta")] meta: String) {} //~

fn main() {}
