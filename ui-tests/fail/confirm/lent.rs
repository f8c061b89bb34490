#![allow(unused)]
use mcp_runtime::prelude::*;

/// Delete a host.
#[mcp_tool(public, confirm = "Delete it for {caller}?")] //~
fn delete(caller: &Caller, hostname: String) {}

fn main() {}
