//! A store in a database: the statements, which are the same everywhere. What differs is in a file
//! for each database.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::fmt;
#[cfg(feature = "sqlite")]
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::{Any, AnyArguments, AnyRow};
use sqlx::query::{Query, QueryScalar};
use sqlx::{AnyPool, Decode, Type};

#[cfg(feature = "postgres")]
pub(crate) use self::postgres::check_parameters;
#[cfg(feature = "sqlite")]
pub(crate) use self::sqlite::{configure, create_private, file_url};
use super::{Bucket, Store, StoreError, StoreFuture, Subscription, check_message, check_size};
use crate::Clock;
use crate::limits::Rate;

/// A [`Store`] in a database: what it acknowledged survives `kill -9`.
///
/// The statements use one table, `mcp_store`, `$1` placeholders and no type beyond text, 64-bit
/// integers and bytes, so that they run on SQLite and on PostgreSQL.
pub struct SqlStore {
    pool: AnyPool,
    database: Database,
    /// How long a statement may take.
    patience: Duration,
    clock: Clock,
    /// When the next write is to also delete what has expired, in microseconds.
    next_sweep: AtomicI64,
}

enum Database {
    #[cfg(feature = "sqlite")]
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres(Box<postgres::Messages>),
}

impl SqlStore {
    /// Opens the SQLite file at `path`, which is created, readable by its owner only, when it
    /// does not exist.
    #[cfg(feature = "sqlite")]
    pub async fn open(path: impl AsRef<Path>, clock: Clock) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let pool = sqlite::open(path.as_ref()).await?;
        // SQLite itself gives up after BUSY.
        Ok(Self::over(pool, Database::Sqlite, sqlite::BUSY * 2, clock))
    }

    /// Connects to a PostgreSQL database, `postgres://user:password@host:5432/database`, and makes
    /// the table `mcp_store` in its current schema where there is none. Any number of instances
    /// may do so at once.
    ///
    /// What the URL leaves out comes from the variables and the password file of libpq
    /// (`PGPASSWORD`, `~/.pgpass`). With TLS where the server has it, as
    /// libpq does; `sslmode=verify-full` also checks who it is. Something that hands out connections per transaction cannot stand in between. Each
    /// [subscription](Store::subscribe) is a connection of its own.
    ///
    /// # Errors
    /// When the database cannot be reached within five seconds, or has no such table and does not
    /// let it be made.
    #[cfg(feature = "postgres")]
    pub async fn connect(url: &str, clock: Clock) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let (pool, messages) = postgres::connect(url).await?;
        let database = Database::Postgres(Box::new(messages));
        Ok(Self::over(pool, database, postgres::PATIENCE, clock))
    }

    fn over(pool: AnyPool, database: Database, patience: Duration, clock: Clock) -> Self {
        Self {
            pool,
            database,
            patience,
            clock,
            next_sweep: AtomicI64::new(i64::MIN),
        }
    }

    /// Waits for running statements, then closes the database. Subscriptions end.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    fn now(&self) -> i64 {
        self.clock.now().as_microsecond()
    }

    /// The number of rows that a statement affects.
    async fn run(&self, query: Query<'_, Any, AnyArguments>) -> Result<u64, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(unavailable)?;
        match tokio::time::timeout(self.patience, query.execute(&mut *connection)).await {
            Ok(done) => done.map(|done| done.rows_affected()).map_err(unavailable),
            Err(late) => {
                // Its answer may still come, and is not that to the next question.
                connection.close_on_drop();
                Err(unavailable(late))
            }
        }
    }

    async fn value<T>(
        &self,
        query: QueryScalar<'_, Any, T, AnyArguments>,
    ) -> Result<Option<T>, StoreError>
    where
        T: Send + Unpin + for<'r> Decode<'r, Any> + Type<Any>,
        (T,): for<'r> sqlx::FromRow<'r, AnyRow>,
    {
        let mut connection = self.pool.acquire().await.map_err(unavailable)?;
        match tokio::time::timeout(self.patience, query.fetch_optional(&mut *connection)).await {
            Ok(value) => value.map_err(unavailable),
            Err(late) => {
                connection.close_on_drop();
                Err(unavailable(late))
            }
        }
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
            self.delete(DELETE_EXPIRED, now).await;
            #[cfg(feature = "sqlite")]
            if matches!(self.database, Database::Sqlite) {
                let until = now.saturating_sub(sqlite::MESSAGE_LIVES);
                self.delete(sqlite::DELETE_MESSAGES, until).await;
            }
        }
    }

    async fn delete(&self, statement: &'static str, until: i64) {
        if let Err(error) = self.run(sqlx::query(statement).bind(until)).await {
            // What is over only takes space; what the caller is after has been written.
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(cause, "expired entries could not be deleted");
        }
    }
}

impl Store for SqlStore {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let query = sqlx::query_scalar(SELECT).bind(key).bind(self.now());
            self.value(query).await
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
            let query = sqlx::query(UPSERT)
                .bind(key)
                .bind(value)
                .bind(expires_at.as_microsecond());
            self.run(query).await?;
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
            let query = sqlx::query(INSERT_IF_ABSENT)
                .bind(key)
                .bind(value)
                .bind(expires_at.as_microsecond())
                .bind(now);
            let rows = self.run(query).await?;
            self.sweep(now).await;
            Ok(rows == 1)
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
            let query = sqlx::query(REPLACE)
                .bind(key)
                .bind(expected)
                .bind(value)
                .bind(expires_at.as_microsecond())
                .bind(self.now());
            Ok(self.run(query).await? == 1)
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let query = sqlx::query(DELETE).bind(key).bind(self.now());
            Ok(self.run(query).await? == 1)
        })
    }

    fn take<'a>(&'a self, key: &'a str, rate: Rate) -> StoreFuture<'a, Result<(), Duration>> {
        Box::pin(async move {
            check_size(key, &[])?;
            let now = self.now();
            let bucket = Bucket::of(rate, now);
            let take = match self.database {
                #[cfg(feature = "sqlite")]
                Database::Sqlite => TAKE,
                #[cfg(feature = "postgres")]
                Database::Postgres(_) => TAKE_SOON,
            };
            let query = sqlx::query(take)
                .bind(key)
                .bind(now.saturating_add(bucket.interval))
                .bind(now)
                .bind(bucket.interval)
                .bind(bucket.latest)
                .bind(bucket.impossible)
                .bind(bucket.empty);
            if self.run(query).await? == 1 {
                self.sweep(now).await;
                return Ok(Ok(()));
            }
            let end: Option<i64> = self.value(sqlx::query_scalar(BUCKET_END).bind(key)).await?;
            // It may have been emptied and swept in between.
            Ok(Err(bucket.wait(end.unwrap_or(bucket.latest))))
        })
    }

    fn publish<'a>(&'a self, message: &'a [u8]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            check_message(message)?;
            match &self.database {
                #[cfg(feature = "sqlite")]
                Database::Sqlite => {
                    let now = self.now();
                    let query = sqlx::query(sqlite::PUBLISH).bind(message).bind(now);
                    self.run(query).await?;
                    self.sweep(now).await;
                }
                #[cfg(feature = "postgres")]
                Database::Postgres(messages) => {
                    let query = sqlx::query(postgres::PUBLISH)
                        .bind(messages.channel.as_str())
                        .bind(postgres::encoded(message));
                    self.run(query).await?;
                }
            }
            Ok(())
        })
    }

    fn subscribe(&self) -> StoreFuture<'_, Subscription> {
        match &self.database {
            #[cfg(feature = "sqlite")]
            Database::Sqlite => sqlite::subscribe(&self.pool),
            #[cfg(feature = "postgres")]
            Database::Postgres(messages) => {
                use super::listen;
                let closed = self.pool.close_event();
                let source = postgres::Messages::clone(messages);
                Box::pin(listen::subscribe::<postgres::Notifications>(source, closed))
            }
        }
    }
}

/// Not the address of the database, in which a password may stand.
impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = match self.database {
            #[cfg(feature = "sqlite")]
            Database::Sqlite => "sqlite",
            #[cfg(feature = "postgres")]
            Database::Postgres(_) => "postgres",
        };
        f.debug_struct("SqlStore")
            .field("database", &database)
            .finish_non_exhaustive()
    }
}

const SWEEP_EVERY: i64 = 60_000_000;

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

/// What taking one does to a bucket that is there. Affects no row when it is empty.
macro_rules! take_from {
    ($new:literal) => {
        concat!(
            "INSERT INTO mcp_store (entry_key, value, expires_at) ",
            $new,
            " ON CONFLICT (entry_key) DO UPDATE \
            SET expires_at = CASE \
                WHEN mcp_store.expires_at > $6 THEN $7 \
                WHEN mcp_store.expires_at > $3 THEN mcp_store.expires_at + $4 \
                ELSE $3 + $4 END \
            WHERE mcp_store.expires_at <= $5 OR mcp_store.expires_at > $6"
        )
    };
}

#[cfg(feature = "sqlite")]
const TAKE: &str = take_from!("VALUES ($1, '', $2)");

/// The one write that is not waited for until it is on the disk, which takes ten times as long as
/// the rest: what a crash forgets is half a second of counting.
#[cfg(feature = "postgres")]
const TAKE_SOON: &str = take_from!(
    "SELECT $1, ''::bytea, $2 WHERE set_config('synchronous_commit', 'off', true) IS NOT NULL"
);

const BUCKET_END: &str = "SELECT expires_at FROM mcp_store WHERE entry_key = $1";

const DELETE: &str = "DELETE FROM mcp_store WHERE entry_key = $1 AND expires_at > $2";

const DELETE_EXPIRED: &str = "DELETE FROM mcp_store WHERE expires_at <= $1";

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::unavailable(error)
}
