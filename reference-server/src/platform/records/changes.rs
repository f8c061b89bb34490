//! What has changed, of all kinds together: to read, and for whoever wants to hear of it.

use std::sync::{Arc, OnceLock};

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::Platform;
use super::super::db::instant;
use super::super::query::Query;
use super::entities::finish;
use super::sessions::Synced;
use super::trouble::Trouble;
use super::who::Whose;

const DEFAULT_LIMIT: i64 = 100;
const MAX_LIMIT: i64 = 1_000;

/// Hears whose records have changed: tenant and owner.
type Hear = Box<dyn Fn(&str, &str) + Send + Sync>;

/// Whoever wants to hear of changes. Clones share it.
#[derive(Clone, Default)]
pub(in super::super) struct Ear(Arc<OnceLock<Hear>>);

impl Ear {
    pub(super) fn tell(&self, whose: &Whose) {
        if let Some(hear) = self.0.get() {
            hear(&whose.tenant, &whose.owner);
        }
    }
}

impl Platform {
    /// Has `hear` called with the tenant and the owner of records after each change of them,
    /// whoever made it through this API. The first one to be set stays.
    pub fn on_record_change(&self, hear: impl Fn(&str, &str) + Send + Sync + 'static) {
        let _ = self.0.record_changes.0.set(Box::new(hear));
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    entity: String,
    uid: String,
    version: i64,
    updated_at: i64,
    changed_at: i64,
    deleted_at: Option<i64>,
}

/// `GET /changes`: each record once, at its last change, the newest last. Without a cursor it is the
/// newest ones.
pub(super) async fn changes(
    State(platform): State<Platform>,
    synced: Synced,
    uri: Uri,
) -> Result<Json<Value>, Trouble> {
    let mut query = Query::of(&uri);
    let limit = query.int("limit", DEFAULT_LIMIT, 1..=MAX_LIMIT);
    let cursor = query.text("cursor");
    finish(query)?;
    let epoch = synced.epoch;
    let after = match &cursor {
        None => None,
        // After a wipe everything is new.
        Some(cursor) => Some(match position(cursor)? {
            (of, at) if of == epoch => at,
            _ => -1,
        }),
    };
    let rows = match after {
        Some(after) => since(&platform, &synced.whose, after, limit).await?,
        None => newest(&platform, &synced.whose, limit).await?,
    };
    let last = rows.last().map(|row| row.changed_at).or(after);
    let next = URL_SAFE_NO_PAD.encode(format!("{epoch}|{}", last.unwrap_or(-1)));
    let changes: Vec<Value> = rows.into_iter().map(shown).collect();
    Ok(Json(
        json!({ "epoch": epoch, "changes": changes, "nextCursor": next }),
    ))
}

async fn since(
    platform: &Platform,
    whose: &Whose,
    after: i64,
    limit: i64,
) -> Result<Vec<Row>, Trouble> {
    let rows = sqlx::query_as(
        "SELECT entity, uid, version, updated_at, changed_at, deleted_at FROM records
         WHERE tenant_id = $1 AND owner_id = $2 AND changed_at > $3
         ORDER BY changed_at LIMIT $4",
    )
    .bind(whose.tenant.clone())
    .bind(whose.owner.clone())
    .bind(after)
    .bind(limit);
    Ok(rows.fetch_all(platform.0.db.pool()).await?)
}

async fn newest(platform: &Platform, whose: &Whose, limit: i64) -> Result<Vec<Row>, Trouble> {
    let rows = sqlx::query_as(
        "SELECT entity, uid, version, updated_at, changed_at, deleted_at FROM records
         WHERE tenant_id = $1 AND owner_id = $2
         ORDER BY changed_at DESC LIMIT $3",
    )
    .bind(whose.tenant.clone())
    .bind(whose.owner.clone())
    .bind(limit);
    let mut rows: Vec<Row> = rows.fetch_all(platform.0.db.pool()).await?;
    rows.reverse();
    Ok(rows)
}

fn shown(row: Row) -> Value {
    let change = match (row.deleted_at, row.version) {
        (Some(_), _) => "deleted",
        (None, 1) => "created",
        (None, _) => "updated",
    };
    json!({
        "entity": row.entity,
        "uid": row.uid,
        "version": row.version,
        "change": change,
        "updatedAt": instant(row.updated_at),
        "deletedAt": row.deleted_at.map(instant),
    })
}

/// Epoch and time of the last change that was seen.
fn position(cursor: &str) -> Result<(i64, i64), Trouble> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let position = text.and_then(|text| {
        let (epoch, at) = text.split_once('|')?;
        Some((epoch.parse().ok()?, at.parse().ok()?))
    });
    position.ok_or_else(|| {
        Trouble::bad_request("invalid_cursor", "`cursor` is none of ours: leave it out")
    })
}
