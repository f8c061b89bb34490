//! SQLite: a file of this machine, durable and shared by its processes.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Connection};

use super::unavailable;
use crate::store::{Publisher, StoreError, StoreFuture, Subscription};

/// How long a locked file is waited for; as in [`PRAGMAS`].
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// How often messages are looked for.
const LOOK: Duration = Duration::from_millis(100);
/// Messages that wait for one who listens.
const WAITING: usize = 1024;

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

const CREATE_INDEX: &str =
    "CREATE INDEX IF NOT EXISTS mcp_store_expires_at ON mcp_store (expires_at)";

/// Ids of deleted messages are not given out again.
const CREATE_MESSAGES: &str = "\
    CREATE TABLE IF NOT EXISTS mcp_message (\
        id INTEGER PRIMARY KEY AUTOINCREMENT, \
        message BLOB NOT NULL, \
        published_at BIGINT NOT NULL)";

pub(super) const PUBLISH: &str = "INSERT INTO mcp_message (message, published_at) VALUES ($1, $2)";

pub(super) const DELETE_MESSAGES: &str = "DELETE FROM mcp_message WHERE published_at <= $1";

/// How long messages lie there, in microseconds.
pub(super) const MESSAGE_LIVES: i64 = 60_000_000;

const LAST_MESSAGE: &str = "SELECT COALESCE(MAX(id), 0) FROM mcp_message";

const MESSAGES_SINCE: &str =
    "SELECT id, message FROM mcp_message WHERE id > $1 ORDER BY id LIMIT 1000";

pub(super) async fn open(path: &Path) -> Result<AnyPool, StoreError> {
    create_private(path)?;
    let options: AnyConnectOptions = file_url(path)?.parse().map_err(unavailable)?;
    // Not by way of the pool, which tries a file it cannot use again and again, and then
    // reports that this took too long.
    create_schema(&options).await.map_err(unavailable)?;
    Ok(AnyPoolOptions::new()
        // One writer at a time is SQLite's rule; the others read or wait for their turn.
        .max_connections(4)
        .acquire_timeout(BUSY)
        .after_connect(|connection, _| Box::pin(configure(connection)))
        .connect_lazy_with(options))
}

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

pub(super) fn subscribe(pool: &AnyPool) -> StoreFuture<'_, Subscription> {
    Box::pin(async move {
        let last: i64 = sqlx::query_scalar(LAST_MESSAGE)
            .fetch_one(pool)
            .await
            .map_err(unavailable)?;
        let (publisher, subscription) = Subscription::channel(WAITING);
        tokio::spawn(pass_on(pool.clone(), last, publisher));
        Ok(subscription)
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_connection_is_durable_and_patient() {
        sqlx::any::install_default_drivers();
        let path = std::env::temp_dir().join(format!("mcp-store-{}.db", std::process::id()));
        let pool = open(&path).await.unwrap();
        let mut connections = Vec::new();
        for _ in 0..4 {
            connections.push(pool.acquire().await.unwrap());
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
        pool.close().await;
        std::fs::remove_file(path).unwrap();
    }
}
