use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::IdempotencyError;
use crate::store::StoreError;

/// What the store holds under an idempotency key.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    /// Of the arguments of the call.
    pub(super) fingerprint: String,
    pub(super) state: State,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Pending(Pending),
    Done(Value),
}

/// No two are alike, so comparing the bytes is comparing the lease.
#[derive(Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) instance: String,
    pub(super) serial: u64,
    pub(super) deadline: Timestamp,
}

impl Record {
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, IdempotencyError> {
        serde_json::to_vec(self).map_err(IdempotencyError::Unserializable)
    }

    /// A record that cannot be read is a damaged store: nobody knows what has been done.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        serde_json::from_slice(bytes).map_err(StoreError::unavailable)
    }
}
