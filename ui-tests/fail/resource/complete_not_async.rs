#![allow(unused)]
use mcp_runtime::prelude::*;

/// A note.
#[mcp_resource("notes://{id}", public, complete = ids)] //~
fn note(id: u32) -> String {
    id.to_string()
}

fn ids(typed: Complete) -> Vec<String> {
    typed.among(["1", "2"])
}

fn main() {}
