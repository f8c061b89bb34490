#![allow(unused)]
use mcp_runtime::prelude::*;
use std::rc::Rc;

/// Refund an order.
#[mcp_tool(public)]
async fn refund() { //~
    let order = Rc::new(1);
    std::future::ready(()).await;
    drop(order);
}

fn main() {
    let _: ToolSet = tools![refund];
}
