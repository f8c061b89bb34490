//! An identity provider for development and tests, on this machine alone.
//!
//! ```
//! use mcp_runtime::auth::{Egress, Jwt};
//! use mcp_runtime::prelude::*;
//! use mcp_runtime::testing::IdentityProvider;
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> mcp_runtime::Result {
//! let provider = IdentityProvider::start(Clock::system(), "http://127.0.0.1:8000/mcp").await?;
//! let auth = Jwt::discover(provider.issuer()).egress(Egress::new().allow_loopback());
//! let token = provider.token(json!({ "sub": "ada", "scope": "refunds:write" }));
//! # Ok(())
//! # }
//! ```

mod flow;
mod mint;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use self::mint::{Mint, Signer};
use crate::clock::Clock;
use crate::error::Result as BootResult;

/// Registered clients, codes, refresh tokens and opaque tokens, of each.
const MAX_REMEMBERED: usize = 1_000;

/// An identity provider on a loopback port, with everything that a client and a resource server
/// ask of one: metadata, keys that rotate, dynamic registration, a login page that lists its
/// users, authorization codes with PKCE, refresh tokens that rotate, userinfo and introspection.
/// Whoever opens the page may be any user: it proves nothing, and does not leave this machine.
///
/// Each endpoint can be made to fail. The provider ends when it is dropped.
pub struct IdentityProvider {
    shared: Arc<Shared>,
    served: JoinHandle<()>,
}

/// A user of an [`IdentityProvider`], whom its login page offers.
#[derive(Clone, Debug)]
pub struct User {
    /// The subject (`sub`).
    pub subject: String,
    /// What userinfo and tokens say of the e-mail address.
    pub email: String,
    /// Whether the address is said to be verified.
    pub email_verified: bool,
    /// The scopes that a client can be granted.
    pub scopes: Vec<String>,
    /// Further claims of tokens, like `roles` or `org_id`.
    pub claims: serde_json::Map<String, Value>,
}

/// What can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Endpoint {
    /// `/.well-known/…`
    Metadata,
    /// `/oauth2/jwks`
    Jwks,
    /// `/oauth2/register`
    Registration,
    /// `/oauth2/authorize`
    Authorization,
    /// `/oauth2/token`
    Token,
    /// `/oauth2/userinfo`
    Userinfo,
    /// `/oauth2/introspect`
    Introspection,
}

/// How it fails.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// An answer with this status and nothing else.
    Status(u16),
    /// No answer for a minute.
    Hang,
    /// A page where a document should be, with status 200.
    Html,
    /// This body as `application/json`.
    Json(String),
    /// A redirect to this URL.
    Redirect(String),
    /// Ten megabytes of JSON.
    Huge,
}

impl IdentityProvider {
    /// Listens on a loopback port of the system's choice, tells the time by `clock`, and issues
    /// tokens for `resource`, the public URL of a server. It has two users to begin with: `ada`,
    /// who can be granted anything, and `bob`.
    ///
    /// # Errors
    /// When there is no port to listen on.
    pub async fn start(clock: Clock, resource: impl Into<String>) -> BootResult<Self> {
        Self::start_on(([127, 0, 0, 1], 0).into(), clock, resource).await
    }

    /// As [`start`](Self::start), on a port that is known before.
    ///
    /// # Errors
    /// When the address is not one of loopback, or cannot be listened on.
    pub async fn start_on(
        address: SocketAddr,
        clock: Clock,
        resource: impl Into<String>,
    ) -> BootResult<Self> {
        if !address.ip().is_loopback() {
            return Err(crate::BootError::new(format!(
                "{address} is not a loopback address: this identity provider lets everybody in, \
                 so it stays on this machine"
            )));
        }
        let listener = TcpListener::bind(address).await?;
        let issuer = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            issuer,
            resource: resource.into(),
            clock,
            state: Mutex::new(State::new()),
        });
        let router = flow::router(Arc::clone(&shared));
        let served = tokio::spawn(async move {
            // Ends with the handle; there is nobody to tell of an error.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { shared, served })
    }

    /// The issuer, as tokens name it: `http://127.0.0.1:<port>`.
    pub fn issuer(&self) -> &str {
        &self.shared.issuer
    }

    /// The URL of an endpoint.
    pub fn url(&self, endpoint: Endpoint) -> String {
        format!("{}{}", self.shared.issuer, endpoint.path())
    }

    /// As whom a resource server asks about tokens: a client id and its secret.
    pub fn introspection_client(&self) -> (&'static str, &'static str) {
        flow::INTROSPECTION_CLIENT
    }

    /// Adds a user, or replaces the one with the same subject.
    pub fn add_user(&self, user: User) {
        let mut state = self.shared.state();
        state.users.retain(|known| known.subject != user.subject);
        state.users.push(user);
    }

    /// These users and no others.
    pub fn set_users(&self, users: impl IntoIterator<Item = User>) {
        self.shared.state().users = users.into_iter().collect();
    }

    /// A good access token with these claims in place of the usual ones: that of `ada`, for the
    /// resource, for ten minutes.
    ///
    /// # Panics
    /// When `claims` is not an object.
    pub fn token(&self, claims: Value) -> String {
        let Value::Object(claims) = claims else {
            panic!("claims are an object, not {claims}");
        };
        let mint = self.mint();
        claims
            .into_iter()
            .fold(mint, |mint, (name, value)| mint.claim(&name, value))
            .sign()
    }

    /// The beginning of a token, good or bad in any detail.
    pub fn mint(&self) -> Mint {
        let state = self.shared.state();
        Mint::new(self.shared.base_claims(), state.signing.clone())
    }

    /// A token that means nothing to anybody but introspection, which answers with these claims
    /// (over `active`, issuer, audience and the rest of what is usual).
    pub fn opaque_token(&self, claims: &Value) -> String {
        let token = format!(
            "opaque-{}",
            crate::digest::hex(&crate::digest::random::<24>())
        );
        let mut answer = self.shared.base_claims();
        answer.insert("active".to_owned(), json!(true));
        answer.insert("token_type".to_owned(), json!("Bearer"));
        for (name, value) in claims.as_object().into_iter().flatten() {
            answer.insert(name.clone(), value.clone());
        }
        let mut state = self.shared.state();
        remember(&mut state.opaque, token.clone(), Value::Object(answer));
        token
    }

    /// Publishes a new key beside the old one, and signs with it from now on.
    pub fn rotate(&self) {
        let mut state = self.shared.state();
        state.signing = Signer::Second;
        state.published = vec![Signer::First, Signer::Second];
    }

    /// Publishes these keys and no others.
    pub fn publish(&self, keys: impl IntoIterator<Item = Signer>) {
        self.shared.state().published = keys.into_iter().collect();
    }

    /// The public half of a key, as its document shows it.
    pub fn jwk(&self, signer: Signer) -> Value {
        mint::jwk(signer)
    }

    /// Makes an endpoint fail from now on.
    pub fn fail(&self, endpoint: Endpoint, fault: Fault) {
        self.shared.state().faults.insert(endpoint, fault);
    }

    /// Makes an endpoint work again.
    pub fn mend(&self, endpoint: Endpoint) {
        self.shared.state().faults.remove(&endpoint);
    }

    /// How often an endpoint was asked.
    pub fn hits(&self, endpoint: Endpoint) -> usize {
        let state = self.shared.state();
        state.hits.get(&endpoint).copied().unwrap_or(0)
    }
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        self.served.abort();
    }
}

impl std::fmt::Debug for IdentityProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("IdentityProvider")
            .field(&self.shared.issuer)
            .finish()
    }
}

impl User {
    /// A user with a verified address at example.com and these scopes.
    pub fn new<T: Into<String>>(subject: &str, scopes: impl IntoIterator<Item = T>) -> Self {
        Self {
            subject: subject.to_owned(),
            email: format!("{subject}@example.com"),
            email_verified: true,
            scopes: scopes.into_iter().map(Into::into).collect(),
            claims: serde_json::Map::new(),
        }
    }
}

impl Endpoint {
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Metadata => "/.well-known/openid-configuration",
            Self::Jwks => "/oauth2/jwks",
            Self::Registration => "/oauth2/register",
            Self::Authorization => "/oauth2/authorize",
            Self::Token => "/oauth2/token",
            Self::Userinfo => "/oauth2/userinfo",
            Self::Introspection => "/oauth2/introspect",
        }
    }
}

struct Shared {
    issuer: String,
    resource: String,
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    users: Vec<User>,
    signing: Signer,
    published: Vec<Signer>,
    faults: BTreeMap<Endpoint, Fault>,
    hits: BTreeMap<Endpoint, usize>,
    clients: Remembered<flow::Registered>,
    codes: Remembered<flow::Grant>,
    refreshes: Remembered<flow::Refresh>,
    opaque: Remembered<Value>,
}

impl State {
    fn new() -> Self {
        Self {
            users: vec![
                User::new("ada", ["*"]),
                User::new("bob", ["mcp:read", "mcp:write"]),
            ],
            signing: Signer::First,
            published: vec![Signer::First],
            faults: BTreeMap::new(),
            hits: BTreeMap::new(),
            clients: VecDeque::new(),
            codes: VecDeque::new(),
            refreshes: VecDeque::new(),
            opaque: VecDeque::new(),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn base_claims(&self) -> serde_json::Map<String, Value> {
        let now = self.now().as_second();
        let claims = json!({
            "iss": self.issuer,
            "aud": self.resource,
            "sub": "ada",
            "email": "ada@example.com",
            "email_verified": true,
            "iat": now,
            "nbf": now,
            "exp": now + 600,
            "jti": crate::digest::hex(&crate::digest::random::<12>()),
        });
        match claims {
            Value::Object(claims) => claims,
            _ => serde_json::Map::new(),
        }
    }
}

/// The newest of something, by its secret name.
type Remembered<T> = VecDeque<(String, T)>;

fn remember<T>(all: &mut Remembered<T>, name: String, thing: T) {
    if all.len() >= MAX_REMEMBERED {
        all.pop_front();
    }
    all.push_back((name, thing));
}

fn find<'a, T>(all: &'a Remembered<T>, name: &str) -> Option<&'a T> {
    all.iter()
        .find(|(known, _)| known == name)
        .map(|(_, thing)| thing)
}

fn take<T>(all: &mut Remembered<T>, name: &str) -> Option<T> {
    let at = all.iter().position(|(known, _)| known == name)?;
    all.remove(at).map(|(_, thing)| thing)
}
