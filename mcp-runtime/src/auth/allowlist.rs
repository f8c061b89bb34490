//! Only people whose e-mail address is listed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use super::claims::{name, verified_email};
use super::decisions::{self, Decisions};
use super::egress::{Answer, Egress, Lost};
use super::{AuthError, Authenticate, Authentication, Setup, token_digest};
use crate::caller::Caller;
use crate::clock::Clock;
use crate::error::{BootError, Result as BootResult};
use crate::json::{self, Node};

/// Lets in, of those whose tokens are good, whose e-mail address is on a list. An empty list lets
/// nobody in; everybody else learns that access is denied (403), and nothing of the list.
///
/// Only an address counts that the identity provider has verified: the claims `email` and
/// `email_verified: true` of the token or, where a userinfo URL is given, of what the provider
/// says there about the same subject. Capitals do not matter; the caller has the address in small
/// letters.
///
/// ```
/// use mcp_runtime::auth::{Allowlist, Jwt};
///
/// let auth = Allowlist::new(Jwt::discover("https://as.example.com"))
///     .emails(["ada@example.com", "bob@example.com"])
///     .userinfo("https://as.example.com/userinfo");
/// ```
pub struct Allowlist {
    inner: Box<dyn Authenticate>,
    emails: HashSet<String>,
    /// With more of them.
    file: Option<PathBuf>,
    userinfo: Option<String>,
    egress: Egress,
    keep: Duration,
    ready: Option<Ready>,
}

struct Ready {
    userinfo: Option<Url>,
    clock: Clock,
    decisions: Decisions,
}

impl Allowlist {
    /// A list around another way to check a token; empty as yet.
    pub fn new(inner: impl Authenticate) -> Self {
        Self {
            inner: Box::new(inner),
            emails: HashSet::new(),
            file: None,
            userinfo: None,
            egress: Egress::new(),
            keep: decisions::KEEP,
            ready: None,
        }
    }

    /// Adds addresses.
    #[must_use]
    pub fn emails<T: AsRef<str>>(mut self, emails: impl IntoIterator<Item = T>) -> Self {
        let canonical = emails.into_iter().map(|email| canonical(email.as_ref()));
        self.emails.extend(canonical);
        self
    }

    /// Adds the addresses in a file, one to a line; empty lines and those that begin with `#` say
    /// nothing. The file is read anew for every decision, so who is taken off it is out as soon as
    /// [remembered](Self::remember) decisions end. While it cannot be read, nobody is let in (503).
    #[must_use]
    pub fn emails_from_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Where the provider says who holds a token. What it says there beats what the token says.
    #[must_use]
    pub fn userinfo(mut self, url: impl Into<String>) -> Self {
        self.userinfo = Some(url.into());
        self
    }

    /// How the provider may be reached; only by `https` and at public addresses unless said
    /// otherwise.
    #[must_use]
    pub fn egress(mut self, egress: Egress) -> Self {
        self.egress = egress;
        self
    }

    /// How long somebody who was let in is remembered, within the life of the token; 55 seconds
    /// unless said otherwise.
    #[must_use]
    pub fn remember(mut self, time: Duration) -> Self {
        self.keep = time;
        self
    }

    async fn decide(&self, ready: &Ready, token: &str) -> Result<Arc<Caller>, AuthError> {
        let caller = self.inner.authenticate(token).await?;
        let email = match &ready.userinfo {
            Some(url) => self.ask(url, token, &caller).await?,
            None => caller
                .principal()
                .and_then(|who| who.email().map(canonical)),
        };
        let email = match email {
            Some(email) => self.has(&email).await?.then_some(email),
            None => None,
        };
        match email {
            Some(email) => Ok(Arc::new(Caller::clone(&caller).email(email))),
            None => {
                tracing::info!(target: "mcp::auth", subject = %caller, "not on the list of e-mail addresses");
                Err(AuthError::Denied)
            }
        }
    }

    async fn has(&self, email: &str) -> Result<bool, AuthError> {
        let Some(file) = self.file.clone().filter(|_| !self.emails.contains(email)) else {
            return Ok(self.emails.contains(email));
        };
        let read = tokio::task::spawn_blocking(move || from_file(&file)).await;
        let listed = read.unwrap_or_else(|error| Err(error.to_string()));
        let listed = listed.map_err(|problem| {
            tracing::error!(target: "mcp::auth", problem, "nobody is let in");
            AuthError::Unavailable
        })?;
        Ok(listed.contains(email))
    }

    /// The verified address of the caller, as the provider knows it.
    async fn ask(
        &self,
        url: &Url,
        token: &str,
        caller: &Caller,
    ) -> Result<Option<String>, AuthError> {
        let lost = |error: Lost| {
            tracing::warn!(target: "mcp::auth", %error, "userinfo cannot be asked");
            AuthError::Unavailable
        };
        let answer = self.egress.get(url, Some(token)).await.map_err(lost)?;
        if let Answer { status: 401, .. } = answer {
            return Err(AuthError::Invalid);
        }
        let document = answer.document().map_err(lost)?;
        let Ok(Node::Object(claims)) = json::parse(&document) else {
            return Err(lost(Lost::NotJson));
        };
        if caller.subject().is_none() || name(claims.get("sub")) != caller.subject() {
            tracing::warn!(target: "mcp::auth", subject = %caller, "userinfo speaks of somebody else");
            return Err(AuthError::Denied);
        }
        Ok(verified_email(&claims).map(canonical))
    }
}

impl Authenticate for Allowlist {
    fn authenticate<'a>(&'a self, token: &'a str) -> Authentication<'a> {
        let Some(ready) = &self.ready else {
            tracing::error!(target: "mcp::auth", "tokens arrive before `prepare` was called");
            return Box::pin(std::future::ready(Err(AuthError::Unavailable)));
        };
        let (digest, now) = (token_digest(token), ready.clock.now());
        if let Some(caller) = ready.decisions.granted(&digest, now) {
            return Box::pin(std::future::ready(Ok(caller)));
        }
        Box::pin(
            ready
                .decisions
                .or_decide(digest, now, self.decide(ready, token)),
        )
    }

    fn authorization_servers(&self) -> Vec<String> {
        self.inner.authorization_servers()
    }

    fn prepare(&mut self, setup: &Setup<'_>) -> BootResult {
        let inner = self.inner.prepare(setup).err();
        let mut problems = inner.map_or_else(Vec::new, |error| error.problems().to_vec());
        problems.extend(self.egress.prepare().err().map(|error| error.to_string()));
        if let Some(wrong) = self.emails.iter().find(|email| !is_address(email)) {
            problems.push(format!(
                "`{wrong}` on the allowlist is not an e-mail address"
            ));
        }
        let in_file = self.file.as_deref().map_or(Ok(HashSet::new()), from_file);
        let in_file = in_file.unwrap_or_else(|problem| {
            problems.push(problem);
            HashSet::new()
        });
        let userinfo = self.userinfo.as_ref().map(|url| self.egress.url(url));
        let userinfo = userinfo.transpose().unwrap_or_else(|problem| {
            problems.push(format!("the userinfo URL: {problem}"));
            None
        });
        BootError::collect(problems)?;
        if self.emails.is_empty() && in_file.is_empty() {
            tracing::warn!(target: "mcp::auth", "the list of e-mail addresses is empty: nobody is let in");
        }
        self.ready = Some(Ready {
            userinfo,
            clock: setup.clock().clone(),
            decisions: Decisions::new(self.keep),
        });
        Ok(())
    }

    fn takes(&self, token: &str) -> bool {
        self.inner.takes(token)
    }
}

impl std::fmt::Debug for Allowlist {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Allowlist")
            .field("emails", &self.emails.len())
            .finish_non_exhaustive()
    }
}

/// The addresses in a file.
fn from_file(path: &Path) -> Result<HashSet<String>, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("the allowlist {shown} cannot be read: {error}"))?;
    let lines = text.lines().map(str::trim);
    let said = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    said.map(|line| match is_address(line) {
        true => Ok(canonical(line)),
        false => Err(format!(
            "`{}` in the allowlist {shown} is not an e-mail address",
            line.escape_debug()
        )),
    })
    .collect()
}

/// One spelling for each address. Only ASCII is folded: other letters that look alike are other
/// letters.
fn canonical(email: &str) -> String {
    email.to_ascii_lowercase()
}

fn is_address(email: &str) -> bool {
    let whole = |part: &str| !part.is_empty() && !part.contains(char::is_whitespace);
    email
        .rsplit_once('@')
        .is_some_and(|(name, host)| whole(name) && whole(host))
}
