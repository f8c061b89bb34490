#![allow(unused)]
use mcp_runtime::prelude::*;

/// Delete a host.
#[mcp_resource("hosts://{hostname}", public, confirm = "Read {hostname}?")] //~
fn delete(hostname: String) -> String {
    hostname
}

fn main() {}
