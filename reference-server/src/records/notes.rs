//! Notes: a title, a text, and words to find it by.

#![expect(
    clippy::too_many_arguments,
    reason = "what a tool can be told are its parameters"
)]

use mcp_runtime::prelude::*;
use mcp_runtime::{Caller, Tenant};
use serde_json::{Map, Value};

use super::client::records;
use super::reply::{Record, Uid};
use super::write::Members;
use crate::backend::Backend;

/// Writes a new note. Returns it with the uid by which it is known from now on, and version 1.
#[mcp_tool(title = "Create a note", scope = "records:write", timeout = "30s")]
pub async fn create_note(
    backend: &Backend,
    caller: &Caller,
    tenant: &Tenant,
    /// What it is about, in a line.
    #[arg(len = 1..=500)]
    title: String,
    /// The text.
    #[arg(len = 1..=100_000)]
    content: String,
    /// Words to find it by.
    #[arg(len = ..=50)]
    tags: Option<Vec<String>>,
    /// Further members, by name.
    #[arg(len = ..=100)]
    additional_fields: Option<Map<String, Value>>,
) -> ToolResult<Record> {
    let members = Members::of(additional_fields)
        .set("title", title)
        .set("content", content)
        .set("tags", tags);
    records(backend, caller, tenant)
        .create("/v1/notes", members)
        .await
}

/// Replaces the whole of a note. Everything that is not named is gone, tags and further members
/// too: to change a part, use patch_note.
#[mcp_tool(title = "Replace a note", scope = "records:write", timeout = "30s")]
pub async fn update_note(
    backend: &Backend,
    caller: &Caller,
    tenant: &Tenant,
    /// Which note.
    uid: Uid,
    /// What it is about, in a line.
    #[arg(len = 1..=500)]
    title: String,
    /// The text.
    #[arg(len = 1..=100_000)]
    content: String,
    /// The version that is to be replaced: if it has another by now, nothing is done.
    #[arg(range = 1..)]
    if_match: Option<u64>,
    /// Further members, by name.
    #[arg(len = ..=100)]
    additional_fields: Option<Map<String, Value>>,
) -> ToolResult<Record> {
    let members = Members::of(additional_fields)
        .set("title", title)
        .set("content", content);
    records(backend, caller, tenant)
        .replace("/v1/notes/{uid}", &uid.0, if_match, members)
        .await
}
