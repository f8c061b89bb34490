//! What the answers of the API have in common, and the requests that confirm.

use jiff::Timestamp;
use jiff::civil::Date;
use mcp_runtime::prelude::*;
use serde_json::json;

use crate::backend::{Ask, Backend};

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

/// What executions send.
pub(super) fn confirmed<'a>(
    backend: &'a Backend,
    caller: &Caller,
    endpoint: &'static str,
    confirm_token: &str,
    idempotency_key: &str,
) -> Ask<'a> {
    let body = json!({ "confirm_token": confirm_token, "idempotency_key": idempotency_key });
    let ask = backend.post(caller, endpoint, body);
    ask.header("idempotency-key", idempotency_key)
}
