//! The last steps of a send: deliver what is not delivered, and write the result.

use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tracing::Instrument;

use super::OPERATION;
use crate::platform::answer::Problem;
use crate::platform::audit;
use crate::platform::auth::Actor;
use crate::platform::confirmed::{Interrupted, resume};
use crate::platform::crash::crash_at;
use crate::platform::db::{instant, millis};
use crate::platform::mail::Letter;
use crate::platform::{OpenError, Platform};

/// Mails on their way at the same time.
const AT_ONCE: usize = 8;

/// Finishes what a crash cut off, before anything new is accepted. A send that another process is
/// busy with is left to it.
pub(in super::super) async fn finish_interrupted(platform: &Platform) -> Result<(), OpenError> {
    let open: Vec<Open> = sqlx::query_as(
        "SELECT id, actor_id, idempotency_key, fingerprint FROM invite_sends
         WHERE finished_at IS NULL ORDER BY created_at, id",
    )
    .fetch_all(platform.0.db.pool())
    .await?;
    for send in open {
        let send_id = &send.id;
        let interrupted = Interrupted {
            operation: OPERATION,
            actor_id: &send.actor_id,
            key: &send.idempotency_key,
            fingerprint: &send.fingerprint,
        };
        match resume(platform, &interrupted, finish(platform, send_id)).await {
            Ok(true) => tracing::info!(send_id, "an interrupted send is finished"),
            Ok(false) => tracing::info!(send_id, "another process is sending"),
            // It stays unfinished, for the next start or a retry; the others still get theirs.
            Err(problem) => tracing::error!(send_id, ?problem, "an interrupted send stays open"),
        }
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Open {
    id: String,
    actor_id: String,
    idempotency_key: String,
    fingerprint: String,
}

/// Delivers what is not delivered, and returns the result of the whole send.
pub(super) async fn finish(platform: &Platform, send_id: &str) -> Result<Value, Problem> {
    let send: Send = sqlx::query_as(
        "SELECT id, actor_id, actor_role, request_id, audit_id, created_at, result
         FROM invite_sends WHERE id = $1",
    )
    .bind(send_id.to_owned())
    .fetch_one(platform.0.db.pool())
    .await?;
    if let Some(result) = &send.result {
        return serde_json::from_str(result).map_err(Problem::internal);
    }
    deliver_pending(platform, &send).await?;
    crash_at!(platform, MailsMarked);
    store_result(platform, &send).await
}

#[derive(sqlx::FromRow)]
struct Send {
    id: String,
    actor_id: String,
    actor_role: String,
    request_id: String,
    audit_id: String,
    created_at: i64,
    result: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Pending {
    position: i64,
    invite_id: String,
    recipient: String,
    subject: String,
    body: String,
}

async fn deliver_pending(platform: &Platform, send: &Send) -> Result<(), Problem> {
    let pending: Vec<Pending> = sqlx::query_as(
        "SELECT position, invite_id, recipient, subject, body FROM mail_outbox
         WHERE send_id = $1 AND status = 'pending' ORDER BY position",
    )
    .bind(send.id.clone())
    .fetch_all(platform.0.db.pool())
    .await?;
    let mut waiting = pending.into_iter();
    let mut under_way = JoinSet::new();
    let mut outcome = Ok(());
    loop {
        while outcome.is_ok()
            && under_way.len() < AT_ONCE
            && let Some(mail) = waiting.next()
        {
            let letter = Letter {
                id: format!("{}-{:03}", send.id, mail.position),
                to: mail.recipient,
                subject: mail.subject,
                body: mail.body,
                written_at: instant(send.created_at),
            };
            let work = deliver(platform.clone(), send.id.clone(), mail.invite_id, letter);
            under_way.spawn(work.in_current_span());
        }
        // After an error the letters under way are still waited for: cut off between delivery
        // and mark they would go out a second time.
        match under_way.join_next().await {
            Some(done) => outcome = outcome.and(done.map_err(Problem::internal).flatten()),
            None => return outcome,
        }
    }
}

/// A letter that cannot be delivered is a fact to write down, not an error of the send.
async fn deliver(
    platform: Platform,
    send_id: String,
    invite_id: String,
    letter: Letter,
) -> Result<(), Problem> {
    let delivered = platform.0.mailer.deliver(&letter).await;
    if let Err(error) = &delivered {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::warn!(send_id, invite_id, %error, cause, "an invite could not be delivered");
    }
    crash_at!(platform, MailDelivered);
    let now = millis(platform.now());
    let mut tx = platform.0.db.begin_write().await?;
    sqlx::query(
        "UPDATE mail_outbox SET status = $1, tried_at = $2 WHERE send_id = $3 AND invite_id = $4",
    )
    .bind(if delivered.is_ok() { "sent" } else { "failed" })
    .bind(now)
    .bind(send_id)
    .bind(invite_id.clone())
    .execute(&mut *tx)
    .await?;
    if delivered.is_err() {
        sqlx::query("UPDATE beta_invites SET revoked_at = $1 WHERE id = $2")
            .bind(now)
            .bind(invite_id)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}

#[derive(Serialize)]
struct Sent {
    sent_count: usize,
    failed_count: usize,
    invites: Vec<SentInvite>,
    audit_id: String,
}

#[derive(Serialize)]
struct SentInvite {
    email: String,
    code: String,
    status: String,
}

async fn store_result(platform: &Platform, send: &Send) -> Result<Value, Problem> {
    let now = platform.now();
    let mut tx = platform.0.db.begin_write().await?;
    let mails: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT o.recipient, i.code, o.status FROM mail_outbox o
         JOIN beta_invites i ON i.id = o.invite_id WHERE o.send_id = $1 ORDER BY o.position",
    )
    .bind(send.id.clone())
    .fetch_all(&mut *tx)
    .await?;
    let invites: Vec<SentInvite> = mails
        .into_iter()
        .map(|(email, code, status)| SentInvite {
            email,
            code: if status == "sent" {
                code
            } else {
                String::new()
            },
            status,
        })
        .collect();
    let sent_count = invites.iter().filter(|one| one.status == "sent").count();
    let failed_count = invites.len() - sent_count;
    let result = serde_json::to_value(Sent {
        sent_count,
        failed_count,
        invites,
        audit_id: send.audit_id.clone(),
    })
    .map_err(Problem::internal)?;

    let written =
        sqlx::query("UPDATE invite_sends SET finished_at = $1, result = $2 WHERE id = $3 AND finished_at IS NULL")
            .bind(millis(now))
            .bind(result.to_string())
            .bind(send.id.clone())
            .execute(&mut *tx)
            .await?;
    if written.rows_affected() == 1 {
        let actor = Actor {
            id: send.actor_id.clone(),
            email: None,
            role: send.actor_role.clone().into(),
            request_id: send.request_id.clone(),
        };
        let entry = audit::Entry {
            entity_type: "invite_send",
            entity_id: &send.id,
            action: "invites.delivered",
            after: json!({ "sent_count": sent_count, "failed_count": failed_count }),
        };
        audit::record(&mut tx, &actor, now, entry).await?;
    }
    tx.commit().await?;
    Ok(result)
}
