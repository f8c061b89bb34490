//! What all pairs of preview and execution have in common: the execution names the token of its
//! preview and a key of its own, and whatever happens, it happens once.
//!
//! Every step of the work has to be repeatable: a call that was cut off is begun again by whoever
//! comes with its key.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use mcp_runtime::confirm::{ConfirmError, Issued};
use mcp_runtime::idempotency::{Begin, IdempotencyError, Lease};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tracing::Instrument;

use super::Platform;
use super::answer::Problem;
use super::auth::Actor;
use super::body::Fields;
use super::crash::crash_at;

/// What an execution has to present.
pub(super) struct Confirmation {
    token: String,
    key: String,
    /// What the path names.
    about: Option<String>,
}

impl Confirmation {
    /// Of a body that has nothing else.
    pub(super) fn of(
        headers: &HeaderMap,
        body: Result<Bytes, BytesRejection>,
    ) -> Result<Self, Problem> {
        let mut fields = Fields::of(body)?;
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
        Ok(Self {
            token,
            key,
            about: None,
        })
    }

    /// The same key does not serve for another thing.
    pub(super) fn about(mut self, id: &str) -> Self {
        self.about = Some(id.to_owned());
        self
    }

    /// The same for the same token, with or without its optional prefix.
    fn fingerprint(&self) -> String {
        let bare = self.token.strip_prefix("ctok_").unwrap_or(&self.token);
        let digest = match &self.about {
            Some(id) => Sha256::digest(format!("{id}|{bare}")),
            None => Sha256::digest(bare),
        };
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// One execution: whose it is, its key, and the token that the key was used for.
pub(super) struct Execution {
    pub(super) actor: Actor,
    pub(super) key: String,
    pub(super) fingerprint: String,
    operation: &'static str,
    token: String,
}

/// Does `work` once per key, and returns its result as often as it is asked for. It goes on when
/// the caller hangs up.
pub(super) async fn once_per_key<W>(
    platform: &Platform,
    actor: &Actor,
    operation: &'static str,
    confirmation: Confirmation,
    work: impl FnOnce(Platform, Execution) -> W + Send + 'static,
) -> Result<Value, Problem>
where
    W: Future<Output = Result<Value, Problem>> + Send,
{
    let (platform, execution) = (
        platform.clone(),
        Execution {
            actor: actor.clone(),
            fingerprint: confirmation.fingerprint(),
            key: confirmation.key,
            operation,
            token: confirmation.token,
        },
    );
    let run = async move {
        let begun = platform
            .0
            .idempotency
            .begin(
                &execution.actor.id,
                operation,
                &execution.key,
                &execution.fingerprint,
            )
            .await;
        let lease = match begun.map_err(refused_key)? {
            Begin::Replay(result) => return Ok(result),
            Begin::Run(lease) => lease,
        };
        crash_at!(platform, KeyTaken);
        let outcome = work(platform.clone(), execution).await;
        if outcome.is_ok() {
            crash_at!(platform, SendFinished);
        }
        settle(lease, &outcome).await;
        outcome
    };
    tokio::spawn(run.in_current_span())
        .await
        .map_err(Problem::internal)?
}

impl Execution {
    /// What the preview was about. The token is used up, unless it does not fit.
    pub(super) async fn confirmed<T: DeserializeOwned>(
        &self,
        platform: &Platform,
        fits: impl FnOnce(&T) -> Result<(), Problem>,
    ) -> Result<T, Problem> {
        let confirm = &platform.0.confirm;
        let opened = confirm
            .open(&self.actor.id, self.operation, &self.token)
            .map_err(refused_token)?;
        let payload: T = serde_json::from_value(opened.payload().clone()).map_err(|error| {
            Problem::bad_request(
                "confirm_payload_invalid",
                "The token does not hold what this call does; run the preview again.",
            )
            .caused_by(error)
        })?;
        fits(&payload)?;
        confirm
            .redeem(&opened, &self.key)
            .await
            .map_err(refused_token)?;
        crash_at!(platform, TokenRedeemed);
        Ok(payload)
    }

    pub(super) fn key_reused(&self) -> Problem {
        refused_key(IdempotencyError::KeyReused)
    }
}

/// A token over `payload`, for the actor of its preview.
pub(super) fn issue(
    platform: &Platform,
    actor: &Actor,
    operation: &str,
    payload: &impl Serialize,
    lifetime: Duration,
) -> Result<Issued, Problem> {
    let confirm = &platform.0.confirm;
    let issued = confirm.issue(&actor.id, operation, payload, lifetime);
    issued.map_err(|error| match error {
        ConfirmError::TooLarge => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            error.code(),
            error.to_string(),
        ),
        _ => Problem::internal(error),
    })
}

/// An execution that was cut off.
pub(super) struct Interrupted<'a> {
    pub(super) operation: &'a str,
    pub(super) actor_id: &'a str,
    pub(super) key: &'a str,
    pub(super) fingerprint: &'a str,
}

/// Does the `rest` of what was cut off, unless somebody else is at it: the key of an execution
/// keeps everybody else from working on it. Tells whether it could be had.
pub(super) async fn resume(
    platform: &Platform,
    interrupted: &Interrupted<'_>,
    rest: impl Future<Output = Result<Value, Problem>>,
) -> Result<bool, Problem> {
    let Interrupted {
        operation,
        actor_id,
        key,
        fingerprint,
    } = interrupted;
    let idempotency = &platform.0.idempotency;
    let begun = idempotency
        .begin(actor_id, operation, key, fingerprint)
        .await;
    let lease = match begun {
        Ok(Begin::Run(lease)) => lease,
        Ok(Begin::Replay(_)) | Err(IdempotencyError::InProgress) => return Ok(false),
        Err(error) => return Err(Problem::internal(error)),
    };
    let outcome = rest.await;
    settle(lease, &outcome).await;
    outcome.map(|_| true)
}

/// Tells the key of an execution how it ended.
async fn settle(lease: Lease, outcome: &Result<Value, Problem>) {
    match outcome {
        Ok(result) => {
            // The execution's own row holds the result, too: a retry finds it there.
            if let Err(error) = lease.complete(result).await {
                tracing::warn!(%error, "the result of an execution is not stored under its key");
            }
        }
        Err(_) => {
            // Every step can be repeated, so a failed execution may be tried again at once.
            if let Err(error) = lease.abandon().await {
                tracing::warn!(%error, "the key of a failed execution stays taken for a while");
            }
        }
    }
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
