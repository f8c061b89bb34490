//! One call, one sync session: opened before, closed after. No call fails because a session has
//! run out, and none is kept for a caller who does not come back.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use mcp_runtime::prelude::*;
use mcp_runtime::{Caller, Tenant};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::backend::{Ask, Backend};

/// Longer than any cursor of the API.
const MAX_CURSOR: usize = 200;

/// The records of one caller in one tenant.
#[derive(Clone, Copy)]
pub(super) struct Records<'a> {
    backend: &'a Backend,
    caller: &'a Caller,
    tenant: &'a Tenant,
}

/// What the API calls a session, as far as we need it.
#[derive(Deserialize)]
struct Session {
    id: String,
    epoch: i64,
}

pub(super) fn records<'a>(
    backend: &'a Backend,
    caller: &'a Caller,
    tenant: &'a Tenant,
) -> Records<'a> {
    Records {
        backend,
        caller,
        tenant,
    }
}

impl Records<'_> {
    /// A request in the making, for [`send`](Self::send).
    pub(super) fn ask(&self, method: Method, endpoint: &'static str) -> ToolResult<Ask<'_>> {
        let ask = self
            .backend
            .records(self.caller, self.tenant, method, endpoint)?;
        let id = ask.request_id().to_owned();
        Ok(ask.header("x-correlation-id", &id))
    }

    /// Sends a request within a session of its own.
    pub(super) async fn send<T: DeserializeOwned>(&self, ask: Ask<'_>) -> ToolResult<T> {
        let first = self.once(ask).await?;
        let (ask, answer) = first;
        // A wipe or a restart came in between: nothing was done, and a new session knows of it.
        let answer = if is_about_session(&answer) {
            self.once(ask).await?.1
        } else {
            answer
        };
        read(&answer)
    }

    async fn once<'b>(&self, ask: Ask<'b>) -> ToolResult<(Ask<'b>, Response<Bytes>)> {
        let opened = self.ask(Method::POST, "/v1/sync/sessions")?.reply().await?;
        let session: Session = read(&opened)?;
        let ask = ask
            .header("x-sync-session", &session.id)
            .header("x-sync-epoch", &session.epoch.to_string());
        let answer = ask.reply().await;
        self.close(&session).await;
        Ok((ask, answer?))
    }

    /// A session that stays open ends by itself: that is no reason to fail.
    async fn close(&self, session: &Session) {
        let ask = self.ask(Method::DELETE, "/v1/sync/sessions/{id}");
        let closed = match ask {
            Ok(ask) => ask.segment("{id}", &session.id).reply().await,
            Err(error) => Err(error),
        };
        if let Err(error) = closed {
            tracing::debug!(code = error.code_str(), "a sync session stays open");
        }
    }
}

/// A cursor, unless it cannot be one of the API's: then there is none, and the page is the first.
pub(super) fn cursor_of_ours(cursor: Option<String>) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    cursor.filter(|cursor| cursor.len() <= MAX_CURSOR && cursor.bytes().all(fits))
}

fn is_about_session(answer: &Response<Bytes>) -> bool {
    match answer.status() {
        StatusCode::PRECONDITION_REQUIRED => true,
        StatusCode::CONFLICT => {
            let body: Option<Value> = serde_json::from_slice(answer.body()).ok();
            body.is_some_and(|body| body["error"] == "epoch_mismatch")
        }
        _ => false,
    }
}

fn read<T: DeserializeOwned>(answer: &Response<Bytes>) -> ToolResult<T> {
    if !answer.status().is_success() {
        return Err(refused(answer));
    }
    serde_json::from_slice(answer.body()).map_err(|error| {
        ToolError::new(
            "The records service answered something that this server does not understand.",
        )
        .code("backend_invalid_reply")
        .caused_by(error)
    })
}

/// What the API says, for a model: the word for it as the code, and everything else it tells, with
/// the status, beside it. What it says when it is broken goes to the log.
fn refused(answer: &Response<Bytes>) -> ToolError {
    let status = answer.status();
    let about_us = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status);
    let for_operators = about_us || status.is_server_error();
    let mut facts: Map<String, Value> = match for_operators {
        true => Map::new(),
        false => serde_json::from_slice(answer.body()).unwrap_or_default(),
    };
    let error = text(facts.remove("error"));
    let message = text(facts.remove("message"));
    facts.insert("status".to_owned(), json!(status.as_u16()));
    let (code, message) = match (error, message) {
        _ if about_us => (
            "backend_auth_failed".to_owned(),
            "The records service does not accept this server: its operator has to mend that."
                .to_owned(),
        ),
        (Some(error), Some(message)) => (error, format!("Nothing was done: {message}.")),
        _ => (
            format!("backend_error_{}", status.as_u16()),
            "The records service could not answer. Try again later.".to_owned(),
        ),
    };
    let refused = ToolError::new(message).code(code).data(facts);
    if !for_operators {
        return refused;
    }
    let said: String = String::from_utf8_lossy(answer.body())
        .chars()
        .take(500)
        .collect();
    refused.caused_by(format!("the records API answered {status}: {said}"))
}

fn text(value: Option<Value>) -> Option<String> {
    value.and_then(|value| value.as_str().map(str::to_owned))
}
