//! The database: opening it, and the few things that differ between databases.
//!
//! Queries go through sqlx's `Any` driver with `$n` placeholders and the types `i64`, `f64` and
//! text, so that the same code and migrations can serve PostgreSQL, too. Opening is SQLite's for
//! now.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use mcp_runtime::Clock;
use mcp_runtime::idempotency::Idempotency;
use mcp_runtime::store::{MemoryStore, SqlStore, Store};
use sqlx::any::AnyPoolOptions;
use sqlx::migrate::Migrator;
use sqlx::{Any, AnyPool, Executor, Transaction};
use ulid::Ulid;

use super::OpenError;
use super::alive::{Alive, Gate};

#[derive(Clone)]
pub(crate) struct Db {
    pool: AnyPool,
    place: Place,
    /// Of a database that other processes can open, too.
    alive: Option<Arc<Alive>>,
}

impl Db {
    pub(super) async fn open(url: &str) -> Result<Self, OpenError> {
        Self::open_with(url, &sqlx::migrate!("./migrations")).await
    }

    /// Opens a database with these tables.
    pub(crate) async fn open_with(url: &str, tables: &Migrator) -> Result<Self, OpenError> {
        sqlx::any::install_default_drivers();
        let place = Place::of(url)?;
        let in_memory = place == Place::Memory;
        let url = place.prepare()?;
        // One at a time: SQLite's migrations do not expect company.
        let gate = match &place {
            Place::File(path) => Some(Gate::pass(path).await?),
            Place::Memory => None,
        };
        let pool = AnyPoolOptions::new()
            // An in-memory database belongs to its connection: one, kept for ever.
            .max_connections(if in_memory { 1 } else { 8 })
            .min_connections(u32::from(in_memory))
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(Duration::from_secs(10))
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute(PRAGMAS).await.map(drop) })
            })
            .connect(&url)
            .await?;
        tables.run(&pool).await?;
        let alive = gate.map(|gate| gate.enter()).transpose()?.map(Arc::new);
        Ok(Self { pool, place, alive })
    }

    /// What happens once across all processes that have this database open. What a dead one has
    /// begun is taken over.
    pub(super) fn idempotency(&self, store: Arc<dyn Store>, clock: Clock) -> Idempotency {
        let idempotency = Idempotency::new(store, clock);
        match &self.alive {
            Some(alive) => idempotency.known_as(alive.name(), alive.witness()),
            None => idempotency,
        }
    }

    /// What the end of the process does.
    #[cfg(debug_assertions)]
    pub(super) fn die(&self) {
        if let Some(alive) = &self.alive {
            alive.die();
        }
    }

    /// Where confirmed tokens and idempotency keys are remembered: in the same file, so that a
    /// backup holds both the invites and the fact that their token is used up.
    pub(super) async fn store(&self, clock: &Clock) -> Result<Arc<dyn Store>, OpenError> {
        Ok(match &self.place {
            Place::Memory => Arc::new(MemoryStore::new(clock.clone(), 10_000)),
            Place::File(path) => Arc::new(SqlStore::open(path, clock.clone()).await?),
        })
    }

    pub(crate) fn pool(&self) -> &AnyPool {
        &self.pool
    }

    pub(crate) async fn ping(&self) -> sqlx::Result<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map(drop)
    }

    /// A transaction that will write. SQLite takes its write lock now: a transaction that reads
    /// first and writes later may find its snapshot outdated and fail without waiting.
    pub(crate) async fn begin_write(&self) -> sqlx::Result<Transaction<'static, Any>> {
        self.pool.begin_with("BEGIN IMMEDIATE").await
    }
}

/// FULL: an acknowledged send or audit row survives a power cut.
const PRAGMAS: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; \
    PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;";

#[derive(Clone, PartialEq)]
enum Place {
    Memory,
    File(PathBuf),
}

impl Place {
    fn of(url: &str) -> Result<Self, OpenError> {
        let path = url
            .strip_prefix("sqlite:")
            .map(|rest| rest.strip_prefix("//").unwrap_or(rest));
        match path {
            Some(":memory:") => Ok(Self::Memory),
            Some(path) if !path.is_empty() && !path.contains(['?', '#']) => {
                Ok(Self::File(PathBuf::from(path)))
            }
            _ => Err(OpenError::Setting {
                setting: "database",
                problem: "must look like sqlite://data/platform.db or sqlite::memory:".to_owned(),
            }),
        }
    }

    /// Makes the folder and the file, readable by its owner only: it holds addresses and invite
    /// codes. SQLite gives its side files the same permissions. Returns sqlx's URL for it.
    fn prepare(&self) -> Result<String, OpenError> {
        let Self::File(path) = self else {
            return Ok("sqlite::memory:".to_owned());
        };
        create_private(path).map_err(|source| OpenError::File {
            path: path.display().to_string(),
            source,
        })?;
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
}

fn create_private(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// An instant as the database keeps it.
pub(crate) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// An instant as the API shows it.
pub(crate) fn instant(millis: i64) -> Timestamp {
    // Only a damaged row holds a value out of range (years -9999 to 9999).
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A fresh id, ordered by time.
pub(crate) fn new_id(now: Timestamp) -> String {
    let mut random = [0; 16];
    getrandom::fill(&mut random).expect("the operating system provides randomness");
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    Ulid::from_parts(millis, u128::from_be_bytes(random)).to_string()
}
