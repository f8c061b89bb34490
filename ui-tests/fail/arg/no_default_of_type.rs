#![allow(unused)]
use mcp_runtime::prelude::*;

#[derive(Serialize, Deserialize, JsonSchema)]
enum Reason {
    Late,
}

/// Refund an order.
#[mcp_tool(public)]
fn refund(#[arg(default)] reason: Reason) {} //~

fn main() {
    let _: ToolSet = tools![refund];
}
