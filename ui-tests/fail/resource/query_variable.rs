#![allow(unused)]
use mcp_runtime::prelude::*;

/// A note.
#[mcp_resource("notes://all{?id}", public)] //~
fn note(id: u32) -> String {
    id.to_string()
}

fn main() {}
