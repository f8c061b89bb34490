#![allow(unused)]
use mcp_runtime::prelude::*;

/// Delete a host.
#[mcp_tool(public, confirm = " ")] //~
fn delete(hostname: String) {}

fn main() {}
