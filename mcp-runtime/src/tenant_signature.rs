//! Signed headers that tell an API for which tenant a server of ours asks.
//!
//! A [`Signer`] puts them on outbound requests; [`VerifyTenant`] is the layer of the API that
//! checks them and hands the [`Tenant`] to handlers, as an extension of the request.
//!
//! | header | holds |
//! |---|---|
//! | `X-TB-Tenant-ID` | the id of the tenant |
//! | `X-TB-Timestamp` | when it was signed, in milliseconds since 1970 |
//! | `X-TB-Signature` | HMAC-SHA256 in lower-case hexadecimal; version 2 puts `v2=` in front |
//! | `X-TB-Nonce` | version 2 only: 32 hexadecimal digits, good for one request |
//!
//! [Version 1](Version::V1) signs `{tenant}:{timestamp}` alone: whoever sees one request can send
//! others in its name until the window closes. [Version 2](Version::V2) signs the request.
//!
//! ```
//! use axum::body::Body;
//! use axum::{Extension, Router, http::Request, routing::get};
//! use mcp_runtime::tenant_signature::{Signer, SigningKey, VerifyTenant};
//! use mcp_runtime::{Clock, Tenant};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = SigningKey::new("a secret of at least thirty-two bytes")?;
//! let api = Router::new()
//!     .route("/items", get(|Extension(tenant): Extension<Tenant>| async move { tenant.to_string() }))
//!     .layer(VerifyTenant::new(key.clone(), Clock::system()));
//!
//! let mut request = Request::get("/items").body(Body::empty())?;
//! assert_eq!(api.clone().oneshot(request).await?.status(), 401);
//!
//! request = Request::get("/items").body(Body::empty())?;
//! let signer = Signer::new(key, Clock::system());
//! signer.sign(&"org_a".parse()?, &mut request, b"");
//! assert_eq!(api.oneshot(request).await?.status(), 200);
//! # Ok(())
//! # }
//! ```

mod headers;
mod key;
mod verify;

use http::{HeaderMap, HeaderValue, Method, Request, Uri};

use crate::clock::Clock;
use crate::digest::{hex, random, sha256_hex};
use crate::tenant::Tenant;

pub use key::SigningKey;
pub(crate) use verify::agrees;
pub use verify::{TenantVerified, VerifyTenant};

/// What a signature covers. Both sides have to agree: a version is never chosen by a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// Tenant and timestamp.
    #[default]
    V1,
    /// Method, path, query, body, tenant, timestamp, and a nonce that is good for one request.
    V2,
}

/// Signs outbound requests.
#[derive(Clone, Debug)]
pub struct Signer {
    key: SigningKey,
    version: Version,
    clock: Clock,
}

impl Signer {
    /// Signs with this key, as [`Version::V1`].
    pub fn new(key: SigningKey, clock: Clock) -> Self {
        Self {
            key,
            version: Version::V1,
            clock,
        }
    }

    /// Signs as this version.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Signs a request that carries `body` in the name of `tenant`, as of now: sign again for
    /// every attempt. Whatever the request had that looks like one of the headers is taken off.
    ///
    /// Method, path and query have to be those that the API will see.
    ///
    /// # Panics
    /// When the operating system gives no randomness (version 2).
    pub fn sign<B>(&self, tenant: &Tenant, request: &mut Request<B>, body: &[u8]) {
        headers::strip(request.headers_mut());
        let timestamp = self.clock.now().as_millisecond().to_string();
        match self.version {
            Version::V1 => {
                let signature = self.key.sign(&text_v1(tenant, &timestamp));
                put(request.headers_mut(), tenant, timestamp, signature);
            }
            Version::V2 => {
                let nonce = hex(&random::<16>());
                let signed = Signed {
                    method: request.method(),
                    uri: request.uri(),
                    body,
                    tenant,
                    timestamp: &timestamp,
                    nonce: &nonce,
                };
                let signature = format!("{V2_MARK}{}", self.key.sign(&signed.text()));
                let headers = request.headers_mut();
                put(headers, tenant, timestamp, signature);
                headers.insert(headers::NONCE, value(nonce));
            }
        }
    }
}

/// What precedes a signature of version 2.
const V2_MARK: &str = "v2=";

fn text_v1(tenant: &Tenant, timestamp: &str) -> String {
    format!("{tenant}:{timestamp}")
}

/// What version 2 signs.
struct Signed<'a> {
    method: &'a Method,
    uri: &'a Uri,
    body: &'a [u8],
    tenant: &'a Tenant,
    timestamp: &'a str,
    nonce: &'a str,
}

impl Signed<'_> {
    /// A line each: none of them can hold a line break, so no two requests have one text. No text
    /// of version 1 has more than one line.
    fn text(&self) -> String {
        let (path, body) = (self.uri.path_and_query(), sha256_hex(self.body));
        format!(
            "v2\n{}\n{}\n{body}\n{}\n{}\n{}",
            self.method,
            path.map_or("/", |path| path.as_str()),
            self.tenant,
            self.timestamp,
            self.nonce
        )
    }
}

fn put(headers: &mut HeaderMap, tenant: &Tenant, timestamp: String, signature: String) {
    headers.insert(headers::TENANT, value(tenant.to_string()));
    headers.insert(headers::TIMESTAMP, value(timestamp));
    let mut signature = value(signature);
    signature.set_sensitive(true);
    headers.insert(headers::SIGNATURE, signature);
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("letters, digits, `_`, `-` and `=` only")
}
