//! From a bearer token to a caller.
//!
//! [`Authenticate`] is the whole interface; everything else here is one way to fill it, usable
//! alone and in any combination:
//!
//! * [`Jwt`]: signed tokens, checked with the keys that their issuers publish;
//! * [`Introspection`]: opaque tokens, which their authorization server is asked about;
//! * [`StaticTokens`]: tokens written down in a file or the environment;
//! * [`Allowlist`]: around any of them, only people whose e-mail address is listed;
//! * [`Membership`]: around any of them, only callers that still belong to their tenant;
//! * [`any_of`]: several of them, one after the other;
//! * [`OAuthProxy`]: this server in the place of the authorization server of its clients.
//!
//! All fail closed: whoever cannot be checked is not let in, and a token that is not good never
//! makes an anonymous caller.

mod any_of;
mod static_tokens;

#[cfg(feature = "auth")]
mod allowlist;
#[cfg(feature = "auth")]
mod claims;
#[cfg(feature = "auth")]
mod decisions;
#[cfg(feature = "auth")]
mod egress;
#[cfg(feature = "auth")]
mod introspection;
#[cfg(feature = "auth")]
mod jwks;
#[cfg(feature = "auth")]
mod jwt;
#[cfg(feature = "auth")]
mod membership;
#[cfg(feature = "auth")]
pub(crate) mod oauth_proxy;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::caller::Caller;
use crate::clock::Clock;
use crate::error::Result as BootResult;

#[cfg(feature = "auth")]
pub use self::allowlist::Allowlist;
pub use self::any_of::{AnyOf, any_of};
#[cfg(feature = "auth")]
pub use self::egress::Egress;
#[cfg(feature = "auth")]
pub use self::introspection::Introspection;
#[cfg(feature = "auth")]
pub use self::jwt::{Algorithm, Jwt};
#[cfg(feature = "auth")]
pub use self::membership::Membership;
#[cfg(feature = "auth")]
pub use self::oauth_proxy::OAuthProxy;
pub use self::static_tokens::StaticTokens;

/// Turns tokens into callers.
pub trait Authenticate: Send + Sync + 'static {
    /// Who holds this token.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for a token that is not good, [`AuthError::Denied`] for a holder who
    /// is known and not let in, [`AuthError::Unavailable`] when that cannot be found out now. None
    /// of them lets anybody in.
    fn authenticate<'a>(&'a self, token: &'a str) -> Authentication<'a>;

    /// The authorization servers whose tokens are taken (their issuer URLs), for the metadata that
    /// tells clients where to get one. None, unless said otherwise: then none is published.
    fn authorization_servers(&self) -> Vec<String> {
        Vec::new()
    }

    /// Called once, when the server is built, before any token arrives. Does nothing unless said
    /// otherwise.
    ///
    /// # Errors
    /// What has to be changed before this would be safe: the server is then not built.
    fn prepare(&mut self, setup: &Setup<'_>) -> BootResult {
        let _ = setup;
        Ok(())
    }

    /// Whether a token of this shape can be one of these at all. [`any_of`] asks before it hands a
    /// token on, so that it is not sent where it does not belong. Yes unless said otherwise.
    fn takes(&self, token: &str) -> bool {
        let _ = token;
        true
    }
}

impl Authenticate for Box<dyn Authenticate> {
    fn authenticate<'a>(&'a self, token: &'a str) -> Authentication<'a> {
        (**self).authenticate(token)
    }

    fn authorization_servers(&self) -> Vec<String> {
        (**self).authorization_servers()
    }

    fn prepare(&mut self, setup: &Setup<'_>) -> BootResult {
        (**self).prepare(setup)
    }

    fn takes(&self, token: &str) -> bool {
        (**self).takes(token)
    }
}

/// The answer of [`Authenticate`], to be awaited.
pub type Authentication<'a> =
    Pin<Box<dyn Future<Output = Result<Arc<Caller>, AuthError>> + Send + 'a>>;

/// What [`Authenticate::prepare`] is told about the server.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    public_url: Option<&'a str>,
    clock: &'a Clock,
}

impl<'a> Setup<'a> {
    /// A server that clients reach under `public_url`, and that reads the time from `clock`.
    pub fn new(public_url: Option<&'a str>, clock: &'a Clock) -> Self {
        Self { public_url, clock }
    }

    /// The URL under which clients reach the endpoint; tokens are issued for it.
    pub fn public_url(&self) -> Option<&'a str> {
        self.public_url
    }

    /// Where the server reads the time of day.
    pub fn clock(&self) -> &'a Clock {
        self.clock
    }
}

/// Why a token does not make a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Unknown, forged, expired, or meant for somebody else. Another token may do (401).
    #[error("the access token is not valid")]
    Invalid,
    /// The holder is known and is not let in. No other token of theirs will do (403).
    #[error("the holder of the access token is not let in")]
    Denied,
    /// Whoever could tell cannot be asked (503).
    #[error("access tokens cannot be checked at the moment")]
    Unavailable,
}

/// The SHA-256 digest under which a token is known.
pub fn token_digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Whether a token has the shape of a signed JWT: three parts of base64url, the first of them the
/// beginning of a JSON object.
#[cfg(feature = "auth")]
fn looks_like_jwt(token: &str) -> bool {
    let mut parts = token.split('.');
    let part = |part: Option<&str>| {
        part.is_some_and(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
    };
    token.starts_with("ey")
        && part(parts.next())
        && part(parts.next())
        && part(parts.next())
        && parts.next().is_none()
}
