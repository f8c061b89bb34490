//! The one client for every URL that the runtime itself calls.
//!
//! Resolve, check, pin: a name is resolved once, addresses that nobody outside should reach are
//! taken out, and the connection goes to one of the rest. There is no second resolution to race,
//! no redirect to follow and no proxy that would resolve again.

mod address;

use std::error::Error as StdError;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, RequestBuilder, Url, redirect};
use tokio::sync::Semaphore;

use self::address::Reach;
use crate::error::BootError;

/// What key sets, metadata and answers about a user need, and more.
const MAX_BODY: usize = 256 << 10;
const CONNECT: Duration = Duration::from_secs(3);
/// From the first byte out to the last byte in.
const TOTAL: Duration = Duration::from_secs(5);
/// A flood of tokens nobody knows must not become one of requests to somebody else.
const AT_ONCE: usize = 64;

/// How the runtime may call URLs of others: those of issuers, their keys and their users.
///
/// Only `https`, only addresses of the public internet, no redirects, no proxies, answers in JSON
/// of at most 256 KiB within 5 seconds. Clones share their connections.
///
/// ```
/// use mcp_runtime::auth::{Egress, Jwt};
///
/// // An issuer on this machine, for development.
/// let auth = Jwt::discover("http://127.0.0.1:9000").egress(Egress::new().allow_loopback());
/// ```
#[derive(Clone)]
pub struct Egress(Arc<Inner>);

struct Inner {
    reach: Allowed,
    names: Names,
    client: OnceLock<Client>,
    slots: Semaphore,
}

#[derive(Clone, Copy, Debug, Default)]
struct Allowed {
    loopback: bool,
    private: bool,
}

impl Egress {
    /// The public internet, by `https`.
    pub fn new() -> Self {
        Self::with(Allowed::default(), Names::OfTheSystem)
    }

    /// Also this machine, there by `http` as well. For development.
    #[must_use]
    pub fn allow_loopback(self) -> Self {
        let reach = Allowed {
            loopback: true,
            ..self.0.reach
        };
        Self::with(reach, self.0.names.clone())
    }

    /// Also private networks, by `https`; never the addresses at which clouds hand out
    /// credentials.
    #[must_use]
    pub fn allow_private(self) -> Self {
        let reach = Allowed {
            private: true,
            ..self.0.reach
        };
        Self::with(reach, self.0.names.clone())
    }

    /// Looks names up with this function, and nowhere else: for tests of what a name server may
    /// answer. The addresses are checked like any.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn names(self, look_up: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static) -> Self {
        Self::with(self.0.reach, Names::Given(Arc::new(look_up)))
    }

    /// Whether a connection to this address is allowed: for programs with a client of their own,
    /// which resolve a name once, ask here, and connect to what was allowed.
    pub fn allows(&self, address: IpAddr) -> bool {
        self.0.reach.allows(address)
    }

    fn with(reach: Allowed, names: Names) -> Self {
        Self(Arc::new(Inner {
            reach,
            names,
            client: OnceLock::new(),
            slots: Semaphore::new(AT_ONCE),
        }))
    }

    /// Makes the client, so that what is wrong with it is known before it is needed.
    pub(crate) fn prepare(&self) -> Result<(), BootError> {
        if self.0.client.get().is_some() {
            return Ok(());
        }
        let client = Client::builder()
            .dns_resolver(Arc::new(Checked(self.0.reach, self.0.names.clone())))
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("mcp-runtime/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| BootError::new(format!("cannot make an HTTP client: {error}")))?;
        // Another clone may have been quicker; one client is as good as the other.
        let _ = self.0.client.set(client);
        Ok(())
    }

    /// Reads a URL of the configuration: what it has to be, when it is not.
    pub(crate) fn url(&self, text: &str) -> Result<Url, String> {
        let problem = |why: &str| format!("`{text}` {why}");
        let url = Url::parse(text).map_err(|_| problem("is not a URL"))?;
        if !url.username().is_empty() || url.password().is_some() {
            // Not shown: it holds a password.
            return Err("a URL has a user name or a password in it: leave them out".to_owned());
        }
        if url.fragment().is_some() {
            return Err(problem("has a fragment (`#…`): leave it out"));
        }
        match url.scheme() {
            "https" if url.has_host() => {}
            "http" if is_this_machine(&url) && self.0.reach.loopback => {}
            "http" if is_this_machine(&url) => {
                return Err(problem(
                    "is not encrypted: for development, allow it with \
                     `.egress(Egress::new().allow_loopback())`",
                ));
            }
            _ => return Err(problem("does not start with `https://`")),
        }
        if let Some(ip) = literal(&url)
            && !self.0.reach.allows(ip)
        {
            return Err(problem(
                "is at an address that is not public: for a private network, allow it with \
                 `.egress(Egress::new().allow_private())`",
            ));
        }
        Ok(url)
    }

    /// Asks for a JSON document, with a bearer token where one is given.
    pub(crate) async fn get(&self, url: &Url, bearer: Option<&str>) -> Result<Answer, Lost> {
        self.send(url, |client| {
            let mut headers = HeaderMap::new();
            if let Some(token) = bearer {
                headers.insert(AUTHORIZATION, secret("Bearer", token)?);
            }
            Ok(client.get(url.clone()).headers(headers))
        })
        .await
    }

    /// Posts a form, with the credentials of a client.
    pub(crate) async fn post_form(
        &self,
        url: &Url,
        basic: &str,
        form: String,
    ) -> Result<Answer, Lost> {
        self.send(url, |client| {
            Ok(client
                .post(url.clone())
                .header(AUTHORIZATION, secret("Basic", basic)?)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form))
        })
        .await
    }

    /// Posts anything; an answer in JSON is read whatever its status.
    pub(crate) async fn post(
        &self,
        url: &Url,
        kind: &'static str,
        credentials: Option<&HeaderValue>,
        body: Bytes,
    ) -> Result<Answer, Lost> {
        self.exchange(url, Read::Always, |client| {
            let mut post = client.post(url.clone()).header(CONTENT_TYPE, kind);
            if let Some(credentials) = credentials {
                let mut credentials = credentials.clone();
                credentials.set_sensitive(true);
                post = post.header(AUTHORIZATION, credentials);
            }
            Ok(post.body(body))
        })
        .await
    }

    async fn send(
        &self,
        url: &Url,
        request: impl FnOnce(&Client) -> Result<RequestBuilder, Lost>,
    ) -> Result<Answer, Lost> {
        self.exchange(url, Read::OfSuccess, request).await
    }

    async fn exchange(
        &self,
        url: &Url,
        when: Read,
        request: impl FnOnce(&Client) -> Result<RequestBuilder, Lost>,
    ) -> Result<Answer, Lost> {
        // The URL may come from a document of an issuer, so it is looked at every time; and a
        // literal address never passes the resolver.
        self.url(url.as_str()).map_err(Lost::Refused)?;
        let client = self.0.client.get().ok_or(Lost::NotPrepared)?;
        let request = request(client)?.header(ACCEPT, "application/json");
        let exchange = async {
            let _slot = self.0.slots.acquire().await;
            read(request.send().await?, when).await
        };
        tokio::time::timeout(TOTAL, exchange)
            .await
            .map_err(|_| Lost::TimedOut)?
    }
}

impl Default for Egress {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Egress").field(&self.0.reach).finish()
    }
}

/// What came back: a JSON text, not parsed, with whatever status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) json: Option<Bytes>,
}

impl Answer {
    /// The document of a success.
    pub(crate) fn document(self) -> Result<Bytes, Lost> {
        match self.status {
            200 => self.json.ok_or(Lost::NotJson),
            status => Err(Lost::Status(status)),
        }
    }
}

/// Why nothing came back, for the log: names no secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error("{0}")]
    Refused(String),
    #[error("the client is not prepared")]
    NotPrepared,
    #[error("no answer within {} s", TOTAL.as_secs())]
    TimedOut,
    #[error("the answer has the status {0}")]
    Status(u16),
    #[error("the answer is larger than {MAX_BODY} bytes")]
    TooLarge,
    #[error("the answer is not JSON")]
    NotJson,
    #[error("{0}")]
    Unusable(&'static str),
    #[error("{}", causes(.0))]
    Broken(reqwest::Error),
}

impl From<reqwest::Error> for Lost {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::TimedOut;
        }
        Self::Broken(error.without_url())
    }
}

/// An error with what lies under it, which is where a refused address or certificate is named.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// When the body of an answer is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    OfSuccess,
    Always,
}

async fn read(mut answer: reqwest::Response, when: Read) -> Result<Answer, Lost> {
    let status = answer.status().as_u16();
    if when == Read::OfSuccess && answer.status() != 200 || !is_json(answer.headers()) {
        // What is not a document of a success is not read at all.
        return Ok(Answer { status, json: None });
    }
    let declared = answer
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(Lost::TooLarge);
    }
    let mut bytes = BytesMut::new();
    while let Some(piece) = answer.chunk().await? {
        if bytes.len() + piece.len() > MAX_BODY {
            return Err(Lost::TooLarge);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(Answer {
        status,
        json: Some(bytes.freeze()),
    })
}

/// `application/json`, or any of the kinds that end in `+json`.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .and_then(|kind| kind.split(';').next())
        .map(|kind| kind.trim().to_ascii_lowercase());
    kind.is_some_and(|kind| {
        kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
    })
}

fn secret(scheme: &str, value: &str) -> Result<HeaderValue, Lost> {
    let mut header = HeaderValue::try_from(format!("{scheme} {value}"))
        .map_err(|_| Lost::Unusable("a credential does not fit into a header"))?;
    header.set_sensitive(true);
    Ok(header)
}

fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

/// By its name: `localhost`, or a literal address.
fn is_this_machine(url: &Url) -> bool {
    literal(url).map_or_else(
        || url.host_str() == Some("localhost"),
        |ip| ip.is_loopback(),
    )
}

impl Allowed {
    fn allows(self, ip: IpAddr) -> bool {
        match address::reach(ip) {
            Reach::Public => true,
            Reach::Loopback => self.loopback,
            Reach::Private => self.private,
            Reach::Never => false,
        }
    }
}

/// Resolves names to addresses that may be connected to. The connection is made to one of these,
/// so what was checked is what is used.
struct Checked(Allowed, Names);

/// Who knows the addresses of a name.
#[derive(Clone)]
enum Names {
    OfTheSystem,
    #[cfg(feature = "testing")]
    Given(Arc<LookUp>),
}

#[cfg(feature = "testing")]
type LookUp = dyn Fn(&str) -> Vec<IpAddr> + Send + Sync;

impl Names {
    async fn look_up(&self, name: &str) -> std::io::Result<Vec<SocketAddr>> {
        match self {
            Self::OfTheSystem => Ok(tokio::net::lookup_host((name, 0)).await?.collect()),
            #[cfg(feature = "testing")]
            Self::Given(look_up) => {
                let found = look_up(name).into_iter();
                Ok(found.map(|address| (address, 0).into()).collect())
            }
        }
    }
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (allowed, names) = (self.0, self.1.clone());
        Box::pin(async move {
            let found = names.look_up(name.as_str()).await?.into_iter();
            // `http` is let through for `localhost` alone: it has to mean this machine.
            let local = name.as_str() == "localhost";
            let checked: Vec<SocketAddr> = found
                .filter(|address| allowed.allows(address.ip()))
                .filter(|address| !local || address.ip().is_loopback())
                .collect();
            if checked.is_empty() {
                return Err(format!(
                    "`{}` has no address that may be connected to",
                    name.as_str()
                )
                .into());
            }
            let checked: Addrs = Box::new(checked.into_iter());
            Ok(checked)
        })
    }
}
