//! Putting a server together, and serving it.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::any;
use http::Uri;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, ToSocketAddrs};

use crate::audit::AuditLog;
#[cfg(feature = "auth")]
use crate::auth::oauth_proxy::{Bound, OAuthProxy, Place};
use crate::auth::{Authenticate, Setup};
use crate::caller::Caller;
use crate::changes::Changes;
use crate::clock::Clock;
use crate::confirm;
use crate::confirmation::{self, Desk};
use crate::error::{BootError, Result};
use crate::http::accept::Replies;
use crate::http::app::{App, AuthMode};
use crate::http::challenge::{Challenges, StepUp};
use crate::http::front::Front;
use crate::http::guard::Guard;
use crate::http::legacy_sse::Streams;
use crate::http::listener::{self, Limits};
use crate::http::peer::Proxies;
use crate::http::peers::Peers;
use crate::http::resource_metadata::ResourceMetadata;
use crate::http::stream::EndEvent;
#[cfg(feature = "tls")]
use crate::http::tls::{self, Tls, TlsDoor};
use crate::http::ways::Ways;
use crate::icon::{self, Icons};
use crate::instances::Instances;
use crate::keys::Keys;
use crate::limits::{self, Tally};
use crate::metrics::Metrics;
use crate::policy::{Lists, Policy};
use crate::prompt::Prompt;
use crate::resource::Resource;
use crate::resource_set::{PromptSet, ResourceSet};
use crate::result_cache::{ResultCache, Room};
use crate::rounds::Seal;
use crate::session::{SessionLimits, Sessions};
use crate::skills::{self, Skills};
use crate::stdio;
use crate::store::{MemoryStore, Store};
use crate::switches::Switches;
use crate::tasks::TaskLimits;
use crate::tool::Tool;
use crate::tool_set::ToolSet;
use crate::ui;
use crate::wire::engine::{Engine, Identity, Modes, Offers, SessionMode, Settings, Watch};
use crate::wire::list::Cut;

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
    oauth: Option<OAuthProxy>,
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
        self.oauth = Some(proxy);
        self
    }

    /// Makes the proxy, and lets the tokens in that it issues.
    #[cfg(feature = "auth")]
    fn bind_oauth(&mut self, problems: &mut Vec<String>) -> Option<Arc<Bound>> {
        let proxy = self.oauth.take()?;
        let name = self.identity.title.as_ref().unwrap_or(&self.identity.name);
        let place = Place {
            public_url: self.public_url.as_deref(),
            clock: &self.clock,
            // A flood of clients must not crowd out what else is remembered.
            store: self
                .store
                .clone()
                .unwrap_or_else(|| Arc::new(MemoryStore::new(self.clock.clone(), STORE_CAPACITY))),
            keys: self.keys.as_ref(),
            name: name.clone(),
        };
        let bound = match proxy.bind(&place) {
            Ok(bound) => Arc::new(bound),
            Err(error) => {
                problems.extend_from_slice(error.problems());
                return None;
            }
        };
        self.auth = match (bound.tokens(), self.auth.take()) {
            (Some(own), Some(other)) => Some(Box::new(crate::auth::any_of(own).or(other))),
            (Some(own), None) => Some(Box::new(own)),
            (None, Some(other)) => Some(other),
            (None, None) => {
                problems.push(
                    "the OAuth proxy hands out tokens of its provider, and nobody can check them:                      say who with `auth(Jwt::discover(…))`"
                        .to_owned(),
                );
                None
            }
        };
        Some(bound)
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

    /// The scopes of the resource metadata: those that were named, or every one there is.
    fn advertised_scopes(&self) -> Vec<String> {
        if let Some(scopes) = &self.supported_scopes {
            return scopes.clone();
        }
        let tools = self.tools.iter().map(Tool::policy_ref);
        let resources = self.resources.iter().map(Resource::policy_ref);
        let prompts = self.prompts.iter().map(Prompt::policy_ref);
        let scopes: BTreeSet<String> = tools
            .chain(resources)
            .chain(prompts)
            .flat_map(Policy::needed_scopes)
            // Of those with a variable there is no end.
            .filter(|scope| !scope.contains('{'))
            .map(|scope| scope.to_string())
            // A matter between the client and its authorization server.
            .filter(|scope| scope != "offline_access")
            .collect();
        scopes.into_iter().collect()
    }

    /// What is wrong with settings that stand for themselves.
    fn setting_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.auth_mode == AuthMode::Required && self.auth.is_none() {
            problems.push(
                "every request needs a token, and nobody can check one: say who with `auth`".into(),
            );
        }
        let named = self
            .baseline_scopes
            .iter()
            .chain(self.supported_scopes.iter().flatten());
        for scope in named.filter(|scope| !is_scope(scope)) {
            problems.push(format!(
                "{scope:?} is not a scope: write visible ASCII without `\"` and `\\`"
            ));
        }
        let icons = icon::problems(&self.identity.icons);
        problems.extend(icons.map(|problem| format!("of the server, {problem}")));
        let website = self.identity.website.as_ref();
        if let Some(url) = website.filter(|url| !icon::is_https(url)) {
            problems.push(format!(
                "the website `{}` is not an `https://` URL",
                url.escape_debug()
            ));
        }
        if self.confirm_life.is_zero() {
            problems.push("`confirm_within` is zero: nobody could confirm anything".to_owned());
        }
        if self.max_body == 0 {
            problems.push("`max_body` is zero: no message would fit".to_owned());
        }
        problems.extend(self.tasks.problem().map(str::to_owned));
        problems
    }

    /// Checks everything and makes the server.
    ///
    /// # Errors
    /// All problems at once, each with the place where it can be mended.
    pub fn build(mut self) -> Result<Service> {
        let mut problems = Vec::new();
        // A proxy that issues tokens is the one who checks them.
        #[cfg(feature = "auth")]
        let oauth = self.bind_oauth(&mut problems);
        if let Some(wrap) = self.auth_within.take() {
            self.auth = self.auth.take().map(wrap);
        }
        problems.extend(self.setting_problems());
        let scopes = self.advertised_scopes();
        let authorization_servers = self
            .auth
            .as_ref()
            .map(|auth| auth.authorization_servers())
            .unwrap_or_default();
        // Clients are to come to the proxy, and not to whom it stands for.
        #[cfg(feature = "auth")]
        let authorization_servers = match &oauth {
            Some(oauth) => vec![oauth.issuer().to_owned()],
            None => authorization_servers,
        };
        if let Some(metrics) = &self.metrics {
            self.store = self.store.map(|store| metrics.over_store(store));
        }
        let state = Arc::new(self.state);
        problems.extend(ui::tool_problems(&self.tools, &self.resources));
        // Sessions are shared where there is something to share them in.
        let shared = self.store.clone();
        let store = self
            .store
            .unwrap_or_else(|| Arc::new(MemoryStore::new(self.clock.clone(), STORE_CAPACITY)));
        let tokens = match &self.keys {
            Some(keys) => keys.of_tokens()?,
            None => confirm::Keys::random(),
        };
        let desk = Arc::new(Desk::new(
            tokens,
            self.clock.clone(),
            Arc::clone(&store),
            self.confirm_life,
        ));
        let apps = ui::is_used(&self.tools, &self.resources);
        let cut = Cut {
            page_size: self.page_size,
            lists: self.modes.lists,
        };
        let (skills, skill_files) = skills::bind(self.skills, cut, &mut problems);
        let mut offers = Offers {
            tools: self.tools.bind(&state, cut, &desk, &mut problems),
            resources: self
                .resources
                .bind(&state, cut, (&skills, skill_files), &mut problems),
            prompts: self.prompts.bind(&state, cut, &mut problems),
            skills,
            apps,
        };
        let tally = self.shared_limits.map(Tally::new);
        let limits = match self.shares_limits {
            Some(shared) => Some(shared),
            None => Watch::limits(&self.call_limits, tally.as_ref(), &mut problems),
        };
        let (guard, path) = reached_as(
            self.public_url.as_deref(),
            self.path.as_deref(),
            &self.hosts,
            &self.origins,
            &mut problems,
        );
        // Several servers may share one store: theirs is what has the same name and place.
        let server = format!("{} {path}", self.identity.name);
        let instances = Instances::new(shared.map(|store| (store, server.as_str())), &self.clock);
        let watch = Watch::over(
            &mut offers,
            limits,
            tally.as_ref(),
            self.audit,
            self.metrics.as_ref(),
            ResultCache::new(
                self.clock.clone(),
                self.result_cache,
                instances.voice().cloned(),
            ),
            &mut problems,
        );
        let mut proxies = Proxies::default();
        problems.extend(
            self.proxies
                .iter()
                .filter_map(|proxy| proxies.trust(proxy).err()),
        );
        if self.ways.paths("").contains(&path) {
            problems.push(format!(
                "the endpoint and another way to the server both lie at `{path}`: give `public_url` another path"
            ));
        }
        if let Some(auth) = &mut self.auth {
            let setup = Setup::new(self.public_url.as_deref(), &self.clock);
            if let Err(error) = auth.prepare(&setup) {
                problems.extend_from_slice(error.problems());
            }
        }
        #[cfg(feature = "tls")]
        let tls = self.tls.map(Tls::load).transpose();
        #[cfg(feature = "tls")]
        let tls = tls.unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        BootError::collect(problems)?;
        let service = self
            .identity
            .title
            .clone()
            .unwrap_or_else(|| self.identity.name.clone());
        // Without somebody who issues tokens there is nothing to tell.
        let metadata = self
            .public_url
            .as_ref()
            .filter(|_| !authorization_servers.is_empty() && self.auth_mode != AuthMode::Open)
            .map(|url| {
                ResourceMetadata::new(url, &path, &service, &authorization_servers, &scopes)
            });
        let challenges = Challenges {
            resource_metadata: metadata.as_ref().map(|metadata| metadata.url.clone()),
            baseline: self.baseline_scopes.join(" "),
            step_up: self.step_up,
        };
        #[cfg(feature = "auth")]
        let addresses = watch.addresses || oauth.is_some();
        #[cfg(not(feature = "auth"))]
        let addresses = watch.addresses;
        let proxies = addresses.then_some(proxies);
        let seal = self.keys.as_ref().map_or_else(Seal::random, Seal::of);
        let settings = Settings {
            modes: self.modes,
            sessions: Sessions::new(
                self.session_limits,
                self.clock.clone(),
                instances.voice().cloned(),
            )
            .counted(watch.figures.clone()),
            instances,
            tasks: self.tasks,
            watch,
            seal,
            changes: self.changes,
        };
        let engine = Engine::new(offers, self.clock, &self.identity, settings);
        Ok(Service {
            public: self.public_url.is_some() || !self.hosts.is_empty(),
            public_url: self.public_url,
            metrics: self.metrics,
            others: Vec::new(),
            limits: self.limits,
            #[cfg(feature = "tls")]
            tls,
            app: Arc::new(App {
                proxies,
                engine: Arc::new(engine),
                auth: self.auth.map(Arc::from),
                mode: self.auth_mode,
                challenges,
                metadata,
                #[cfg(feature = "auth")]
                oauth,
                guard,
                path,
                max_body: self.max_body,
                replies: self.replies,
                strict_accept: self.strict_accept,
                end_event: self.end_event,
                ways: self.ways,
                tenant_header: self.tenant_header,
                routes: self.routes,
                peers: Arc::<Peers>::default(),
                streams: Arc::<Streams>::default(),
                service,
                version: self.identity.version,
                stopping: AtomicBool::new(false),
            }),
        })
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

/// The names that the server answers to, and the path of its endpoint.
fn reached_as(
    public_url: Option<&str>,
    own_path: Option<&str>,
    hosts: &[String],
    origins: &[String],
    problems: &mut Vec<String>,
) -> (Guard, String) {
    let mut guard = Guard::default();
    let mut path = "/mcp".to_owned();
    match public_url.map(public) {
        Some(Ok((host, public_path))) => {
            problems.extend(guard.allow_host(&host).err());
            if !public_path.is_empty() {
                path = public_path;
            }
        }
        Some(Err(problem)) => problems.push(problem),
        None => {}
    }
    match own_path {
        Some(_) if public_url.is_some() => problems.push(
            "the server has a `path` and a `public_url`, which has its own: say one of them"
                .to_owned(),
        ),
        Some(own) if is_path(own) => path = own.to_owned(),
        Some(own) => problems.push(format!(
            "`{}` is not a path: write it like `/mcp`",
            own.escape_debug()
        )),
        None => {}
    }
    problems.extend(hosts.iter().filter_map(|host| guard.allow_host(host).err()));
    problems.extend(
        origins
            .iter()
            .filter_map(|origin| guard.allow_origin(origin).err()),
    );
    (guard, path)
}

/// Whether this is a path as it stands in requests: plain segments, no slash at its end.
fn is_path(path: &str) -> bool {
    let plain = |segment: &str| {
        !segment.is_empty()
            && !matches!(segment, "." | "..")
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~'))
    };
    path.strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(plain))
}

/// Whether OAuth can carry this as a scope.
fn is_scope(scope: &str) -> bool {
    !scope.is_empty()
        && scope
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

/// The host (with its port, if it has one) and the path of a public URL.
fn public(url: &str) -> std::result::Result<(String, String), String> {
    let problem = |why: &str| {
        format!("the public URL `{url}` {why}: write it like `https://mcp.example.com/mcp`")
    };
    let uri: Uri = url.parse().map_err(|_| problem("is not a URL"))?;
    let host = uri.host().ok_or_else(|| problem("has no host"))?;
    let local = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if local => {}
        _ => return Err(problem("does not start with `https://`")),
    }
    if uri.query().is_some() {
        return Err(problem("has a query"));
    }
    Ok((host.to_owned(), uri.path().trim_end_matches('/').to_owned()))
}

/// A server that is ready to serve. Clones share everything.
#[derive(Clone)]
pub struct Service {
    app: Arc<App>,
    /// Services at other paths of the same listener.
    others: Vec<Arc<App>>,
    limits: Limits,
    #[cfg(feature = "tls")]
    tls: Option<tls::Loaded>,
    public_url: Option<String>,
    public: bool,
    metrics: Option<Metrics>,
}

impl Service {
    /// Serves another service on the same listener, at its own path: with its own tools, modes
    /// and way to check tokens. What concerns the listener (TLS, deadlines, health, further
    /// routes) is this service's, and so is the resource metadata at the root; each has its own
    /// below its path.
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
    /// /// Say hello.
    /// #[mcp_tool(public, read_only)]
    /// fn hello() -> &'static str {
    ///     "hello"
    /// }
    ///
    /// # fn main() -> mcp_runtime::Result {
    /// let sums = Server::new(tools![add]).path("/sums").build()?;
    /// let greetings = Server::new(tools![hello]).path("/greetings").build()?;
    /// let both = sums.beside(greetings)?;
    /// # let again = Server::new(tools![hello]).path("/sums").build()?;
    /// # assert!(both.beside(again).is_err_and(|error| error.to_string().contains("/sums")));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When two services answer at one path.
    pub fn beside(mut self, other: Service) -> Result<Self> {
        for app in std::iter::once(other.app).chain(other.others) {
            let front = self.front();
            if let Some(problem) = front.all().find_map(|known| known.collision(&app)) {
                return Err(BootError::new(problem));
            }
            self.others.push(app);
        }
        Ok(self)
    }

    fn front(&self) -> Front {
        Front::new(Arc::clone(&self.app), &self.others)
    }

    /// Listens on `address` and serves until the process is told to stop (SIGTERM, Ctrl-C); calls
    /// in flight may finish.
    ///
    /// # Errors
    /// When the address cannot be listened on, or is not loopback and the server has neither a
    /// public URL nor an allowed host: nobody could reach it by a name that it answers to.
    pub async fn serve_on(self, address: impl ToSocketAddrs) -> Result {
        let listener = TcpListener::bind(address).await?;
        self.serve_with(listener, told_to_stop()).await
    }

    /// Serves on a listener until `stop` is ready.
    ///
    /// # Errors
    /// As [`serve_on`](Self::serve_on).
    pub async fn serve_with(self, listener: TcpListener, stop: impl Future<Output = ()>) -> Result {
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() && !self.public {
            return Err(BootError::new(format!(
                "{address} can be reached from other machines: set `public_url`, or allow a host name"
            )));
        }
        tracing::info!(target: "mcp::http", event = "mcp_server_started", status = "serving", %address, url = self.url(address), tools_count = self.tools().count(), "serving");
        for other in &self.others {
            let tools_count = other.engine.tools.names().count();
            tracing::info!(target: "mcp::http", path = other.path, tools_count, "serving beside");
        }
        let front = self.front();
        for app in front.all() {
            app.engine.join().await;
        }
        self.serve_behind_door(listener, stop).await?;
        // Calls that go on without their clients do not outlive the server.
        front.all().for_each(|app| app.engine.sessions.stop());
        for app in front.all() {
            app.engine.leave().await;
        }
        tracing::info!(target: "mcp::http", event = "mcp_server_stopped", status = "stopped", "stopped");
        Ok(())
    }

    async fn serve_behind_door(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()>,
    ) -> std::io::Result<()> {
        let front = self.front();
        #[cfg(feature = "tls")]
        if let Some(loaded) = self.tls {
            let door = TlsDoor::open(loaded, self.limits.head);
            let _closes_with_us = door.closes_on_drop();
            return listener::serve(listener, door, front, self.limits, stop).await;
        }
        listener::serve(listener, listener::Plain, front, self.limits, stop).await
    }

    /// Serves on standard input and output until the input ends or the process is told to stop.
    /// Nothing else may write to standard output.
    ///
    /// # Errors
    /// When a pipe breaks.
    pub async fn stdio(self, caller: Caller) -> Result {
        let engine = Arc::clone(&self.app.engine);
        tracing::info!(target: "mcp::stdio", event = "mcp_server_started", status = "serving", tools_count = self.tools().count(), "serving");
        let served = self.pipe(caller, stdio::Input::open()?, tokio::io::stdout());
        let outcome = tokio::select! {
            served = served => served,
            () = told_to_stop() => Ok(()),
        };
        // Nobody is left to ask about tasks.
        engine.close();
        engine.leave().await;
        tracing::info!(target: "mcp::stdio", event = "mcp_server_stopped", status = "stopped", "stopped");
        outcome
    }

    /// Serves one client over any pair of streams, a message a line.
    ///
    /// # Errors
    /// When a stream breaks.
    pub async fn pipe(
        self,
        caller: Caller,
        input: impl AsyncRead + Unpin,
        output: impl AsyncWrite + Unpin + Send + 'static,
    ) -> Result {
        let engine = Arc::clone(&self.app.engine);
        engine.join().await;
        Ok(stdio::serve(engine, Arc::new(caller), input, output).await?)
    }

    /// The server as a router, to nest in a larger application. An `Arc<Caller>` among the
    /// extensions of a request, put there by a middleware, is who calls. Where callers without a
    /// token are limited or calls are audited, serve it with
    /// `into_make_service_with_connect_info::<SocketAddr>()`: without their addresses, such
    /// callers cannot be told apart.
    pub fn router(&self) -> Router {
        let front = self.front();
        let paths: BTreeSet<String> = front.all().flat_map(|app| app.paths()).collect();
        let answer = any(move |request: Request| {
            let front = front.clone();
            async move { front.answer(request).await.map(axum::body::Body::new) }
        });
        let other = self.app.routes.clone().unwrap_or_default();
        paths
            .iter()
            .fold(other, |router, path| router.route(path, answer.clone()))
            .route("/api/v1/health", answer.clone())
            .route("/api/v1/ready", answer)
    }

    /// Where changes are announced to whoever listens.
    pub fn changes(&self) -> &Changes {
        &self.app.engine.changes
    }

    /// Drops the kept answers of tools of this family, and of those without one, for all callers;
    /// all answers where the family is empty or unknown. For changes that were made by something
    /// else than a tool. Instances that share a [store](Server::store) tell each other what their
    /// tools drop; this is for each of them.
    pub fn drop_family(&self, family: &str) {
        if let Some(cache) = &self.app.engine.result_cache {
            cache.drop_family(family);
        }
    }

    /// Where tools, resources and prompts are switched on and off.
    pub fn switches(&self) -> Switches {
        Switches(self.app.engine.changes.clone())
    }

    /// What the server counts and measures, where it was told to.
    pub fn metrics(&self) -> Option<&Metrics> {
        self.metrics.as_ref()
    }

    /// The tools, in the order in which they are listed, those that are switched off among them.
    pub fn tools(&self) -> impl Iterator<Item = &Tool> {
        self.app.engine.tools.iter()
    }

    /// Where clients reach the endpoint, when it listens on `address`.
    pub fn url(&self, address: SocketAddr) -> String {
        self.public_url
            .clone()
            .unwrap_or_else(|| format!("{}://{address}{}", self.scheme(), self.app.path))
    }

    fn scheme(&self) -> &'static str {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return "https";
        }
        "http"
    }

    #[cfg(feature = "testing")]
    pub(crate) fn endpoint(&self) -> &str {
        &self.app.path
    }

    pub(crate) fn app(&self) -> &Arc<App> {
        &self.app
    }
}

/// Ready when the process is told to stop: SIGTERM, or Ctrl-C.
pub async fn told_to_stop() {
    let interrupt = async {
        // Without a handler there is nothing to wait for.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending::<()>().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}
