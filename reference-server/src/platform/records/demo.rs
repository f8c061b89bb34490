//! A few records for each identity of the demo: of two tenants, so that it shows that neither sees
//! those of the other.

use mcp_runtime::Clock;
use serde_json::{Value, json};

use super::super::db::{Db, millis};
use crate::identity::DEMO;

const HOUR: i64 = 3_600_000;

/// All of it in one transaction, like the marketplace.
pub(in super::super) async fn fill_if_empty(db: &Db, clock: &Clock) -> sqlx::Result<()> {
    let mut tx = db.begin_alone().await?;
    let (owners,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM record_owners")
        .fetch_one(&mut *tx)
        .await?;
    if owners > 0 {
        return tx.rollback().await;
    }
    let now = millis(clock.now());
    for (number, identity) in DEMO.iter().enumerate() {
        let owner = mcp_runtime::Caller::user(identity.name).tenant(identity.tenant);
        let owner = owner.owner();
        sqlx::query(
            "INSERT INTO record_owners (tenant_id, owner_id, epoch, changed_at, created_at)
             VALUES ($1, $2, 1, $3, $4)",
        )
        .bind(identity.tenant)
        .bind(owner.clone())
        .bind(now)
        .bind(now)
        .execute(&mut *tx)
        .await?;
        let rows = records(number, identity.tenant);
        let first = now - HOUR * rows.len() as i64;
        for (nth, (entity, uid, payload)) in rows.into_iter().enumerate() {
            let at = first + HOUR * nth as i64;
            sqlx::query(
                "INSERT INTO records (tenant_id, owner_id, entity, uid, version, updated_at,
                     changed_at, created_at, payload)
                 VALUES ($1, $2, $3, $4, 1, $5, $6, $7, $8)",
            )
            .bind(identity.tenant)
            .bind(owner.clone())
            .bind(entity)
            .bind(uid)
            .bind(at)
            .bind(at)
            .bind(at)
            .bind(payload.to_string())
            .execute(&mut *tx)
            .await?;
        }
    }
    tx.commit().await
}

fn records(number: usize, tenant: &str) -> Vec<(&'static str, String, Value)> {
    let uid = |nth: usize| format!("00000000-0000-4000-8000-{number:06}{nth:06}");
    vec![
        (
            "notes",
            uid(1),
            json!({"title": format!("Welcome, {tenant}"), "tags": ["demo"], "pinned": true,
                "content": "Notes, tasks, comments and chats of one user in one tenant."}),
        ),
        (
            "notes",
            uid(2),
            json!({"title": "Opening hours", "content": "Mondays to Fridays, nine to five."}),
        ),
        (
            "tasks",
            uid(3),
            json!({"title": "Answer the survey", "status": "todo", "priority": "high"}),
        ),
        (
            "tasks",
            uid(4),
            json!({"title": "Order chairs", "status": "in_progress", "priority": "low"}),
        ),
        (
            "comments",
            uid(5),
            json!({"content": "Twelve of them.", "parentType": "task", "parentUid": uid(4)}),
        ),
        (
            "chats",
            uid(6),
            json!({"title": "Front desk", "participants": ["ann@example.com"], "archived": false}),
        ),
        (
            "chat_messages",
            uid(7),
            json!({"content": "Good morning!", "chatUid": uid(6), "sender": "ann@example.com"}),
        ),
    ]
}
