//! What has changed, as resources: one to watch, and one to read on from where somebody stopped.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use jiff::Timestamp;
use mcp_runtime::prelude::*;
use mcp_runtime::{Caller, Tenant};

use super::client::records;
use crate::backend::Backend;

/// Where the changes of the caller's own records are, and what whoever watches them hears of.
pub const URI: &str = "toolbridge://changes";

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeList {
    /// Grows when everything was wiped: then nothing of before is there any more.
    pub epoch: i64,
    /// Each record once, at its last change; the newest last.
    pub changes: Vec<Change>,
    /// Read `toolbridge://changes/{nextCursor}` for what comes after these.
    pub next_cursor: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// `notes`, `tasks`, `comments`, `chats` or `chat_messages`.
    pub entity: String,
    pub uid: String,
    pub version: u64,
    /// `created`, `updated` or `deleted`.
    pub change: String,
    pub updated_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
}

/// Where somebody stopped: epoch and time. What is none of it names no resource, so that it is not
/// found, like every other one that is not there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline)]
pub struct Cursor(String);

impl TryFrom<String> for Cursor {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap_or_default();
        let position = String::from_utf8(bytes).unwrap_or_default();
        let numbers = position.split_once('|');
        let is_number = |text: &str| text.parse::<i64>().is_ok();
        match numbers.is_some_and(|(epoch, at)| is_number(epoch) && is_number(at)) {
            true => Ok(Self(text)),
            false => Err("no cursor of ours"),
        }
    }
}

/// The newest hundred changes of your records, of all kinds. Subscribe to it to hear of each.
#[mcp_resource(
    "toolbridge://changes",
    scope = "records:read",
    title = "Changes of records"
)]
pub async fn record_changes(
    backend: &Backend,
    caller: &Caller,
    tenant: &Tenant,
) -> ToolResult<ChangeList> {
    let records = records(backend, caller, tenant);
    let ask = records.ask(Method::GET, "/v1/changes")?;
    records.send(ask).await
}

/// What has changed since a cursor: up to a hundred changes, the oldest of them first.
#[mcp_resource(
    "toolbridge://changes/{cursor}",
    scope = "records:read",
    title = "Later changes of records"
)]
pub async fn record_changes_since(
    backend: &Backend,
    caller: &Caller,
    tenant: &Tenant,
    /// The nextCursor of what was read before.
    #[arg(len = 1..=100, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Cursor,
) -> ToolResult<ChangeList> {
    let records = records(backend, caller, tenant);
    let ask = records.ask(Method::GET, "/v1/changes")?;
    records.send(ask.query("cursor", cursor.0)).await
}
