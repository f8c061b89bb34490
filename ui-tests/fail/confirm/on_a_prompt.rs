#![allow(unused)]
use mcp_runtime::prelude::*;

/// Delete a host.
#[mcp_prompt(public, confirm = "Begin with {hostname}?")] //~
fn delete(hostname: String) -> String {
    hostname
}

fn main() {}
