use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::OriginalUri;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use jiff::Timestamp;
use subtle::Choice;
use tower_layer::Layer;
use tower_service::Service;

use super::{Signed, SigningKey, V2_MARK, Version, headers, text_v1};
use crate::caller::Caller;
use crate::clock::Clock;
use crate::digest::sha256_hex;
use crate::store::{Store, StoreError};
use crate::tenant::Tenant;

/// How far the clocks of two machines and the way between them may be apart.
const WINDOW: Duration = Duration::from_secs(300);
/// The largest body that version 2 reads, unless said otherwise.
const MAX_BODY: usize = 1 << 20;

/// A layer that lets only requests with good tenant headers through, with their [`Tenant`] among
/// their extensions.
///
/// Goes inside of whatever authenticates: where that leaves an `Arc<Caller>` among the extensions,
/// its tenant has to be the signed one. Over [`Service::router`](crate::Service::router) it makes
/// sure that the access token of each request names the signed tenant.
///
/// | answer | when |
/// |---|---|
/// | 401 `Unauthorized: invalid tenant headers` | a header is missing, repeated, unreadable or out of time; the signature is wrong; a nonce is used again |
/// | 403 | the access token is for another tenant |
/// | 413 | a body is larger than version 2 reads |
/// | 503 | nonces cannot be remembered at the moment |
///
/// Which of the reasons it was stands in the log.
#[derive(Clone)]
pub struct VerifyTenant {
    /// The current one and, during a rotation, the one before.
    keys: Vec<SigningKey>,
    window: Duration,
    clock: Clock,
    /// Where used nonces are remembered; with it, signatures are of version 2.
    nonces: Option<Arc<dyn Store>>,
    max_body: usize,
}

impl VerifyTenant {
    /// Accepts signatures of [`Version::V1`] with this key, up to 300 seconds old or early.
    pub fn new(key: SigningKey, clock: Clock) -> Self {
        Self {
            keys: vec![key],
            window: WINDOW,
            clock,
            nonces: None,
            max_body: MAX_BODY,
        }
    }

    /// Also accepts what this key has signed: the one before, until every signer has the new one.
    #[must_use]
    pub fn previous(mut self, key: SigningKey) -> Self {
        self.keys.truncate(1);
        self.keys.push(key);
        self
    }

    /// How far a timestamp may lie in the past or in the future.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Accepts signatures of [`Version::V2`] instead. Processes that serve one API share `nonces`,
    /// or a request is good once for each of them.
    #[must_use]
    pub fn version2(mut self, nonces: Arc<dyn Store>) -> Self {
        self.nonces = Some(nonces);
        self
    }

    /// The largest body in bytes that version 2 takes; 1 MiB unless said otherwise. It has to read
    /// the body as a whole before anybody sees a part of it.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Which signatures are accepted.
    pub fn version(&self) -> Version {
        match self.nonces {
            None => Version::V1,
            Some(_) => Version::V2,
        }
    }

    /// The request with its tenant, or why it stays outside.
    async fn verify(&self, mut request: Request<Body>) -> Result<Request<Body>, Refused> {
        let claim = Claim::of(request.headers(), self.version())?;
        let signed_at = self.in_time(claim.timestamp)?;
        let tenant = Tenant::new(claim.tenant).map_err(|_| Refused::Unreadable)?;
        match &self.nonces {
            None => self.check(&text_v1(&tenant, claim.timestamp), claim.signature)?,
            Some(nonces) => {
                let claim = claim.to_owned();
                let (head, body) = request.into_parts();
                let body = Limited::new(body, self.max_body).collect().await;
                let body = body.map_err(Refused::of_body)?.to_bytes();
                // Below a nested router, the request has only the rest of its path.
                let original = head.extensions.get::<OriginalUri>();
                let signed = Signed {
                    method: &head.method,
                    uri: original.map_or(&head.uri, |original| &original.0),
                    body: &body,
                    tenant: &tenant,
                    timestamp: &claim.timestamp,
                    nonce: &claim.nonce,
                };
                self.check(&signed.text(), &claim.signature)?;
                self.use_up(&**nonces, &tenant, &claim.nonce, signed_at)
                    .await?;
                request = Request::from_parts(head, Body::from(body));
            }
        }
        let caller = request.extensions().get::<Arc<Caller>>();
        if caller.is_some_and(|caller| !agrees(caller, &tenant)) {
            return Err(Refused::OtherTenant);
        }
        request.extensions_mut().insert(tenant);
        Ok(request)
    }

    fn in_time(&self, timestamp: &str) -> Result<Timestamp, Refused> {
        // `parse` alone would take a sign, too.
        let digits = (1..=15).contains(&timestamp.len())
            && timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let milliseconds = timestamp.parse().ok().filter(|_| digits);
        let signed_at = milliseconds
            .and_then(|at| Timestamp::from_millisecond(at).ok())
            .ok_or(Refused::Unreadable)?;
        let apart = self.clock.now().duration_since(signed_at).unsigned_abs();
        if apart > self.window {
            return Err(Refused::OutsideWindow);
        }
        Ok(signed_at)
    }

    /// Asks every key, so that the time does not tell which of them it was.
    fn check(&self, text: &str, signature: &str) -> Result<(), Refused> {
        let good = self.keys.iter().fold(Choice::from(0), |good, key| {
            good | key.signed(text, signature)
        });
        if good.into() {
            Ok(())
        } else {
            Err(Refused::Signature)
        }
    }

    /// Only nonces of good signatures get here: nobody else fills the store.
    async fn use_up(
        &self,
        nonces: &dyn Store,
        tenant: &Tenant,
        nonce: &str,
        signed_at: Timestamp,
    ) -> Result<(), Refused> {
        // Until then the timestamp is good; and the clocks of those who share a store differ.
        let forget_at = signed_at
            .checked_add(self.window.saturating_mul(2))
            .unwrap_or(Timestamp::MAX);
        let key = format!(
            "mcp:tenant-nonce:{}",
            sha256_hex(format!("{tenant}:{nonce}"))
        );
        match nonces.put_if_absent(&key, b"", forget_at).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refused::Replayed),
            Err(error) => Err(Refused::Store(error)),
        }
    }
}

/// Whether a caller may come with these headers. Who has no identity acts for nobody, and gets to
/// what is public only.
pub(crate) fn agrees(caller: &Caller, tenant: &Tenant) -> bool {
    caller
        .principal()
        .is_none_or(|principal| principal.tenant() == Some(tenant.as_str()))
}

/// What the headers say, before any of it is believed.
struct Claim<T> {
    tenant: T,
    timestamp: T,
    /// In hexadecimal, without the mark of its version.
    signature: T,
    nonce: T,
}

impl<'a> Claim<&'a str> {
    fn of(headers: &'a HeaderMap, version: Version) -> Result<Self, Refused> {
        headers::refuse_look_alikes(headers)?;
        let tenant = headers::only(headers, &headers::TENANT)?;
        let timestamp = headers::only(headers, &headers::TIMESTAMP)?;
        let signature = headers::only(headers, &headers::SIGNATURE)?;
        let (signature, nonce) = match version {
            Version::V1 => (Some(signature), ""),
            Version::V2 => (
                signature.strip_prefix(V2_MARK),
                headers::only(headers, &headers::NONCE)?,
            ),
        };
        let of_length = |length: usize| move |text: &&str| text.len() == length && is_hex(text);
        let signature = signature.filter(of_length(64)).ok_or(Refused::Unreadable)?;
        if version == Version::V2 && !of_length(32)(&nonce) {
            return Err(Refused::Unreadable);
        }
        Ok(Self {
            tenant,
            timestamp,
            signature,
            nonce,
        })
    }

    fn to_owned(&self) -> Claim<String> {
        Claim {
            tenant: self.tenant.to_owned(),
            timestamp: self.timestamp.to_owned(),
            signature: self.signature.to_owned(),
            nonce: self.nonce.to_owned(),
        }
    }
}

/// In small letters only: a nonce in others would be another one.
fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Why a request stays outside. The log tells them apart, the answer hardly does.
#[derive(Debug)]
pub(super) enum Refused {
    Missing,
    Repeated,
    LookAlike,
    Unreadable,
    OutsideWindow,
    Signature,
    Replayed,
    OtherTenant,
    TooLarge,
    BrokenBody,
    Store(StoreError),
}

impl Refused {
    fn of_body(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        if error.is::<LengthLimitError>() {
            Self::TooLarge
        } else {
            Self::BrokenBody
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Missing => "tenant_header_missing",
            Self::Repeated => "tenant_header_repeated",
            Self::LookAlike => "tenant_header_look_alike",
            Self::Unreadable => "tenant_header_unreadable",
            Self::OutsideWindow => "tenant_timestamp_outside_window",
            Self::Signature => "tenant_signature_wrong",
            Self::Replayed => "tenant_nonce_used",
            Self::OtherTenant => "tenant_of_token_differs",
            Self::TooLarge => "body_too_large",
            Self::BrokenBody => "body_broken",
            Self::Store(_) => "tenant_nonces_unavailable",
        }
    }

    fn answer(&self) -> Response {
        let outcome = self.word();
        match self {
            Self::Store(error) => {
                let cause = std::error::Error::source(error).map(ToString::to_string);
                tracing::error!(target: "mcp::auth", outcome, %error, cause, "request refused");
            }
            _ => tracing::info!(target: "mcp::auth", outcome, "request refused"),
        }
        let (status, text) = match self {
            Self::OtherTenant => (
                StatusCode::FORBIDDEN,
                "Forbidden: the access token is for another tenant",
            ),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::BrokenBody => (StatusCode::BAD_REQUEST, "The body ended early"),
            Self::Store(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Tenant headers cannot be checked at the moment",
            ),
            _ => (
                StatusCode::UNAUTHORIZED,
                "Unauthorized: invalid tenant headers",
            ),
        };
        let mut answer = (status, text).into_response();
        if let Self::Store(_) = self {
            let headers = answer.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        answer
    }
}

impl<S> Layer<S> for VerifyTenant {
    type Service = TenantVerified<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TenantVerified {
            verify: Arc::new(self.clone()),
            inner,
        }
    }
}

/// A service behind [`VerifyTenant`].
#[derive(Clone, Debug)]
pub struct TenantVerified<S> {
    verify: Arc<VerifyTenant>,
    inner: S,
}

impl<S> Service<Request<Body>> for TenantVerified<S>
where
    S: Service<Request<Body>, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The one that was asked whether it is ready is the one to call.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let verify = Arc::clone(&self.verify);
        Box::pin(async move {
            match verify.verify(request).await {
                Ok(request) => inner.call(request).await,
                Err(refused) => Ok(refused.answer()),
            }
        })
    }
}

impl std::fmt::Debug for VerifyTenant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyTenant")
            .field("keys", &self.keys.len())
            .field("window", &self.window)
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}
