//! What the answers of the API have in common.

use jiff::Timestamp;
use jiff::civil::Date;
use mcp_runtime::prelude::*;

/// Where an answer comes from.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Meta {
    /// Names this answer in the log of the platform.
    pub request_id: String,
    pub generated_at: Timestamp,
    pub actor: Actor,
}

/// The admin in whose name the platform answered.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Actor {
    pub id: String,
    pub email: Option<String>,
}

/// The days an answer covers, in UTC, both included; an end that is missing is open.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct TimeWindow {
    pub start: Option<Date>,
    pub end: Option<Date>,
}
