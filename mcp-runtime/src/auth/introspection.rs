//! Opaque tokens: their authorization server is asked about them (RFC 7662).

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;

use super::claims::{Flaw, Implied, Rules};
use super::decisions::{self, Decisions};
use super::egress::{Egress, Lost};
use super::{AuthError, Authenticate, Authentication, Setup, looks_like_jwt, token_digest};
use crate::caller::Caller;
use crate::clock::Clock;
use crate::error::{BootError, Result as BootResult};
use crate::json::{self, Node, Object};

/// What is longer is not sent anywhere.
const MAX_TOKEN: usize = 4 << 10;

/// Bearer tokens that say nothing by themselves: the authorization server is asked, and its answer
/// is remembered for up to 55 seconds.
///
/// A token is good when the server calls it `active` and says for whom it is (`aud`) and whose
/// (`sub`); when it names an issuer, it has to be this one. A refusal is remembered for 5 seconds.
/// While the server cannot be asked, requests with tokens are answered with 503.
///
/// ```no_run
/// use mcp_runtime::auth::Introspection;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = std::env::var("INTROSPECTION_SECRET")?;
/// let auth = Introspection::new("https://as.example.com", "https://as.example.com/introspect")
///     .client("orders-server", &secret);
/// # Ok(())
/// # }
/// ```
pub struct Introspection {
    issuer: String,
    url: String,
    credentials: Option<String>,
    any_shape: bool,
    rules: Rules,
    implied: Implied,
    egress: Egress,
    keep: Duration,
    ready: Option<Ready>,
}

struct Ready {
    url: Url,
    credentials: String,
    clock: Clock,
    decisions: Decisions,
}

impl Introspection {
    /// Asks at `url` about the tokens of `issuer`.
    pub fn new(issuer: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            url: url.into(),
            credentials: None,
            any_shape: false,
            // The server is asked again and again, so a token may live for as long as it says.
            rules: Rules {
                max_lifetime: Duration::MAX,
                ..Rules::default()
            },
            implied: Implied::default(),
            egress: Egress::new(),
            keep: decisions::KEEP,
            ready: None,
        }
    }

    /// As whom this server asks.
    #[must_use]
    pub fn client(mut self, id: &str, secret: &str) -> Self {
        let pair = format!("{}:{}", form_encoded(id), form_encoded(secret));
        self.credentials = Some(STANDARD.encode(pair));
        self
    }

    /// An audience of the tokens (`aud`); the public URL of the server unless said otherwise.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.rules.audiences.push(audience.into());
        self
    }

    /// The member that holds the roles; `roles` unless said otherwise.
    #[must_use]
    pub fn role_claim(mut self, claim: impl Into<String>) -> Self {
        self.rules.role_claim = claim.into();
        self
    }

    /// The member that holds the tenant; none unless said otherwise.
    #[must_use]
    pub fn tenant_claim(mut self, claim: impl Into<String>) -> Self {
        self.rules.tenant_claim = Some(claim.into());
        self
    }

    /// A scope as the issuer calls it, and the scopes of this server that it stands for, in its
    /// place.
    #[must_use]
    pub fn scope_map<T: Into<String>>(
        mut self,
        theirs: impl Into<String>,
        ours: impl IntoIterator<Item = T>,
    ) -> Self {
        let ours = ours.into_iter().map(Into::into).collect();
        self.rules.scope_map.insert(theirs.into(), ours);
        self
    }

    /// Scopes that come with a scope, and with them what they imply.
    #[must_use]
    pub fn implies<T: Into<String>>(
        mut self,
        scope: impl Into<String>,
        implied: impl IntoIterator<Item = T>,
    ) -> Self {
        self.implied
            .add(scope.into(), implied.into_iter().map(Into::into));
        self
    }

    /// Within [`any_of`](super::any_of), also asks about tokens that look like JWTs, which are
    /// otherwise left to others.
    #[must_use]
    pub fn any_shape(mut self) -> Self {
        self.any_shape = true;
        self
    }

    /// How the authorization server may be reached; only by `https` and at public addresses unless
    /// said otherwise.
    #[must_use]
    pub fn egress(mut self, egress: Egress) -> Self {
        self.egress = egress;
        self
    }

    /// How long a good token is remembered, within its own life; 55 seconds unless said otherwise.
    #[must_use]
    pub fn remember(mut self, time: Duration) -> Self {
        self.keep = time;
        self
    }

    async fn ask(&self, ready: &Ready, token: &str) -> Result<Arc<Caller>, AuthError> {
        let form = format!("token={}&token_type_hint=access_token", form_encoded(token));
        let answer = self
            .egress
            .post_form(&ready.url, &ready.credentials, form)
            .await
            .and_then(|answer| answer.document());
        let document = answer.map_err(|error| self.lost(&error))?;
        let unusable = |why| self.lost(&Lost::Unusable(why));
        let Ok(Node::Object(claims)) = json::parse(&document) else {
            return Err(unusable("the answer is not a JSON object"));
        };
        match claims.get("active") {
            Some(Node::Bool(true)) => {}
            Some(Node::Bool(false)) => return Err(AuthError::Invalid),
            _ => {
                return Err(unusable(
                    "the answer does not say whether the token is active",
                ));
            }
        }
        self.read(&claims, ready).map_err(|Flaw(why)| {
            tracing::info!(target: "mcp::auth", issuer = self.issuer, why, "an active token was refused");
            AuthError::Invalid
        })
    }

    fn read(&self, claims: &Object<'_>, ready: &Ready) -> Result<Arc<Caller>, Flaw> {
        let named = claims.get("iss").map(Node::as_str);
        if named.is_some_and(|named| named != Some(&self.issuer)) {
            return Err(Flaw("of another issuer"));
        }
        let kind = claims.get("token_type").map(Node::as_str);
        if kind.is_some_and(|kind| !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"))) {
            return Err(Flaw("not a bearer token"));
        }
        self.rules.audience(claims)?;
        let expires = self.rules.times(claims, ready.clock.now())?;
        self.rules
            .caller(&self.issuer, claims, expires)
            .map(Arc::new)
    }

    fn lost(&self, error: &Lost) -> AuthError {
        tracing::warn!(target: "mcp::auth", issuer = self.issuer, %error, "the authorization server cannot be asked about tokens");
        AuthError::Unavailable
    }
}

impl Authenticate for Introspection {
    fn authenticate<'a>(&'a self, token: &'a str) -> Authentication<'a> {
        let Some(ready) = &self.ready else {
            tracing::error!(target: "mcp::auth", "tokens arrive before `prepare` was called");
            return Box::pin(std::future::ready(Err(AuthError::Unavailable)));
        };
        if token.len() > MAX_TOKEN || token.contains(|c: char| !c.is_ascii_graphic()) {
            return Box::pin(std::future::ready(Err(AuthError::Invalid)));
        }
        let (digest, now) = (token_digest(token), ready.clock.now());
        if let Some(caller) = ready.decisions.granted(&digest, now) {
            return Box::pin(std::future::ready(Ok(caller)));
        }
        Box::pin(
            ready
                .decisions
                .or_decide(digest, now, self.ask(ready, token)),
        )
    }

    fn authorization_servers(&self) -> Vec<String> {
        vec![self.issuer.clone()]
    }

    fn prepare(&mut self, setup: &Setup<'_>) -> BootResult {
        let name = format!("introspection at `{}`", self.url);
        let mut problems = Vec::new();
        problems.extend(self.egress.prepare().err().map(|error| error.to_string()));
        let url = self.egress.url(&self.url);
        let prepared = self.rules.prepare(setup);
        problems.extend(prepared.err().map(|problem| format!("{name}: {problem}")));
        self.rules.implied = self.implied.clone();
        let credentials = self.credentials.clone();
        if credentials.is_none() {
            problems.push(format!("{name}: say as whom to ask, with `.client(…)`"));
        }
        if self.issuer.is_empty() {
            problems.push(format!("{name}: the issuer has no name"));
        }
        match (url, credentials) {
            (Ok(url), Some(credentials)) if problems.is_empty() => {
                self.ready = Some(Ready {
                    url,
                    credentials,
                    clock: setup.clock().clone(),
                    decisions: Decisions::new(self.keep),
                });
            }
            (url, _) => problems.extend(url.err().map(|problem| format!("{name}: {problem}"))),
        }
        BootError::collect(problems)
    }

    fn takes(&self, token: &str) -> bool {
        self.any_shape || !looks_like_jwt(token)
    }
}

impl std::fmt::Debug for Introspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Introspection")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// `application/x-www-form-urlencoded`, by which RFC 6749 also writes client credentials.
fn form_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            // Writing to a `String` cannot fail.
            _ => _ = write!(encoded, "%{byte:02X}"),
        }
        encoded
    })
}
