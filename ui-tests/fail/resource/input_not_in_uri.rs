#![allow(unused)]
use mcp_runtime::prelude::*;

/// A note.
#[mcp_resource("notes://{id}", public)]
fn note(
    id: u32,
    page: u32, //~
) -> String {
    format!("{id} {page}")
}

fn main() {}
