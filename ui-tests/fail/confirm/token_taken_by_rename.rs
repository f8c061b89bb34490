#![allow(unused)]
use mcp_runtime::prelude::*;

/// Delete a host.
#[mcp_tool(public, confirm = "Delete it?")]
fn delete(#[arg(rename = "confirm_token")] token: String) {} //~

fn main() {}
