//! Tokens that are written down.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::{AuthError, Authenticate, Authentication, token_digest};
use crate::caller::Caller;
use crate::error::BootError;

/// What is shorter can be guessed.
const MIN_TOKEN: usize = 16;

/// A file of tokens is not larger than this.
const MAX_FILE: u64 = 1 << 20;

/// Fixed tokens, each with its caller. Kept as SHA-256 digests and compared in constant time.
///
/// ```
/// use mcp_runtime::{Caller, StaticTokens};
///
/// let tokens = StaticTokens::new().token("correct horse battery staple", Caller::user("ada").scope("refunds:write"));
/// ```
#[derive(Clone, Default)]
pub struct StaticTokens {
    known: Vec<([u8; 32], Arc<Caller>)>,
}

impl StaticTokens {
    /// No tokens yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a token and who holds it.
    #[must_use]
    pub fn token(self, token: impl AsRef<str>, caller: Caller) -> Self {
        self.digest(token_digest(token.as_ref()), caller)
    }

    /// Adds a token of which only the SHA-256 digest is known.
    #[must_use]
    pub fn digest(mut self, digest: [u8; 32], caller: Caller) -> Self {
        self.known.push((digest, Arc::new(caller)));
        self
    }

    /// Adds the token that an environment variable holds.
    ///
    /// # Errors
    /// When the variable is not set, or its token has fewer than 16 characters or a space.
    pub fn token_from_env(self, variable: &str, caller: Caller) -> Result<Self, BootError> {
        let place = format!("the environment variable {variable}");
        let text = std::env::var(variable)
            .map_err(|_| BootError::new(format!("{place} is not set; it holds an access token")))?;
        Ok(self.token(one_token(&place, &text)?, caller))
    }

    /// Adds the token that a file holds, and nothing else but blanks around it.
    ///
    /// # Errors
    /// When the file cannot be read, or its token has fewer than 16 characters or a space.
    pub fn token_from_file(
        self,
        path: impl AsRef<Path>,
        caller: Caller,
    ) -> Result<Self, BootError> {
        let (place, text) = read(path.as_ref())?;
        Ok(self.token(one_token(&place, &text)?, caller))
    }

    /// Reads tokens from an environment variable that holds a JSON object, from token to holder:
    /// `{"<token>": {"subject": "ada", "scopes": ["refunds:write"], "roles": [], "tenant": "acme"}}`.
    ///
    /// # Errors
    /// When the variable is not set or is not such an object, or a token has fewer than 16
    /// characters. Says what is wrong without showing a token.
    pub fn from_env(variable: &str) -> Result<Self, BootError> {
        let place = format!("the environment variable {variable}");
        let text = std::env::var(variable).map_err(|_| problem(&place, "is not set"))?;
        Self::from_json(&place, &text)
    }

    /// Reads tokens from a file that holds a JSON object like that of [`from_env`](Self::from_env).
    ///
    /// # Errors
    /// When the file cannot be read or is not such an object, or a token has fewer than 16
    /// characters. Says what is wrong without showing a token.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, BootError> {
        let (place, text) = read(path.as_ref())?;
        Self::from_json(&place, &text)
    }

    fn from_json(place: &str, text: &str) -> Result<Self, BootError> {
        let holders: BTreeMap<String, Holder> = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            problem(
                place,
                &format!("cannot be read (line {line}, column {column})"),
            )
        })?;
        let mut tokens = Self::new();
        for (token, holder) in holders {
            if token.len() < MIN_TOKEN {
                return Err(problem(place, "has a token with fewer than 16 characters"));
            }
            tokens = tokens.token(token, holder.into());
        }
        Ok(tokens)
    }

    /// Who holds this token. Takes as long for every token, known or not.
    pub fn holder(&self, token: &str) -> Option<Arc<Caller>> {
        let sent = token_digest(token);
        let mut holder = None;
        for (known, caller) in &self.known {
            if bool::from(known.ct_eq(&sent)) {
                holder = Some(Arc::clone(caller));
            }
        }
        holder
    }
}

impl Authenticate for StaticTokens {
    fn authenticate<'a>(&'a self, token: &'a str) -> Authentication<'a> {
        Box::pin(std::future::ready(
            self.holder(token).ok_or(AuthError::Invalid),
        ))
    }
}

impl std::fmt::Debug for StaticTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StaticTokens")
            .field("known", &self.known.len())
            .finish()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Holder {
    subject: String,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    roles: Vec<String>,
    tenant: Option<String>,
}

impl From<Holder> for Caller {
    fn from(holder: Holder) -> Self {
        let caller = Self::user(holder.subject)
            .scopes(holder.scopes)
            .roles(holder.roles);
        match holder.tenant {
            Some(tenant) => caller.tenant(tenant),
            None => caller,
        }
    }
}

fn problem(place: &str, what: &str) -> BootError {
    BootError::new(format!(
        "{place} {what}; it holds access tokens as JSON, like \
         {{\"<token>\": {{\"subject\": \"ada\", \"scopes\": [\"refunds:write\"]}}}}"
    ))
}

fn read(path: &Path) -> Result<(String, String), BootError> {
    let place = format!("the file {}", path.display());
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text))
        .map_err(|error| BootError::new(format!("{place} cannot be read: {error}")))?;
    if read as u64 > MAX_FILE {
        return Err(BootError::new(format!(
            "{place} is larger than {MAX_FILE} bytes"
        )));
    }
    Ok((place, text))
}

/// The one token in a text, without the line break that editors put behind it.
fn one_token<'a>(place: &str, text: &'a str) -> Result<&'a str, BootError> {
    let token = text.trim();
    if token.len() < MIN_TOKEN || token.contains(|c: char| !c.is_ascii_graphic()) {
        return Err(BootError::new(format!(
            "{place} does not hold an access token: that has at least {MIN_TOKEN} characters, \
             none of them a blank"
        )));
    }
    Ok(token)
}
