use std::fmt;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::digest::hex;
use crate::error::{BootError, Result};

/// The shortest secret, in bytes: as long as what SHA-256 makes of it.
const MIN_SECRET: usize = 32;

/// A secret that the signing and the verifying side share. Shows itself nowhere.
#[derive(Clone)]
pub struct SigningKey(
    /// The hash function with the secret already in it.
    Hmac<Sha256>,
);

impl SigningKey {
    /// A key from a secret.
    ///
    /// # Errors
    /// When the secret has fewer than 32 bytes: it could be guessed from one signature.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self> {
        Self::of(secret.as_ref(), "the secret of tenant signatures")
    }

    /// A key whose secret is in an environment variable. White space at its ends does not count.
    ///
    /// # Errors
    /// When the variable is not set, is not text, or as [`new`](Self::new).
    pub fn from_env(variable: &str) -> Result<Self> {
        let whose = format!("the secret of tenant signatures (environment variable {variable})");
        let secret =
            std::env::var(variable).map_err(|_| BootError::new(format!("{whose} is not set")))?;
        Self::of(secret.trim().as_bytes(), &whose)
    }

    /// A key whose secret is in a file. White space at its ends does not count.
    ///
    /// # Errors
    /// When the file cannot be read, or as [`new`](Self::new).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let whose = format!("the secret of tenant signatures (file {})", path.display());
        let secret = std::fs::read(path)
            .map_err(|error| BootError::new(format!("{whose} cannot be read: {error}")))?;
        Self::of(secret.trim_ascii(), &whose)
    }

    fn of(secret: &[u8], whose: &str) -> Result<Self> {
        let short = || {
            BootError::new(format!(
                "{whose} has fewer than {MIN_SECRET} bytes; create one with `openssl rand -base64 48`"
            ))
        };
        if secret.len() < MIN_SECRET {
            return Err(short());
        }
        Hmac::new_from_slice(secret).map(Self).map_err(|_| short())
    }

    /// HMAC-SHA256 in lower-case hexadecimal.
    pub(super) fn sign(&self, text: &str) -> String {
        let mac = self.0.clone().chain_update(text);
        hex(&mac.finalize().into_bytes())
    }

    /// Whether `signature` is the one of `text`. Takes as long for every signature of its length.
    pub(super) fn signed(&self, text: &str, signature: &str) -> Choice {
        self.sign(text).as_bytes().ct_eq(signature.as_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(***)")
    }
}
