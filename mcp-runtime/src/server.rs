//! Putting a server together, and serving it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Uri;

use crate::audit::AuditLog;
use crate::auth::Authenticate;
#[cfg(feature = "auth")]
use crate::auth::oauth_proxy::{Made, OAuthProxy, Place};
use crate::caller::Caller;
use crate::changes::Changes;
use crate::clock::Clock;
use crate::confirmation;
use crate::error::{BootError, Result};
use crate::http::accept::Replies;
use crate::http::app::AuthMode;
use crate::http::challenge::StepUp;
use crate::http::listener::Limits;
use crate::http::stream::EndEvent;
#[cfg(feature = "tls")]
use crate::http::tls::Tls;
use crate::http::ways::Ways;
use crate::icon::Icons;
use crate::keys::Keys;
use crate::limits;
use crate::metrics::Metrics;
use crate::policy::Lists;
use crate::resource_set::{PromptSet, ResourceSet};
use crate::result_cache::Room;
use crate::session::SessionLimits;
use crate::skills::Skills;
use crate::store::Store;
use crate::tasks::TaskLimits;
use crate::tool_set::ToolSet;
use crate::wire::engine::{Identity, Modes, SessionMode};

mod build;
mod service;

pub use self::service::{Service, told_to_stop};

/// The largest message, unless said otherwise.
const MAX_BODY: usize = 1 << 20;
/// Tools on one page of `tools/list`, unless said otherwise.
const PAGE_SIZE: usize = 100;
/// What a server without a store of its own remembers at once.
const STORE_CAPACITY: usize = 65_536;

/// A server in the making: tools, a state to lend from, and settings.
///
/// ```
/// use mcp_runtime::prelude::*;
///
/// /// Add two numbers.
/// #[mcp_tool(public, read_only)]
/// fn add(a: i64, b: i64) -> i64 {
///     a + b
/// }
///
/// # fn main() -> mcp_runtime::Result {
/// let service = Server::new(tools![add]).identity("Calculator", "1.0").build()?;
/// assert_eq!(service.tools().count(), 1);
/// # Ok(())
/// # }
/// ```
pub struct Server<S = ()> {
    state: S,
    tools: ToolSet<S>,
    resources: ResourceSet<S>,
    prompts: PromptSet<S>,
    skills: Vec<Skills>,
    modes: Modes,
    identity: Identity,
    public_url: Option<String>,
    auth: Option<Box<dyn Authenticate>>,
    auth_within: Option<Wrap>,
    path: Option<String>,
    shares_limits: Option<Arc<limits::Shared>>,
    #[cfg(feature = "auth")]
    oauth: Option<MakeProxy>,
    auth_mode: AuthMode,
    baseline_scopes: Vec<String>,
    supported_scopes: Option<Vec<String>>,
    step_up: StepUp,
    hosts: Vec<String>,
    origins: Vec<String>,
    clock: Clock,
    max_body: usize,
    page_size: usize,
    limits: Limits,
    replies: Replies,
    strict_accept: bool,
    end_event: EndEvent,
    session_limits: SessionLimits,
    store: Option<Arc<dyn Store>>,
    keys: Option<Keys>,
    confirm_life: Duration,
    tasks: TaskLimits,
    ways: Ways,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    call_limits: limits::Limits,
    shared_limits: Option<Arc<dyn Store>>,
    proxies: Vec<String>,
    audit: Option<AuditLog>,
    changes: Changes,
    result_cache: Room,
    tenant_header: Option<http::HeaderName>,
    routes: Option<Router>,
    metrics: Option<Metrics>,
}

/// Puts something around whoever turns tokens into callers.
type Wrap = Box<dyn FnOnce(Box<dyn Authenticate>) -> Box<dyn Authenticate> + Send>;

/// Makes the OAuth proxy of a server that has one.
#[cfg(feature = "auth")]
type MakeProxy = Box<dyn FnOnce(&Place<'_>) -> Result<Made> + Send>;

impl Server<()> {
    /// A server whose tools borrow nothing from a state.
    pub fn new(tools: ToolSet) -> Self {
        Self::with_state((), tools)
    }
}

impl<S: Send + Sync + 'static> Server<S> {
    /// A server whose tools borrow from `state`.
    pub fn with_state(state: S, tools: ToolSet<S>) -> Self {
        let identity = Identity {
            name: "mcp-server".to_owned(),
            title: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instructions: None,
            description: None,
            website: None,
            icons: Icons::new(),
        };
        Self {
            state,
            tools,
            resources: ResourceSet::new(),
            prompts: PromptSet::new(),
            skills: Vec::new(),
            modes: Modes::default(),
            identity,
            public_url: None,
            auth: None,
            auth_within: None,
            path: None,
            shares_limits: None,
            #[cfg(feature = "auth")]
            oauth: None,
            auth_mode: AuthMode::default(),
            baseline_scopes: Vec::new(),
            supported_scopes: None,
            step_up: StepUp::default(),
            hosts: Vec::new(),
            origins: Vec::new(),
            clock: Clock::system(),
            max_body: MAX_BODY,
            page_size: PAGE_SIZE,
            limits: Limits::default(),
            replies: Replies::default(),
            strict_accept: false,
            end_event: EndEvent::default(),
            session_limits: SessionLimits::default(),
            store: None,
            keys: None,
            confirm_life: confirmation::LIFE,
            tasks: TaskLimits::default(),
            ways: Ways::default(),
            #[cfg(feature = "tls")]
            tls: None,
            call_limits: limits::Limits::none(),
            shared_limits: None,
            proxies: Vec::new(),
            audit: None,
            changes: Changes::default(),
            result_cache: Room::default(),
            tenant_header: None,
            routes: None,
            metrics: None,
        }
    }

    /// Adds resources.
    #[must_use]
    pub fn resources(mut self, resources: ResourceSet<S>) -> Self {
        self.resources = self.resources + resources;
        self
    }

    /// Adds prompts.
    #[must_use]
    pub fn prompts(mut self, prompts: PromptSet<S>) -> Self {
        self.prompts = self.prompts + prompts;
        self
    }

    /// Adds the skills in the folder at `path`, for everybody: every folder in it with a
    /// `SKILL.md`. They are read when the server is built.
    #[must_use]
    pub fn skills_dir(self, path: impl Into<std::path::PathBuf>) -> Self {
        self.skills(Skills::dir(path))
    }

    /// Adds skills, for whom their policy says.
    #[must_use]
    pub fn skills(mut self, skills: Skills) -> Self {
        self.skills.push(skills);
        self
    }

    /// When a client of the revisions before 2026-07-28 gets a session; when it can be asked
    /// something, unless said otherwise.
    #[must_use]
    pub fn sessions(mut self, mode: SessionMode) -> Self {
        self.modes.sessions = mode;
        self
    }

    /// How many sessions there may be, and for how long.
    #[must_use]
    pub fn session_limits(mut self, limits: SessionLimits) -> Self {
        self.session_limits = limits;
        self
    }

    /// Where the server keeps what several instances of it share, or what outlives its process:
    /// sessions, tasks, what is switched off, and which confirmations are used up. With it, instances
    /// of the same name and path are one server: any of them goes on with what another one has
    /// begun, and hears of what changes there. Without, everything is in memory.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// The form of answers over HTTP, for clients that accept both; negotiated unless said
    /// otherwise.
    #[must_use]
    pub fn replies(mut self, replies: Replies) -> Self {
        self.replies = replies;
        self
    }

    /// Refuses messages over HTTP whose `Accept` does not list both `application/json` and
    /// `text/event-stream`, as the letter of MCP has it (406).
    #[must_use]
    pub fn strict_accept(mut self) -> Self {
        self.strict_accept = true;
        self
    }

    /// What a stream says after its answer; nothing unless said otherwise.
    #[must_use]
    pub fn sse_end_event(mut self, event: EndEvent) -> Self {
        self.end_event = event;
        self
    }

    /// How many tasks there may be, and for how long.
    #[must_use]
    pub fn tasks(mut self, limits: TaskLimits) -> Self {
        self.tasks = limits;
        self
    }

    /// Tells clients that tools of this server log to them, with [`Call::log`](crate::Call::log).
    #[must_use]
    pub fn logging(mut self) -> Self {
        self.modes.logging = true;
        self
    }

    /// Also speaks WebSocket, at the path of the endpoint with `/ws` after it (`/mcp/ws`): the
    /// sub-protocol `mcp`, one message in each text frame, tokens in the `Authorization` header
    /// like everywhere. A connection is its own session.
    #[cfg(feature = "websocket")]
    #[must_use]
    pub fn websocket(mut self) -> Self {
        self.ways.websocket = true;
        self
    }

    /// Also serves clients of 2024-11-05 that know no other way over HTTP: a stream of events at
    /// `/sse`, messages posted to `/messages/`.
    #[must_use]
    pub fn legacy_sse(mut self) -> Self {
        self.ways.legacy_sse = true;
        self
    }

    /// Also takes messages at `/rpc`, where every answer is JSON whatever the client accepts, and
    /// where there are neither sessions nor streams.
    #[must_use]
    pub fn rpc_alias(mut self) -> Self {
        self.ways.rpc = true;
        self
    }

    /// Answers `shutdown`, which some hosts send although MCP does not have it: with an empty
    /// result, after which the session ends, and over a pipe the server. Otherwise it is unknown.
    #[must_use]
    pub fn answer_shutdown(mut self) -> Self {
        self.modes.shutdown = true;
        self
    }

    /// A header with which requests may name their tenant. Where one comes with it, it has to be
    /// the tenant of the access token; otherwise the answer is 403. Requests without it are
    /// served as ever.
    #[must_use]
    pub fn tenant_header(mut self, name: http::HeaderName) -> Self {
        self.tenant_header = Some(name);
        self
    }

    /// Answers `GET` requests to paths that are not the server's own, like those of files that a
    /// tool has made. Host names and origins are checked before; who asks is a matter of the
    /// routes, which see the head of a request and never a body. An answer has up to 64 MiB.
    /// Several routers are merged.
    #[must_use]
    pub fn routes(mut self, routes: Router) -> Self {
        self.routes = Some(match self.routes.take() {
            Some(others) => others.merge(routes),
            None => routes,
        });
        self
    }

    /// The name and the version that clients see.
    #[must_use]
    pub fn identity(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.identity.name = name.into();
        self.identity.version = version.into();
        self
    }

    /// A name for people, where it differs from the name.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.identity.title = Some(title.into());
        self
    }

    /// What the server is, for people who look for one.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.identity.description = Some(text.into());
        self
    }

    /// Where people read about the server: an `https://` URL.
    #[must_use]
    pub fn website(mut self, url: impl Into<String>) -> Self {
        self.identity.website = Some(url.into());
        self
    }

    /// An icon of the server: an `https://` URL, or a `data:image/…` URI of at most 64 KiB. More
    /// than one are the same image in several forms.
    #[must_use]
    pub fn icon(mut self, src: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        self.identity.icons.push(src.into());
        self
    }

    /// What a model should know before it uses the tools.
    #[must_use]
    pub fn instructions(mut self, text: impl Into<String>) -> Self {
        self.identity.instructions = Some(text.into());
        self
    }

    /// The URL under which clients reach the endpoint, like `https://mcp.example.com/mcp`. Its
    /// path is where messages are posted, `/mcp` without it; its host is one that the server
    /// answers to. Needed outside loopback: it is never guessed from a request.
    #[must_use]
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.public_url = Some(url.into());
        self
    }

    /// Where messages are posted, for a server without a [`public_url`](Self::public_url), which
    /// has a path of its own; `/mcp` unless said otherwise.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Who turns bearer tokens into callers. Without it every token is refused, and only public
    /// tools can be called over HTTP.
    #[must_use]
    pub fn auth(mut self, auth: impl Authenticate) -> Self {
        self.auth = Some(Box::new(auth));
        self
    }

    /// Puts something around whoever turns tokens into callers, those of an
    /// [`oauth_proxy`](Self::oauth_proxy) among them: a check that holds for every token, like
    /// [`Membership`](crate::auth::Membership). What was put there before lies inside.
    #[must_use]
    pub fn auth_within(
        mut self,
        wrap: impl FnOnce(Box<dyn Authenticate>) -> Box<dyn Authenticate> + Send + 'static,
    ) -> Self {
        self.auth_within = Some(match self.auth_within.take() {
            Some(inner) => Box::new(move |auth| wrap(inner(auth))),
            None => Box::new(wrap),
        });
        self
    }

    /// An authorization server for clients, at the address of this server. In front of a
    /// [facade](OAuthProxy::facade) no [`auth`](Self::auth) is needed: it checks the tokens that it
    /// issues. With one, tokens of either are taken.
    #[cfg(feature = "auth")]
    #[must_use]
    pub fn oauth_proxy(mut self, proxy: OAuthProxy) -> Self {
        self.oauth = Some(Box::new(|place| proxy.make(place)));
        self
    }

    /// What requests without a token may do: look around and call what is public, unless said
    /// otherwise. A token that is sent and is not good is refused in every mode.
    #[must_use]
    pub fn auth_mode(mut self, mode: AuthMode) -> Self {
        self.auth_mode = mode;
        self
    }

    /// The scopes that a client without a token is told to begin with. Unless said, it is told
    /// those of the operation that it tried.
    #[must_use]
    pub fn baseline_scopes<T: Into<String>>(mut self, scopes: impl IntoIterator<Item = T>) -> Self {
        self.baseline_scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// The scopes that the resource metadata names; all that are asked for anywhere, unless said.
    /// Some clients ask for every one of them at once.
    #[must_use]
    pub fn supported_scopes<T: Into<String>>(
        mut self,
        scopes: impl IntoIterator<Item = T>,
    ) -> Self {
        self.supported_scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// What lists hold, of tools, resources, templates, prompts and skills: also what a caller
    /// would need more scopes for, unless said otherwise. What is not listed for this reason is
    /// still answered with 401 or 403 and the scopes to ask for.
    #[must_use]
    pub fn lists(mut self, lists: Lists) -> Self {
        self.modes.lists = lists;
        self
    }

    /// How clients learn that their token lacks a scope: with HTTP 403, unless they are known to
    /// take that the wrong way.
    #[must_use]
    pub fn step_up(mut self, delivery: StepUp) -> Self {
        self.step_up = delivery;
        self
    }

    /// One more host name to answer to (`mcp.internal` or `mcp.internal:8080`), beside loopback
    /// and that of the public URL.
    #[must_use]
    pub fn allow_host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into());
        self
    }

    /// One more origin whose pages may call (`https://app.example.com`), beside loopback.
    #[must_use]
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// What each caller may ask, and how often; no limits unless said otherwise. What a tool says
    /// about itself holds on top.
    #[must_use]
    pub fn limits(mut self, limits: limits::Limits) -> Self {
        self.call_limits = limits;
        self
    }

    /// Counts rates in a store, too, together with all instances that share it: what each caller
    /// may ask, what it may ask without a token, and what tools say about themselves. Calls at the
    /// same time are still counted by each instance for itself.
    ///
    /// Each instance counts for itself first; only what it would let in asks the store. While the
    /// store cannot be used, each limits for itself, and a warning is logged.
    #[must_use]
    pub fn shared_limits(mut self, store: Arc<dyn Store>) -> Self {
        self.shared_limits = Some(store);
        self
    }

    /// Counts with another server: what a caller asks of both comes out of one allowance, that of
    /// the other, and [`limits`](Self::limits) is not looked at. For services
    /// [beside](Service::beside) each other.
    #[must_use]
    pub fn limits_of(mut self, other: &Service) -> Self {
        self.shares_limits.clone_from(&other.app.engine.limits);
        self
    }

    /// Proxies in front of this server, as addresses or networks (`10.0.0.0/8`). What they say in
    /// `Forwarded` or `X-Forwarded-For` is where a request comes from; nobody else is believed.
    /// A proxy has to overwrite or extend these headers, not hand on what a client wrote.
    #[must_use]
    pub fn trusted_proxies<T: Into<String>>(
        mut self,
        proxies: impl IntoIterator<Item = T>,
    ) -> Self {
        self.proxies.extend(proxies.into_iter().map(Into::into));
        self
    }

    /// Records every call. A tool that is not read-only runs only if that worked.
    #[must_use]
    pub fn audit(mut self, log: AuditLog) -> Self {
        self.audit = Some(log);
        self
    }

    /// Counts and measures what is asked of the server, in `metrics`; nothing unless said. Where
    /// they are read is a matter of its own: [`Metrics::serve_with`], or [`Metrics::router`].
    #[must_use]
    pub fn metrics(mut self, metrics: &Metrics) -> Self {
        self.metrics = Some(metrics.clone());
        self
    }

    /// Announces changes through this, which can be made before the server and handed to what its
    /// state consists of. It serves one server.
    #[must_use]
    pub fn changes(mut self, changes: Changes) -> Self {
        self.changes = changes;
        self
    }

    /// How many answers of tools with `cache` are kept, and how many bytes of them: 1,024 and 16 MiB
    /// unless said otherwise. The oldest make room. An answer of more than an eighth of all bytes is
    /// not kept.
    #[must_use]
    pub fn result_cache(mut self, entries: usize, bytes: usize) -> Self {
        self.result_cache = Room { entries, bytes };
        self
    }

    /// Where the time of day is read.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The largest message in bytes; 1 MiB unless said otherwise.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Tools on one page of `tools/list`; 100 unless said otherwise.
    #[must_use]
    pub fn page_size(mut self, tools: usize) -> Self {
        self.page_size = tools;
        self
    }

    /// Open connections at once; 10,000 unless said otherwise. More wait to be accepted.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.limits.connections = connections;
        self
    }

    /// How long a client may take to send the head of a request (10 s) and its body (30 s).
    #[must_use]
    pub fn request_deadlines(mut self, head: Duration, body: Duration) -> Self {
        self.limits.head = head;
        self.limits.body = body;
        self
    }

    /// How long calls in flight may go on when the server stops; 10 s unless said otherwise.
    #[must_use]
    pub fn drain(mut self, deadline: Duration) -> Self {
        self.limits.drain = deadline;
        self
    }

    /// The secret that the keys of the server come from. Several instances of a server share it;
    /// without one, each process makes its own keys.
    #[must_use]
    pub fn keys(mut self, keys: Keys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// How long a client has to come back with a `confirm_token`; 5 minutes unless said otherwise.
    #[must_use]
    pub fn confirm_within(mut self, life: Duration) -> Self {
        self.confirm_life = life;
        self
    }

    /// Speaks TLS on the sockets that it listens on; without it, TLS ends at a proxy in front.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Builds the server and serves it under `public_url` until the process is told to stop.
    ///
    /// A loopback URL names its own port (`http://127.0.0.1:8000/mcp`). Any other is taken to lie
    /// behind a proxy that ends TLS: the server then listens on all addresses, at the port in the
    /// environment variable `PORT`, or 8000.
    ///
    /// # Errors
    /// As [`build`](Self::build), and when the address cannot be listened on.
    pub async fn serve(self, public_url: &str) -> Result {
        let service = self.public_url(public_url).build()?;
        let uri: Uri = public_url
            .parse()
            .map_err(|_| BootError::new(format!("`{public_url}` is not a URL")))?;
        let host = uri
            .host()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        let loopback = host == "localhost"
            || host
                .parse()
                .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        let from_env = || match std::env::var("PORT") {
            Ok(port) => port
                .parse()
                .map_err(|_| BootError::new("the environment variable PORT is not a port")),
            Err(_) => Ok(8000),
        };
        match (loopback, uri.port_u16()) {
            (true, Some(port)) => service.serve_on((host, port)).await,
            (true, None) => service.serve_on((host, from_env()?)).await,
            (false, _) => service.serve_on(("0.0.0.0", from_env()?)).await,
        }
    }

    /// Builds the server and serves it on standard input and output, to a caller that the
    /// environment of the process vouches for.
    ///
    /// # Errors
    /// As [`build`](Self::build), and when a pipe breaks.
    pub async fn stdio(self, caller: Caller) -> Result {
        self.build()?.stdio(caller).await
    }
}
