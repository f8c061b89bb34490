#![allow(unused)]
use mcp_runtime::prelude::*;

/// Refund an order.
#[mcp_tool(authenticated)]
fn refund(tenant: Option<&Tenant>) {} //~

fn main() {
    let _: ToolSet = tools![refund];
}
