//! The same call twice has its effect once.
//!
//! A caller names its call with an idempotency key. The first call [begins](Idempotency::begin)
//! and runs; every later one with the same key and the same arguments gets the stored result.
//!
//! ```
//! # use std::sync::Arc;
//! # use mcp_runtime::{Clock, idempotency::*, store::MemoryStore};
//! # async fn send() -> Result<u32, std::io::Error> { Ok(2) }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (clock, store) = (Clock::system(), Arc::new(MemoryStore::new(Clock::system(), 10)));
//! let calls = Idempotency::new(store, clock);
//! let sent = match calls.begin("admin", "invites_send", "key-1", "digest of arguments").await? {
//!     Begin::Replay(stored) => serde_json::from_value(stored)?,
//!     Begin::Run(lease) => {
//!         let sent = send().await?; // On an error nobody knows what was sent: the lease drops.
//!         lease.complete(&sent).await?;
//!         sent
//!     }
//! };
//! # assert_eq!(sent, 2); Ok(()) }
//! ```

mod lease;
mod record;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::Clock;
use crate::digest::{hex, random, sha256_hex};
use crate::store::{Store, StoreError};
use record::{Pending, Record, State};

pub use lease::Lease;

/// Runs calls at most once per idempotency key, and remembers their results, of up to
/// [`MAX_VALUE`](crate::store::MAX_VALUE) bytes, for 24 hours.
///
/// A call that was begun and not finished, because its process died or the [`Lease`] was dropped,
/// keeps its key for the time of the lease. Then the next call with this key is told to
/// [`Run`](Begin::Run) again: the work has to be resumable, that is find out what it has already
/// done.
///
/// Make one per process and clone it: whatever another one has begun counts as begun by another
/// process.
#[derive(Clone)]
pub struct Idempotency {
    store: Arc<dyn Store>,
    clock: Clock,
    lease: Duration,
    others: Others,
    /// Tells this process from its predecessor.
    instance: Arc<str>,
    /// Tells the leases of this process apart.
    serial: Arc<AtomicU64>,
}

/// What is known about the other processes that use the store.
#[derive(Clone)]
enum Others {
    /// Nothing: what one has begun may go on until its lease ends.
    Unknown,
    /// There are none.
    Dead,
    /// Whether the one of this name lives can be found out.
    Ask(Arc<dyn Fn(&str) -> Told + Send + Sync>),
}

/// Whether somebody lives.
type Told = Pin<Box<dyn Future<Output = bool> + Send>>;

/// What to do with a call.
#[derive(Debug)]
#[must_use]
pub enum Begin {
    /// Do the work, then say how it ended. It may have been begun before.
    Run(Lease),
    /// Do nothing: this is the result of the call, which has been finished before.
    Replay(Value),
}

impl Idempotency {
    /// Leases of 120 seconds, in a store that other processes may share.
    ///
    /// # Panics
    ///
    /// When the operating system gives no randomness.
    pub fn new(store: Arc<dyn Store>, clock: Clock) -> Self {
        Self {
            store,
            clock,
            lease: Duration::from_secs(120),
            others: Others::Unknown,
            instance: hex(&random::<16>()).into(),
            serial: Arc::default(),
        }
    }

    /// How long a call may take before another one with its key takes over. Choose it longer
    /// than the deadline of the work, or the two run at the same time.
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// States that no other process shares the store: what another process has begun is then
    /// known to be dead, and taken over at once.
    pub fn exclusive(mut self) -> Self {
        self.others = Others::Dead;
        self
    }

    /// Gives this process a name that no other has had, and a way to tell whether the process of
    /// another name still lives: what a dead one has begun is taken over at once, what a live one
    /// has begun is left to it.
    pub fn known_as<Lives>(
        mut self,
        instance: impl Into<Arc<str>>,
        lives: impl Fn(&str) -> Lives + Send + Sync + 'static,
    ) -> Self
    where
        Lives: Future<Output = bool> + Send + 'static,
    {
        self.instance = instance.into();
        self.others = Others::Ask(Arc::new(move |other| Box::pin(lives(other))));
        self
    }

    /// Begins the call of `operation` that `owner` names `key`.
    ///
    /// `fingerprint` is a digest of the arguments. The keys of two owners, or of two operations,
    /// have nothing to do with each other.
    pub async fn begin(
        &self,
        owner: &str,
        operation: &str,
        key: &str,
        fingerprint: &str,
    ) -> Result<Begin, IdempotencyError> {
        check_key(key)?;
        let store_key = format!("mcp:idempotency:{operation}:{}:{key}", sha256_hex(owner));
        let now = self.clock.now();
        let pending = self.pending(fingerprint, now).to_bytes()?;
        let lease = |pending| Lease::new(self, store_key.clone(), fingerprint, pending);

        for _ in 0..ATTEMPTS {
            if self
                .store
                .put_if_absent(&store_key, &pending, keep_until(now))
                .await?
            {
                return Ok(Begin::Run(lease(pending)));
            }
            // Gone again: it has expired, or its work was abandoned just now.
            let Some(found) = self.store.get(&store_key).await? else {
                continue;
            };
            let record = Record::from_bytes(&found)?;
            if record.fingerprint != fingerprint {
                return Err(IdempotencyError::KeyReused);
            }
            match record.state {
                State::Done(result) => return Ok(Begin::Replay(result)),
                State::Pending(other) => {
                    if !self.is_dead(&other, now).await {
                        return Err(IdempotencyError::InProgress);
                    }
                    let until = keep_until(now);
                    if self
                        .store
                        .replace(&store_key, &found, &pending, until)
                        .await?
                    {
                        return Ok(Begin::Run(lease(pending)));
                    }
                    // Somebody was faster; look again at what they made of it.
                }
            }
        }
        Err(IdempotencyError::InProgress)
    }

    fn pending(&self, fingerprint: &str, now: Timestamp) -> Record {
        Record {
            fingerprint: fingerprint.to_owned(),
            state: State::Pending(Pending {
                instance: self.instance.to_string(),
                serial: self.serial.fetch_add(1, Ordering::Relaxed),
                deadline: now.checked_add(self.lease).unwrap_or(Timestamp::MAX),
            }),
        }
    }

    async fn is_dead(&self, pending: &Pending, now: Timestamp) -> bool {
        if now >= pending.deadline {
            return true;
        }
        match &self.others {
            _ if *pending.instance == *self.instance => false,
            Others::Unknown => false,
            Others::Dead => true,
            Others::Ask(lives) => !lives(&pending.instance).await,
        }
    }
}

/// Why a call does not run and has no result.
///
/// `Display` tells a model what to do next and repeats nothing of the call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdempotencyError {
    /// The call is running right now, or was cut off less than a lease ago.
    #[error(
        "a call with this idempotency_key is still running; try again in a while with the same key and the same arguments"
    )]
    InProgress,
    /// The key names another call.
    #[error(
        "this idempotency_key was used before with other arguments; choose a new key for a new call"
    )]
    KeyReused,
    /// Not a key.
    #[error("idempotency_key has to be 1 to 255 visible ASCII characters, without spaces")]
    InvalidKey,
    /// The work took longer than its lease, and another call with the same key has taken over.
    #[error(
        "this call took too long and was taken over by another one with the same idempotency_key; try again with the same key to get its result"
    )]
    LeaseLost,
    /// The result cannot be written as JSON. A mistake in the program.
    #[error("the server could not remember the result of this call")]
    Unserializable(#[source] serde_json::Error),
    /// It is not known whether the call was made before, so it may not be made now.
    #[error(
        "the server could not check whether this call was made before; try again later with the same idempotency_key"
    )]
    Store(#[from] StoreError),
}

impl IdempotencyError {
    /// The code of the error, part of the contract with clients.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InProgress => "idempotency_in_progress",
            Self::LeaseLost => "idempotency_lease_lost",
            Self::KeyReused => "idempotency_key_reused",
            Self::InvalidKey => "idempotency_key_invalid",
            Self::Unserializable(_) => "idempotency_result_lost",
            Self::Store(_) => "idempotency_store_unavailable",
        }
    }
}

/// Each further round means that somebody else has just changed the record.
const ATTEMPTS: usize = 4;

fn check_key(key: &str) -> Result<(), IdempotencyError> {
    let valid = (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if valid {
        Ok(())
    } else {
        Err(IdempotencyError::InvalidKey)
    }
}

fn keep_until(now: Timestamp) -> Timestamp {
    now.checked_add(Duration::from_secs(24 * 60 * 60))
        .unwrap_or(Timestamp::MAX)
}

impl fmt::Debug for Idempotency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idempotency")
            .field("lease", &self.lease)
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}
