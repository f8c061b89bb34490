#![allow(unused)]
use mcp_runtime::prelude::*;

/// Delete a host.
#[mcp_tool(public, confirm = "Delete it?")]
fn delete(confirm_token: String) {} //~

fn main() {}
