#![allow(unused)]
use mcp_runtime::prelude::*;

/// Delete a host.
#[mcp_tool(public, confirm = "Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it? Delete it?")] //~
fn delete(hostname: String) {}

fn main() {}
