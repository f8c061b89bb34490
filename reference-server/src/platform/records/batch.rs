//! Many changes at once: all or none, or each for itself.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use serde::Deserialize;
use serde_json::{Number, Value, json};

use super::super::Platform;
use super::entities::{apply, checked, compare};
use super::entity::{Entity, Payload};
use super::rows::{Item, Row, Write};
use super::search::read;
use super::sessions::Synced;
use super::trouble::Trouble;
use crate::random::uuid4;

const MAX_OPERATIONS: usize = 100;
/// So much of an answer is payloads, in bytes of JSON: what was done can always be told.
const MAX_PAYLOADS: usize = 2 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    operations: Vec<Operation>,
    #[serde(default = "yes")]
    atomic: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation {
    op: Op,
    entity: String,
    uid: Option<String>,
    payload: Option<Payload>,
    /// Any number: what is no version is refused with its operation alone.
    if_match: Option<Number>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Op {
    Create,
    Update,
    Patch,
    Delete,
    Archive,
}

/// Everything happens in one transaction. An operation that is refused has changed nothing, so that
/// the others need not be taken back for its sake; all of them are, when the batch is atomic.
pub(super) async fn batch(
    State(platform): State<Platform>,
    synced: Synced,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Trouble> {
    let batch: Batch = read(body)?;
    if !(1..=MAX_OPERATIONS).contains(&batch.operations.len()) {
        let message = format!("`operations` must be 1 to {MAX_OPERATIONS}");
        return Err(Trouble::bad_request("invalid_operations", message));
    }
    let mut write = Write::begin(&platform, &synced).await?;
    let mut results = Vec::with_capacity(batch.operations.len());
    let (mut room, mut kept) = (MAX_PAYLOADS, false);
    for (index, operation) in batch.operations.into_iter().enumerate() {
        let created = operation.op == Op::Create;
        match run(&mut write, operation).await {
            Ok(item) => {
                let status = if created { 201 } else { 200 };
                results.push(told(index, status, item, &mut room));
                kept = true;
            }
            Err(trouble) if trouble.is_ours() => return Err(trouble),
            Err(trouble) => {
                let refused = json!({
                    "index": index, "status": trouble.status(), "error": trouble.error(),
                    "message": trouble.message(),
                });
                if batch.atomic {
                    // Dropped, the transaction takes back what was done.
                    return Ok(Json(json!({ "results": [refused], "committed": false })));
                }
                results.push(refused);
            }
        }
    }
    if kept {
        write.commit().await?;
    }
    Ok(Json(json!({ "results": results, "committed": kept })))
}

/// What became of an operation, with the payload when there is room for it.
fn told(index: usize, status: u16, item: Item, room: &mut usize) -> Value {
    match room.checked_sub(item.payload_length()) {
        Some(left) => {
            *room = left;
            json!({ "index": index, "status": status, "item": item })
        }
        None => json!({
            "index": index, "status": status, "item": item.without_payload(),
            "payload_omitted": true,
        }),
    }
}

async fn run(write: &mut Write, operation: Operation) -> Result<Item, Trouble> {
    let entity = Entity::named(&operation.entity).ok_or_else(|| {
        Trouble::bad_request("unknown_entity", "there are no records of this kind")
    })?;
    let op = operation.op;
    let payload = match (op, operation.payload) {
        (Op::Create | Op::Update | Op::Patch, None) => {
            return Err(Trouble::bad_request(
                "invalid_payload",
                "`payload` is missing",
            ));
        }
        (_, payload) => payload.unwrap_or_default(),
    };
    if op == Op::Create {
        let mut payload = payload;
        let parent = entity.settle(&mut payload)?;
        write.check_parent(&parent).await?;
        return Ok(write.insert(entity, uuid4(), payload, None).await?.item());
    }
    let uid = checked(operation.uid.as_deref().unwrap_or_default())?;
    let expected = operation.if_match.map(version).transpose()?;
    let row = write.existing(entity, &uid).await?;
    compare(expected, &row)?;
    let row: Row = match op {
        Op::Delete => return Ok(write.delete(entity, row).await?.tombstone()),
        Op::Archive => {
            apply(write, entity, row, |before| {
                let mut payload = before.clone();
                entity.archive(&mut payload);
                Ok(payload)
            })
            .await?
        }
        Op::Patch => {
            apply(write, entity, row, |before| {
                let mut merged = before.clone();
                merged.extend(payload);
                Ok(merged)
            })
            .await?
        }
        Op::Update | Op::Create => {
            apply(write, entity, row, |before| {
                let mut payload = payload;
                entity.carry_over(before, &mut payload);
                Ok(payload)
            })
            .await?
        }
    };
    Ok(row.item())
}

fn version(number: Number) -> Result<i64, Trouble> {
    number.as_i64().ok_or_else(|| {
        let message = "`if_match` must be the version of the record, a whole number";
        Trouble::bad_request("invalid_if_match", message)
    })
}
