use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Connection};

use super::{
    Publisher, Store, StoreError, StoreFuture, Subscription, bucket, check_message, check_size,
};
use crate::Clock;
use crate::limits::Rate;

/// A [`Store`] in a database: what it acknowledged survives `kill -9`.
///
/// The statements use one table, `mcp_store`, `$1` placeholders and no type beyond text, 64-bit
/// integers and blobs, so that they also run on PostgreSQL.
#[derive(Debug)]
pub struct SqlStore {
    pool: AnyPool,
    clock: Clock,
    /// When the next write is to also delete what has expired, in microseconds.
    next_sweep: AtomicI64,
}

impl SqlStore {
    /// Opens the SQLite file at `path`, which is created, readable by its owner only, when it
    /// does not exist.
    pub async fn open(path: impl AsRef<Path>, clock: Clock) -> Result<Self, StoreError> {
        let path = path.as_ref();
        create_private(path)?;
        sqlx::any::install_default_drivers();
        let options: AnyConnectOptions = file_url(path)?.parse().map_err(unavailable)?;
        // Not by way of the pool, which tries a file it cannot use again and again, and then
        // reports that this took too long.
        create_schema(&options).await.map_err(unavailable)?;
        let pool = AnyPoolOptions::new()
            // One writer at a time is SQLite's rule; the others read or wait for their turn.
            .max_connections(4)
            .acquire_timeout(BUSY)
            .after_connect(|connection, _| Box::pin(configure(connection)))
            .connect_lazy_with(options);
        Ok(Self {
            pool,
            clock,
            next_sweep: AtomicI64::new(i64::MIN),
        })
    }

    /// Waits for running statements, then closes the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    fn now(&self) -> i64 {
        self.clock.now().as_microsecond()
    }

    /// Deletes what has expired, at most once a minute, after somebody's write: no background
    /// task to start, stop and forget about. After it, so that a locked file is waited for once.
    async fn sweep(&self, now: i64) {
        let due = self.next_sweep.load(Ordering::Relaxed);
        let next = now.saturating_add(SWEEP_EVERY);
        // `now` may also jump back; then waiting for the old `due` could take arbitrarily long.
        let is_due = now >= due || due > next;
        let mine = || {
            self.next_sweep
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        if is_due && mine() {
            for (statement, until) in [
                (DELETE_EXPIRED, now),
                (DELETE_MESSAGES, now.saturating_sub(MESSAGE_LIVES)),
            ] {
                let swept = sqlx::query(statement).bind(until).execute(&self.pool);
                if let Err(error) = swept.await {
                    // What is over only takes space; what the caller is after has been written.
                    tracing::warn!(%error, "expired entries could not be deleted");
                }
            }
        }
    }
}

impl Store for SqlStore {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let value = sqlx::query_scalar(SELECT)
                .bind(key)
                .bind(self.now())
                .fetch_optional(&self.pool);
            value.await.map_err(unavailable)
        })
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        expires_at: Timestamp,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            check_size(key, value)?;
            sqlx::query(UPSERT)
                .bind(key)
                .bind(value)
                .bind(expires_at.as_microsecond())
                .execute(&self.pool)
                .await
                .map_err(unavailable)?;
            self.sweep(self.now()).await;
            Ok(())
        })
    }

    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        expires_at: Timestamp,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            check_size(key, value)?;
            let now = self.now();
            let done = sqlx::query(INSERT_IF_ABSENT)
                .bind(key)
                .bind(value)
                .bind(expires_at.as_microsecond())
                .bind(now)
                .execute(&self.pool)
                .await
                .map_err(unavailable)?;
            self.sweep(now).await;
            Ok(done.rows_affected() == 1)
        })
    }

    fn replace<'a>(
        &'a self,
        key: &'a str,
        expected: &'a [u8],
        value: &'a [u8],
        expires_at: Timestamp,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            check_size(key, value)?;
            let done = sqlx::query(REPLACE)
                .bind(key)
                .bind(expected)
                .bind(value)
                .bind(expires_at.as_microsecond())
                .bind(self.now())
                .execute(&self.pool)
                .await
                .map_err(unavailable)?;
            Ok(done.rows_affected() == 1)
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let done = sqlx::query(DELETE)
                .bind(key)
                .bind(self.now())
                .execute(&self.pool)
                .await
                .map_err(unavailable)?;
            Ok(done.rows_affected() == 1)
        })
    }

    fn take<'a>(&'a self, key: &'a str, rate: Rate) -> StoreFuture<'a, Result<(), Duration>> {
        Box::pin(async move {
            check_size(key, &[])?;
            let (interval, ahead) = bucket(rate);
            let now = self.now();
            let latest = now.saturating_add(ahead);
            let done = sqlx::query(TAKE)
                .bind(key)
                .bind(now.saturating_add(interval))
                .bind(now)
                .bind(interval)
                .bind(latest)
                .execute(&self.pool)
                .await
                .map_err(unavailable)?;
            if done.rows_affected() == 1 {
                self.sweep(now).await;
                return Ok(Ok(()));
            }
            let end: Option<i64> = sqlx::query_scalar(BUCKET_END)
                .bind(key)
                .fetch_optional(&self.pool)
                .await
                .map_err(unavailable)?;
            // It may have been emptied and swept in between.
            let early = end.unwrap_or(latest).saturating_sub(latest).max(1);
            Ok(Err(Duration::from_micros(early.unsigned_abs())))
        })
    }

    fn publish<'a>(&'a self, message: &'a [u8]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            check_message(message)?;
            let now = self.now();
            sqlx::query(PUBLISH)
                .bind(message)
                .bind(now)
                .execute(&self.pool)
                .await
                .map_err(unavailable)?;
            self.sweep(now).await;
            Ok(())
        })
    }

    fn subscribe(&self) -> StoreFuture<'_, Subscription> {
        Box::pin(async move {
            let last: i64 = sqlx::query_scalar(LAST_MESSAGE)
                .fetch_one(&self.pool)
                .await
                .map_err(unavailable)?;
            let (publisher, subscription) = Subscription::channel(WAITING);
            tokio::spawn(pass_on(self.pool.clone(), last, publisher));
            Ok(subscription)
        })
    }
}

/// Looks for what others published until nobody listens any more. A file tells nobody that it has
/// changed, so it is asked; one row of the primary key costs microseconds.
async fn pass_on(pool: AnyPool, mut last: i64, publisher: Publisher) {
    let mut told = false;
    loop {
        tokio::select! {
            () = publisher.closed() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let rows = sqlx::query_as::<_, (i64, Vec<u8>)>(MESSAGES_SINCE)
            .bind(last)
            .fetch_all(&pool)
            .await;
        match rows {
            Ok(rows) => {
                told = false;
                for (id, message) in rows {
                    // Ids come without holes: what is missing was swept before it was read.
                    if id != last + 1 {
                        publisher.gap();
                    }
                    last = id;
                    publisher.send(&message);
                }
            }
            Err(sqlx::Error::PoolClosed) => return,
            Err(error) if !told => {
                told = true;
                tracing::warn!(%error, "messages of other instances cannot be read");
            }
            Err(_) => {}
        }
    }
}

/// How often messages are looked for.
const LOOK: Duration = Duration::from_millis(100);
/// How long they lie there.
const MESSAGE_LIVES: i64 = 60_000_000;
/// Messages that wait for one who listens.
const WAITING: usize = 1024;

const BUSY: Duration = Duration::from_secs(5); // as in PRAGMAS
const SWEEP_EVERY: i64 = 60_000_000;

const PRAGMAS: [&str; 3] = [
    // First, as switching to WAL may itself have to wait for another process.
    "PRAGMA busy_timeout = 5000",
    "PRAGMA journal_mode = WAL",
    // In WAL mode NORMAL may lose the last commits with the power: a used token, used again.
    "PRAGMA synchronous = FULL",
];

const CREATE_TABLE: &str = "\
    CREATE TABLE IF NOT EXISTS mcp_store (\
        entry_key TEXT NOT NULL PRIMARY KEY, \
        value BLOB NOT NULL, \
        expires_at BIGINT NOT NULL)";

/// Ids of deleted messages are not given out again.
const CREATE_MESSAGES: &str = "\
    CREATE TABLE IF NOT EXISTS mcp_message (\
        id INTEGER PRIMARY KEY AUTOINCREMENT, \
        message BLOB NOT NULL, \
        published_at BIGINT NOT NULL)";

const CREATE_INDEX: &str =
    "CREATE INDEX IF NOT EXISTS mcp_store_expires_at ON mcp_store (expires_at)";

const SELECT: &str = "SELECT value FROM mcp_store WHERE entry_key = $1 AND expires_at > $2";

const UPSERT: &str = "\
    INSERT INTO mcp_store (entry_key, value, expires_at) VALUES ($1, $2, $3) \
    ON CONFLICT (entry_key) DO UPDATE \
    SET value = excluded.value, expires_at = excluded.expires_at";

const INSERT_IF_ABSENT: &str = "\
    INSERT INTO mcp_store (entry_key, value, expires_at) VALUES ($1, $2, $3) \
    ON CONFLICT (entry_key) DO UPDATE \
    SET value = excluded.value, expires_at = excluded.expires_at \
    WHERE mcp_store.expires_at <= $4";

const REPLACE: &str = "\
    UPDATE mcp_store SET value = $3, expires_at = $4 \
    WHERE entry_key = $1 AND value = $2 AND expires_at > $5";

/// Affects no row when the bucket is empty.
const TAKE: &str = "\
    INSERT INTO mcp_store (entry_key, value, expires_at) VALUES ($1, '', $2) \
    ON CONFLICT (entry_key) DO UPDATE \
    SET expires_at = $4 + \
        CASE WHEN mcp_store.expires_at > $3 THEN mcp_store.expires_at ELSE $3 END \
    WHERE mcp_store.expires_at <= $5";

const BUCKET_END: &str = "SELECT expires_at FROM mcp_store WHERE entry_key = $1";

const PUBLISH: &str = "INSERT INTO mcp_message (message, published_at) VALUES ($1, $2)";

const LAST_MESSAGE: &str = "SELECT COALESCE(MAX(id), 0) FROM mcp_message";

const MESSAGES_SINCE: &str =
    "SELECT id, message FROM mcp_message WHERE id > $1 ORDER BY id LIMIT 1000";

const DELETE: &str = "DELETE FROM mcp_store WHERE entry_key = $1 AND expires_at > $2";

const DELETE_EXPIRED: &str = "DELETE FROM mcp_store WHERE expires_at <= $1";

const DELETE_MESSAGES: &str = "DELETE FROM mcp_message WHERE published_at <= $1";

async fn create_schema(options: &AnyConnectOptions) -> sqlx::Result<()> {
    let mut connection = options.connect().await?;
    configure(&mut connection).await?;
    for statement in [CREATE_TABLE, CREATE_INDEX, CREATE_MESSAGES] {
        sqlx::query(statement).execute(&mut connection).await?;
    }
    connection.close().await
}

pub(crate) async fn configure(connection: &mut AnyConnection) -> sqlx::Result<()> {
    for pragma in PRAGMAS {
        sqlx::query(pragma).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Stored results may be confidential. SQLite gives its `-wal` and `-shm` files the permissions
/// of the main file.
///
/// A file that exists is not even opened: closing it again would take away the POSIX locks that
/// another connection of this process holds on it.
pub(crate) fn create_private(path: &Path) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(unavailable(error)),
        _ => Ok(()),
    }
}

/// The URL of an existing file, as sqlx's `Any` takes nothing else. Its own way to make one
/// forgets to encode `%` and panics on some relative paths.
pub(crate) fn file_url(path: &Path) -> Result<String, StoreError> {
    let path = path.canonicalize().map_err(unavailable)?;
    let mut url = "sqlite:".to_owned();
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' => url.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => url.push(byte.into()),
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(url)
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::unavailable(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_connection_is_durable_and_patient() {
        let path = std::env::temp_dir().join(format!("mcp-store-{}.db", std::process::id()));
        let store = SqlStore::open(&path, Clock::system()).await.unwrap();
        let mut connections = Vec::new();
        for _ in 0..4 {
            connections.push(store.pool.acquire().await.unwrap());
        }
        for connection in &mut connections {
            for (pragma, expected) in [("PRAGMA synchronous", 2), ("PRAGMA busy_timeout", 5000)] {
                let value = sqlx::query_scalar::<_, i64>(pragma);
                assert_eq!(
                    value.fetch_one(&mut **connection).await.unwrap(),
                    expected,
                    "{pragma}"
                );
            }
            let mode = sqlx::query_scalar::<_, String>("PRAGMA journal_mode");
            assert_eq!(mode.fetch_one(&mut **connection).await.unwrap(), "wal");
        }
        drop(connections);
        store.close().await;
        std::fs::remove_file(path).unwrap();
    }
}
