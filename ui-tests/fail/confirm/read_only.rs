#![allow(unused)]
use mcp_runtime::prelude::*;

/// Delete a host.
#[mcp_tool(public, read_only, confirm = "Look at {hostname}?")] //~
fn delete(hostname: String) {}

fn main() {}
