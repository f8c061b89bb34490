//! Tasks: something to do, how far it is, and by when.

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

/// How far a task is.
// Two vocabularies are in use; the records service keeps one.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    Todo,
    InProgress,
    Done,
    /// The same as todo.
    Open,
    /// The same as done.
    Completed,
}

/// How urgent a task is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    Low,
    Medium,
    High,
}

/// Writes down a new task. Returns it with the uid by which it is known from now on, and version
/// 1.
#[mcp_tool(title = "Create a task", scope = "records:write", timeout = "30s")]
pub async fn create_task(
    backend: &Backend,
    caller: &Caller,
    tenant: &Tenant,
    /// What is to be done, in a line.
    #[arg(len = 1..=500)]
    title: String,
    /// More about it.
    #[arg(len = ..=100_000)]
    description: Option<String>,
    /// How far it is; open is kept as todo, completed as done.
    status: Option<TaskStatus>,
    /// How urgent it is.
    priority: Option<Priority>,
    /// By when, like 2026-01-31.
    #[arg(len = 1..=40)]
    due_date: Option<String>,
    /// Words to find it by.
    #[arg(len = ..=50)]
    tags: Option<Vec<String>>,
    /// Further members, by name.
    #[arg(len = ..=100)]
    additional_fields: Option<Map<String, Value>>,
) -> ToolResult<Record> {
    let members = Members::of(additional_fields)
        .set("title", title)
        .set("description", description)
        .set("status", status)
        .set("priority", priority)
        .set("dueDate", due_date)
        .set("tags", tags);
    records(backend, caller, tenant)
        .create("/v1/tasks", members)
        .await
}

/// Replaces the whole of a task. Everything that is not named is gone, tags and further members
/// too: to change a part, use patch_task.
#[mcp_tool(title = "Replace a task", scope = "records:write", timeout = "30s")]
pub async fn update_task(
    backend: &Backend,
    caller: &Caller,
    tenant: &Tenant,
    /// Which task.
    uid: Uid,
    /// What is to be done, in a line.
    #[arg(len = 1..=500)]
    title: String,
    /// More about it.
    #[arg(len = ..=100_000)]
    description: Option<String>,
    /// How far it is; open is kept as todo, completed as done.
    status: Option<TaskStatus>,
    /// The version that is to be replaced: if it has another by now, nothing is done.
    #[arg(range = 1..)]
    if_match: Option<u64>,
    /// Further members, by name.
    #[arg(len = ..=100)]
    additional_fields: Option<Map<String, Value>>,
) -> ToolResult<Record> {
    let members = Members::of(additional_fields)
        .set("title", title)
        .set("description", description)
        .set("status", status);
    records(backend, caller, tenant)
        .replace("/v1/tasks/{uid}", &uid.0, if_match, members)
        .await
}
