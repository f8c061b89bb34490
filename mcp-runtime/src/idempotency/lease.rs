use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::record::{Record, State};
use super::{Idempotency, IdempotencyError, keep_until};
use crate::Clock;
use crate::store::Store;

/// The right to do the work of one call, until [completed](Self::complete) or
/// [abandoned](Self::abandon).
///
/// Dropping it does neither, as nobody can tell how far the work got: the key stays taken until
/// the lease runs out.
#[must_use = "a dropped lease blocks its key until it runs out"]
pub struct Lease {
    store: Arc<dyn Store>,
    clock: Clock,
    key: String,
    fingerprint: String,
    /// What the store holds as long as the lease is ours.
    pending: Vec<u8>,
    settled: bool,
}

impl Lease {
    pub(super) fn new(of: &Idempotency, key: String, fingerprint: &str, pending: Vec<u8>) -> Self {
        Self {
            store: of.store.clone(),
            clock: of.clock.clone(),
            key,
            fingerprint: fingerprint.to_owned(),
            pending,
            settled: false,
        }
    }

    /// Stores the result of the work, which every later call with the key gets.
    ///
    /// On an error the work is done and its result not stored; a later call runs it again once
    /// the lease has run out. [`LeaseLost`](IdempotencyError::LeaseLost) says that has happened
    /// already.
    pub async fn complete(self, result: &impl Serialize) -> Result<(), IdempotencyError> {
        let result = serde_json::to_value(result).map_err(IdempotencyError::Unserializable)?;
        let done = Record {
            fingerprint: self.fingerprint.clone(),
            state: State::Done(result),
        };
        let until = keep_until(self.clock.now());
        self.settle(&done.to_bytes()?, until).await
    }

    /// Frees the key, when nothing has happened: the same call may be made again at once.
    pub async fn abandon(self) -> Result<(), IdempotencyError> {
        self.settle(b"", Timestamp::UNIX_EPOCH).await
    }

    async fn settle(mut self, value: &[u8], until: Timestamp) -> Result<(), IdempotencyError> {
        let ours = self
            .store
            .replace(&self.key, &self.pending, value, until)
            .await?;
        self.settled = true;
        if ours {
            Ok(())
        } else {
            Err(IdempotencyError::LeaseLost)
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.settled {
            // Without the key, which is up to the caller and may say anything.
            tracing::warn!(
                "work under an idempotency key has neither been completed nor abandoned; \
                 the key stays taken until its lease runs out"
            );
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("settled", &self.settled)
            .finish_non_exhaustive()
    }
}
