#![allow(unused)]
use mcp_runtime::prelude::*;

/// Delete a host.
#[mcp_tool(public, confirm = "Delete it with {password}?")] //~
fn delete(#[arg(secret)] password: String) {}

fn main() {}
