//! Records in the database. Every statement names the tenant and the owner.

use std::io;

use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{Any, AnyConnection, Transaction};

use jiff::Timestamp;

use super::super::Platform;
use super::super::answer::Problem;
use super::super::db::{instant, millis};
use super::changes::Ear;
use super::entity::{Entity, Payload, Reference};
use super::sessions::{Synced, epoch_mismatch};
use super::trouble::Trouble;
use super::who::Whose;
use axum::http::StatusCode;

/// The largest payload, in bytes of JSON.
const MAX_PAYLOAD: usize = 128 * 1024;
/// A page ends before its records become longer than this, in bytes of JSON: a tool answers no
/// more than 4 MiB.
pub(super) const MAX_PAGE: usize = 5 << 19;
/// What stands around a payload where a record is shown, in bytes, at most.
const AROUND: usize = 512;
/// So many rows are read at once.
const AT_ONCE: i64 = 100;

/// One record, deleted or not.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) uid: String,
    pub(super) version: i64,
    pub(super) updated_at: i64,
    pub(super) changed_at: i64,
    pub(super) deleted_at: Option<i64>,
    pub(super) payload: Payload,
}

type Columns = (String, i64, i64, i64, Option<i64>, String);

/// A record as the API shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    uid: String,
    version: i64,
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Payload>,
}

impl Item {
    /// How long its payload is as JSON, in bytes.
    pub(super) fn payload_length(&self) -> usize {
        match &self.payload {
            Some(payload) => length(payload),
            None => 0,
        }
    }

    pub(super) fn without_payload(self) -> Self {
        Self {
            payload: None,
            ..self
        }
    }
}

impl Row {
    fn read(columns: Columns) -> Result<Self, Trouble> {
        let (uid, version, updated_at, changed_at, deleted_at, payload) = columns;
        let payload = serde_json::from_str(&payload).map_err(Problem::internal)?;
        Ok(Self {
            uid,
            version,
            updated_at,
            changed_at,
            deleted_at,
            payload,
        })
    }

    /// With what the payload says about its own state.
    pub(super) fn item(mut self) -> Item {
        let deleted_at = self.deleted_at.map(instant);
        let sync = json!({
            "version": self.version,
            "isDeleted": deleted_at.is_some(),
            "deletedAt": deleted_at,
        });
        self.payload.insert("uid".to_owned(), json!(self.uid));
        self.payload
            .insert("updatedTs".to_owned(), json!(instant(self.updated_at)));
        self.payload.insert("sync".to_owned(), sync);
        Item {
            payload: Some(std::mem::take(&mut self.payload)),
            ..self.tombstone()
        }
    }

    /// Without the payload.
    pub(super) fn tombstone(self) -> Item {
        Item {
            uid: self.uid,
            version: self.version,
            updated_at: instant(self.updated_at),
            deleted_at: self.deleted_at.map(instant),
            payload: None,
        }
    }

    /// The record, or that it is no more.
    pub(super) fn alive(self) -> Result<Self, Trouble> {
        match self.deleted_at {
            None => Ok(self),
            Some(at) => {
                let gone = Trouble::new(StatusCode::GONE, "gone", "this record was deleted");
                Err(gone.with("deletedAt", instant(at).to_string()))
            }
        }
    }

    fn text(&self) -> Result<String, Trouble> {
        let text = Value::Object(self.payload.clone()).to_string();
        if text.len() > MAX_PAYLOAD {
            let message = format!("a record has at most {MAX_PAYLOAD} bytes of JSON");
            return Err(Trouble::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "payload_too_large",
                message,
            ));
        }
        Ok(text)
    }
}

/// How long something is as JSON, in bytes.
pub(super) fn length(value: &impl Serialize) -> usize {
    struct Counted(usize);
    impl io::Write for Counted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counted = Counted(0);
    match serde_json::to_writer(&mut counted, value) {
        Ok(()) => counted.0,
        // What cannot be written fits nowhere.
        Err(_) => usize::MAX,
    }
}

/// One record of this owner, deleted or not.
pub(super) async fn find(
    connection: &mut AnyConnection,
    whose: &Whose,
    plural: &str,
    uid: &str,
) -> Result<Option<Row>, Trouble> {
    let row: Option<Columns> = sqlx::query_as(
        "SELECT uid, version, updated_at, changed_at, deleted_at, payload FROM records
         WHERE tenant_id = $1 AND owner_id = $2 AND entity = $3 AND uid = $4",
    )
    .bind(whose.tenant.clone())
    .bind(whose.owner.clone())
    .bind(plural.to_owned())
    .bind(uid.to_owned())
    .fetch_optional(connection)
    .await?;
    row.map(Row::read).transpose()
}

/// Where a page starts: after this change.
#[derive(Clone)]
pub(super) struct After {
    pub(super) changed_at: i64,
    pub(super) uid: String,
}

/// Records in the order of their changes: up to `limit`, fewer when they are large, and none only
/// when there are no more.
pub(super) async fn page(
    connection: &mut AnyConnection,
    whose: &Whose,
    entity: &Entity,
    mut after: After,
    limit: i64,
    with_deleted: bool,
) -> Result<Vec<Row>, Trouble> {
    let (mut rows, mut size) = (Vec::new(), 0);
    while let Some(missing) = limit
        .checked_sub_unsigned(rows.len() as u64)
        .filter(|n| *n > 0)
    {
        let at_once = missing.min(AT_ONCE);
        let found: Vec<Columns> = sqlx::query_as(
            "SELECT uid, version, updated_at, changed_at, deleted_at, payload FROM records
             WHERE tenant_id = $1 AND owner_id = $2 AND entity = $3
                 AND (changed_at > $4 OR (changed_at = $5 AND uid > $6))
                 AND ($7 = 1 OR deleted_at IS NULL)
             ORDER BY changed_at, uid LIMIT $8",
        )
        .bind(whose.tenant.clone())
        .bind(whose.owner.clone())
        .bind(entity.plural)
        .bind(after.changed_at)
        .bind(after.changed_at)
        .bind(after.uid.clone())
        .bind(i64::from(with_deleted))
        .bind(at_once)
        .fetch_all(&mut *connection)
        .await?;
        let last = (found.len() as i64) < at_once;
        for columns in found {
            // It is kept as it is sent, escapes and all.
            size += AROUND + columns.5.len();
            if size > MAX_PAGE && !rows.is_empty() {
                return Ok(rows);
            }
            rows.push(Row::read(columns)?);
        }
        match rows.last() {
            Some(row) if !last => {
                after = After {
                    changed_at: row.changed_at,
                    uid: row.uid.clone(),
                };
            }
            _ => break,
        }
    }
    Ok(rows)
}

/// A transaction that changes the records of one owner. The row of the owner is locked, so that
/// changes happen one after the other and have an order.
pub(super) struct Write {
    tx: Transaction<'static, Any>,
    whose: Whose,
    now: i64,
    /// The last change there was.
    changed_at: i64,
    changed: bool,
    ear: Ear,
}

impl Write {
    /// # Errors
    /// When everything was wiped since the session was opened, too.
    pub(super) async fn begin(platform: &Platform, synced: &Synced) -> Result<Self, Trouble> {
        let now = millis(platform.now());
        let whose = synced.whose.clone();
        let mut tx = platform.0.db.begin_write().await?;
        let owner: Option<(i64, i64)> = sqlx::query_as(
            "UPDATE record_owners SET changed_at = changed_at
             WHERE tenant_id = $1 AND owner_id = $2 RETURNING epoch, changed_at",
        )
        .bind(whose.tenant.clone())
        .bind(whose.owner.clone())
        .fetch_optional(&mut *tx)
        .await?;
        match owner {
            Some((epoch, changed_at)) if epoch == synced.epoch => Ok(Self {
                tx,
                whose,
                now,
                changed_at,
                changed: false,
                ear: platform.0.record_changes.clone(),
            }),
            other => Err(epoch_mismatch(other.map_or(1, |(epoch, _)| epoch))),
        }
    }

    pub(super) fn now(&self) -> i64 {
        self.now
    }

    pub(super) async fn find(
        &mut self,
        entity: &Entity,
        uid: &str,
    ) -> Result<Option<Row>, Trouble> {
        find(&mut self.tx, &self.whose, entity.plural, uid).await
    }

    /// The record that is to be changed.
    pub(super) async fn existing(&mut self, entity: &Entity, uid: &str) -> Result<Row, Trouble> {
        let row = self.find(entity, uid).await?;
        row.ok_or_else(Trouble::not_found)?.alive()
    }

    /// What a record is to belong to has to be there.
    pub(super) async fn check_parent(&mut self, parent: &Option<Reference>) -> Result<(), Trouble> {
        let Some(Reference { plural, uid, .. }) = parent else {
            return Ok(());
        };
        let found = find(&mut self.tx, &self.whose, plural, uid).await?;
        if found.is_some_and(|row| row.deleted_at.is_none()) {
            return Ok(());
        }
        Err(Trouble::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "parent_not_found",
            format!("there is no record with this uid among the {plural}, or it was deleted"),
        ))
    }

    /// The next change: later than all before it.
    fn change(&mut self) -> i64 {
        self.changed_at = self.now.max(self.changed_at + 1);
        self.changed = true;
        self.changed_at
    }

    /// A new record; without a time of its own, as of now.
    pub(super) async fn insert(
        &mut self,
        entity: &Entity,
        uid: String,
        payload: Payload,
        times: Option<(i64, Option<i64>)>,
    ) -> Result<Row, Trouble> {
        let changed_at = self.change();
        let (updated_at, deleted_at) = times.unwrap_or((changed_at, None));
        let row = Row {
            uid,
            version: 1,
            updated_at,
            changed_at,
            deleted_at,
            payload,
        };
        sqlx::query(
            "INSERT INTO records (tenant_id, owner_id, entity, uid, version, updated_at,
                 changed_at, deleted_at, created_at, payload)
             VALUES ($1, $2, $3, $4, 1, $5, $6, $7, $8, $9)",
        )
        .bind(self.whose.tenant.clone())
        .bind(self.whose.owner.clone())
        .bind(entity.plural)
        .bind(row.uid.clone())
        .bind(row.updated_at)
        .bind(row.changed_at)
        .bind(row.deleted_at)
        .bind(self.now)
        .bind(row.text()?)
        .execute(&mut *self.tx)
        .await?;
        Ok(row)
    }

    /// The next version of a record; without a time of its own, as of now, and later than before.
    pub(super) async fn update(
        &mut self,
        entity: &Entity,
        before: Row,
        payload: Payload,
        times: Option<(i64, Option<i64>)>,
    ) -> Result<Row, Trouble> {
        let changed_at = self.change();
        let now = changed_at.max(before.updated_at + 1);
        let (updated_at, deleted_at) = times.unwrap_or((now, before.deleted_at));
        let row = Row {
            version: before.version + 1,
            updated_at,
            changed_at,
            deleted_at,
            payload,
            uid: before.uid,
        };
        let changed = sqlx::query(
            "UPDATE records SET version = $1, updated_at = $2, changed_at = $3, deleted_at = $4,
                 payload = $5
             WHERE tenant_id = $6 AND owner_id = $7 AND entity = $8 AND uid = $9 AND version = $10",
        )
        .bind(row.version)
        .bind(row.updated_at)
        .bind(row.changed_at)
        .bind(row.deleted_at)
        .bind(row.text()?)
        .bind(self.whose.tenant.clone())
        .bind(self.whose.owner.clone())
        .bind(entity.plural)
        .bind(row.uid.clone())
        .bind(before.version)
        .execute(&mut *self.tx)
        .await?;
        if changed.rows_affected() == 0 {
            let message = "somebody else changed this record at the same time: read it again";
            return Err(Trouble::new(
                StatusCode::CONFLICT,
                "version_conflict",
                message,
            ));
        }
        Ok(row)
    }

    pub(super) async fn delete(&mut self, entity: &Entity, row: Row) -> Result<Row, Trouble> {
        let at = self.now.max(self.changed_at + 1).max(row.updated_at + 1);
        let payload = row.payload.clone();
        self.update(entity, row, payload, Some((at, Some(at))))
            .await
    }

    pub(super) async fn commit(mut self) -> Result<(), Trouble> {
        sqlx::query(
            "UPDATE record_owners SET changed_at = $1 WHERE tenant_id = $2 AND owner_id = $3",
        )
        .bind(self.changed_at)
        .bind(self.whose.tenant.clone())
        .bind(self.whose.owner.clone())
        .execute(&mut *self.tx)
        .await?;
        self.tx.commit().await?;
        if self.changed {
            self.ear.tell(&self.whose);
        }
        Ok(())
    }
}
