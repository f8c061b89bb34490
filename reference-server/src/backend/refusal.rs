//! What a model reads when the API refuses, or does not answer.
//!
//! The API names many refusals itself (`founding_slots_taken`, `MCP_TOKEN_EXPIRED`): such a code is
//! passed on with its message and details, so that the model can act on it. For everything else the
//! client has names of its own, which also stand beside the code of the API, as `backend_error`.
//!
//! What breaks (5xx) speaks to its operator, of statements and paths: unless the API itself says
//! with a code what is missing, that goes to the log, and the model learns the status alone.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use mcp_runtime::ToolError;
use serde_json::{Value, json};

use super::Lost;
use super::remote::seconds;

/// Of a text that is not JSON, this much is shown.
const MAX_TEXT: usize = 500;

/// What the API says of itself when it cannot do its work. Other codes with a 5xx may be of whatever
/// stands before it.
const OWN_TROUBLE: [&str; 4] = [
    "database_busy",
    "database_unavailable",
    "idempotency_store_unavailable",
    "MCP_TOKEN_STORE_UNAVAILABLE",
];

/// The refusal in an answer. The log of the platform knows it by its request id.
pub(super) fn of(endpoint: &str, answer: &Response<Bytes>, request_id: &str) -> ToolError {
    let status = answer.status();
    if is_broken(answer) {
        return broken(endpoint, answer, request_id);
    }
    let name = name(status);
    let Ok(body) = serde_json::from_slice::<Value>(answer.body()) else {
        return ToolError::new(format!(
            "The platform refused {endpoint} with status {status}."
        ))
        .code(name)
        .data(raw(answer));
    };
    let detail = &body["detail"];
    let message = detail["message"]
        .as_str()
        .or(detail.as_str())
        .map(shortened);
    let own = detail["code"]
        .as_str()
        .filter(|code| speaks_to_model(status, code));
    let message = match (status, message) {
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
            "The platform does not accept the service token of this server: its operator has to \
             mend that."
                .to_owned()
        }
        (_, Some(message)) => message,
        (_, None) => format!(
            "The platform refused {endpoint} with status {}.",
            status.as_u16()
        ),
    };
    let mut data = json!({
        "backend_error": name,
        "status_code": status.as_u16(),
        "request_id": request_id,
    });
    // A list is how other backends report what is wrong with parameters.
    let details = detail
        .get("details")
        .or(Some(detail).filter(|detail| detail.is_array()));
    let mut message = message;
    if let Some(details) = details {
        // Many clients show a model the text alone.
        message.push_str(&format!(" Details: {}", shortened(&details.to_string())));
        data["details"] = details.clone();
    }
    ToolError::new(message)
        .code(own.map_or(name, str::to_owned))
        .data(data)
}

/// Whether the API failed, or something before it, without a word that is meant for a model.
fn is_broken(answer: &Response<Bytes>) -> bool {
    let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let own = body["detail"]["code"].as_str();
    answer.status().as_u16() >= 500 && !own.is_some_and(|code| OWN_TROUBLE.contains(&code))
}

fn broken(endpoint: &str, answer: &Response<Bytes>, request_id: &str) -> ToolError {
    let status = answer.status();
    let text = shortened(&String::from_utf8_lossy(answer.body()));
    let number = status.as_u16();
    ToolError::new(format!(
        "The platform failed at {endpoint} with status {number}. Try again later; if it stays so, \
         tell its operator the request id {request_id}."
    ))
    .code(name(status))
    .data(json!({
        "backend_error": name(status),
        "status_code": number,
        "request_id": request_id,
    }))
    .caused_by(format!("request {request_id} was answered with: {text}"))
}

/// The API wants to know for which tenant it is asked.
pub(super) fn no_tenant() -> ToolError {
    ToolError::new(
        "The platform answers in the name of a tenant only, and this account has none: the \
         operator of this server has to give it one.",
    )
    .code("tenant_required")
}

/// There is no key to sign requests for records with.
pub(super) fn no_records() -> ToolError {
    ToolError::new("This server is not connected to a records service.").code("records_unavailable")
}

/// What cannot be the name of anything.
pub(super) fn nothing_there(endpoint: &str) -> ToolError {
    ToolError::new(format!(
        "The platform has nothing of that name at {endpoint}."
    ))
    .code("backend_not_found")
}

/// The API would not listen (429), and there is no time left to wait. Where it says why in words of
/// its own, the model reads those.
pub(super) fn too_busy(
    endpoint: &str,
    answer: &Response<Bytes>,
    request_id: &str,
    wait: Option<Duration>,
) -> ToolError {
    let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    match body["detail"]["code"].as_str() {
        Some("booking_locked") => of(endpoint, answer, request_id),
        _ => rate_limited(wait),
    }
}

/// The answer to requests that came too fast, when there is no time left to wait.
fn rate_limited(wait: Option<Duration>) -> ToolError {
    let seconds = wait.unwrap_or(Duration::from_secs(1)).as_secs().max(1);
    ToolError::new(format!("The platform takes no more requests at the moment: try again in {seconds} s."))
        .code("rate_limited")
        .data(json!({ "retry_after_s": seconds, "status_code": 429, "backend_error": "backend_error_429" }))
}

/// The wait that the API asks for, in whole seconds.
pub(super) fn retry_after(answer: &Response<Bytes>) -> Option<Duration> {
    let text = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    let seconds: u64 = text.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.clamp(1, 24 * 60 * 60)))
}

/// No answer at all.
pub(super) fn lost(endpoint: &str, lost: Lost) -> ToolError {
    match lost {
        Lost::TimedOut(limit) => ToolError::new(format!(
            "The platform did not answer {endpoint} within {}. Ask for less at once, or try again \
             later.",
            seconds(limit)
        ))
        .code("backend_timeout")
        .data(json!({ "path": endpoint, "seconds": limit.as_secs_f64() })),
        Lost::TooLarge => ToolError::new(
            "The answer of the platform is too large. Ask for less: a smaller limit.",
        )
        .code("backend_answer_too_large"),
        Lost::Broken(cause) => {
            ToolError::new("The platform cannot be reached at the moment. Try again later.")
                .code("backend_connection_failed")
                .data(json!({ "path": endpoint }))
                .caused_by(cause)
        }
    }
}

/// An answer that is no JSON, or not what was asked for.
pub(super) fn unreadable(
    answer: &Response<Bytes>,
    cause: impl Into<Box<dyn Error + Send + Sync>>,
) -> ToolError {
    let error =
        ToolError::new("The platform answered something that this server does not understand.")
            .code("backend_invalid_reply")
            .caused_by(cause);
    if serde_json::from_slice::<serde::de::IgnoredAny>(answer.body()).is_ok() {
        return error;
    }
    error.data(raw(answer))
}

fn raw(answer: &Response<Bytes>) -> Value {
    let text = shortened(&String::from_utf8_lossy(answer.body()));
    json!({ "status_code": answer.status().as_u16(), "text": text })
}

fn name(status: StatusCode) -> String {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "backend_auth_failed".to_owned(),
        StatusCode::NOT_FOUND => "backend_not_found".to_owned(),
        _ => format!("backend_error_{}", status.as_u16()),
    }
}

/// Whether a code of the API is about what the model asked for, not about how this server asked.
fn speaks_to_model(status: StatusCode, code: &str) -> bool {
    let ours = [
        "path_not_found",
        "method_not_allowed",
        "internal_error",
        "invalid_acting_user",
    ];
    let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
    !refused.contains(&status) && !ours.contains(&code) && code.len() <= 100
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
