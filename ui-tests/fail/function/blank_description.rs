#![allow(unused)]
use mcp_runtime::prelude::*;

///
#[mcp_tool(public)]
fn refund() {} //~

fn main() {}
