//! What the answers of the API have in common.

use jiff::Timestamp;
use mcp_runtime::prelude::*;
use serde_json::{Map, Value};

/// The name of a record: a UUID. What does not look like one is asked nobody about.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Uid(
    #[schemars(regex(pattern = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"))]
    pub(super) String,
);

/// One record.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub uid: String,
    /// 1 at first, and one more with every change.
    pub version: u64,
    pub updated_at: Timestamp,
    /// When it was deleted, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// Its members.
    pub payload: Map<String, Value>,
}

/// Some records, the one that was changed longest ago first.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    pub items: Vec<Record>,
    /// Where the next page starts: call again with it as cursor, until a page is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What is left of a deleted record.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tombstone {
    pub uid: String,
    pub version: u64,
    pub updated_at: Timestamp,
    pub deleted_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Map<String, Value>>,
}
