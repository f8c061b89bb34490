#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
fn refund((order, cents): (String, u32)) {} //~

fn main() {}
