#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool]
fn refund() {} //~

fn main() {}
