//! The steps of a send behind its key and token: write, deliver, finish. Each can be repeated.

use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::AnyConnection;
use tokio::task::JoinSet;
use tracing::Instrument;

use super::Invitation;
use crate::platform::answer::Problem;
use crate::platform::audit;
use crate::platform::auth::Actor;
use crate::platform::crash::crash_at;
use crate::platform::db::{instant, millis, new_id};
use crate::platform::founding::{self, FoundingCap};
use crate::platform::mail::Letter;
use crate::platform::{OpenError, Platform};

/// Mails on their way at the same time.
const AT_ONCE: usize = 8;

/// What names a send: an admin's key, and the token it was used for.
pub(super) struct SendKey<'a> {
    pub(super) actor: &'a Actor,
    pub(super) key: &'a str,
    pub(super) fingerprint: &'a str,
}

/// Finishes what a crash cut off, before anything new is accepted.
pub(in super::super) async fn finish_interrupted(platform: &Platform) -> Result<(), OpenError> {
    let open: Vec<(String,)> = sqlx::query_as(
        "SELECT id FROM invite_sends WHERE finished_at IS NULL ORDER BY created_at, id",
    )
    .fetch_all(platform.0.db.pool())
    .await?;
    for (send_id,) in open {
        match finish(platform, &send_id).await {
            Ok(_) => tracing::info!(send_id, "an interrupted send is finished"),
            // It stays unfinished, for the next start or a retry; the others still get theirs.
            Err(problem) => tracing::error!(send_id, ?problem, "an interrupted send stays open"),
        }
    }
    Ok(())
}

/// The send of this key, if it was written.
pub(super) async fn find(
    platform: &Platform,
    key: &SendKey<'_>,
) -> Result<Option<String>, Problem> {
    let row: Option<(String, String)> = sqlx::query_as(
        "SELECT id, fingerprint FROM invite_sends WHERE actor_id = $1 AND idempotency_key = $2",
    )
    .bind(key.actor.id.clone())
    .bind(key.key.to_owned())
    .fetch_optional(platform.0.db.pool())
    .await?;
    match row {
        // The key store forgets after a day, this row never.
        Some((_, fingerprint)) if fingerprint != key.fingerprint => Err(key.reused()),
        Some((id, _)) => Ok(Some(id)),
        None => Ok(None),
    }
}

/// Claims the founding slots and writes invites, mails and audit row, all or nothing.
pub(super) async fn write(
    platform: &Platform,
    key: &SendKey<'_>,
    invitation: &Invitation,
) -> Result<String, Problem> {
    let settings = &platform.0.settings;
    let now = platform.now();
    let send_id = new_id(now);
    let mut tx = platform.0.db.begin_write().await?;
    if invitation.grant_founding_status {
        founding::lock(&mut tx).await?;
        let cap = FoundingCap::read(&mut tx, settings.founding_cap, now).await?;
        let requested = invitation.recipient_emails.len();
        if requested as i64 > cap.available() {
            return Err(slots_taken(requested, cap.available()));
        }
    }
    let entry = audit::Entry {
        entity_type: "invite_send",
        entity_id: &send_id,
        action: "invites.send",
        after: json!({
            "recipient_count": invitation.recipient_emails.len(),
            "grant_founding_status": invitation.grant_founding_status,
            "expires_in_days": invitation.expires_in_days,
            "has_note": invitation.message_note.is_some(),
        }),
    };
    let audit_id = audit::record(&mut tx, key.actor, now, entry).await?;
    sqlx::query(
        "INSERT INTO invite_sends (id, actor_id, actor_role, request_id, audit_id,
            idempotency_key, fingerprint, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(send_id.clone())
    .bind(key.actor.id.clone())
    .bind(key.actor.role.to_string())
    .bind(key.actor.request_id.clone())
    .bind(audit_id)
    .bind(key.key.to_owned())
    .bind(key.fingerprint.to_owned())
    .bind(millis(now))
    .execute(&mut *tx)
    .await?;
    let expires_at = invitation.expires_at(now);
    for (position, email) in (0_i64..).zip(&invitation.recipient_emails) {
        let (invite_id, code) = create_invite(&mut tx, &send_id, email, invitation, now).await?;
        sqlx::query(
            "INSERT INTO mail_outbox
                (send_id, position, invite_id, recipient, subject, body, status)
             VALUES ($1, $2, $3, $4, $5, $6, 'pending')",
        )
        .bind(send_id.clone())
        .bind(position)
        .bind(invite_id)
        .bind(email.clone())
        .bind(invitation.subject())
        .bind(invitation.letter(&code, &settings.invite_url, expires_at))
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(send_id)
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

async fn create_invite(
    connection: &mut AnyConnection,
    send_id: &str,
    email: &str,
    invitation: &Invitation,
    now: Timestamp,
) -> Result<(String, String), Problem> {
    let id = new_id(now);
    // Of 36^8 codes one is rarely taken; five in a row are not chance.
    for _ in 0..5 {
        let code = new_code();
        let created = sqlx::query(
            "INSERT INTO beta_invites (id, send_id, code, email, role, grant_founding_status,
                expires_at, metadata, created_at)
             VALUES ($1, $2, $3, $4, 'instructor_beta', $5, $6, $7, $8)
             ON CONFLICT (code) DO NOTHING",
        )
        .bind(id.clone())
        .bind(send_id.to_owned())
        .bind(code.clone())
        .bind(email.to_owned())
        .bind(i64::from(invitation.grant_founding_status))
        .bind(millis(invitation.expires_at(now)))
        .bind(r#"{"source":"mcp_invite"}"#)
        .bind(millis(now))
        .execute(&mut *connection)
        .await?;
        if created.rows_affected() == 1 {
            return Ok((id, code));
        }
    }
    Err(Problem::internal("no invite code is free"))
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

fn slots_taken(requested: usize, remaining: i64) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "founding_slots_taken",
        format!(
            "{requested} founding slots requested, {remaining} remaining: they were taken since \
             the preview. Run the preview again with fewer recipients or without founding status."
        ),
    )
    .details(json!({ "requested": requested, "remaining": remaining }))
}

/// Eight of `A-Z0-9`, each as likely as the other.
fn new_code() -> String {
    const LETTERS: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut code = String::with_capacity(8);
    while code.len() < 8 {
        let mut random = [0; 16];
        getrandom::fill(&mut random).expect("the operating system provides randomness");
        for byte in random {
            // 252 is the largest multiple of 36 that fits a byte: above it some would come more often.
            if byte < 252 && code.len() < 8 {
                code.push(LETTERS[usize::from(byte % 36)].into());
            }
        }
    }
    code
}
