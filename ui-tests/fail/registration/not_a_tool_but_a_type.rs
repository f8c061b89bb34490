#![allow(unused)]
use mcp_runtime::prelude::*;

struct Refund;

fn main() {
    let _: ToolSet = tools![Refund]; //~
}
