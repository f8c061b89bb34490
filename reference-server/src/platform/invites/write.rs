//! The step that makes a send exist: founding slots, invites and mails, all or nothing.

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::json;
use sqlx::AnyConnection;

use super::Invitation;
use crate::platform::Platform;
use crate::platform::answer::Problem;
use crate::platform::audit;
use crate::platform::confirmed::Execution;
use crate::platform::db::{millis, new_id};
use crate::platform::founding::{self, FoundingCap};

/// The send of this key, if it was written.
pub(super) async fn find(platform: &Platform, key: &Execution) -> Result<Option<String>, Problem> {
    let row: Option<(String, String)> = sqlx::query_as(
        "SELECT id, fingerprint FROM invite_sends WHERE actor_id = $1 AND idempotency_key = $2",
    )
    .bind(key.actor.id.clone())
    .bind(key.key.clone())
    .fetch_optional(platform.0.db.pool())
    .await?;
    match row {
        // The key store forgets after a day, this row never.
        Some((_, fingerprint)) if fingerprint != key.fingerprint => Err(key.key_reused()),
        Some((id, _)) => Ok(Some(id)),
        None => Ok(None),
    }
}

/// Claims the founding slots and writes invites, mails and audit row, all or nothing.
pub(super) async fn write(
    platform: &Platform,
    key: &Execution,
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
    let audit_id = audit::record(&mut tx, &key.actor, now, entry).await?;
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
    .bind(key.key.clone())
    .bind(key.fingerprint.clone())
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
