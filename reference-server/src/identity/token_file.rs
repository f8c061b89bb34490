//! Tokens in a file: who issues one needs no running server, and a running server knows it at
//! once.
//!
//! A line is one token: its SHA-256 digest, never itself, with who holds it until when. Lines are
//! appended under a lock; a server reads the file again whenever it has changed, so that a line
//! that is taken out is a token taken back.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use jiff::Timestamp;
use mcp_runtime::{AuthError, Authenticate, Authentication, Caller, Clock, token_digest};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::TOKEN_LIFETIME;
use crate::data;
use crate::random;

/// The tokens of a data folder.
pub struct TokenFile {
    path: PathBuf,
    clock: Clock,
    known: Mutex<Known>,
}

/// A token, as it may be told.
pub(crate) struct Held {
    pub(crate) caller: Arc<Caller>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// What the file said when it was last read.
#[derive(Default)]
struct Known {
    version: Option<(SystemTime, u64)>,
    tokens: Vec<([u8; 32], Timestamp, Arc<Caller>)>,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    sha256: String,
    subject: String,
    tenant: Option<String>,
    scopes: Vec<String>,
    roles: Vec<String>,
    expires_at: Timestamp,
}

impl TokenFile {
    /// The tokens in this data folder. The file need not be there.
    pub fn new(folder: &Path, clock: Clock) -> Self {
        Self {
            path: folder.join("tokens.jsonl"),
            clock,
            known: Mutex::default(),
        }
    }

    /// Makes a token for `caller` and remembers its digest.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn issue(&self, caller: &Caller) -> mcp_runtime::Result<String> {
        let token = format!("mcp_{}", random::secret());
        let line = Line::new(&token, caller, self.clock.now() + TOKEN_LIFETIME);
        let json = serde_json::to_string(&line).expect("a line is JSON");
        self.append(&json)
            .map_err(|error| data::trouble(&self.path, &error))?;
        Ok(token)
    }

    /// The tokens that are good now, without anything that they could be guessed from.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub(crate) fn held(&self) -> io::Result<Vec<Held>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.refresh(&self.path)?;
        let now = self.clock.now();
        let good = known.tokens.iter().filter(|(_, until, _)| now < *until);
        Ok(good
            .map(|(_, expires_at, caller)| Held {
                caller: Arc::clone(caller),
                created_at: *expires_at - TOKEN_LIFETIME,
                expires_at: *expires_at,
            })
            .collect())
    }

    fn append(&self, line: &str) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file =
            data::private(options.create(true).read(true).append(true)).open(&self.path)?;
        file.lock()?;
        // Whoever died in the middle of a line must not spoil the next.
        let torn = file.seek(SeekFrom::End(0))? > 0 && {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            last != *b"\n"
        };
        let start = if torn { "\n" } else { "" };
        file.write_all(format!("{start}{line}\n").as_bytes())?;
        file.sync_all()
    }

    /// Who holds this token.
    fn holder(&self, token: &str) -> Result<Arc<Caller>, AuthError> {
        let sent = token_digest(token);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = known.refresh(&self.path) {
            tracing::error!(%error, "the file with the tokens cannot be read");
            return Err(AuthError::Unavailable);
        }
        let now = self.clock.now();
        let mut holder = None;
        // Takes as long for every token, known or not.
        for (digest, expires_at, caller) in &known.tokens {
            if bool::from(digest.ct_eq(&sent)) && now < *expires_at {
                holder = Some(Arc::clone(caller));
            }
        }
        holder.ok_or(AuthError::Invalid)
    }
}

impl Known {
    fn refresh(&mut self, path: &Path) -> io::Result<()> {
        let metadata = match std::fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                *self = Self::default();
                return Ok(());
            }
            metadata => metadata?,
        };
        let version = Some((metadata.modified()?, metadata.len()));
        if self.version == version {
            return Ok(());
        }
        let mut file = File::open(path)?;
        file.lock_shared()?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        self.tokens = text.lines().filter_map(Line::read).collect();
        self.version = version;
        Ok(())
    }
}

impl Line {
    fn new(token: &str, caller: &Caller, expires_at: Timestamp) -> Self {
        let principal = caller.principal();
        let texts = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect();
        Self {
            sha256: token_digest(token)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            subject: caller.subject().unwrap_or_default().to_owned(),
            tenant: principal.and_then(|p| p.tenant()).map(str::to_owned),
            scopes: texts(principal.map(|p| p.scopes().collect()).unwrap_or_default()),
            roles: texts(principal.map(|p| p.roles().collect()).unwrap_or_default()),
            expires_at,
        }
    }

    /// A line that cannot be read is no token, and does not spoil the others.
    fn read(text: &str) -> Option<([u8; 32], Timestamp, Arc<Caller>)> {
        if text.trim().is_empty() {
            return None;
        }
        let line = serde_json::from_str::<Self>(text).ok();
        let token = line.and_then(|line| {
            let digest = digest(&line.sha256)?;
            let caller = Caller::user(line.subject)
                .scopes(line.scopes)
                .roles(line.roles);
            let caller = match line.tenant {
                Some(tenant) => caller.tenant(tenant),
                None => caller,
            };
            Some((digest, line.expires_at, Arc::new(caller)))
        });
        if token.is_none() {
            tracing::warn!("the file with the tokens has a line that cannot be read");
        }
        token
    }
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(digest)
}

impl Authenticate for TokenFile {
    fn authenticate<'a>(&'a self, token: &'a str) -> Authentication<'a> {
        Box::pin(std::future::ready(self.holder(token)))
    }
}

impl std::fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
