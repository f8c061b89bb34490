//! This server in the place of the authorization server of its clients.
//!
//! Clients of MCP want to find an authorization server that registers them on the spot. An
//! [`OAuthProxy`] gives them one at the address of this server: it passes on what its provider can
//! do by itself, or does for the provider what that cannot.

mod answers;
mod clients;
mod facade;
mod grants;
mod page;
mod params;
mod relay;
mod ring;
mod tokens;
mod upstream;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use reqwest::Url;

use self::answers::Answer;
use self::facade::Facade;
use self::relay::Relay;
use self::tokens::OwnTokens;
use self::upstream::Upstream;
use super::Authenticate;
use super::claims::Rules;
use super::egress::Egress;
use crate::clock::Clock;
use crate::error::BootError;
use crate::keys::Keys;
use crate::limits::Rate;
use crate::secret::Secret;
use crate::store::Store;

/// The largest body of a request.
pub(crate) const MAX_BODY: usize = 64 << 10;
/// Clients that may register from one address in a minute.
const REGISTRATIONS: u32 = 20;

/// An authorization server for clients, at the address of this server, in front of an identity
/// provider.
///
/// * [`relay`](Self::relay): the provider registers clients and asks for consent itself. What it
///   says about itself is passed on with our addresses in it, and requests are handed over.
/// * [`facade`](Self::facade): the provider knows one client, which is this server. Clients
///   register here, users consent here, and tokens are issued and checked here; those of the
///   provider never leave the server, and are not kept.
///
/// ```
/// use mcp_runtime::auth::OAuthProxy;
///
/// let secret = "what the provider gave us";
/// let proxy = OAuthProxy::facade("https://login.example.com", "our-client-id", secret)
///     .allow_emails(["ada@example.com", "bob@example.com"])
///     .scopes(["orders:read"])
///     .scopes_for("ada@example.com", ["orders:write"]);
/// assert!(!format!("{proxy:?}").contains(secret));
/// ```
///
/// Give it to [`Server::oauth_proxy`](crate::Server::oauth_proxy).
pub struct OAuthProxy {
    upstream: String,
    egress: Egress,
    own_issuer: bool,
    facade: Option<Settings>,
}

/// Of a facade.
struct Settings {
    client_id: String,
    client_secret: Secret<String>,
    upstream_scopes: Vec<String>,
    /// `None` lets everybody in whom the provider knows.
    emails: Option<Vec<String>>,
    scopes: Vec<String>,
    scopes_for: BTreeMap<String, Vec<String>>,
    rules: Rules,
    lives: Lives,
    registrations: Rate,
    max_clients: u32,
}

/// How long things are good.
#[derive(Clone, Copy, Debug)]
struct Lives {
    token: Duration,
    login: Duration,
    unused_client: Duration,
}

impl OAuthProxy {
    /// In front of a provider that registers clients itself, named by its issuer URL. The tokens
    /// are the provider's: say with [`Server::auth`](crate::Server::auth) who checks them, as
    /// [`Jwt::discover`](super::Jwt::discover) of the same issuer does.
    pub fn relay(upstream_issuer: impl Into<String>) -> Self {
        Self {
            upstream: upstream_issuer.into(),
            egress: Egress::new(),
            own_issuer: false,
            facade: None,
        }
    }

    /// In front of a provider that knows one client: this server, by an id and a secret that the
    /// provider gave for it, with `<origin of the public URL>/oauth2/callback` as its redirect
    /// URI. The provider is named by its issuer URL and needs a userinfo endpoint.
    ///
    /// Nobody is let in unless [`allow_emails`](Self::allow_emails) or
    /// [`allow_everybody`](Self::allow_everybody) says who.
    pub fn facade(
        upstream_issuer: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
    ) -> Self {
        let settings = Settings {
            client_id: client_id.into(),
            client_secret: Secret::new(client_secret.into()),
            upstream_scopes: ["openid", "profile", "email"].map(str::to_owned).into(),
            emails: Some(Vec::new()),
            scopes: Vec::new(),
            scopes_for: BTreeMap::new(),
            rules: Rules::default(),
            lives: Lives {
                token: Duration::from_mins(15),
                login: Duration::from_hours(7 * 24),
                unused_client: Duration::from_hours(24),
            },
            registrations: Rate::new(REGISTRATIONS, Duration::from_mins(1)),
            max_clients: 10_000,
        };
        Self {
            upstream: upstream_issuer.into(),
            egress: Egress::new(),
            own_issuer: true,
            facade: Some(settings),
        }
    }

    /// How the provider, and the metadata documents of clients, may be reached; only by `https`
    /// and at public addresses unless said otherwise.
    #[must_use]
    pub fn egress(mut self, egress: Egress) -> Self {
        self.egress = egress;
        self
    }

    /// Of a relay: calls itself the issuer in the metadata, and the beginning of a login its own,
    /// for clients that refuse metadata of an issuer that they did not ask. Unless said, both stay
    /// the provider's, as its tokens have it. A facade is always its own issuer.
    ///
    /// Not for providers that name themselves in their redirects (RFC 9207): strict clients would
    /// take that for a mix-up.
    #[must_use]
    pub fn own_issuer(mut self) -> Self {
        self.own_issuer = true;
        self
    }

    /// Of a facade: who is let in, by e-mail addresses that the provider has verified. Capitals do
    /// not matter.
    #[must_use]
    pub fn allow_emails<T: AsRef<str>>(self, emails: impl IntoIterator<Item = T>) -> Self {
        let emails = emails.into_iter();
        let emails: Vec<String> = emails
            .map(|email| email.as_ref().to_ascii_lowercase())
            .collect();
        self.with(|facade| facade.emails.get_or_insert_default().extend(emails))
    }

    /// Of a facade: lets everybody in whom the provider knows, with a verified address or not.
    #[must_use]
    pub fn allow_everybody(self) -> Self {
        self.with(|facade| facade.emails = None)
    }

    /// Of a facade: scopes that everybody who is let in may grant to a client; none unless said.
    #[must_use]
    pub fn scopes<T: Into<String>>(self, scopes: impl IntoIterator<Item = T>) -> Self {
        let scopes: Vec<String> = scopes.into_iter().map(Into::into).collect();
        self.with(|facade| facade.scopes.extend(scopes))
    }

    /// Of a facade: further scopes that the holder of a verified e-mail address may grant.
    #[must_use]
    pub fn scopes_for<T: Into<String>>(
        self,
        email: impl AsRef<str>,
        scopes: impl IntoIterator<Item = T>,
    ) -> Self {
        let scopes: Vec<String> = scopes.into_iter().map(Into::into).collect();
        let email = email.as_ref().to_ascii_lowercase();
        self.with(|facade| facade.scopes_for.entry(email).or_default().extend(scopes))
    }

    /// Of a facade: what the provider is asked for; `openid profile email` unless said.
    #[must_use]
    pub fn upstream_scopes<T: Into<String>>(self, scopes: impl IntoIterator<Item = T>) -> Self {
        let scopes = scopes.into_iter().map(Into::into).collect();
        self.with(|facade| facade.upstream_scopes = scopes)
    }

    /// Of a facade: what userinfo calls the roles; `roles` unless said. What begins with a slash
    /// is a path.
    #[must_use]
    pub fn role_claim(self, claim: impl Into<String>) -> Self {
        let claim = claim.into();
        self.with(|facade| facade.rules.role_claim = claim)
    }

    /// Of a facade: what userinfo calls the tenant; there is none unless said.
    #[must_use]
    pub fn tenant_claim(self, claim: impl Into<String>) -> Self {
        let claim = claim.into();
        self.with(|facade| facade.rules.tenant_claim = Some(claim))
    }

    /// Of a facade: how long an access token is good (15 minutes), and how long a client can renew
    /// it before the user has to log in again (7 days).
    #[must_use]
    pub fn lives(self, token: Duration, login: Duration) -> Self {
        self.with(|facade| (facade.lives.token, facade.lives.login) = (token, login))
    }

    /// Of a facade: how often clients may register from one address (20 a minute), how many may do
    /// so while `unused` passes (10,000), and how long one is kept that nobody logs in with (a
    /// day).
    #[must_use]
    pub fn registrations(self, per_address: Rate, most: u32, unused: Duration) -> Self {
        self.with(|facade| {
            facade.registrations = per_address;
            facade.max_clients = most;
            facade.lives.unused_client = unused;
        })
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        if let Some(facade) = &mut self.facade {
            change(facade);
        }
        self
    }

    /// Checks everything and makes the proxy of a server.
    pub(crate) fn make(self, place: &Place<'_>) -> Result<Made, BootError> {
        let bound = Arc::new(self.bind(place)?);
        let tokens = bound.tokens();
        Ok((bound, tokens.map(|tokens| Box::new(tokens) as Box<_>)))
    }

    fn bind(self, place: &Place<'_>) -> Result<Bound, BootError> {
        let told = |problem: String| BootError::new(format!("the OAuth proxy: {problem}"));
        let public_url = place.public_url.ok_or_else(|| {
            told("give the server its `public_url`, which clients come back to".to_owned())
        })?;
        let base = Base::of(public_url).map_err(told)?;
        self.egress.prepare()?;
        let issuer = self.egress.url(&self.upstream).map_err(told)?;
        let upstream = Upstream::new(&self.upstream, &issuer, self.egress, place.clock.clone());
        let mode = match self.facade {
            None => {
                let relay = Relay::new(upstream, base.clone(), self.own_issuer);
                Mode::Relay(Box::new(relay.map_err(told)?))
            }
            Some(settings) => {
                let facade = Facade::new(settings, upstream, base.clone(), place).map_err(told)?;
                Mode::Facade(Box::new(facade))
            }
        };
        let bound = Bound { base, mode };
        if bound.find(&bound.base.path).is_some() {
            let path = &bound.base.path;
            return Err(told(format!(
                "it answers at `{path}`, where the endpoint lies: give `public_url` another path"
            )));
        }
        Ok(bound)
    }
}

impl std::fmt::Debug for OAuthProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mode = if self.facade.is_some() {
            "facade"
        } else {
            "relay"
        };
        f.debug_struct("OAuthProxy")
            .field("mode", &mode)
            .field("upstream", &self.upstream)
            .finish_non_exhaustive()
    }
}

/// What a proxy is told about its server.
pub(crate) struct Place<'a> {
    pub(crate) public_url: Option<&'a str>,
    pub(crate) clock: &'a Clock,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: Option<&'a Keys>,
    /// What clients see as the name of the server.
    pub(crate) name: String,
}

/// Where the server is, by its public URL alone.
#[derive(Clone, Debug)]
struct Base {
    /// `https://mcp.example.com`: the issuer of a facade.
    origin: String,
    /// `https://mcp.example.com/mcp`: what tokens are for.
    resource: String,
    /// `/mcp`
    path: String,
}

impl Base {
    fn of(public_url: &str) -> Result<Self, String> {
        let resource = crate::http::resource_metadata::canonical(public_url);
        let url = Url::parse(&resource).map_err(|_| format!("`{public_url}` is not a URL"))?;
        let path = url.path().trim_end_matches('/').to_owned();
        Ok(Self {
            origin: resource.strip_suffix(&path).unwrap_or(&resource).to_owned(),
            path,
            resource,
        })
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Metadata,
    OpenId,
    Jwks,
    Register,
    Authorize,
    Consent,
    Callback,
    Token,
    Revoke,
    Userinfo,
}

impl Route {
    /// Whether pages of any origin may read the answers: those that come without a cookie.
    pub(crate) fn is_shared(self) -> bool {
        !matches!(self, Self::Authorize | Self::Consent | Self::Callback)
    }

    /// The methods, as the header `Allow` has them.
    pub(crate) fn allow(self) -> &'static str {
        match self {
            Self::Metadata | Self::OpenId | Self::Jwks | Self::Userinfo => "GET, OPTIONS",
            Self::Authorize | Self::Callback => "GET",
            Self::Consent => "POST",
            Self::Register => "GET, POST, OPTIONS",
            Self::Token | Self::Revoke => "POST, OPTIONS",
        }
    }
}

const METADATA: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

/// The proxy of a server.
pub(crate) struct Bound {
    base: Base,
    mode: Mode,
}

enum Mode {
    Relay(Box<Relay>),
    Facade(Box<Facade>),
}

/// A request, read as far as it has to be.
pub(crate) struct Asked<'a> {
    pub(crate) route: Route,
    pub(crate) method: &'a Method,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) address: Option<IpAddr>,
}

/// The proxy, as a server sees it. Servers without one know no more of it than this, so none of it
/// is in their binary.
pub(crate) trait Proxy: Send + Sync {
    /// What lies at a path.
    fn find(&self, path: &str) -> Option<Route>;

    /// Every path that is taken, for a router.
    fn paths(&self) -> Vec<String>;

    /// What clients are told to be their authorization server.
    fn issuer(&self) -> &str;

    fn answer<'a>(&'a self, asked: Asked<'a>) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;
}

/// The proxy, and who checks the tokens that it issues, where it does.
pub(crate) type Made = (Arc<dyn Proxy>, Option<Box<dyn Authenticate>>);

impl Proxy for Bound {
    fn find(&self, path: &str) -> Option<Route> {
        let plain = path.strip_suffix('/').unwrap_or(path);
        let route = match plain {
            "/oauth2/register" | "/register" => Route::Register,
            "/oauth2/token" => Route::Token,
            "/oauth2/authorize" => Route::Authorize,
            _ if self.is_at(plain, METADATA) => Route::Metadata,
            _ if self.is_at(plain, OPENID) => Route::OpenId,
            _ => match (&self.mode, plain) {
                (Mode::Relay(_), "/oauth2/userinfo") => Route::Userinfo,
                (Mode::Facade(_), "/oauth2/consent") => Route::Consent,
                (Mode::Facade(_), "/oauth2/callback") => Route::Callback,
                (Mode::Facade(_), "/oauth2/revoke") => Route::Revoke,
                (Mode::Facade(_), "/.well-known/jwks.json") => Route::Jwks,
                _ => return None,
            },
        };
        Some(route)
    }

    fn paths(&self) -> Vec<String> {
        let suffixed = [METADATA, OPENID].map(|at| format!("{at}{}", self.base.path));
        let all = [
            METADATA,
            OPENID,
            &suffixed[0],
            &suffixed[1],
            "/.well-known/jwks.json",
            "/register",
            "/oauth2/register",
            "/oauth2/token",
            "/oauth2/authorize",
            "/oauth2/userinfo",
            "/oauth2/consent",
            "/oauth2/callback",
            "/oauth2/revoke",
        ];
        let mut paths: Vec<String> = all
            .into_iter()
            .filter(|path| self.find(path).is_some())
            .flat_map(|path| [path.to_owned(), format!("{path}/")])
            .collect();
        paths.sort();
        paths.dedup();
        paths
    }

    fn issuer(&self) -> &str {
        &self.base.origin
    }

    fn answer<'a>(&'a self, asked: Asked<'a>) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>> {
        Box::pin(self.answered(asked))
    }
}

impl Bound {
    fn is_at(&self, path: &str, well_known: &str) -> bool {
        path.strip_prefix(well_known)
            .is_some_and(|rest| rest.is_empty() || rest == self.base.path)
    }

    fn tokens(&self) -> Option<OwnTokens> {
        match &self.mode {
            Mode::Relay(_) => None,
            Mode::Facade(facade) => Some(facade.tokens()),
        }
    }

    async fn answered(&self, asked: Asked<'_>) -> Answer {
        if !asked
            .route
            .allow()
            .split(", ")
            .any(|method| method == asked.method.as_str())
        {
            return answers::not_allowed(asked.route.allow());
        }
        // For people who open it in a browser.
        if asked.route == Route::Register && asked.method == Method::GET {
            return answers::redirect(StatusCode::FOUND, &self.base.at(METADATA));
        }
        match &self.mode {
            Mode::Relay(relay) => relay.answer(asked).await,
            Mode::Facade(facade) => facade.answer(asked).await,
        }
    }
}
