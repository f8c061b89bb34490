#![allow(unused)]
use mcp_runtime::prelude::*;

/// Delete a host.
#[mcp_tool(public, confirm = QUESTION)] //~
fn delete(hostname: String) {}

const QUESTION: &str = "Delete it?";

fn main() {}
