//! The database: targets for ever, requests and commands for a while.
//!
//! Requests are written by one task, many at a time, so that traffic never waits for the disk.
//! When it cannot keep up, entries are dropped and counted, not piled up.

mod replace;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use mcp_runtime::BootError;
use sqlx::{AnyPool, Row};
use tokio::sync::{mpsc, oneshot};
use ulid::Ulid;

use super::logs::{Entry, Filter, Ran};
use super::routes::Route;
use crate::database::{Database, Part};
use crate::random;

/// Entries that wait to be written.
const WAITING: usize = 4096;
/// Entries that are written in one transaction.
const BATCH: usize = 256;

pub(super) struct Store {
    database: Database,
    notes: mpsc::Sender<Note>,
    dropped: AtomicU64,
}

/// How many hosts there may be, and how many of one owner.
pub(super) type Room = (usize, usize);

enum Note {
    Request(Box<Entry>),
    Ran(Box<Ran>),
    /// Told when everything before it is written.
    Flush(oneshot::Sender<()>),
}

impl Store {
    pub(super) async fn open(url: &str, log_limit: u32) -> Result<Self, BootError> {
        let part = Part {
            name: "proxy",
            tables: sqlx::migrate!("./migrations/proxy"),
            durable: false,
        };
        let database = Database::open(url, &part).await;
        let database = database.map_err(|error| error.told("proxy.database"))?;
        let (notes, waiting) = mpsc::channel(WAITING);
        let pool = database.pool().clone();
        tokio::spawn(write(pool, waiting, i64::from(log_limit)));
        Ok(Self {
            database,
            notes,
            dropped: AtomicU64::new(0),
        })
    }

    fn pool(&self) -> &AnyPool {
        self.database.pool()
    }

    pub(super) async fn ping(&self) -> sqlx::Result<()> {
        self.database.ping().await
    }

    pub(super) async fn targets(&self) -> sqlx::Result<Vec<Route>> {
        let rows = sqlx::query(
            "SELECT hostname, target_url, owner, tenant, created_by, created_at, enable_http,
                enable_https, auth_enabled FROM proxy_targets",
        );
        let rows = rows.fetch_all(self.pool()).await?;
        rows.iter()
            .map(|row| {
                let flag = |name| row.try_get::<i64, _>(name).map(|value| value != 0);
                Ok(Route {
                    hostname: row.try_get("hostname")?,
                    target_url: row.try_get("target_url")?,
                    owner: row.try_get("owner")?,
                    tenant: row.try_get("tenant")?,
                    created_by: row.try_get("created_by")?,
                    created_at: instant(row.try_get("created_at")?),
                    enable_http: flag("enable_http")?,
                    enable_https: flag("enable_https")?,
                    auth_enabled: flag("auth_enabled")?,
                })
            })
            .collect()
    }

    /// How often targets have come or gone.
    pub(super) async fn revision(&self) -> sqlx::Result<i64> {
        let changes = sqlx::query_scalar("SELECT changes FROM proxy_revision");
        changes.fetch_one(self.pool()).await
    }

    /// The revision with it, if there was room for it, up to so many in all and of one owner, whatever
    /// other processes create at the same time.
    pub(super) async fn insert(
        &self,
        route: &Route,
        (all, own): Room,
    ) -> sqlx::Result<Option<i64>> {
        let mut tx = self.database.begin_alone().await?;
        let (hosts, of_owner): (i64, i64) = sqlx::query_as(
            "SELECT COUNT(*), COUNT(CASE WHEN owner = $1 THEN 1 END) FROM proxy_targets",
        )
        .bind(route.owner.clone())
        .fetch_one(&mut *tx)
        .await?;
        if hosts >= all as i64 || of_owner >= own as i64 {
            return Ok(None);
        }
        replace::insert(&mut tx, route).await?;
        replace::committed(tx).await.map(Some)
    }

    /// The revision without it, if this target was still there, as it was judged.
    pub(super) async fn delete(&self, route: &Route) -> sqlx::Result<Option<i64>> {
        let mut tx = self.database.begin_write().await?;
        match replace::delete(&mut tx, route).await? {
            true => replace::committed(tx).await.map(Some),
            false => Ok(None),
        }
    }

    /// Remembers a request, soon.
    pub(super) fn log(&self, entry: Entry) {
        self.note(Note::Request(Box::new(entry)));
    }

    /// Remembers a command, soon.
    pub(super) fn ran(&self, ran: Ran) {
        self.note(Note::Ran(Box::new(ran)));
    }

    fn note(&self, note: Note) {
        if self.notes.try_send(note).is_err() {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            if dropped.is_power_of_two() {
                tracing::warn!(dropped, "requests are not remembered: the disk is too slow");
            }
        }
    }

    /// The newest entries that fit, and whether there are more.
    pub(super) async fn logs(&self, filter: &Filter) -> sqlx::Result<(Vec<String>, bool)> {
        self.flush().await;
        let rows = sqlx::query(
            "SELECT entry FROM proxy_requests
             WHERE at >= $1 AND severity >= $2 AND ($3 = '*' OR owner = $3)
               AND ($4 = '' OR hostname = $4) AND ($5 = 0 OR status = $5)
             ORDER BY at DESC, id DESC LIMIT $6",
        )
        .bind(filter.since.as_millisecond())
        .bind(filter.severity)
        .bind(filter.owner.clone().unwrap_or_else(|| "*".to_owned()))
        // PostgreSQL has no texts with this character, and no host has it.
        .bind(
            filter
                .hostname
                .as_deref()
                .unwrap_or_default()
                .replace('\0', "\u{fffd}"),
        )
        .bind(filter.status.map_or(0, i64::from))
        .bind(i64::from(filter.lines) + 1)
        .fetch_all(self.pool())
        .await?;
        let mut entries = rows
            .iter()
            .map(|row| row.try_get("entry"))
            .collect::<sqlx::Result<Vec<String>>>()?;
        let more = entries.len() > filter.lines as usize;
        entries.truncate(filter.lines as usize);
        Ok((entries, more))
    }

    /// Waits until what was noted before is written.
    async fn flush(&self) {
        let (done, written) = oneshot::channel();
        let flush = async {
            if self.notes.send(Note::Flush(done)).await.is_ok() {
                let _ = written.await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), flush).await;
    }
}

/// Writes what comes until nobody is left to send.
async fn write(pool: AnyPool, mut waiting: mpsc::Receiver<Note>, limit: i64) {
    let mut notes = Vec::with_capacity(BATCH);
    let mut since_pruned = 0;
    while waiting.recv_many(&mut notes, BATCH).await > 0 {
        since_pruned += notes.len();
        let mut waiters = Vec::new();
        if let Err(error) = write_batch(&pool, &mut notes, &mut waiters).await {
            tracing::error!(%error, "requests could not be remembered");
        }
        notes.clear();
        drop(waiters);
        if since_pruned >= BATCH {
            since_pruned = 0;
            if let Err(error) = prune(&pool, limit).await {
                tracing::error!(%error, "old requests could not be forgotten");
            }
        }
    }
}

async fn write_batch(
    pool: &AnyPool,
    notes: &mut Vec<Note>,
    waiters: &mut Vec<oneshot::Sender<()>>,
) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    for note in notes.drain(..) {
        match note {
            Note::Request(entry) => {
                let text = serde_json::to_string(&entry.shown).unwrap_or_default();
                sqlx::query(
                    "INSERT INTO proxy_requests (id, at, owner, hostname, severity, status, entry)
                     VALUES ($1, $2, $3, $4, $5, $6, $7)",
                )
                .bind(new_id(entry.shown.timestamp))
                .bind(entry.shown.timestamp.as_millisecond())
                .bind(entry.owner)
                .bind(entry.shown.hostname)
                .bind(entry.shown.level.severity())
                .bind(i64::from(entry.shown.status_code))
                .bind(text)
                .execute(&mut *transaction)
                .await?;
            }
            Note::Ran(ran) => {
                sqlx::query(
                    "INSERT INTO proxy_commands (id, at, subject, request_id, argv, outcome,
                        exit_code, duration_ms, bytes)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                )
                .bind(new_id(ran.at))
                .bind(ran.at.as_millisecond())
                .bind(ran.subject)
                .bind(ran.request_id)
                .bind(serde_json::to_string(&ran.argv).unwrap_or_default())
                .bind(ran.outcome)
                .bind(ran.exit_code.map(i64::from))
                .bind(i64::try_from(ran.duration_ms).unwrap_or(i64::MAX))
                .bind(i64::try_from(ran.bytes).unwrap_or(i64::MAX))
                .execute(&mut *transaction)
                .await?;
            }
            Note::Flush(done) => waiters.push(done),
        }
    }
    transaction.commit().await
}

/// A tenth is for requests that belong to nobody: a stranger who tries names must not push out
/// what owners look for.
async fn prune(pool: &AnyPool, limit: i64) -> sqlx::Result<()> {
    let rows = [
        ("proxy_requests", "owner = ''", limit / 10),
        ("proxy_requests", "owner <> ''", limit - limit / 10),
        ("proxy_commands", "1 = 1", limit),
    ];
    for (table, which, keep) in rows {
        let sql = format!(
            "DELETE FROM {table} WHERE {which} AND id NOT IN
                (SELECT id FROM {table} WHERE {which} ORDER BY at DESC, id DESC LIMIT $1)"
        );
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(keep)
            .execute(pool)
            .await?;
    }
    Ok(())
}

fn instant(millis: i64) -> Timestamp {
    // Only a damaged row holds a value out of range (years -9999 to 9999).
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A fresh id, ordered by time.
fn new_id(now: Timestamp) -> String {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    Ulid::from_parts(millis, u128::from_be_bytes(random::bytes())).to_string()
}
