//! What cancelling and moving have in common: executing what a preview planned, the row of the
//! change, telling the two people, and the result.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::TOKEN_LIFETIME;
use super::booking::Booking;
use super::lock::Lock;
use crate::platform::answer::{Answer, Data, Problem, reply};
use crate::platform::audit;
use crate::platform::auth::Actor;
use crate::platform::confirmed::{
    Confirmation, Execution, Interrupted, issue, once_per_key, resume,
};
use crate::platform::crash::crash_at;
use crate::platform::db::{instant, millis, new_id};
use crate::platform::mail::Letter;
use crate::platform::query::path_text;
use crate::platform::{OpenError, Platform};
use crate::random::uuid4;

/// What a token confirms: what is to happen, and to what.
pub(super) trait Planned: Serialize + DeserializeOwned + Send + Sync + 'static {
    const OPERATION: &'static str;

    fn booking_id(&self) -> &str;

    /// Makes the change, if the booking is what the preview saw, and says under which id.
    fn write(
        &self,
        platform: &Platform,
        execution: &Execution,
    ) -> impl Future<Output = Result<String, Problem>> + Send;

    /// Puts into the answer of a preview what executes it.
    fn offer(&self, platform: &Platform, actor: &Actor, answer: &mut Value) -> Result<(), Problem> {
        let issued = issue(platform, actor, Self::OPERATION, self, TOKEN_LIFETIME)?;
        answer["confirm_token"] = json!(issued.token);
        answer["confirm_expires_at"] = json!(issued.expires_at);
        answer["idempotency_key"] = json!(uuid4());
        Ok(())
    }
}

pub(super) async fn execute<P: Planned>(
    State(platform): State<Platform>,
    actor: Actor,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer<Data<Value>> {
    let id = path_text("booking_id", path)?;
    let confirmation = Confirmation::of(&headers, body)?.about(&id);
    let work = move |platform, execution| make_or_resume::<P>(platform, execution, id);
    let data = once_per_key(&platform, &actor, P::OPERATION, confirmation, work).await?;
    Ok(reply(actor, platform.now(), Data { data }))
}

/// A change that was made needs its token no more: it may have expired since.
async fn make_or_resume<P: Planned>(
    platform: Platform,
    execution: Execution,
    id: String,
) -> Result<Value, Problem> {
    if let Some(change) = find(&platform, P::OPERATION, &execution).await? {
        return finish(&platform, &change).await;
    }
    let lock = Lock::take(&platform, &id, &execution.fingerprint).await?;
    let outcome = make::<P>(&platform, &execution, &id).await;
    lock.release().await;
    outcome
}

async fn make<P: Planned>(
    platform: &Platform,
    execution: &Execution,
    id: &str,
) -> Result<Value, Problem> {
    let about = |plan: &P| match plan.booking_id() == id {
        true => Ok(()),
        false => Err(mismatch()),
    };
    let plan: P = execution.confirmed(platform, about).await?;
    let change = plan.write(platform, execution).await?;
    crash_at!(platform, ChangeWritten);
    finish(platform, &change).await
}

/// What is written about a change, in its transaction.
pub(super) struct Change<'a> {
    pub(super) operation: &'static str,
    pub(super) action: &'static str,
    pub(super) booking: &'a Booking,
    /// The answer, without who was told.
    pub(super) outcome: Value,
    /// What the audit row keeps: numbers and flags.
    pub(super) audited: Value,
    pub(super) note: String,
    pub(super) subject: &'static str,
    pub(super) body: String,
}

impl Change<'_> {
    pub(super) async fn write(
        self,
        connection: &mut AnyConnection,
        execution: &Execution,
        now: Timestamp,
    ) -> Result<String, Problem> {
        let id = new_id(now);
        let entry = audit::Entry {
            entity_type: "booking",
            entity_id: &self.booking.id,
            action: self.action,
            after: self.audited.clone(),
        };
        let audit_id = audit::record(&mut *connection, &execution.actor, now, entry).await?;
        sqlx::query(
            "INSERT INTO booking_notes (id, booking_id, author_id, note, created_at)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(new_id(now))
        .bind(self.booking.id.clone())
        .bind(execution.actor.id.clone())
        .bind(self.note.clone())
        .bind(millis(now))
        .execute(&mut *connection)
        .await?;
        self.insert(connection, execution, &id, audit_id, now)
            .await?;
        Ok(id)
    }

    async fn insert(
        self,
        connection: &mut AnyConnection,
        execution: &Execution,
        id: &str,
        audit_id: String,
        now: Timestamp,
    ) -> Result<(), Problem> {
        sqlx::query(
            "INSERT INTO booking_changes (id, booking_id, operation, actor_id, idempotency_key,
                fingerprint, audit_id, outcome, subject, body, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(id.to_owned())
        .bind(self.booking.id.clone())
        .bind(self.operation)
        .bind(execution.actor.id.clone())
        .bind(execution.key.clone())
        .bind(execution.fingerprint.clone())
        .bind(audit_id)
        .bind(self.outcome.to_string())
        .bind(self.subject)
        .bind(self.body)
        .bind(millis(now))
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// The change that was made under this key, if one was.
async fn find(
    platform: &Platform,
    operation: &'static str,
    execution: &Execution,
) -> Result<Option<String>, Problem> {
    let row: Option<(String, String)> = sqlx::query_as(
        "SELECT id, fingerprint FROM booking_changes
         WHERE actor_id = $1 AND operation = $2 AND idempotency_key = $3",
    )
    .bind(execution.actor.id.clone())
    .bind(operation)
    .bind(execution.key.clone())
    .fetch_optional(platform.0.db.pool())
    .await?;
    match row {
        // The key store forgets after a day, this row never.
        Some((_, fingerprint)) if fingerprint != execution.fingerprint => {
            Err(execution.key_reused())
        }
        Some((id, _)) => Ok(Some(id)),
        None => Ok(None),
    }
}

#[derive(sqlx::FromRow)]
struct Written {
    booking_id: String,
    audit_id: String,
    outcome: String,
    subject: String,
    body: String,
    created_at: i64,
    result: Option<String>,
}

/// Tells student and instructor, and writes the result.
async fn finish(platform: &Platform, id: &str) -> Result<Value, Problem> {
    let change: Written = sqlx::query_as(
        "SELECT booking_id, audit_id, outcome, subject, body, created_at, result
         FROM booking_changes WHERE id = $1",
    )
    .bind(id.to_owned())
    .fetch_one(platform.0.db.pool())
    .await?;
    if let Some(result) = &change.result {
        return serde_json::from_str(result).map_err(Problem::internal);
    }
    let told = tell(platform, id, &change).await?;
    crash_at!(platform, MailsMarked);
    let mut result: Value = serde_json::from_str(&change.outcome).map_err(Problem::internal)?;
    result["notifications_sent"] = json!(told);
    result["audit_id"] = json!(change.audit_id);
    sqlx::query("UPDATE booking_changes SET finished_at = $1, result = $2 WHERE id = $3")
        .bind(millis(platform.now()))
        .bind(result.to_string())
        .bind(id.to_owned())
        .execute(platform.0.db.pool())
        .await?;
    Ok(result)
}

/// Who could be told. A letter goes out again after a crash, under the same name.
async fn tell(platform: &Platform, id: &str, change: &Written) -> Result<Vec<Value>, Problem> {
    let mut connection = platform
        .0
        .db
        .pool()
        .acquire()
        .await
        .map_err(Problem::from)?;
    let booking = Booking::find(&mut connection, &change.booking_id).await?;
    drop(connection);
    let people = [
        ("student", &booking.student_email),
        ("instructor", &booking.instructor_email),
    ];
    let mut told = Vec::new();
    for (role, address) in people {
        let letter = Letter {
            id: format!("{id}-{role}"),
            to: address.clone(),
            subject: change.subject.clone(),
            body: change.body.clone(),
            written_at: instant(change.created_at),
        };
        match platform.0.mailer.deliver(&letter).await {
            Ok(()) => told.push(json!({ "recipient": role, "channel": "email" })),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(change = id, role, %error, cause, "nobody was told of a change");
            }
        }
    }
    Ok(told)
}

/// Finishes what a crash cut off. A change that another process is busy with is left to it.
pub(in super::super) async fn finish_interrupted(platform: &Platform) -> Result<(), OpenError> {
    let open: Vec<(String, String, String, String, String)> = sqlx::query_as(
        "SELECT id, operation, actor_id, idempotency_key, fingerprint FROM booking_changes
         WHERE finished_at IS NULL ORDER BY created_at, id",
    )
    .fetch_all(platform.0.db.pool())
    .await?;
    for (id, operation, actor_id, key, fingerprint) in open {
        let interrupted = Interrupted {
            operation: &operation,
            actor_id: &actor_id,
            key: &key,
            fingerprint: &fingerprint,
        };
        match resume(platform, &interrupted, finish(platform, &id)).await {
            Ok(true) => tracing::info!(id, "an interrupted change of a booking is finished"),
            Ok(false) => tracing::info!(id, "another process is changing the booking"),
            // It stays unfinished, for the next start or a retry; the others still get theirs.
            Err(problem) => tracing::error!(id, ?problem, "an interrupted change stays open"),
        }
    }
    Ok(())
}

/// The booking is not what the preview saw.
pub(super) fn changed(booking: &Booking) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "booking_changed",
        "The booking was changed since the preview; run the preview again.",
    )
    .details(json!({ "current_status": booking.status }))
}

/// The token is about another booking than the path.
fn mismatch() -> Problem {
    Problem::bad_request(
        "booking_mismatch",
        "The confirm_token is of the preview of another booking.",
    )
}
