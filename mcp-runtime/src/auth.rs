//! From a bearer token to a caller.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::caller::Caller;
use crate::error::BootError;

/// Turns tokens into callers.
pub trait Authenticate: Send + Sync + 'static {
    /// Who holds this token.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for a token that is not good, [`AuthError::Unavailable`] when that
    /// cannot be found out now. Neither lets anybody in.
    fn authenticate<'a>(&'a self, token: &'a str) -> Authentication<'a>;

    /// The authorization servers whose tokens are taken (their issuer URLs), for the metadata that
    /// tells clients where to get one. None, unless said otherwise: then none is published.
    fn authorization_servers(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The answer of [`Authenticate`], to be awaited.
pub type Authentication<'a> =
    Pin<Box<dyn Future<Output = Result<Arc<Caller>, AuthError>> + Send + 'a>>;

/// Why a token does not make a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Unknown, forged, expired, or meant for somebody else.
    #[error("the access token is not valid")]
    Invalid,
    /// Whoever could tell cannot be asked.
    #[error("access tokens cannot be checked at the moment")]
    Unavailable,
}

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

    /// Reads tokens from an environment variable that holds a JSON object, from token to holder:
    /// `{"<token>": {"subject": "ada", "scopes": ["refunds:write"], "roles": [], "tenant": "acme"}}`.
    ///
    /// # Errors
    /// When the variable is not set or is not such an object, or a token has fewer than 16
    /// characters. Says what is wrong without showing a token.
    pub fn from_env(variable: &str) -> Result<Self, BootError> {
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
        let problem = |what: &str| {
            BootError::new(format!(
                "the environment variable {variable} {what}; it holds access tokens as JSON, like \
                 {{\"<token>\": {{\"subject\": \"ada\", \"scopes\": [\"refunds:write\"]}}}}"
            ))
        };
        let text = std::env::var(variable).map_err(|_| problem("is not set"))?;
        let holders: std::collections::BTreeMap<String, Holder> = serde_json::from_str(&text)
            .map_err(|error| {
                problem(&format!(
                    "cannot be read (line {}, column {})",
                    error.line(),
                    error.column()
                ))
            })?;
        let mut tokens = Self::new();
        for (token, holder) in holders {
            if token.len() < 16 {
                return Err(problem("has a token with fewer than 16 characters"));
            }
            let mut caller = Caller::user(holder.subject)
                .scopes(holder.scopes)
                .roles(holder.roles);
            if let Some(tenant) = holder.tenant {
                caller = caller.tenant(tenant);
            }
            tokens = tokens.token(token, caller);
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

/// The SHA-256 digest under which a token is known.
pub fn token_digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
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
