#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(public)]
fn refund_an_order_that_was_damaged_or_late_or_lost_or_never_sent_at_all() {} //~

fn main() {}
