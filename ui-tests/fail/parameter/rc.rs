#![allow(unused)]
use mcp_runtime::prelude::*;
use std::rc::Rc;

/// Refund an order.
#[mcp_tool(authenticated)]
async fn refund(order: Rc<String>) {} //~

fn main() {}
