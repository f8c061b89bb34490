#![allow(unused)]
use mcp_runtime::prelude::*;

fn refund() {}

fn main() {
    let _: ToolSet = tools![refund]; //~
}
