#![allow(unused)]
use mcp_runtime::prelude::*;

/// Find an order.
#[mcp_tool(public, family = "")] //~
fn find() {}

fn main() {}
