//! What instances of a server share: a small key/value store with expiry, buckets for rates, and
//! messages to everybody.
//!
//! [`MemoryStore`] is that of one process. `SqlStore` is a SQLite file of one machine (feature
//! `sqlite`) or a PostgreSQL database (feature `postgres`), and outlives a restart. `RedisStore`
//! (feature `redis`) is a Redis server.
//!
//! Every operation is atomic on its own, and an entry whose expiry has come is absent for all of
//! them: it lives while `now < expires_at`, counted in microseconds. `now` is the time of the
//! instance that asks, so the clocks of instances have to agree about as well as expiry matters.

mod memory;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod listen;
mod subscription;

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;

use crate::limits::Rate;

pub use memory::MemoryStore;
#[cfg(feature = "redis")]
pub use redis::RedisStore;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sql::SqlStore;
#[cfg(feature = "postgres")]
pub(crate) use sql::check_parameters;
#[cfg(feature = "sqlite")]
pub(crate) use sql::{configure, create_private, file_url};
pub use subscription::{Notice, Publisher, Subscription};

/// The longest key a store takes, in bytes.
pub const MAX_KEY: usize = 1024;

/// The largest value a store takes, in bytes.
pub const MAX_VALUE: usize = 1024 * 1024;

/// The longest message a store passes on, in bytes. What is longer is laid down under a key, and
/// the key is passed on.
pub const MAX_MESSAGE: usize = 4096;

/// What a [`Store`] method returns: boxed, so that a store can be an `Arc<dyn Store>`.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Keys, values, expiry. See the [module](self) for what holds for all operations.
///
/// A caller that gets an error knows nothing about whether the write happened and has to fail
/// closed. Dropping a future midway is such a case, too.
pub trait Store: Send + Sync + 'static {
    /// The value under `key`, if it lives.
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Vec<u8>>>;

    /// Stores `value` whatever was there before.
    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        expires_at: Timestamp,
    ) -> StoreFuture<'a, ()>;

    /// Stores `value` unless `key` lives. Of any number of concurrent callers exactly one is
    /// told `true`.
    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        expires_at: Timestamp,
    ) -> StoreFuture<'a, bool>;

    /// Stores `value` if `key` lives and holds `expected` (compare-and-swap).
    ///
    /// With an `expires_at` in the past this is compare-and-remove.
    fn replace<'a>(
        &'a self,
        key: &'a str,
        expected: &'a [u8],
        value: &'a [u8],
        expires_at: Timestamp,
    ) -> StoreFuture<'a, bool>;

    /// Removes `key`; tells whether it lived.
    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, bool>;

    /// Takes one from the bucket under `key`, or says how long to wait for it.
    ///
    /// A bucket is an entry of its own that expires when it is full again: at the time until which
    /// what was taken is spread, one every [`Rate::interval`], and which may lie
    /// [`Rate::at_once`] intervals ahead at most (the generic cell rate algorithm). One that lies
    /// further ahead than that, and ten seconds, was written by a clock that has since been set
    /// back: the bucket then counts as empty from now on, instead of until that time.
    fn take<'a>(&'a self, key: &'a str, rate: Rate) -> StoreFuture<'a, Result<(), Duration>>;

    /// Tells everybody who subscribed, on every instance that shares the store; this one, too.
    ///
    /// A message is not stored. Who subscribed gets it once, or a [`Notice::Gap`] in its place.
    fn publish<'a>(&'a self, message: &'a [u8]) -> StoreFuture<'a, ()>;

    /// What is published from now on. When this returns, it listens.
    fn subscribe(&self) -> StoreFuture<'_, Subscription>;
}

/// Why a store could not be used.
///
/// `Display` is fit for a caller. What the operator needs to know is the
/// [`source`](Error::source).
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What a [`StoreError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Nothing can be added until entries expire. Trying later helps.
    Full,
    /// The key is longer than [`MAX_KEY`], the value larger than [`MAX_VALUE`] or the message
    /// larger than [`MAX_MESSAGE`]. Trying again does not help.
    TooLarge,
    /// The database is locked, gone, out of space or damaged. Trying later may help.
    Unavailable,
}

impl StoreError {
    /// An error of the storage itself; `source` is for the operator only.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            kind: StoreErrorKind::Unavailable,
            source: Some(source.into()),
        }
    }

    /// What this is about.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    fn full() -> Self {
        Self {
            kind: StoreErrorKind::Full,
            source: None,
        }
    }

    fn too_large() -> Self {
        Self {
            kind: StoreErrorKind::TooLarge,
            source: None,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StoreErrorKind::Full => "the server has no room to remember this; try again later",
            StoreErrorKind::TooLarge => "this is more than the server can remember",
            StoreErrorKind::Unavailable => "the server's storage cannot be used; try again later",
        })
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Checked by every store alike, so that code tried out in memory also runs on a database.
fn check_size(key: &str, value: &[u8]) -> Result<(), StoreError> {
    if key.len() > MAX_KEY || value.len() > MAX_VALUE {
        return Err(StoreError::too_large());
    }
    Ok(())
}

fn check_message(message: &[u8]) -> Result<(), StoreError> {
    if message.len() > MAX_MESSAGE {
        return Err(StoreError::too_large());
    }
    Ok(())
}

/// How far the clocks of instances may differ before a bucket takes the one for wrong.
const SKEW: i64 = 10_000_000;

/// A bucket at a moment, in microseconds.
struct Bucket {
    /// What taking one adds to its end.
    interval: i64,
    /// One can be taken while its end is no later.
    latest: i64,
    /// The end of one that is empty.
    empty: i64,
    /// No bucket ends later, if clocks are right.
    impossible: i64,
}

impl Bucket {
    fn of(rate: Rate, now: i64) -> Self {
        let micros = |time| i64::try_from(time).unwrap_or(i64::MAX);
        let interval = rate.interval().as_micros().max(1);
        let ahead = interval.saturating_mul(u128::from(rate.at_once().max(1) - 1));
        let latest = now.saturating_add(micros(ahead));
        let interval = micros(interval);
        let empty = latest.saturating_add(interval);
        Self {
            interval,
            latest,
            empty,
            impossible: empty.saturating_add(SKEW),
        }
    }

    /// How long to wait until one can be taken from a bucket with this end.
    fn wait(&self, end: i64) -> Duration {
        let early = end.saturating_sub(self.latest).max(1);
        Duration::from_micros(early.unsigned_abs())
    }
}
