#![allow(unused)]
use mcp_runtime::prelude::*;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Cents(u32);

/// Refund an order.
#[mcp_tool(public)]
fn refund(#[arg(default = Some(5))] cents: Cents) {} //~

fn main() {
    let _: ToolSet = tools![refund];
}
