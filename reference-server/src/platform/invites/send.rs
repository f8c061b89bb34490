//! `POST /invites/send`: the request, its key and its token.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use mcp_runtime::confirm::ConfirmError;
use mcp_runtime::idempotency::{Begin, IdempotencyError};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tracing::Instrument;

use super::finish::{finish, settle};
use super::write::{self, SendKey};
use super::{Invitation, OPERATION};
use crate::platform::Platform;
use crate::platform::answer::{Answer, Data, Problem, reply};
use crate::platform::auth::Actor;
use crate::platform::body::Fields;
use crate::platform::crash::crash_at;

pub(in super::super) async fn send(
    State(platform): State<Platform>,
    actor: Actor,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer<Data<Value>> {
    let (token, key) = read(&headers, Fields::of(body)?)?;
    // A task of its own: a caller who hangs up does not stop a send half-way.
    let work = once_per_key(platform.clone(), actor.clone(), token, key);
    let data = tokio::spawn(work.in_current_span())
        .await
        .map_err(Problem::internal)??;
    Ok(reply(actor, platform.now(), Data { data }))
}

fn read(headers: &HeaderMap, mut fields: Fields) -> Result<(String, String), Problem> {
    let token = fields.required_text("confirm_token");
    let key = fields.required_text("idempotency_key");
    fields.finish()?;
    let Some(header) = headers.get("idempotency-key") else {
        return Err(Problem::bad_request(
            "idempotency_key_header_required",
            "Repeat idempotency_key in the header Idempotency-Key.",
        ));
    };
    if header.as_bytes() != key.as_bytes() {
        return Err(Problem::bad_request(
            "idempotency_key_mismatch",
            "The header Idempotency-Key and idempotency_key in the body differ.",
        ));
    }
    Ok((token, key))
}

async fn once_per_key(
    platform: Platform,
    actor: Actor,
    token: String,
    key: String,
) -> Result<Value, Problem> {
    // The prefix is optional, and the same token with it is the same token.
    let bare = token.strip_prefix("ctok_").unwrap_or(&token);
    let fingerprint: String = Sha256::digest(bare)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let idempotency = &platform.0.idempotency;
    let begun = idempotency
        .begin(&actor.id, OPERATION, &key, &fingerprint)
        .await;
    let lease = match begun.map_err(refused_key)? {
        Begin::Replay(result) => return Ok(result),
        Begin::Run(lease) => lease,
    };
    crash_at!(platform, KeyTaken);
    let key = SendKey {
        actor: &actor,
        key: &key,
        fingerprint: &fingerprint,
    };
    let outcome = send_or_resume(&platform, &key, &token).await;
    if outcome.is_ok() {
        crash_at!(platform, SendFinished);
    }
    settle(lease, &outcome).await;
    outcome
}

/// A send that was begun needs its token no more: it may have expired since.
async fn send_or_resume(
    platform: &Platform,
    key: &SendKey<'_>,
    token: &str,
) -> Result<Value, Problem> {
    if let Some(send_id) = write::find(platform, key).await? {
        return finish(platform, &send_id).await;
    }
    let confirm = &platform.0.confirm;
    let opened = confirm
        .open(&key.actor.id, OPERATION, token)
        .map_err(refused_token)?;
    let invitation: Invitation =
        serde_json::from_value(opened.payload().clone()).map_err(|error| {
            Problem::bad_request(
                "confirm_payload_invalid",
                "The token does not hold an invitation; run the preview again.",
            )
            .caused_by(error)
        })?;
    confirm
        .redeem(&opened, key.key)
        .await
        .map_err(refused_token)?;
    crash_at!(platform, TokenRedeemed);
    let send_id = write::write(platform, key, &invitation).await?;
    crash_at!(platform, InvitesWritten);
    finish(platform, &send_id).await
}

fn refused_token(error: ConfirmError) -> Problem {
    match error {
        ConfirmError::Store(_) => Problem::unavailable(error.code(), error.to_string(), error),
        _ => Problem::bad_request(error.code(), error.to_string())
            .details(json!({ "reason": error.reason() })),
    }
}

fn refused_key(error: IdempotencyError) -> Problem {
    let status = match error {
        IdempotencyError::InProgress | IdempotencyError::LeaseLost => StatusCode::CONFLICT,
        IdempotencyError::KeyReused | IdempotencyError::InvalidKey => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        IdempotencyError::Store(_) => {
            return Problem::unavailable(error.code(), error.to_string(), error);
        }
        _ => return Problem::internal(error),
    };
    Problem::new(status, error.code(), error.to_string())
}

impl SendKey<'_> {
    pub(super) fn reused(&self) -> Problem {
        refused_key(IdempotencyError::KeyReused)
    }
}
