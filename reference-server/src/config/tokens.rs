//! Whose tokens are taken, and what requests without one may do: the section `[auth]`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mcp_runtime::auth::{Algorithm, Allowlist, Egress, Introspection, Jwt, any_of};
use mcp_runtime::{
    AuthMode, Authenticate, BootError, Caller, Lists, Result, Server, StaticTokens, StepUp,
};
use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;

use super::membership::Members;
use super::oauth_proxy::Proxied;
use super::security::TenantSignature;
use super::{Config, Span};
use crate::backend::is_loopback;

/// Who may call, and how that is proved.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    pub mode: Without,
    pub allow_emails: Option<Vec<String>>,
    pub allow_emails_file: Option<PathBuf>,
    pub baseline_scopes: Vec<String>,
    pub supported_scopes: Option<Vec<String>>,
    pub challenge: Challenge,
    pub lists: Listed,
    pub cache_ttl: Span,
    pub issuer: Vec<Issuer>,
    pub static_token: Vec<StaticToken>,
    pub introspection: Asked,
    pub oauth_proxy: Proxied,
    pub membership: Members,
    pub tenant_signature: TenantSignature,
}

/// What requests without a token may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Without {
    Open,
    #[default]
    Mixed,
    Required,
}

/// How clients learn that a scope is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Challenge {
    Http,
    ToolError,
    #[default]
    Auto,
}

/// What lists hold for a caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Listed {
    #[default]
    Allowed,
    Acquirable,
}

/// Somebody who signs tokens.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Issuer {
    pub issuer: String,
    pub jwks_url: Option<String>,
    pub audiences: Vec<String>,
    pub algorithms: Option<Vec<String>>,
    pub userinfo_url: Option<String>,
    pub role_claim: Option<String>,
    pub tenant_claim: Option<String>,
    pub scope_map: BTreeMap<String, Vec<String>>,
    pub implies: BTreeMap<String, Vec<String>>,
    pub allow_loopback: bool,
    pub allow_private: bool,
}

/// A token that is written down.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StaticToken {
    pub name: String,
    pub token_env: Option<String>,
    pub token_file: Option<PathBuf>,
    pub subject: Option<String>,
    pub scopes: Vec<String>,
    pub roles: Vec<String>,
    pub tenant: Option<String>,
}

/// Somebody who is asked about tokens.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Asked {
    pub issuer: Option<String>,
    pub url: Option<String>,
    pub client_id: Option<String>,
    pub client_secret_env: Option<String>,
    pub client_secret_file: Option<PathBuf>,
    pub audiences: Vec<String>,
    pub userinfo_url: Option<String>,
    pub role_claim: Option<String>,
    pub tenant_claim: Option<String>,
    pub scope_map: BTreeMap<String, Vec<String>>,
    pub implies: BTreeMap<String, Vec<String>>,
    pub allow_loopback: bool,
    pub allow_private: bool,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            mode: Without::default(),
            allow_emails: None,
            allow_emails_file: None,
            baseline_scopes: Vec::new(),
            supported_scopes: None,
            challenge: Challenge::default(),
            lists: Listed::default(),
            cache_ttl: Span(Duration::from_secs(55)),
            issuer: Vec::new(),
            static_token: Vec::new(),
            introspection: Asked::default(),
            oauth_proxy: Proxied::default(),
            membership: Members::default(),
            tenant_signature: TenantSignature::default(),
        }
    }
}

impl From<Without> for AuthMode {
    fn from(mode: Without) -> Self {
        match mode {
            Without::Open => Self::Open,
            Without::Mixed => Self::Mixed,
            Without::Required => Self::Required,
        }
    }
}

impl From<Listed> for Lists {
    fn from(lists: Listed) -> Self {
        match lists {
            Listed::Allowed => Self::Allowed,
            Listed::Acquirable => Self::Acquirable,
        }
    }
}

impl From<Challenge> for StepUp {
    fn from(challenge: Challenge) -> Self {
        match challenge {
            Challenge::Http => Self::Http,
            Challenge::ToolError => Self::ToolError,
            Challenge::Auto => Self::Auto,
        }
    }
}

impl Config {
    /// Puts on a server who may call: `own` are the tokens that this program issues itself.
    ///
    /// # Errors
    /// When what is configured would not be safe, or of no use: with the key to change.
    pub fn guarded<S: Send + Sync + 'static>(
        &self,
        server: Server<S>,
        own: Option<Box<dyn Authenticate>>,
        door: impl FnOnce(Box<dyn Authenticate>) -> Box<dyn Authenticate> + Send + 'static,
    ) -> Result<Server<S>> {
        let auth = &self.auth;
        let proxy = self.oauth_proxy()?;
        let mut ways = own.into_iter().chain(auth.ways(self.has_facade())?);
        let first = ways.next();
        self.refuse_unguarded(first.is_some() || self.has_facade())?;
        let mut server = server
            .auth_mode(auth.mode.into())
            .baseline_scopes(auth.baseline_scopes.clone())
            .step_up(auth.challenge.into())
            .lists(auth.lists.into());
        if let Some(scopes) = &auth.supported_scopes {
            server = server.supported_scopes(scopes.clone());
        }
        if let Some(proxy) = proxy {
            server = server.oauth_proxy(proxy);
        }
        let server = match (first, ways.next()) {
            (None, _) => server,
            (Some(only), None) => server.auth(only),
            (Some(first), Some(second)) => {
                server.auth(ways.fold(any_of(first).or(second), |ways, way| ways.or(way)))
            }
        };
        Ok(match auth.membership.check()? {
            None => server.auth_within(door),
            Some(check) => server.auth_within(|way| door(check(way))),
        })
    }

    /// A server that everybody reaches has to know somebody.
    fn refuse_unguarded(&self, knows_somebody: bool) -> Result {
        if !self.is_reachable() {
            return Ok(());
        }
        if self.auth.mode == Without::Open {
            return Err(wrong(
                ".mode is \"open\" on a server that other machines reach (listen, public_url): say \"mixed\" or \"required\"",
            ));
        }
        if !knows_somebody {
            return Err(wrong(
                " takes nobody's tokens on a server that other machines reach (listen, public_url): add an [[auth.issuer]]",
            ));
        }
        Ok(())
    }

    /// An identity provider that lets everybody in is for this machine alone.
    ///
    /// # Errors
    /// When other machines reach this server.
    pub fn refuse_provider(&self) -> Result {
        match self.is_reachable() {
            false => Ok(()),
            true => Err(BootError::new(
                "identity.provider lets everybody in, and other machines reach this server (listen, public_url): use an [[auth.issuer]]",
            )),
        }
    }

    /// Whether other machines reach this server, as far as the configuration tells.
    fn is_reachable(&self) -> bool {
        let address = self
            .listen
            .parse::<SocketAddr>()
            .map(|address| address.ip());
        let here = address.map_or_else(
            |_| self.listen.starts_with("localhost:"),
            |ip: IpAddr| ip.is_loopback(),
        );
        let public = self.public_url.as_deref();
        let public = public.and_then(|url| url.parse::<Url>().ok());
        !here || public.is_some_and(|url| !is_loopback(&url))
    }
}

impl Auth {
    /// Every way to check a token, those first that cost nothing.
    fn ways(&self, has_facade: bool) -> Result<Vec<Box<dyn Authenticate>>> {
        let mut ways: Vec<Box<dyn Authenticate>> = Vec::new();
        if !self.static_token.is_empty() {
            ways.push(Box::new(self.static_tokens()?));
        }
        for (at, issuer) in self.issuer.iter().enumerate() {
            let name = &issuer.issuer;
            if self.issuer[..at].iter().any(|other| other.issuer == *name) {
                return Err(wrong(&format!(".issuer names `{name}` twice")));
            }
            let key = format!(".issuer `{name}`");
            let jwt = issuer.jwt(&key, self.cache_ttl.0)?;
            let userinfo = issuer.userinfo_url.as_deref();
            ways.push(self.listed(jwt, &key, userinfo, issuer.egress())?);
        }
        if let Some(asked) = self.introspection.introspection(self.cache_ttl.0)? {
            let userinfo = self.introspection.userinfo_url.as_deref();
            let egress = self.introspection.egress();
            ways.push(self.listed(asked, ".introspection", userinfo, egress)?);
        }
        let names_people = !self.issuer.is_empty() || self.introspection.is_used() || has_facade;
        if self.has_list() && !names_people {
            return Err(wrong(
                ".allow_emails is about people, and there is no [[auth.issuer]], [auth.introspection] or facade to name them",
            ));
        }
        Ok(ways)
    }

    /// Only those whose address is listed, when there is a list. Static tokens are not about
    /// people and need no address.
    fn listed(
        &self,
        way: impl Authenticate,
        key: &str,
        userinfo: Option<&str>,
        egress: Reach,
    ) -> Result<Box<dyn Authenticate>> {
        if !self.has_list() {
            return match userinfo {
                None => Ok(Box::new(way)),
                Some(_) => Err(wrong(&format!(
                    "{key}: userinfo_url is asked for addresses, which only auth.allow_emails needs"
                ))),
            };
        }
        let mut list = Allowlist::new(way).emails(self.allow_emails.iter().flatten());
        if let Some(file) = &self.allow_emails_file {
            list = list.emails_from_file(file);
        }
        let list = list.egress(egress.egress()).remember(self.cache_ttl.0);
        Ok(Box::new(match userinfo {
            Some(url) => {
                egress.checked(key, "userinfo_url", url)?;
                list.userinfo(url)
            }
            None => list,
        }))
    }

    fn has_list(&self) -> bool {
        self.allow_emails.is_some() || self.allow_emails_file.is_some()
    }

    fn static_tokens(&self) -> Result<StaticTokens> {
        let tokens = StaticTokens::new();
        self.static_token
            .iter()
            .try_fold(tokens, |tokens, token| token.add_to(tokens))
    }
}

impl StaticToken {
    fn add_to(&self, tokens: StaticTokens) -> Result<StaticTokens> {
        if self.name.is_empty() {
            return Err(wrong(".static_token: an entry has no `name`"));
        }
        let key = format!("auth.static_token `{}`", self.name);
        let caller = Caller::user(self.subject.as_deref().unwrap_or(&self.name))
            // Not to be taken for anybody whom an issuer vouches for.
            .issuer("static")
            .scopes(self.scopes.iter().cloned())
            .roles(self.roles.iter().cloned());
        let caller = match &self.tenant {
            Some(tenant) => caller.tenant(tenant),
            None => caller,
        };
        let added = match (&self.token_env, &self.token_file) {
            (Some(variable), None) => tokens.token_from_env(variable, caller),
            (None, Some(path)) => tokens.token_from_file(path, caller),
            (Some(_), Some(_)) => Err(BootError::new(
                "has both token_env and token_file: keep one",
            )),
            (None, None) => Err(BootError::new("has no token: set token_env or token_file")),
        };
        added.map_err(|error| BootError::new(format!("{key}: {error}")))
    }
}

impl Issuer {
    fn jwt(&self, key: &str, keep: Duration) -> Result<Jwt> {
        if self.issuer.is_empty() {
            return Err(wrong(
                ".issuer: an entry has no `issuer`, the name in the tokens (iss)",
            ));
        }
        let reach = self.egress();
        reach.checked(key, "issuer", &self.issuer)?;
        let mut jwt = Jwt::discover(&self.issuer)
            .egress(reach.egress())
            .remember(keep);
        if let Some(url) = &self.jwks_url {
            reach.checked(key, "jwks_url", url)?;
            jwt = jwt.jwks_url(url);
        }
        if let Some(names) = &self.algorithms {
            jwt = jwt.algorithms(algorithms(key, names)?);
        }
        if let Some(claim) = &self.role_claim {
            jwt = jwt.role_claim(claim);
        }
        if let Some(claim) = &self.tenant_claim {
            jwt = jwt.tenant_claim(claim);
        }
        let jwt = self.audiences.iter().fold(jwt, |jwt, it| jwt.audience(it));
        let jwt = self.scope_map.iter().fold(jwt, |jwt, (theirs, ours)| {
            jwt.scope_map(theirs, ours.clone())
        });
        Ok(self
            .implies
            .iter()
            .fold(jwt, |jwt, (scope, more)| jwt.implies(scope, more.clone())))
    }

    fn egress(&self) -> Reach {
        Reach {
            loopback: self.allow_loopback,
            private: self.allow_private,
        }
    }
}

fn algorithms(key: &str, names: &[String]) -> Result<Vec<Algorithm>> {
    if names.is_empty() {
        return Err(wrong(&format!(
            "{key}: algorithms is empty, so that no token could be good"
        )));
    }
    let named = |name: &String| {
        Algorithm::from_name(name).ok_or_else(|| {
            wrong(&format!(
                "{key}: `{name}` is not to be had; there are RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA"
            ))
        })
    };
    names.iter().map(named).collect()
}

impl Asked {
    fn is_used(&self) -> bool {
        self.issuer.is_some() || self.url.is_some() || self.client_id.is_some()
    }

    fn introspection(&self, keep: Duration) -> Result<Option<Introspection>> {
        if !self.is_used() {
            return Ok(None);
        }
        let needed = |value: &Option<String>, name: &str| {
            let value = value.clone().filter(|value| !value.is_empty());
            value.ok_or_else(|| wrong(&format!(".introspection has no `{name}`")))
        };
        let issuer = needed(&self.issuer, "issuer")?;
        let url = needed(&self.url, "url")?;
        let client = needed(&self.client_id, "client_id")?;
        let reach = self.egress();
        reach.checked(".introspection", "url", &url)?;
        let mut asked = Introspection::new(issuer, url)
            .client(
                &client,
                &client_secret(
                    ".introspection",
                    self.client_secret_env.as_deref(),
                    self.client_secret_file.as_deref(),
                )?,
            )
            .egress(reach.egress())
            .remember(keep);
        if let Some(claim) = &self.role_claim {
            asked = asked.role_claim(claim);
        }
        if let Some(claim) = &self.tenant_claim {
            asked = asked.tenant_claim(claim);
        }
        let asked = self.audiences.iter().fold(asked, |to, it| to.audience(it));
        let asked = self.scope_map.iter().fold(asked, |to, (theirs, ours)| {
            to.scope_map(theirs, ours.clone())
        });
        let asked = self
            .implies
            .iter()
            .fold(asked, |to, (scope, more)| to.implies(scope, more.clone()));
        Ok(Some(asked))
    }

    fn egress(&self) -> Reach {
        Reach {
            loopback: self.allow_loopback,
            private: self.allow_private,
        }
    }
}

/// The secret of this server at somebody else's, from the environment or a file.
pub(super) fn client_secret(key: &str, env: Option<&str>, file: Option<&Path>) -> Result<String> {
    let secret = match (env, file) {
        (Some(variable), None) => std::env::var(variable).map_err(|_| {
            wrong(&format!(
                "{key}: the environment variable {variable} is not set"
            ))
        }),
        (None, Some(path)) => std::fs::read_to_string(path).map_err(|error| {
            let at = path.display();
            wrong(&format!("{key}: the file {at} cannot be read: {error}"))
        }),
        (Some(_), Some(_)) => Err(wrong(&format!(
            "{key} names its secret both in the environment and in a file: keep one"
        ))),
        (None, None) => Err(wrong(&format!(
            "{key} has no secret: set client_secret_env or client_secret_file"
        ))),
    }?;
    let secret = secret.trim();
    if secret.is_empty() {
        return Err(wrong(&format!("{key}: its secret is empty")));
    }
    Ok(secret.to_owned())
}

/// Where somebody may be asked.
#[derive(Clone, Copy)]
pub(super) struct Reach {
    pub(super) loopback: bool,
    pub(super) private: bool,
}

impl Reach {
    pub(super) fn egress(self) -> Egress {
        let egress = Egress::new();
        let egress = if self.loopback {
            egress.allow_loopback()
        } else {
            egress
        };
        if self.private {
            egress.allow_private()
        } else {
            egress
        }
    }

    /// What the library says about URLs is for programmers; this is for operators.
    pub(super) fn checked(self, key: &str, name: &str, text: &str) -> Result {
        let problem = |why: &str| Err(wrong(&format!("{key}: {name} `{text}` {why}")));
        let Ok(url) = text.parse::<Url>() else {
            return problem("is not a URL");
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong(&format!(
                "{key}: {name} has a user name or a password in it: leave them out"
            )));
        }
        match url.scheme() {
            "https" | "http" if is_loopback(&url) && !self.loopback => {
                problem("is on this machine: for development, say allow_loopback = true")
            }
            "https" => Ok(()),
            "http" if is_loopback(&url) => Ok(()),
            _ => problem("does not start with https://"),
        }
    }
}

pub(super) fn wrong(problem: &str) -> BootError {
    BootError::new(format!("auth{problem}"))
}
