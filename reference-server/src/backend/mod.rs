//! The client of the marketplace's REST API: the same code whether the API runs in this process,
//! in another one, or at a real company.
//!
//! [`Backend`] knows where the API is and what proves that we may ask; an [`Ask`] is one request in
//! the name of one caller. What can go wrong, and how a model reads it, is in `refusal`.

mod ask;
mod in_process;
mod refusal;
mod remote;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use mcp_runtime::tenant_signature::Signer;
use mcp_runtime::{BootError, Caller, Result, Tenant, ToolResult};
use serde_json::Value;

pub use self::ask::Ask;
pub(crate) use self::remote::is_loopback;
use crate::secret::Secret;

/// What precedes every path of the API.
const BASE: &str = "/api/v1/admin/mcp";

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 8 << 20;

/// A client of the REST API. Clones share connections.
#[derive(Clone)]
pub struct Backend(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    way: Way,
    /// `Bearer <service token>`, marked as sensitive.
    authorization: HeaderValue,
    limits: Limits,
    /// Says for which tenant we ask.
    signer: Option<Signer>,
    /// The same for the records API, which is never asked without.
    record_signer: Option<Signer>,
    /// Hears whose records were changed from here.
    record_ear: Option<RecordEar>,
}

/// Takes the owner of records, as [`Caller::owner`] names them.
type RecordEar = Arc<dyn Fn(&str) + Send + Sync>;

#[derive(Clone)]
enum Way {
    InProcess(Router),
    Remote(remote::Remote),
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// To open a connection.
    pub connect: Duration,
    /// Between two pieces of an answer.
    pub read: Duration,
    /// A call that reads, as a whole.
    pub call: Duration,
    /// A call that previews or sends invites, as a whole.
    pub invite: Duration,
    /// Of a call that reads, spent on waiting until the API takes requests again (429).
    pub call_patience: Duration,
    /// Of a call that invites, likewise.
    pub invite_patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            read: Duration::from_secs(30),
            call: Duration::from_secs(30),
            invite: Duration::from_secs(60),
            call_patience: Duration::from_secs(15),
            invite_patience: Duration::from_secs(45),
        }
    }
}

impl Backend {
    /// An API in this process: its router is called, no socket is opened.
    ///
    /// # Errors
    /// When the token cannot stand in a header.
    pub fn in_process(router: Router, token: &Secret, limits: Limits) -> Result<Self> {
        Self::new(Way::InProcess(router), token, limits)
    }

    /// An API at this base URL, like `https://api.example.com`.
    ///
    /// # Errors
    /// When the URL or the token cannot be used.
    pub fn remote(url: &str, token: &Secret, limits: Limits) -> Result<Self> {
        Self::new(
            Way::Remote(remote::Remote::new(url, limits)?),
            token,
            limits,
        )
    }

    fn new(way: Way, token: &Secret, limits: Limits) -> Result<Self> {
        // The error of the header would be enough to guess parts of the token from.
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.reveal()))
            .map_err(|_| {
                BootError::new("backend.service_token has characters that no header takes")
            })?;
        authorization.set_sensitive(true);
        Ok(Self(Arc::new(Inner {
            way,
            authorization,
            limits,
            signer: None,
            record_signer: None,
            record_ear: None,
        })))
    }

    /// Signs every request for the tenant of its caller. Whoever has none is refused then.
    #[must_use]
    pub fn signed_by(self, signer: Signer) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        inner.signer = Some(signer);
        Self(Arc::new(inner))
    }

    /// Signs requests to the records API, which takes no others.
    #[must_use]
    pub fn with_records(self, signer: Signer) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        inner.record_signer = Some(signer);
        Self(Arc::new(inner))
    }

    /// Has `hear` called with the owner of records after each change that is made from here. For an
    /// API that does not tell by itself, because it is elsewhere.
    #[must_use]
    pub fn on_record_change(self, hear: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        inner.record_ear = Some(Arc::new(hear));
        Self(Arc::new(inner))
    }

    /// Asks for something, in the name of `caller`.
    pub fn get(&self, caller: &Caller, endpoint: &'static str) -> Ask<'_> {
        Ask::get(self, caller, endpoint)
    }

    /// Asks for something to be done, in the name of `caller`. Takes its time: up to the limit of
    /// the calls that invite.
    pub fn post(&self, caller: &Caller, endpoint: &'static str, body: Value) -> Ask<'_> {
        Ask::post(self, caller, endpoint, body)
    }

    /// Asks the records API for something, in the name of `caller`, whose tenant this is.
    ///
    /// # Errors
    /// When this client has nothing to sign such requests with.
    pub fn records(
        &self,
        caller: &Caller,
        tenant: &Tenant,
        method: Method,
        endpoint: &'static str,
    ) -> ToolResult<Ask<'_>> {
        Ask::of_records(self, caller, tenant, method, endpoint)
    }

    /// What precedes all paths, where the API is not at the root.
    fn prefix(&self) -> &str {
        match &self.0.way {
            Way::InProcess(_) => "",
            Way::Remote(remote) => remote.prefix(),
        }
    }

    async fn send(&self, request: Request<Bytes>) -> std::result::Result<Response<Bytes>, Lost> {
        match &self.0.way {
            Way::InProcess(router) => in_process::send(router, request).await,
            Way::Remote(remote) => remote.send(request).await,
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
enum Lost {
    TimedOut(Duration),
    TooLarge,
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way: &dyn fmt::Debug = match &self.0.way {
            Way::InProcess(_) => &"in-process",
            Way::Remote(remote) => remote,
        };
        f.debug_struct("Backend")
            .field("way", way)
            .field("limits", &self.0.limits)
            .finish()
    }
}
