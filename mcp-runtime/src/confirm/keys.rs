use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::digest::{hex, random};

/// The keys that sign tokens: the current one, and previous ones whose tokens are still accepted.
///
/// To rotate, make the new key the current one and the old one a previous one; drop that when
/// the longest lifetime of a token has passed.
pub struct Keys {
    current: Key,
    previous: Vec<Key>,
}

struct Key {
    id: String,
    /// The hash function with the secret already in it; its `Debug` shows nothing.
    mac: Hmac<Sha256>,
}

impl Keys {
    /// Signs with `secret`, of at least 32 bytes, under the name `id` of at most 32 letters,
    /// digits, `_` and `-`. The name is readable in every token.
    pub fn new(id: &str, secret: &[u8]) -> Result<Self, KeyError> {
        Ok(Self {
            current: Key::new(id, secret)?,
            previous: Vec::new(),
        })
    }

    /// Also accepts what this key has signed.
    pub fn with_previous(mut self, id: &str, secret: &[u8]) -> Result<Self, KeyError> {
        if self.find(id).is_some() {
            return Err(KeyError::DuplicateId);
        }
        self.previous.push(Key::new(id, secret)?);
        Ok(self)
    }

    /// A key nobody knows: tokens are good until this process ends, and only there.
    ///
    /// # Panics
    ///
    /// When the operating system gives no randomness.
    pub fn random() -> Self {
        let id = format!("random-{}", hex(&random::<4>()));
        Self::new(&id, &random::<32>()).expect("the name and the length are within the rules")
    }

    pub(super) fn current_id(&self) -> &str {
        &self.current.id
    }

    /// HMAC-SHA256 of `message` in hexadecimal, if there is a key `id`.
    pub(super) fn sign(&self, id: &str, message: &str) -> Option<String> {
        let mac = self.find(id)?.mac.clone().chain_update(message);
        Some(hex(&mac.finalize().into_bytes()))
    }

    fn find(&self, id: &str) -> Option<&Key> {
        std::iter::once(&self.current)
            .chain(&self.previous)
            .find(|key| key.id == id)
    }
}

impl Key {
    fn new(id: &str, secret: &[u8]) -> Result<Self, KeyError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !(1..=32).contains(&id.len()) || !id.bytes().all(plain) {
            return Err(KeyError::InvalidId);
        }
        if secret.len() < 32 {
            return Err(KeyError::ShortSecret);
        }
        let mac = Hmac::new_from_slice(secret).map_err(|_| KeyError::ShortSecret)?;
        Ok(Self {
            id: id.to_owned(),
            mac,
        })
    }
}

/// Why a key is refused. Says nothing about the secret itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The name of the key breaks the rules.
    #[error("the id of a key is 1 to 32 letters, digits, `_` and `-`")]
    InvalidId,
    /// Two keys of the same name.
    #[error("every key needs an id of its own")]
    DuplicateId,
    /// A secret that could be guessed.
    #[error("the secret of a key has at least 32 bytes; create one with `openssl rand -base64 48`")]
    ShortSecret,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let previous: Vec<&str> = self.previous.iter().map(|key| key.id.as_str()).collect();
        f.debug_struct("Keys")
            .field("current", &self.current.id)
            .field("previous", &previous)
            .finish_non_exhaustive()
    }
}
