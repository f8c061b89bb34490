//! Chats, and the messages in them.

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

/// Opens a new chat. Returns it with the uid by which it is known from now on, and version 1. To
/// say something in it, use create_chat_message.
#[mcp_tool(title = "Create a chat", scope = "records:write", timeout = "30s")]
pub async fn create_chat(
    backend: &Backend,
    caller: &Caller,
    tenant: &Tenant,
    /// What it is about, in a line.
    #[arg(len = 1..=500)]
    title: String,
    /// More about it.
    #[arg(len = ..=100_000)]
    description: Option<String>,
    /// Who takes part.
    #[arg(len = ..=200)]
    participants: Option<Vec<String>>,
    /// Whether it starts out archived.
    #[arg(default = false)]
    archived: bool,
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
        .set("participants", participants)
        .set("archived", archived)
        .set("tags", tags);
    records(backend, caller, tenant)
        .create("/v1/chats", members)
        .await
}

/// Replaces the whole of a chat; its messages stay. Everything else that is not named is gone,
/// participants and further members too: to change a part, use patch_chat.
#[mcp_tool(title = "Replace a chat", scope = "records:write", timeout = "30s")]
pub async fn update_chat(
    backend: &Backend,
    caller: &Caller,
    tenant: &Tenant,
    /// Which chat.
    uid: Uid,
    /// What it is about, in a line.
    #[arg(len = 1..=500)]
    title: String,
    /// More about it.
    #[arg(len = ..=100_000)]
    description: Option<String>,
    /// The version that is to be replaced: if it has another by now, nothing is done.
    #[arg(range = 1..)]
    if_match: Option<u64>,
    /// Further members, by name.
    #[arg(len = ..=100)]
    additional_fields: Option<Map<String, Value>>,
) -> ToolResult<Record> {
    let members = Members::of(additional_fields)
        .set("title", title)
        .set("description", description);
    records(backend, caller, tenant)
        .replace("/v1/chats/{uid}", &uid.0, if_match, members)
        .await
}

/// Says something in a chat, which has to be there. Returns the message with the uid by which it
/// is known from now on, and version 1.
#[mcp_tool(
    title = "Create a chat message",
    scope = "records:write",
    timeout = "30s"
)]
pub async fn create_chat_message(
    backend: &Backend,
    caller: &Caller,
    tenant: &Tenant,
    /// The uid of the chat.
    chat_uid: Uid,
    /// What is said.
    #[arg(len = 1..=100_000)]
    content: String,
    /// Who says it.
    #[arg(len = 1..=200)]
    sender: Option<String>,
    /// What kind of message it is, like text.
    #[arg(len = 1..=50)]
    message_type: Option<String>,
    /// Words to find it by.
    #[arg(len = ..=50)]
    tags: Option<Vec<String>>,
    /// Further members, by name.
    #[arg(len = ..=100)]
    additional_fields: Option<Map<String, Value>>,
) -> ToolResult<Record> {
    let members = Members::of(additional_fields)
        .set("chatUid", chat_uid)
        .set("content", content)
        .set("sender", sender)
        .set("messageType", message_type)
        .set("tags", tags);
    records(backend, caller, tenant)
        .create("/v1/chat_messages", members)
        .await
}

/// Replaces the whole of a chat message; it stays in its chat. Everything else that is not named
/// is gone, tags and further members too: to change a part, use patch_chat_message.
#[mcp_tool(
    title = "Replace a chat message",
    scope = "records:write",
    timeout = "30s"
)]
pub async fn update_chat_message(
    backend: &Backend,
    caller: &Caller,
    tenant: &Tenant,
    /// Which chat message.
    uid: Uid,
    /// What is said.
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
        .replace("/v1/chat_messages/{uid}", &uid.0, if_match, members)
        .await
}
