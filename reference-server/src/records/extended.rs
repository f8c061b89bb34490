//! Beyond the forty: many changes at once, searching, counting. A toolset of its own, so that the
//! forty stay forty.

#![expect(
    clippy::too_many_arguments,
    reason = "what a tool can be told are its parameters"
)]

use http::Method;
use jiff::Timestamp;
use mcp_runtime::prelude::*;
use mcp_runtime::{Caller, Tenant};
use serde_json::{Map, Value, json};

use super::client::{cursor_of_ours, records};
use super::reply::Uid;
use crate::backend::Backend;

/// A kind of record.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Notes,
    Tasks,
    Comments,
    Chats,
    ChatMessages,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    Create,
    /// Replaces the whole.
    Update,
    /// Sets some members.
    Patch,
    Delete,
    Archive,
}

/// One change of a batch.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    pub op: Op,
    pub entity: Kind,
    /// Which record; not for create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Uid>,
    /// Its members, named as in the payload of a record; for create, update and patch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Map<String, Value>>,
    /// The version it has to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_match: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct BatchDone {
    /// Of an atomic batch that failed: of the operation that was refused alone.
    pub results: Vec<OperationDone>,
    /// Whether anything was kept.
    pub committed: bool,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct OperationDone {
    /// Which operation, from 0.
    pub index: u32,
    /// As the API says it: 200, 201, 404, 412, …
    pub status: u16,
    /// The record as it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<Map<String, Value>>,
    /// True when the answer would have become too long with the payload of the record: it was
    /// changed all the same, and can be read by its uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_omitted: Option<bool>,
    /// Why it was refused, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Creates, replaces, changes, archives and deletes up to 100 records of any kind. All of it
/// happens or none, unless atomic is false: then what is refused does not keep the rest from
/// happening. Deleting cannot be undone, so ask the user first.
#[mcp_tool(
    title = "Change many records",
    scope = "records:write",
    destructive,
    timeout = "30s"
)]
pub async fn batch(
    backend: &Backend,
    caller: &Caller,
    tenant: &Tenant,
    /// What to do, one after the other.
    #[arg(len = 1..=100)]
    operations: Vec<Operation>,
    /// Whether nothing is done when something is refused.
    #[arg(default = true)]
    atomic: bool,
) -> ToolResult<BatchDone> {
    let records = records(backend, caller, tenant);
    let body = json!({ "operations": operations, "atomic": atomic });
    let ask = records.ask(Method::POST, "/v1/batch")?.body(body);
    records.send(ask).await
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// Records, each with its kind as entity.
    pub items: Vec<Map<String, Value>>,
    /// There may be more: call again with it as cursor, also after a page without items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Finds records by what is written in them, in any member. Words have to occur all of them, in
/// any order and capitals; `OR`, `NOT`, brackets and "phrases in quotes" say otherwise, and
/// `status:todo` looks at one member alone.
#[mcp_tool(
    title = "Search records",
    scope = "records:read",
    read_only,
    timeout = "30s"
)]
pub async fn search(
    backend: &Backend,
    caller: &Caller,
    tenant: &Tenant,
    /// What to look for, like: chairs AND NOT "meeting room".
    #[arg(len = 1..=1000, example = "chairs NOT status:done")]
    query: String,
    /// The kinds to look through; all without it.
    #[arg(len = 1..=5)]
    entities: Option<Vec<Kind>>,
    /// What has to hold as well, in the same words, like: priority:high OR tags:urgent.
    #[arg(len = 1..=1000)]
    filter: Option<String>,
    /// How many records to return at most.
    #[arg(range = 1..=100, default = 20)]
    limit: u32,
    /// The nextCursor of the page before.
    #[arg(len = ..=100_000)]
    cursor: Option<String>,
) -> ToolResult<Found> {
    let records = records(backend, caller, tenant);
    let cursor = cursor_of_ours(cursor);
    let body = json!({
        "query": query, "entities": entities, "filter": filter, "limit": limit, "cursor": cursor,
    });
    let ask = records.ask(Method::POST, "/v1/search")?.body(body);
    records.send(ask).await
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// How many there are.
    Count,
    /// When the first of them was changed.
    Min,
    /// When the last of them was changed.
    Max,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Groups {
    pub groups: Vec<Group>,
    /// False when there were too many records or values to look at all of them.
    pub complete: bool,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    pub value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// Sums up the records of one kind by the values of one member, like tasks by status or notes by
/// tags: how many there are, or when they were changed first or last. Records without the member
/// are left out.
#[mcp_tool(
    title = "Sum up records",
    scope = "records:read",
    read_only,
    timeout = "30s"
)]
pub async fn aggregate(
    backend: &Backend,
    caller: &Caller,
    tenant: &Tenant,
    /// The kind to look at.
    entity: Kind,
    /// The member by whose values to sum up, like status.
    #[arg(len = 1..=100, example = "status")]
    group_by: String,
    /// What to tell about each value.
    #[arg(default = Metric::Count)]
    metric: Metric,
    /// Leave out records that were not changed since, like 2026-01-31T00:00:00Z.
    since: Option<Timestamp>,
) -> ToolResult<Groups> {
    let records = records(backend, caller, tenant);
    let body = json!({
        "entity": entity, "group_by": group_by, "metric": metric, "since": since,
    });
    let ask = records.ask(Method::POST, "/v1/aggregate")?.body(body);
    records.send(ask).await
}
