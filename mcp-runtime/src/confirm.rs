//! Confirmation tokens: what was previewed, by whom, is what gets executed, once.
//!
//! A preview [issues](Confirm::issue) a token over its payload. The execution
//! [opens](Confirm::open) it, which checks everything, and [redeems](Confirm::redeem) it right
//! before the effect. The server keeps nothing between the two calls: the token carries its
//! payload under a signature. Only redeemed tokens are remembered, until they expire anyway.
//!
//! ```
//! # use std::{sync::Arc, time::Duration};
//! # use mcp_runtime::{Clock, confirm::*, store::MemoryStore};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), ConfirmError> {
//! # let (clock, store) = (Clock::system(), Arc::new(MemoryStore::new(Clock::system(), 10)));
//! let confirm = Confirm::new(Keys::random(), clock, store);
//! // invites_preview
//! let ttl = Duration::from_secs(30 * 60);
//! let issued = confirm.issue("admin", "invites_send", &["ann@example.com"], ttl)?;
//! // invites_send
//! let opened = confirm.open("admin", "invites_send", &issued.token)?;
//! confirm.redeem(&opened, "idempotency key of the call").await?;
//! assert_eq!(opened.payload()[0], "ann@example.com");
//! # Ok(()) }
//! ```
//!
//! Two previews of the same payload by the same owner with the same expiry, to the nanosecond,
//! are one token.

mod keys;
mod token;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::Clock;
use crate::digest::sha256_hex;
use crate::store::{Store, StoreError};
use token::{Claims, Token};

pub use keys::{KeyError, Keys};
pub use token::MAX_TOKEN;

/// Issues, checks and redeems confirmation tokens.
#[derive(Clone)]
pub struct Confirm {
    keys: Arc<Keys>,
    clock: Clock,
    store: Arc<dyn Store>,
}

/// A new token.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// The token, for the one who asked for the preview.
    pub token: String,
    /// From this instant on the token is refused.
    pub expires_at: Timestamp,
}

/// A token that has passed every check except whether it is used up.
#[derive(Clone)]
pub struct Opened {
    payload: Value,
    expires_at: Timestamp,
    /// Where its redemption is recorded.
    store_key: String,
}

impl Confirm {
    /// Processes that shall accept each other's tokens need the same keys and the same store.
    pub fn new(keys: Keys, clock: Clock, store: Arc<dyn Store>) -> Self {
        Self {
            keys: Arc::new(keys),
            clock,
            store,
        }
    }

    /// Signs `payload` for `owner` (everything that tells one caller from another: issuer,
    /// subject, tenant) and `operation` (the name of the tool that will execute it).
    ///
    /// The payload is readable by whoever holds the token; it is signed, not encrypted.
    pub fn issue(
        &self,
        owner: &str,
        operation: &str,
        payload: &impl Serialize,
        ttl: Duration,
    ) -> Result<Issued, ConfirmError> {
        let expires_at = self
            .clock
            .now()
            .checked_add(ttl)
            .map_err(|_| ConfirmError::Lifetime)?;
        let claims = Claims {
            owner,
            operation,
            expires_at,
        };
        let token = Token::sign(&self.keys, &claims, payload)?.encode()?;
        Ok(Issued { token, expires_at })
    }

    /// Checks, in this order: the format, the payload against its digest, the signature with its
    /// key and version, the operation, the owner, the expiry. Redeems nothing.
    pub fn open(&self, owner: &str, operation: &str, token: &str) -> Result<Opened, ConfirmError> {
        let token = Token::decode(token)?;
        token.check_payload_hash()?;
        token.check_signature(&self.keys)?;
        token.check_operation(operation)?;
        token.check_owner(owner)?;
        let expires_at = token.expires_at()?;
        self.check_expiry(expires_at)?;
        Ok(Opened {
            payload: token.payload()?,
            expires_at,
            store_key: store_key(&token),
        })
    }

    /// Uses the token up, on behalf of `by`: a name for the one execution it is good for, such
    /// as its idempotency key.
    ///
    /// The same `by` may redeem again, and so resume after a crash; any other is told
    /// [`AlreadyUsed`](ConfirmError::AlreadyUsed). An error of the store leaves open whether the
    /// token is used up: do not execute, try again with the same `by`.
    pub async fn redeem(&self, opened: &Opened, by: &str) -> Result<(), ConfirmError> {
        let by = sha256_hex(by);
        // A token that expired since it was opened can no longer be used up, as the record of
        // its use may be gone by now. The record tells whether it was used in time.
        if self.check_expiry(opened.expires_at).is_ok() {
            let forget_at = opened
                .expires_at
                .checked_add(REMEMBER_LONGER)
                .unwrap_or(Timestamp::MAX);
            if self
                .store
                .put_if_absent(&opened.store_key, by.as_bytes(), forget_at)
                .await?
            {
                return Ok(());
            }
        }
        match self.store.get(&opened.store_key).await? {
            Some(used_by) if used_by == by.as_bytes() => Ok(()),
            Some(_) => Err(ConfirmError::AlreadyUsed),
            None => Err(ConfirmError::Expired),
        }
    }

    /// A keyed digest of `text`, for a payload that must not tell what it is bound to.
    pub(crate) fn voucher(&self, text: &str) -> String {
        let id = self.keys.current_id();
        let voucher = self.keys.sign(id, &format!("{VOUCHER}{text}"));
        format!("{id}.{}", voucher.unwrap_or_default())
    }

    /// Whether this is a voucher for `text`, by any of our keys.
    pub(crate) fn vouches(&self, voucher: &str, text: &str) -> bool {
        let Some((id, given)) = voucher.split_once('.') else {
            return false;
        };
        self.keys
            .sign(id, &format!("{VOUCHER}{text}"))
            .is_some_and(|made| token::same(&made, given))
    }

    fn check_expiry(&self, expires_at: Timestamp) -> Result<(), ConfirmError> {
        if self.clock.now() >= expires_at {
            Err(ConfirmError::Expired)
        } else {
            Ok(())
        }
    }
}

impl Opened {
    /// What was previewed, exactly.
    pub fn payload(&self) -> &Value {
        &self.payload
    }

    /// From this instant on the token is refused.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

/// Why there is no token, or why one is refused.
///
/// `Display` tells a model what to do next and repeats nothing of the token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfirmError {
    /// Not a token of this server, or damaged on the way.
    #[error(
        "confirm_token is not a valid token; pass it exactly as the preview returned it, or run the preview again"
    )]
    InvalidFormat,
    /// Changed, signed with a key no longer accepted, or issued for another operation.
    #[error(
        "confirm_token is not valid for this operation; run the preview again and use its new token"
    )]
    InvalidSignature,
    /// The payload is not the one that was previewed.
    #[error(
        "confirm_token does not match what was previewed; run the preview again and use its new token"
    )]
    PayloadMismatch,
    /// Issued to somebody else.
    #[error("confirm_token was issued to another user; run the preview again as the current user")]
    OwnerMismatch,
    /// Its time is over.
    #[error("confirm_token has expired; run the preview again and confirm it sooner")]
    Expired,
    /// Redeemed, by another execution.
    #[error(
        "confirm_token was already used, nothing was done this time; run the preview again to do it once more"
    )]
    AlreadyUsed,
    /// The payload makes a token larger than [`MAX_TOKEN`].
    #[error("this is too much to confirm at once; preview it in smaller parts")]
    TooLarge,
    /// The lifetime asked for does not end within the calendar. A mistake in the program.
    #[error("the server could not issue a confirmation token")]
    Lifetime,
    /// The name of the operation contains `|`. A mistake in the program.
    #[error("the server could not issue a confirmation token")]
    OperationName,
    /// The payload cannot be written as JSON. A mistake in the program.
    #[error("the server could not issue a confirmation token")]
    Unserializable(#[source] serde_json::Error),
    /// The token could not be marked as used, so nothing may be executed.
    #[error(
        "the server could not check whether confirm_token was already used; try again later with the same arguments"
    )]
    Store(#[from] StoreError),
}

impl ConfirmError {
    /// The code of the error, part of the contract with clients.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidFormat => "MCP_TOKEN_INVALID_FORMAT",
            Self::InvalidSignature => "MCP_TOKEN_INVALID_SIGNATURE",
            Self::PayloadMismatch => "MCP_TOKEN_PAYLOAD_MISMATCH",
            Self::OwnerMismatch => "MCP_TOKEN_ACTOR_MISMATCH",
            Self::Expired => "MCP_TOKEN_EXPIRED",
            Self::AlreadyUsed => "MCP_TOKEN_ALREADY_USED",
            Self::TooLarge => "MCP_TOKEN_TOO_LARGE",
            Self::Lifetime | Self::OperationName | Self::Unserializable(_) => {
                "MCP_TOKEN_NOT_ISSUED"
            }
            Self::Store(_) => "MCP_TOKEN_STORE_UNAVAILABLE",
        }
    }

    /// One word for logs, metrics and `details.reason`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidFormat => "invalid_format",
            Self::InvalidSignature => "invalid_signature",
            Self::PayloadMismatch => "payload_mismatch",
            Self::OwnerMismatch => "actor_mismatch",
            Self::Expired => "expired",
            Self::AlreadyUsed => "already_used",
            Self::TooLarge => "too_large",
            Self::Lifetime => "lifetime",
            Self::OperationName => "operation_name",
            Self::Unserializable(_) => "unserializable",
            Self::Store(_) => "store_unavailable",
        }
    }
}

/// What a voucher begins with; what is signed in a token begins with a digest.
const VOUCHER: &str = "voucher|";

/// How long a used token is remembered beyond its expiry, as the processes sharing a store may
/// disagree about the time.
const REMEMBER_LONGER: Duration = Duration::from_secs(300);

/// Not the token itself, nor its signature: a store must hold nothing that can be redeemed.
fn store_key(token: &Token) -> String {
    format!("mcp:confirm:used:{}", sha256_hex(token.signature()))
}

impl fmt::Debug for Confirm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirm")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

/// A token is a credential.
impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A payload may hold personal data.
impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
