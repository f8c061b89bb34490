//! A server that is ready, and every way to serve it.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::any;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, ToSocketAddrs};

use crate::caller::Caller;
use crate::changes::Changes;
use crate::error::{BootError, Result};
use crate::http::app::App;
use crate::http::front::Front;
use crate::http::listener::{self, Limits};
#[cfg(feature = "tls")]
use crate::http::tls::{self, TlsDoor};
use crate::metrics::Metrics;
use crate::stdio;
use crate::switches::Switches;
use crate::tool::Tool;

/// A server that is ready to serve. Clones share everything.
#[derive(Clone)]
pub struct Service {
    pub(super) app: Arc<App>,
    /// Services at other paths of the same listener.
    pub(super) others: Vec<Arc<App>>,
    pub(super) limits: Limits,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<tls::Loaded>,
    pub(super) public_url: Option<String>,
    pub(super) public: bool,
    pub(super) metrics: Option<Metrics>,
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
    /// else than a tool. Instances that share a [store](super::Server::store) tell each other what their
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
