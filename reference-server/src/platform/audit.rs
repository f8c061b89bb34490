//! Who did what, for ever. Rows hold numbers and flags, never addresses.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::AnyConnection;

use super::auth::Actor;
use super::db::{millis, new_id};

pub(super) struct Entry<'a> {
    pub(super) entity_type: &'static str,
    pub(super) entity_id: &'a str,
    pub(super) action: &'static str,
    pub(super) after: Value,
}

/// Writes the entry as part of the caller's transaction and returns its id.
pub(super) async fn record(
    connection: &mut AnyConnection,
    actor: &Actor,
    now: Timestamp,
    entry: Entry<'_>,
) -> sqlx::Result<String> {
    let id = new_id(now);
    sqlx::query(
        "INSERT INTO audit_log (id, entity_type, entity_id, action, actor_id, actor_role,
            request_id, occurred_at, after_state)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(id.clone())
    .bind(entry.entity_type)
    .bind(entry.entity_id.to_owned())
    .bind(entry.action)
    .bind(actor.id.clone())
    .bind(actor.role.to_string())
    .bind(actor.request_id.clone())
    .bind(millis(now))
    .bind(entry.after.to_string())
    .execute(connection)
    .await?;
    Ok(id)
}
