#![allow(unused)]
use mcp_runtime::prelude::*;
use std::borrow::Cow;

/// Refund an order.
#[mcp_tool(public)]
fn refund(order: Cow<'_, str>) {} //~

fn main() {}
