#![allow(unused)]
use mcp_runtime::prelude::*;

/// A note.
#[mcp_resource("notes://{id}", public)]
fn note(
    note_id: u32, //~
) -> String {
    note_id.to_string()
}

fn main() {}
