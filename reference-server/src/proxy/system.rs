//! The parts of a running proxy, put together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::hmac;
use mcp_runtime::{BootError, Caller, Clock, Metrics, ToolError, ToolResult};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::certificates::Certificates;
use super::commands::Commands;
use super::exchange::Pem;
use super::figures::Figures;
use super::following;
use super::listener::{self, Listening};
use super::routes::{Live, Route, Routes};
use super::settings::Settings;
use super::store::Store;
use super::targets::Targets;
use crate::identity::TokenFile;
use crate::{data, random};

/// The scope that lets a caller see and end what belongs to others.
pub(super) const ADMIN: &str = "proxy:admin";

/// How many hosts there may be, and how many of one owner.
pub(super) const MOST: usize = 10_000;
const MOST_OF_ONE: usize = 500;
/// How often the certificate folder is looked at.
const LOOK: Duration = Duration::from_secs(60);
/// What the key of cursors is derived with: nothing else that the secret signs is a cursor.
const LABEL: &[u8] = b"reference-server proxy cursor, key 1";

/// The reverse proxy, or nothing, in a server that has none.
#[derive(Clone, Default)]
pub struct Proxy(Option<Arc<Inner>>);

/// What runs.
pub(super) struct Inner {
    pub(super) clock: Clock,
    pub(super) routes: Routes,
    pub(super) targets: Targets,
    /// Between two pieces of what a target answers.
    pub(super) answer: Duration,
    pub(super) certificates: Arc<Certificates>,
    pub(super) store: Arc<Store>,
    pub(super) commands: Commands,
    pub(super) docker_socket: Option<PathBuf>,
    pub(super) tokens: Option<Arc<TokenFile>>,
    /// Above the folders of saved configurations.
    pub(super) exports: PathBuf,
    /// How this proxy signs what it has handed on.
    pub(super) pseudonym: String,
    /// Signs cursors.
    pub(super) cursor_key: [u8; 32],
    reserved: Vec<String>,
    /// Whoever creates or deletes holds it.
    pub(super) changing: Mutex<()>,
    /// The revision of the targets that `routes` knows, at least; written while `changing` is held.
    pub(super) seen: AtomicI64,
    /// When a listener has last looked for a host that it does not know.
    pub(super) looked: Mutex<Option<Instant>>,
    sockets: OnceLock<Sockets>,
    pub(super) figures: OnceLock<Figures>,
    /// Told when another process has changed something.
    changed: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// Hosts that are there, as they were judged.
type There = BTreeMap<String, Arc<Live>>;

#[derive(Debug, Default)]
pub(super) struct Sockets {
    pub(super) http: Option<Listening>,
    pub(super) https: Option<Listening>,
}

impl Proxy {
    /// Opens the store, reads the certificates and listens.
    ///
    /// # Errors
    /// What is wrong with a setting, or cannot be used.
    pub async fn open(settings: Settings, clock: Clock) -> Result<Self, BootError> {
        let targets = Targets::new(&settings.private_targets, settings.connect)?;
        let cursor_key = cursor_key(&settings)?;
        let commands = Commands::new(&settings.commands, settings.empty_folder)?;
        let certificates = Arc::new(Certificates::open(settings.certificates, clock.clone())?);
        let store = Store::open(settings.database.reveal(), settings.log_limit).await?;
        let rows = store.targets().await;
        let rows = rows.map_err(|error| BootError::new(format!("proxy.database: {error}")))?;
        let inner = Arc::new(Inner {
            clock,
            routes: Routes::default(),
            targets,
            answer: settings.answer,
            certificates: Arc::clone(&certificates),
            store: Arc::new(store),
            commands,
            docker_socket: settings.docker_socket,
            tokens: settings.tokens,
            exports: settings.exports,
            pseudonym: format!("proxy-{}", &random::uuid4()[..8]),
            cursor_key,
            reserved: settings.reserved,
            changing: Mutex::default(),
            // Of none: the first look reads everything.
            seen: AtomicI64::new(-1),
            looked: Mutex::default(),
            sockets: OnceLock::new(),
            figures: OnceLock::new(),
            changed: OnceLock::new(),
        });
        for route in rows {
            inner.revive(route);
        }
        let mut sockets = Sockets::default();
        if let Some(address) = &settings.listen {
            let socket = listener::bind(address, "proxy.listen").await?;
            sockets.http = Some(listener::serve(socket, None, &inner)?);
        }
        if let Some(address) = &settings.tls_listen {
            let socket = listener::bind(address, "proxy.tls_listen").await?;
            let tls = listener::tls(certificates)?;
            sockets.https = Some(listener::serve(socket, Some(tls), &inner)?);
        }
        let told = |socket: &Option<Listening>| socket.as_ref().map(|one| one.address.to_string());
        tracing::info!(
            http = told(&sockets.http),
            https = told(&sockets.https),
            "the proxy listens"
        );
        let _ = inner.sockets.set(sockets);
        tokio::spawn(following::follow(Arc::downgrade(&inner)));
        tokio::spawn(tend(Arc::downgrade(&inner)));
        Ok(Self(Some(inner)))
    }

    /// Where it listens for http, and for https.
    pub fn addresses(&self) -> (Option<std::net::SocketAddr>, Option<std::net::SocketAddr>) {
        let sockets = self.0.as_ref().and_then(|inner| inner.sockets.get());
        let address = |one: &Option<Listening>| one.as_ref().map(|socket| socket.address);
        sockets.map_or((None, None), |sockets| {
            (address(&sockets.http), address(&sockets.https))
        })
    }

    /// Counts requests, hosts and certificates in `metrics`. Once; later calls change nothing.
    pub fn count_in(&self, metrics: &Metrics) {
        if let Some(inner) = &self.0 {
            let _ = inner.figures.set(Figures::new(metrics, inner));
        }
    }

    /// Calls `told` when another process has changed which hosts there are. Once; later calls change
    /// nothing. What it holds lives as long as the proxy.
    pub fn on_change(&self, told: impl Fn() + Send + Sync + 'static) {
        if let Some(inner) = &self.0 {
            let _ = inner.changed.set(Box::new(told));
        }
    }

    /// Whether any command may be run.
    pub fn runs_commands(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.commands.are_on())
    }

    pub(super) fn get(&self) -> ToolResult<&Arc<Inner>> {
        self.0
            .as_ref()
            .ok_or_else(|| unavailable("This server has no reverse proxy."))
    }
}

impl Inner {
    pub(super) fn tell_changed(&self) {
        if let Some(told) = self.changed.get() {
            told();
        }
    }

    pub(super) fn sockets(&self) -> Option<&Sockets> {
        self.sockets.get()
    }

    /// A row of the database, taken up again. A target that is no longer allowed is kept, so that
    /// its owner sees it, and gets nothing.
    pub(super) fn revive(&self, route: Route) {
        let target = self.targets.read(&route.target_url);
        if target.is_err() {
            tracing::warn!(
                hostname = route.hostname,
                "the target is not allowed any more"
            );
        }
        self.routes.put(Live {
            target: target.ok(),
            route,
        });
    }

    /// Takes up a new route; from here on it is answered.
    pub(super) async fn create(self: &Arc<Self>, route: Route) -> ToolResult<()> {
        let target = self.targets.read(&route.target_url)?;
        self.targets.check(&target).await?;
        let inner = Arc::clone(self);
        // Goes on when nobody waits any more: database and memory say the same.
        whole(async move {
            let _changing = inner.changing.lock().await;
            inner.take_up().await.map_err(stored)?;
            inner.room(&route)?;
            let room = (MOST, MOST_OF_ONE);
            // Before the certificate: of two processes, the one that gets the name issues it.
            let inserted = inner.store.insert(&route, room).await;
            let revision = inserted.map_err(taken_or_stored)?.ok_or_else(too_many)?;
            if let Err(error) = inner.certify(std::slice::from_ref(&route)).await {
                inner.undo(&[&route], &[]).await;
                return Err(error);
            }
            tracing::info!(
                hostname = route.hostname,
                by = route.created_by,
                "proxy_created"
            );
            inner.routes.put(Live {
                target: Some(target),
                route,
            });
            inner.know(revision);
            Ok(())
        })
        .await
    }

    /// Takes up many routes, all or nothing. Those that are there are replaced with `force`, and are
    /// a reason to refuse without; which ones were is returned, and how many of the certificates are
    /// new. They go into the folder only when nothing speaks against the routes.
    pub(super) async fn replace(
        self: &Arc<Self>,
        routes: Vec<Route>,
        certificates: Vec<Pem>,
        force: bool,
        caller: &Caller,
    ) -> ToolResult<(BTreeSet<String>, usize)> {
        let (inner, owner) = (Arc::clone(self), whose(caller));
        let by = caller.to_string();
        whole(async move {
            let _changing = inner.changing.lock().await;
            inner.take_up().await.map_err(stored)?;
            let there = inner.there(&routes, owner.as_deref())?;
            if !force && !there.is_empty() {
                return Err(already_there(&there));
            }
            inner.room_for(&routes, &there)?;
            let gone: Vec<&Route> = there.values().map(|live| &live.route).collect();
            let replaced = inner.store.replace(&gone, &routes).await;
            let revision = replaced.map_err(taken_or_stored)?.ok_or_else(taken)?;
            let secured = match inner.restore(certificates).await {
                Ok(restored) => inner.certify(&routes).await.map(|()| restored),
                Err(error) => Err(error),
            };
            let restored = match secured {
                Ok(restored) => restored,
                Err(error) => {
                    let before: Vec<Route> = gone.into_iter().cloned().collect();
                    inner
                        .undo(&routes.iter().collect::<Vec<_>>(), &before)
                        .await;
                    let new = routes.into_iter().map(|route| route.hostname);
                    let new = new.filter(|name| !there.contains_key(name));
                    inner.withdraw(new.collect()).await;
                    return Err(error);
                }
            };
            tracing::info!(hosts = routes.len(), by, "proxy_configuration_loaded");
            routes.into_iter().for_each(|route| inner.revive(route));
            inner.know(revision);
            Ok((there.into_keys().collect(), restored))
        })
        .await
    }

    /// Makes the database say again what it said before a change that could not be finished. Of both,
    /// the next look hears: neither revision is known here.
    async fn undo(&self, new: &[&Route], before: &[Route]) {
        match self.store.replace(new, before).await {
            Ok(Some(_)) => {}
            Ok(None) => tracing::warn!("a change that failed was overtaken by another one"),
            Err(error) => tracing::error!(%error, "a change that failed could not be undone"),
        }
    }

    /// Which of these hosts there are. One of somebody else is taken, and that is all one hears.
    fn there(&self, routes: &[Route], owner: Option<&str>) -> ToolResult<There> {
        let mut there = There::new();
        for route in routes {
            let name = &route.hostname;
            if self.reserved.iter().any(|reserved| reserved == name) {
                return Err(reserved());
            }
            match self.routes.find(name) {
                Some(live) if !live.is_of(owner) => return Err(taken()),
                Some(live) => {
                    there.insert(name.clone(), live);
                }
                None => {}
            }
        }
        Ok(there)
    }

    /// Whether there is room for all of them, where these were.
    fn room_for(&self, routes: &[Route], there: &There) -> ToolResult<()> {
        let new = routes
            .iter()
            .filter(|route| !there.contains_key(&route.hostname));
        let new: Vec<&Route> = new.collect();
        let of_one = |owner: &str| {
            let more = new.iter().filter(|route| route.owner == owner).count();
            self.routes.count(Some(owner)) + more > MOST_OF_ONE
        };
        let full = self.routes.count(None) + new.len() > MOST;
        match full || new.iter().any(|route| of_one(&route.owner)) {
            true => Err(too_many()),
            false => Ok(()),
        }
    }

    /// Ends a route; from here on it is not answered.
    pub(super) async fn delete(
        self: &Arc<Self>,
        hostname: &str,
        caller: &Caller,
    ) -> ToolResult<()> {
        let inner = Arc::clone(self);
        let (hostname, owner) = (hostname.to_owned(), whose(caller));
        let by = caller.to_string();
        whole(async move {
            let _changing = inner.changing.lock().await;
            inner.take_up().await.map_err(stored)?;
            let live = inner.routes.of(&hostname, owner.as_deref());
            let live = live.ok_or_else(no_such_host)?;
            let deleted = inner.store.delete(&live.route).await;
            let revision = deleted.map_err(stored)?.ok_or_else(no_such_host)?;
            inner.routes.remove(&hostname);
            inner.know(revision);
            tracing::info!(hostname, by, "proxy_deleted");
            inner.withdraw(vec![hostname]).await;
            Ok(())
        })
        .await
    }

    /// Whether there is room for this host.
    fn room(&self, route: &Route) -> ToolResult<()> {
        let hostname = &route.hostname;
        if self.reserved.iter().any(|name| name == hostname) {
            return Err(reserved());
        }
        if self.routes.find(hostname).is_some() {
            return Err(taken());
        }
        let full =
            self.routes.count(None) >= MOST || self.routes.count(Some(&route.owner)) >= MOST_OF_ONE;
        match full {
            true => Err(too_many()),
            false => Ok(()),
        }
    }

    /// Makes sure that those of these hosts have a certificate that need one.
    async fn certify(&self, routes: &[Route]) -> ToolResult<()> {
        let certificates = Arc::clone(&self.certificates);
        let secured = routes.iter().filter(|route| route.enable_https);
        let hostnames: Vec<String> = secured.map(|route| route.hostname.clone()).collect();
        let work = move || {
            let mut hostnames = hostnames.iter();
            hostnames.try_for_each(|hostname| certificates.ensure(hostname))
        };
        let issued = tokio::task::spawn_blocking(work).await;
        let issued = issued.map_err(ToolError::internal)?;
        issued.map_err(|error| {
            let text = "No certificate can be issued for this host. Try again later, or ask the \
                        operator to look at the certificate folder.";
            unavailable(text).caused_by(error)
        })
    }

    /// Puts those into the folder that are not there, and tells how many they were.
    async fn restore(&self, pems: Vec<Pem>) -> ToolResult<usize> {
        if pems.is_empty() {
            return Ok(0);
        }
        let certificates = Arc::clone(&self.certificates);
        let restored = tokio::task::spawn_blocking(move || certificates.restore(&pems)).await;
        let restored = restored.map_err(ToolError::internal)?;
        restored.map_err(|error| {
            unavailable("The certificate folder cannot be used now.").caused_by(error)
        })
    }

    /// Takes the issued certificates of hosts away that are gone. They are gone all the same when
    /// that fails.
    pub(super) async fn withdraw(&self, hostnames: Vec<String>) {
        let certificates = Arc::clone(&self.certificates);
        let work = move || {
            let mut hostnames = hostnames.iter();
            hostnames.try_for_each(|hostname| certificates.withdraw(hostname))
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(work).await {
            tracing::error!(%error, "certificates of deleted hosts stay in the folder");
        }
    }

    /// Takes up new certificates, and replaces issued ones before they end: every one that can be,
    /// whatever is wrong with another. Works on files: not for an async task.
    fn look_after_certificates(&self) -> std::io::Result<()> {
        self.certificates.refresh()?;
        let mut done = Ok(());
        for seen in self.routes.page(None, None, MOST) {
            let hostname = &seen.route.hostname;
            // A host that is deleted meanwhile would leave a certificate behind.
            let _changing = self.changing.blocking_lock();
            let live = self.routes.find(hostname);
            if live.is_some_and(|live| live.route.enable_https) {
                done = self.certificates.ensure(hostname).and(done);
            }
        }
        done
    }
}

/// Looks after the certificates, again and again.
async fn tend(inner: std::sync::Weak<Inner>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(inner) = inner.upgrade() else {
            return;
        };
        let work = move || inner.look_after_certificates();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(work).await {
            tracing::error!(%error, "the certificates cannot be looked after");
        }
    }
}

/// From the secret that all instances share, else from one that outlives the process: a cursor of
/// one instance is good at the others, and after a start.
fn cursor_key(settings: &Settings) -> Result<[u8; 32], BootError> {
    let secret = match &settings.cursor_secret {
        Some(secret) => secret.clone(),
        None => data::secret(&settings.folder, "cursor.key")?,
    };
    let root = hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes());
    let mut key = [0; 32];
    key.copy_from_slice(hmac::sign(&root, LABEL).as_ref());
    Ok(key)
}

/// Does it to the end, whoever stops waiting.
async fn whole<T: Send + 'static>(
    work: impl Future<Output = ToolResult<T>> + Send + 'static,
) -> ToolResult<T> {
    tokio::spawn(work).await.map_err(ToolError::internal)?
}

/// Whose hosts a caller may see: everybody's, when it is `None`.
pub(super) fn whose(caller: &Caller) -> Option<String> {
    (!caller.has_scope(ADMIN)).then(|| caller.owner())
}

pub(super) fn no_such_host() -> ToolError {
    ToolError::new("There is no such host. Ask list_proxies for those there are.").code("not_found")
}

pub(super) fn unavailable(text: &'static str) -> ToolError {
    ToolError::new(text).code("unavailable")
}

fn reserved() -> ToolError {
    ToolError::new("This host name is the server's own.").code("reserved")
}

fn too_many() -> ToolError {
    ToolError::new("There are too many hosts. Delete one first.").code("too_many_hosts")
}

fn already_there(there: &There) -> ToolError {
    let names: Vec<&String> = there.keys().take(20).collect();
    ToolError::new("Nothing was loaded: some hosts are there already. Set force to replace them.")
        .code("hosts_exist")
        .data(serde_json::json!({ "hostnames": names }))
}

fn taken() -> ToolError {
    ToolError::new("This host name is taken. Choose another.").code("hostname_taken")
}

/// Another process may have been quicker.
fn taken_or_stored(error: sqlx::Error) -> ToolError {
    let theirs = error.as_database_error();
    match theirs.is_some_and(|error| error.is_unique_violation()) {
        true => taken(),
        false => stored(error),
    }
}

pub(super) fn stored(error: sqlx::Error) -> ToolError {
    unavailable("The store does not answer. Try again later.").caused_by(error)
}
