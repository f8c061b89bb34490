#![allow(unused)]
use mcp_runtime::prelude::*;

#[derive(Deserialize, JsonSchema)]
enum Reason {
    Late,
}

/// Refund an order.
#[mcp_tool(public)]
fn refund(#[arg(default = Reason::Late)] reason: Reason) {} //~

fn main() {
    let _: ToolSet = tools![refund];
}
