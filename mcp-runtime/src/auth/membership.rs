//! Only callers that still belong to the tenant for which they act.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use super::decisions::Decisions;
use super::egress::{Egress, Lost};
use super::{AuthError, Authenticate, Authentication, Setup};
use crate::caller::{Caller, Principal};
use crate::clock::Clock;
use crate::error::{BootError, Result as BootResult};
use crate::json::{self, Node};
use crate::secret::Secret;

/// How long a member is remembered unless said otherwise.
const KEEP: Duration = Duration::from_mins(1);

/// Lets in, of callers that act for a tenant, those who belong to it: whoever knows that is asked,
/// and not what was true when the token was issued. Callers without a tenant come in as they are.
///
/// What is asked is `GET <url>?issuer=…&subject=…&tenant=…`, with a bearer token where one is
/// given. The answer is a JSON object with `"member": true` or `"member": false`; the statuses 403
/// and 404 mean `false`, too. Who is not a member is denied (403). Any other answer, and none,
/// lets nobody in (503).
///
/// At most 1,000 memberships are remembered, by issuer, subject and tenant, each for a minute
/// unless said otherwise: that long may go on who has been removed. Requests that want to know the
/// same at the same time ask once.
///
/// ```
/// use mcp_runtime::auth::{Jwt, Membership};
///
/// let tokens = Jwt::discover("https://as.example.com").tenant_claim("org_id");
/// let auth = Membership::new(tokens, "https://api.example.com/memberships")
///     .token("what that API knows this server by");
/// assert!(!format!("{auth:?}").contains("knows this server"));
/// ```
pub struct Membership {
    inner: Box<dyn Authenticate>,
    url: String,
    token: Option<Secret<String>>,
    egress: Egress,
    keep: Duration,
    ready: Option<Ready>,
}

struct Ready {
    url: Url,
    clock: Clock,
    decisions: Decisions,
}

impl Membership {
    /// Around another way to check a token, with the URL that memberships are asked of.
    pub fn new(inner: impl Authenticate, url: impl Into<String>) -> Self {
        Self {
            inner: Box::new(inner),
            url: url.into(),
            token: None,
            egress: Egress::new(),
            keep: KEEP,
            ready: None,
        }
    }

    /// The bearer token that this server asks with.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Secret::new(token.into()));
        self
    }

    /// How the URL may be reached; only by `https` and at public addresses unless said otherwise.
    #[must_use]
    pub fn egress(mut self, egress: Egress) -> Self {
        self.egress = egress;
        self
    }

    /// How long a member is remembered; a minute unless said otherwise.
    #[must_use]
    pub fn remember(mut self, time: Duration) -> Self {
        self.keep = time;
        self
    }

    async fn check(&self, token: &str) -> Result<Arc<Caller>, AuthError> {
        let Some(ready) = &self.ready else {
            tracing::error!(target: "mcp::auth", "tokens arrive before `prepare` was called");
            return Err(AuthError::Unavailable);
        };
        let caller = self.inner.authenticate(token).await?;
        let Some(who) = caller.principal() else {
            return Ok(caller);
        };
        let Some(tenant) = who.tenant() else {
            return Ok(caller);
        };
        let (digest, now) = (who.owner_key(), ready.clock.now());
        if ready.decisions.granted(&digest, now).is_some() {
            return Ok(caller);
        }
        // What is remembered says nothing of this token's scopes or end.
        let ask = async {
            self.ask(ready, who, tenant).await?;
            Ok(Arc::new(Caller::anonymous()))
        };
        ready.decisions.or_decide(digest, now, ask).await?;
        Ok(caller)
    }

    async fn ask(&self, ready: &Ready, who: &Principal, tenant: &str) -> Result<(), AuthError> {
        let lost = |error: Lost| {
            tracing::warn!(target: "mcp::auth", %error, "memberships cannot be asked for");
            AuthError::Unavailable
        };
        let mut url = ready.url.clone();
        url.query_pairs_mut()
            .append_pair("issuer", who.issuer())
            .append_pair("subject", who.subject())
            .append_pair("tenant", tenant);
        let token = self.token.as_ref().map(|token| token.expose().as_str());
        let answer = self.egress.get(&url, token).await.map_err(lost)?;
        let is_member = match answer.status {
            403 | 404 => false,
            _ => said(&answer.document().map_err(lost)?).map_err(lost)?,
        };
        if is_member {
            return Ok(());
        }
        tracing::info!(target: "mcp::auth", subject = who.subject(), tenant, "not a member of the tenant");
        Err(AuthError::Denied)
    }
}

fn said(document: &[u8]) -> Result<bool, Lost> {
    let Ok(Node::Object(answer)) = json::parse(document) else {
        return Err(Lost::NotJson);
    };
    match answer.get("member") {
        Some(Node::Bool(is_member)) => Ok(*is_member),
        _ => Err(Lost::Unusable(
            "the answer has no `member`, which is true or false",
        )),
    }
}

impl Authenticate for Membership {
    fn authenticate<'a>(&'a self, token: &'a str) -> Authentication<'a> {
        Box::pin(self.check(token))
    }

    fn authorization_servers(&self) -> Vec<String> {
        self.inner.authorization_servers()
    }

    fn prepare(&mut self, setup: &Setup<'_>) -> BootResult {
        let inner = self.inner.prepare(setup).err();
        let mut problems = inner.map_or_else(Vec::new, |error| error.problems().to_vec());
        problems.extend(self.egress.prepare().err().map(|error| error.to_string()));
        let url = self.egress.url(&self.url).map_err(|problem| {
            problems.push(format!("the URL of memberships: {problem}"));
        });
        BootError::collect(problems)?;
        self.ready = url.ok().map(|url| Ready {
            url,
            clock: setup.clock().clone(),
            decisions: Decisions::new(self.keep),
        });
        Ok(())
    }

    fn takes(&self, token: &str) -> bool {
        self.inner.takes(token)
    }
}

impl std::fmt::Debug for Membership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Membership")
            .field("url", &self.url)
            .field("token", &self.token.is_some())
            .finish_non_exhaustive()
    }
}
