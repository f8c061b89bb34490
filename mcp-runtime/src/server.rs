//! Putting a server together, and serving it.

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
use crate::auth::Authenticate;
use crate::caller::Caller;
use crate::changes::Changes;
use crate::clock::Clock;
use crate::error::{BootError, Result};
use crate::http::app::App;
use crate::http::guard::Guard;
use crate::http::listener::{self, Limits};
use crate::http::peer::Proxies;
use crate::limits;
use crate::resource_set::{PromptSet, ResourceSet};
use crate::session::{SessionLimits, Sessions};
use crate::stdio;
use crate::tool::Tool;
use crate::tool_set::ToolSet;
use crate::wire::engine::{Engine, Identity, Modes, Offers, SessionMode, Watch};

/// The largest message, unless said otherwise.
const MAX_BODY: usize = 1 << 20;
/// Tools on one page of `tools/list`, unless said otherwise.
const PAGE_SIZE: usize = 100;

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
    modes: Modes,
    identity: Identity,
    public_url: Option<String>,
    auth: Option<Arc<dyn Authenticate>>,
    hosts: Vec<String>,
    origins: Vec<String>,
    clock: Clock,
    max_body: usize,
    page_size: usize,
    limits: Limits,
    call_limits: limits::Limits,
    proxies: Vec<String>,
    audit: Option<AuditLog>,
}

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
        };
        Self {
            state,
            tools,
            resources: ResourceSet::new(),
            prompts: PromptSet::new(),
            modes: Modes::default(),
            identity,
            public_url: None,
            auth: None,
            hosts: Vec::new(),
            origins: Vec::new(),
            clock: Clock::system(),
            max_body: MAX_BODY,
            page_size: PAGE_SIZE,
            limits: Limits::default(),
            call_limits: limits::Limits::none(),
            proxies: Vec::new(),
            audit: None,
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

    /// When a client of the revisions before 2026-07-28 gets a session; when it can be asked
    /// something, unless said otherwise.
    #[must_use]
    pub fn sessions(mut self, mode: SessionMode) -> Self {
        self.modes.sessions = mode;
        self
    }

    /// Tells clients that tools of this server log to them, with [`Call::log`](crate::Call::log).
    #[must_use]
    pub fn logging(mut self) -> Self {
        self.modes.logging = true;
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

    /// Who turns bearer tokens into callers. Without it every token is refused, and only public
    /// tools can be called over HTTP.
    #[must_use]
    pub fn auth(mut self, auth: impl Authenticate) -> Self {
        self.auth = Some(Arc::new(auth));
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

    /// Checks everything and makes the server.
    ///
    /// # Errors
    /// All problems at once, each with the place where it can be mended.
    pub fn build(self) -> Result<Service> {
        let mut problems = Vec::new();
        let state = Arc::new(self.state);
        let mut offers = Offers {
            tools: self.tools.bind(&state, self.page_size, &mut problems),
            resources: self.resources.bind(&state, self.page_size, &mut problems),
            prompts: self.prompts.bind(&state, self.page_size, &mut problems),
        };
        let watch = Watch::over(&mut offers, &self.call_limits, self.audit, &mut problems);
        let mut proxies = Proxies::default();
        problems.extend(
            self.proxies
                .iter()
                .filter_map(|proxy| proxies.trust(proxy).err()),
        );
        let mut guard = Guard::default();
        let mut path = "/mcp".to_owned();
        if let Some(url) = &self.public_url {
            match public(url) {
                Ok((host, public_path)) => {
                    problems.extend(guard.allow_host(&host).err());
                    if !public_path.is_empty() {
                        path = public_path;
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        problems.extend(
            self.hosts
                .iter()
                .filter_map(|host| guard.allow_host(host).err()),
        );
        problems.extend(
            self.origins
                .iter()
                .filter_map(|origin| guard.allow_origin(origin).err()),
        );
        if self.max_body == 0 {
            problems.push("`max_body` is zero: no message would fit".to_owned());
        }
        BootError::collect(problems)?;
        let service = self
            .identity
            .title
            .clone()
            .unwrap_or_else(|| self.identity.name.clone());
        Ok(Service {
            public: self.public_url.is_some() || !self.hosts.is_empty(),
            public_url: self.public_url,
            limits: self.limits,
            app: Arc::new(App {
                proxies: watch.addresses.then_some(proxies),
                engine: Arc::new(Engine::new(
                    offers,
                    self.clock.clone(),
                    &self.identity,
                    self.modes,
                    Sessions::new(SessionLimits::default(), self.clock),
                    Changes::default(),
                    watch,
                )),
                auth: self.auth,
                guard,
                path,
                max_body: self.max_body,
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
    limits: Limits,
    public_url: Option<String>,
    public: bool,
}

impl Service {
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
        tracing::info!(target: "mcp::http", %address, url = self.url(address), tools = self.tools().count(), "serving");
        listener::serve(listener, self.app, self.limits, stop).await?;
        tracing::info!(target: "mcp::http", "stopped");
        Ok(())
    }

    /// Serves on standard input and output until the input ends or the process is told to stop.
    /// Nothing else may write to standard output.
    ///
    /// # Errors
    /// When a pipe breaks.
    pub async fn stdio(self, caller: Caller) -> Result {
        let served = self.pipe(caller, tokio::io::stdin(), tokio::io::stdout());
        tokio::select! {
            served = served => served,
            () = told_to_stop() => Ok(()),
        }
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
        Ok(stdio::serve(engine, Arc::new(caller), input, output).await?)
    }

    /// The server as a router, to nest in a larger application. An `Arc<Caller>` among the
    /// extensions of a request, put there by a middleware, is who calls. Where callers without a
    /// token are limited or calls are audited, serve it with
    /// `into_make_service_with_connect_info::<SocketAddr>()`: without their addresses, such
    /// callers cannot be told apart.
    pub fn router(&self) -> Router {
        let app = Arc::clone(&self.app);
        let answer = any(move |request: Request| {
            let app = Arc::clone(&app);
            async move { app.answer(request).await.map(axum::body::Body::new) }
        });
        let path = &self.app.path;
        Router::new()
            .route(path, answer.clone())
            .route(&format!("{path}/"), answer.clone())
            .route("/api/v1/health", answer.clone())
            .route("/api/v1/ready", answer)
    }

    /// Where changes are announced to whoever listens.
    pub fn changes(&self) -> &Changes {
        &self.app.engine.changes
    }

    /// The tools, in the order in which they are listed.
    pub fn tools(&self) -> impl Iterator<Item = &Tool> {
        self.app.engine.tools.iter()
    }

    /// Where clients reach the endpoint, when it listens on `address`.
    pub fn url(&self, address: SocketAddr) -> String {
        self.public_url
            .clone()
            .unwrap_or_else(|| format!("http://{address}{}", self.app.path))
    }

    #[cfg(feature = "testing")]
    pub(crate) fn endpoint(&self) -> &str {
        &self.app.path
    }

    #[cfg(feature = "testing")]
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
