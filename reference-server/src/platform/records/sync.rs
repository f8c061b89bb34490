//! What devices do that keep a copy: send their changes, fetch those of others, start over.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, Uri};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::Platform;
use super::super::db::{instant, millis};
use super::entities::{MAX_LIMIT, cursor, finish, object, page_query, paging};
use super::entity::{ALL, Entity, Payload, uid};
use super::rows::{Row, Write, page};
use super::sessions::{EPOCH, Synced, epoch_or_first};
use super::trouble::Trouble;
use super::who::Whose;

/// How far the clock of a device may be ahead, in milliseconds. One that is further ahead would win
/// against everybody else until that time has come.
const MAX_AHEAD: i64 = 300_000;

type Body = Result<Bytes, BytesRejection>;

/// What clients have to know beforehand; open to everybody.
pub(super) async fn info() -> Json<Value> {
    let limits: Payload = ALL
        .iter()
        .map(|entity| {
            let most = json!({ "push": MAX_LIMIT, "pull": MAX_LIMIT });
            (entity.plural.to_owned(), most)
        })
        .collect();
    Json(json!({
        "apiVersion": "1.1",
        "minClientVersion": "0.1.0",
        "limits": limits,
        "hints": { "batchSize": 500, "backoffMs": 1500 },
    }))
}

pub(super) async fn state(
    State(platform): State<Platform>,
    whose: Whose,
) -> Result<Json<Value>, Trouble> {
    epoch_or_first(&platform.0.db, &whose, millis(platform.now())).await?;
    let (epoch, at, by): (i64, Option<i64>, Option<String>) = sqlx::query_as(
        "SELECT epoch, wiped_at, wiped_by FROM record_owners
         WHERE tenant_id = $1 AND owner_id = $2",
    )
    .bind(whose.tenant)
    .bind(whose.owner)
    .fetch_one(platform.0.db.pool())
    .await?;
    Ok(Json(
        json!({ "epoch": epoch, "lastWipeAt": at.map(instant), "lastWipeBy": by }),
    ))
}

/// Deletes every record of the caller, for good, and ends all sessions.
pub(super) async fn wipe(
    State(platform): State<Platform>,
    whose: Whose,
    body: Body,
) -> Result<(HeaderMap, Json<Value>), Trouble> {
    if object(body)?.get("confirm") != Some(&json!("WIPE")) {
        let message = "send {\"confirm\": \"WIPE\"} to delete everything";
        return Err(Trouble::bad_request("not_confirmed", message));
    }
    let now = millis(platform.now());
    epoch_or_first(&platform.0.db, &whose, now).await?;
    let mut tx = platform.0.db.begin_write().await?;
    let (epoch,): (i64,) = sqlx::query_as(
        "UPDATE record_owners SET epoch = epoch + 1, wiped_at = $1, wiped_by = $2
         WHERE tenant_id = $3 AND owner_id = $4 RETURNING epoch",
    )
    .bind(now)
    .bind(whose.owner.clone())
    .bind(whose.tenant.clone())
    .bind(whose.owner.clone())
    .fetch_one(&mut *tx)
    .await?;
    let gone = sqlx::query("DELETE FROM records WHERE tenant_id = $1 AND owner_id = $2")
        .bind(whose.tenant.clone())
        .bind(whose.owner.clone())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    platform.0.record_sessions.close_all(&whose);
    platform.0.record_changes.tell(&whose);
    tracing::warn!(
        records = gone.rows_affected(),
        epoch,
        "an owner wiped everything"
    );
    let mut headers = HeaderMap::new();
    headers.insert(EPOCH, HeaderValue::from(epoch));
    Ok((
        headers,
        Json(json!({ "epoch": epoch, "deleted": gone.rows_affected() })),
    ))
}

/// Takes the changes of a device, all in one transaction. An item that cannot be taken has an error
/// in its acknowledgement and does not keep the others from being taken.
pub(super) async fn push(
    State(platform): State<Platform>,
    synced: Synced,
    Extension(entity): Extension<&'static Entity>,
    body: Body,
) -> Result<Json<Value>, Trouble> {
    let items = match object(body)?.remove("items") {
        Some(Value::Array(items)) if items.len() <= MAX_LIMIT as usize => items,
        _ => {
            let message = format!("`items` must be a list of at most {MAX_LIMIT} records");
            return Err(Trouble::bad_request("invalid_items", message));
        }
    };
    let mut write = Write::begin(&platform, &synced).await?;
    let mut acks = Vec::with_capacity(items.len());
    for item in items {
        let named = item.get("uid").and_then(Value::as_str).and_then(uid);
        acks.push(
            match take(&mut write, entity, named.as_deref(), item).await {
                Ok(row) => json!({
                    "uid": row.uid, "version": row.version, "updatedAt": instant(row.updated_at),
                }),
                Err(trouble) if trouble.is_ours() => return Err(trouble),
                Err(trouble) => json!({
                    "uid": named, "version": null, "updatedAt": null, "error": trouble.error(),
                }),
            },
        );
    }
    write.commit().await?;
    Ok(Json(json!({ "acks": acks })))
}

/// The later change wins; an earlier one is acknowledged with what there is.
async fn take(
    write: &mut Write,
    entity: &Entity,
    uid: Option<&str>,
    item: Value,
) -> Result<Row, Trouble> {
    let Value::Object(mut payload) = item else {
        return Err(Trouble::bad_request(
            "invalid_payload",
            "an item is an object",
        ));
    };
    let uid = uid.ok_or_else(|| Trouble::bad_request("invalid_uid", "a uid is a UUID"))?;
    let times = times(&payload, write.now())?;
    let before = write.find(entity, uid).await?;
    if let Some(row) = &before {
        if times.0 <= row.updated_at {
            return Ok(row.clone());
        }
        entity.carry_over(&row.payload, &mut payload);
    }
    // A device may send no more of a deleted record than that. What is kept is not judged again.
    if let (Some(row), Some(_)) = (&before, times.1) {
        let payload = row.payload.clone();
        return write
            .update(entity, row.clone(), payload, Some(times))
            .await;
    }
    let parent = entity.settle(&mut payload)?;
    if times.1.is_none() {
        write.check_parent(&parent).await?;
    }
    match before {
        Some(row) => write.update(entity, row, payload, Some(times)).await,
        None => {
            write
                .insert(entity, uid.to_owned(), payload, Some(times))
                .await
        }
    }
}

/// When the item was changed, and when it was deleted.
fn times(payload: &Payload, now: i64) -> Result<(i64, Option<i64>), Trouble> {
    let wrong = |message: &str| Trouble::bad_request("invalid_time", message);
    let changed = payload.get("updatedTs").and_then(time);
    let changed = changed.ok_or_else(|| wrong("`updatedTs` must be a time"))?;
    if changed > now + MAX_AHEAD {
        return Err(wrong("`updatedTs` lies in the future"));
    }
    let sync = payload.get("sync").and_then(Value::as_object);
    let deleted = sync.and_then(|sync| {
        let is_deleted = sync.get("isDeleted") == Some(&Value::Bool(true));
        is_deleted.then(|| sync.get("deletedAt").and_then(time).unwrap_or(changed))
    });
    Ok((changed, deleted))
}

/// An instant in text, or in milliseconds since 1970.
fn time(value: &Value) -> Option<i64> {
    let at = match value {
        Value::String(text) => text.parse().ok()?,
        Value::Number(number) => Timestamp::from_millisecond(number.as_i64()?).ok()?,
        _ => return None,
    };
    Some(millis(at)).filter(|at| *at >= 0)
}

pub(super) async fn pull(
    State(platform): State<Platform>,
    synced: Synced,
    Extension(entity): Extension<&'static Entity>,
    uri: Uri,
) -> Result<Json<Value>, Trouble> {
    let mut query = page_query(&uri);
    let (limit, after) = paging(&mut query);
    finish(query)?;
    let mut connection = platform.0.db.pool().acquire().await?;
    let rows = page(&mut connection, &synced.whose, entity, after, limit, true).await?;
    let next = rows.last().map(cursor);
    let (deleted, kept): (Vec<Row>, Vec<Row>) =
        rows.into_iter().partition(|row| row.deleted_at.is_some());
    let deletes: Vec<Value> = deleted
        .into_iter()
        .map(|row| json!({ "uid": row.uid, "deletedAt": row.deleted_at.map(instant) }))
        .collect();
    let upserts: Vec<_> = kept.into_iter().map(Row::item).collect();
    let mut body = json!({ "upserts": upserts, "deletes": deletes });
    if let Some(next) = next {
        body["nextCursor"] = next.into();
    }
    Ok(Json(body))
}
