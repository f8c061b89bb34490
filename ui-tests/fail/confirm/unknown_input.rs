#![allow(unused)]
use mcp_runtime::prelude::*;

/// Delete a host.
#[mcp_tool(public, confirm = "Delete {hostnme}?")] //~
fn delete(hostname: String) {}

fn main() {}
