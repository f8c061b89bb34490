#![allow(unused)]
use mcp_runtime::prelude::*;

/// Log in.
#[mcp_tool(public)]
fn login(#[arg(secret, example = "hunter2")] password: String) {} //~

fn main() {}
