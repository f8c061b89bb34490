#![allow(unused)]
use mcp_runtime::prelude::*;

mod shop {
    use mcp_runtime::prelude::*;

    /// Refund an order.
    #[mcp_tool(public)]
    fn refund() {}
}

fn main() {
    let _: ToolSet = tools![shop::refund]; //~
}
