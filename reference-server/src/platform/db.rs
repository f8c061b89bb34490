//! The database: opening it, and the few things that differ between databases.
//!
//! Queries go through sqlx's `Any` driver with `$n` placeholders and the types `i64`, `f64` and
//! text, so that the same code and migrations serve SQLite and PostgreSQL.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::AnyPoolOptions;
use sqlx::{Any, AnyPool, Executor, Transaction};
use ulid::Ulid;

use super::OpenError;

#[derive(Clone)]
pub(super) struct Db {
    pool: AnyPool,
    is_sqlite: bool,
}

impl Db {
    pub(super) async fn open(url: &str) -> Result<Self, OpenError> {
        sqlx::any::install_default_drivers();
        let is_sqlite = url.starts_with("sqlite:");
        let in_memory = is_sqlite && url.contains(":memory:");
        let url = match url.strip_prefix("sqlite://") {
            Some(path) if !in_memory => creating(path)?,
            _ => url.to_owned(),
        };
        let pool = AnyPoolOptions::new()
            // An in-memory database belongs to its connection: one, kept for ever.
            .max_connections(if in_memory { 1 } else { 8 })
            .min_connections(u32::from(in_memory))
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(Duration::from_secs(10))
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if is_sqlite {
                        // FULL: an acknowledged send or audit row survives a power cut.
                        connection
                            .execute(
                                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                                 PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON;",
                            )
                            .await?;
                    }
                    Ok(())
                })
            })
            .connect(&url)
            .await?;
        sqlx::migrate!("./migrations").run(&pool).await?;
        Ok(Self { pool, is_sqlite })
    }

    pub(super) fn pool(&self) -> &AnyPool {
        &self.pool
    }

    pub(super) async fn ping(&self) -> sqlx::Result<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map(drop)
    }

    /// A transaction that will write. SQLite takes its write lock now: a transaction that reads
    /// first and writes later may find its snapshot outdated and fail without waiting.
    pub(super) async fn begin_write(&self) -> sqlx::Result<Transaction<'static, Any>> {
        if self.is_sqlite {
            self.pool.begin_with("BEGIN IMMEDIATE").await
        } else {
            self.pool.begin().await
        }
    }
}

fn creating(path: &str) -> Result<String, OpenError> {
    let file = path.split('?').next().unwrap_or(path);
    if let Some(folder) = Path::new(file)
        .parent()
        .filter(|f| !f.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder).map_err(|source| OpenError::Folder {
            folder: folder.display().to_string(),
            source,
        })?;
    }
    let mode = match path.split_once('?') {
        None => "?mode=rwc",
        Some((_, options)) if !options.contains("mode=") => "&mode=rwc",
        Some(_) => "",
    };
    Ok(format!("sqlite://{path}{mode}"))
}

/// An instant as the database keeps it.
pub(super) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// An instant as the API shows it.
pub(super) fn instant(millis: i64) -> Timestamp {
    // Only a damaged row holds a value out of range (years -9999 to 9999).
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A fresh id, ordered by time.
pub(super) fn new_id(now: Timestamp) -> String {
    let mut random = [0; 16];
    getrandom::fill(&mut random).expect("the operating system provides randomness");
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    Ulid::from_parts(millis, u128::from_be_bytes(random)).to_string()
}
