//! Rates that instances count together, in a store that they share.
//!
//! Each instance counts for itself first, so a flood that it refuses costs the store nothing. While
//! the store cannot be used, that is all there is: every instance lets in what its rates allow.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::digest;
use crate::limits::Rate;
use crate::store::{Store, StoreError};

/// What one takes from a bucket of all instances, or how long to wait for it.
pub(crate) type Taking<'a> = Pin<Box<dyn Future<Output = Result<(), Duration>> + Send + 'a>>;

/// The store where rates are counted.
pub(crate) struct Tally {
    store: Arc<dyn Store>,
    since: Instant,
    /// Until when the store is left alone, in milliseconds since then.
    rests_until: AtomicU64,
    /// When its trouble is told again.
    next_warning: AtomicU64,
}

/// A limit is not worth making a caller wait for it any longer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Nor is it worth making every caller wait: in milliseconds, and longer than the patience.
const REST: u64 = 5_000;
const WARN_EVERY: u64 = 60_000;

impl Tally {
    pub(crate) fn new(store: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            store,
            since: Instant::now(),
            rests_until: AtomicU64::new(0),
            next_warning: AtomicU64::new(0),
        })
    }

    async fn take(&self, name: &str, rate: Rate) -> Result<(), Duration> {
        if self.now() < self.rests_until.load(Ordering::Relaxed) {
            return Ok(());
        }
        match timeout(PATIENCE, self.store.take(name, rate)).await {
            Ok(Ok(taken)) => return taken,
            Ok(Err(error)) => self.rest(Some(&error)),
            Err(_) => self.rest(None),
        }
        Ok(())
    }

    #[cold]
    fn rest(&self, error: Option<&StoreError>) {
        let now = self.now();
        self.rests_until.store(now + REST, Ordering::Relaxed);
        let due = self.next_warning.load(Ordering::Relaxed);
        let next = now + WARN_EVERY;
        let mine =
            self.next_warning
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
        if now < due || mine.is_err() {
            return;
        }
        let cause = error.map(|error| match std::error::Error::source(error) {
            Some(cause) => cause.to_string(),
            None => error.to_string(),
        });
        let cause = cause.unwrap_or_else(|| "it does not answer in time".to_owned());
        tracing::warn!(target: "mcp::limits", cause, "the store of limits cannot be used: each instance limits for itself");
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// One rate in the store.
pub(crate) struct Together {
    tally: Arc<Tally>,
    /// `mcp:limit:requests:`
    prefix: String,
    rate: Rate,
}

impl Together {
    pub(crate) fn new(tally: &Arc<Tally>, kind: &str, rate: Rate) -> Self {
        Self {
            tally: Arc::clone(tally),
            prefix: format!("mcp:limit:{kind}:"),
            rate,
        }
    }

    pub(crate) fn take(&self, key: [u8; 16]) -> Taking<'_> {
        Box::pin(async move {
            let name = format!("{}{}", self.prefix, digest::hex(&key));
            self.tally.take(&name, self.rate).await
        })
    }
}

/// What a kind of limit is called in the store, where it is that of one function.
pub(crate) fn kind_of(kind: &str, name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    if name.len() <= 128 && name.bytes().all(plain) {
        format!("{kind}.{name}")
    } else {
        format!("{kind}.{}", &digest::sha256_hex(name)[..32])
    }
}
