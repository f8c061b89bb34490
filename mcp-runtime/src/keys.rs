//! The secrets of a server, from which every key is derived that it signs or seals with.

use std::fmt;
use std::io::Read;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::confirm;
use crate::digest::hex;
use crate::error::{BootError, Result};

/// The least bytes of a secret.
const MIN_SECRET: usize = 32;
/// A file that is larger is not one of secrets.
const MAX_FILE: u64 = 64 << 10;

/// What several instances of a server have in common: a secret, and older ones while it is being
/// replaced.
///
/// What one instance gives to a client — questions on their way, tokens to confirm a call — the
/// others accept if they have the same keys. Without any, each process makes its own, and what it
/// gave out ends with it.
///
/// ```
/// use mcp_runtime::Keys;
///
/// # fn main() -> mcp_runtime::Result {
/// let old = b"Zx8vTq3LmN5pRw7yBc2dFg4hJk6s9AeU";
/// let keys = Keys::new(b"Qm4nVb7xCz2LkJh9GfDs3ApOi8UyTr5E")?.older(old)?;
/// assert!(!format!("{keys:?}").contains("Zx8v"));
/// # Ok(())
/// # }
/// ```
///
/// To replace the secret: add the new one as an older one everywhere, then make it the first one
/// everywhere, and drop the old one when nothing is under way that it sealed, half an hour later.
#[derive(Clone)]
pub struct Keys {
    /// The first signs and seals; all are accepted.
    roots: Vec<Vec<u8>>,
}

/// What a derived key is for. Labels are part of what is derived: they never change.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    RequestState,
    ConfirmToken,
    #[cfg(feature = "auth")]
    OAuthProxy,
}

impl Keys {
    /// One secret of at least 32 bytes, as `openssl rand -base64 48` makes them.
    ///
    /// # Errors
    /// When it is shorter, or looks like one that was only meant as an example.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self> {
        let secret = secret.as_ref();
        check(secret).map_err(|why| BootError::new(format!("a secret of the server {why}")))?;
        Ok(Self {
            roots: vec![secret.to_vec()],
        })
    }

    /// Also accepts what was made with this secret.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when the secret is there already.
    pub fn older(mut self, secret: impl AsRef<[u8]>) -> Result<Self> {
        let Self { roots } = Self::new(secret)?;
        if roots.iter().any(|root| self.roots.contains(root)) {
            return Err(BootError::new(
                "a secret of the server is named twice: an older one has to be another one",
            ));
        }
        self.roots.extend(roots);
        Ok(self)
    }

    /// Reads the secrets from an environment variable, separated by white space, the newest first.
    ///
    /// # Errors
    /// When it is not set, or has a secret that is refused. The error names the variable and
    /// nothing of its value.
    pub fn from_env(name: &str) -> Result<Self> {
        let text = std::env::var(name).map_err(|_| {
            BootError::new(format!(
                "the environment variable {name} has no secret in it: set it to what `openssl rand -base64 48` prints"
            ))
        })?;
        Self::read(&text, &format!("the environment variable {name}"))
    }

    /// Reads the secrets from a file, one a line, the newest first.
    ///
    /// # Errors
    /// When it cannot be read, or has a secret that is refused. The error names the file and
    /// nothing of what is in it.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let place = format!("the file {}", path.display());
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
            .map_err(|error| BootError::new(format!("{place} cannot be read: {error}")))?;
        Self::read(&text, &place)
    }

    fn read(text: &str, place: &str) -> Result<Self> {
        let told = |error: BootError| BootError::new(format!("{place}: {error}"));
        let mut secrets = text.split_whitespace();
        let first = secrets
            .next()
            .ok_or_else(|| BootError::new(format!("{place} has no secret in it")))?;
        secrets
            .try_fold(Self::new(first).map_err(told)?, |keys, secret| {
                keys.older(secret)
            })
            .map_err(told)
    }

    /// The keys of a part of a server, by its name: what is made with those of one part is nothing
    /// to another, nor to the whole.
    #[must_use]
    pub fn of_part(&self, name: &str) -> Self {
        let label = format!("mcp part of a server 1: {name}");
        let roots = self.roots.iter();
        Self {
            roots: roots.map(|root| derive(root, &label).to_vec()).collect(),
        }
    }

    /// The keys for one purpose, each with an id that tells it from the others and nothing more.
    pub(crate) fn derive(&self, purpose: Purpose) -> Vec<(String, [u8; 32])> {
        self.roots
            .iter()
            .map(|root| {
                let id = derive(root, purpose.labels().0);
                (hex(&id[..8]), derive(root, purpose.labels().1))
            })
            .collect()
    }

    /// The keys that sign tokens.
    pub(crate) fn of_tokens(&self) -> Result<confirm::Keys> {
        let told = |error: confirm::KeyError| BootError::new(error.to_string());
        let derived = self.derive(Purpose::ConfirmToken);
        let mut derived = derived.iter();
        let Some((id, key)) = derived.next() else {
            return Ok(confirm::Keys::random());
        };
        derived
            .try_fold(
                confirm::Keys::new(id, key).map_err(told)?,
                |keys, (id, key)| keys.with_previous(id, key),
            )
            .map_err(told)
    }
}

impl Purpose {
    fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::RequestState => ("mcp request state, id 1", "mcp request state, key 1"),
            Self::ConfirmToken => ("mcp confirm token, id 1", "mcp confirm token, key 1"),
            #[cfg(feature = "auth")]
            Self::OAuthProxy => ("mcp oauth proxy, id 1", "mcp oauth proxy, key 1"),
        }
    }
}

/// HMAC-SHA256 of a label: as good as a key of its own for everybody without the root.
fn derive(root: &[u8], label: &str) -> [u8; 32] {
    Hmac::<Sha256>::new_from_slice(root)
        .expect("a key of HMAC has any length")
        .chain_update(label)
        .finalize()
        .into_bytes()
        .into()
}

/// Why a secret is none. Says nothing of the secret.
fn check(secret: &[u8]) -> std::result::Result<(), String> {
    const MAKE: &str = "make one with `openssl rand -base64 48`";
    if secret.len() < MIN_SECRET {
        return Err(format!(
            "has {} bytes, and {MIN_SECRET} is the least: {MAKE}",
            secret.len()
        ));
    }
    let distinct: std::collections::BTreeSet<u8> = secret.iter().copied().collect();
    let text = String::from_utf8_lossy(secret).to_ascii_lowercase();
    let meant_to_be_replaced = [
        "changeme",
        "change-me",
        "change_me",
        "placeholder",
        "example",
        "your-secret",
        "your_secret",
        "yoursecret",
        "replace-",
        "replace_",
        "replaceme",
        "password",
        "0123456789",
        "abcdefgh",
        "insecure",
    ];
    if distinct.len() < 8 || meant_to_be_replaced.iter().any(|word| text.contains(word)) {
        return Err(format!("looks like a placeholder: {MAKE}"));
    }
    Ok(())
}

/// Secrets do not show themselves.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("secrets", &self.roots.len())
            .finish_non_exhaustive()
    }
}
