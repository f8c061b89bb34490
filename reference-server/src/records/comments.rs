//! Comments, each on a note or a task.

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

/// What can be commented on.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParentType {
    Note,
    Task,
}

/// Comments on a note or a task, which has to be there. Returns the comment with the uid by which
/// it is known from now on, and version 1.
#[mcp_tool(title = "Create a comment", scope = "records:write", timeout = "30s")]
pub async fn create_comment(
    backend: &Backend,
    caller: &Caller,
    tenant: &Tenant,
    /// The comment.
    #[arg(len = 1..=100_000)]
    content: String,
    /// What is commented on.
    parent_type: ParentType,
    /// The uid of the note or task.
    parent_uid: Uid,
    /// Who says so.
    #[arg(len = 1..=200)]
    author: Option<String>,
    /// Words to find it by.
    #[arg(len = ..=50)]
    tags: Option<Vec<String>>,
    /// Further members, by name.
    #[arg(len = ..=100)]
    additional_fields: Option<Map<String, Value>>,
) -> ToolResult<Record> {
    let members = Members::of(additional_fields)
        .set("content", content)
        .set("parentType", parent_type)
        .set("parentUid", parent_uid)
        .set("author", author)
        .set("tags", tags);
    records(backend, caller, tenant)
        .create("/v1/comments", members)
        .await
}

/// Replaces the whole of a comment; it stays with its note or task. Everything else that is not
/// named is gone, tags and further members too: to change a part, use patch_comment.
#[mcp_tool(title = "Replace a comment", scope = "records:write", timeout = "30s")]
pub async fn update_comment(
    backend: &Backend,
    caller: &Caller,
    tenant: &Tenant,
    /// Which comment.
    uid: Uid,
    /// The comment.
    #[arg(len = 1..=100_000)]
    content: String,
    /// The version that is to be replaced: if it has another by now, nothing is done.
    #[arg(range = 1..)]
    if_match: Option<u64>,
    /// Further members, by name.
    #[arg(len = ..=100)]
    additional_fields: Option<Map<String, Value>>,
) -> ToolResult<Record> {
    let members = Members::of(additional_fields).set("content", content);
    records(backend, caller, tenant)
        .replace("/v1/comments/{uid}", &uid.0, if_match, members)
        .await
}
