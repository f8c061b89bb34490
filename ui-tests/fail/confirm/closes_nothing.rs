#![allow(unused)]
use mcp_runtime::prelude::*;

/// Delete a host.
#[mcp_tool(public, confirm = "Delete hostname}?")] //~
fn delete(hostname: String) {}

fn main() {}
