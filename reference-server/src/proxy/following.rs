//! Keeping up with other processes on the same database: what one of them creates, all answer for at
//! once; what one deletes, the tools of all know at once, and their listeners a moment later.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use mcp_runtime::ToolResult;
use tokio::time::Instant;

use super::Proxy;
use super::routes::{Live, Route};
use super::system::{Inner, stored};

/// How often a listener asks whether another process has changed anything.
const FOLLOW: Duration = Duration::from_millis(250);

impl Proxy {
    /// What runs, and knows of every change so far, whichever process made it.
    pub(super) async fn current(&self) -> ToolResult<&Arc<Inner>> {
        let inner = self.get()?;
        inner.catch_up().await.map_err(stored)?;
        Ok(inner)
    }
}

impl Inner {
    /// The host of this name, also one that another process has only just created.
    pub(super) async fn find(&self, hostname: &str) -> Option<Arc<Live>> {
        if let Some(live) = self.routes.find(hostname) {
            return Some(live);
        }
        let asked = Instant::now();
        let mut looked = self.looked.lock().await;
        // Of many who ask for hosts that nobody has, one looks for all.
        if looked.is_none_or(|looked| looked < asked) {
            *looked = Some(Instant::now());
            if let Err(error) = self.catch_up().await {
                tracing::error!(%error, "the targets cannot be read");
            }
        }
        self.routes.find(hostname)
    }

    /// The same for https: when this ends, a host that is served has its certificate, if it gets one.
    pub(super) async fn find_secured(&self, hostname: &str) {
        let found = self.find(hostname).await;
        let secured = found.is_some_and(|live| live.route.enable_https);
        if secured && self.certificates.of_host(hostname).is_none() {
            // Whoever has just taken it up is still at its certificate.
            drop(self.changing.lock().await);
        }
    }

    async fn catch_up(&self) -> sqlx::Result<()> {
        if self.store.revision().await? == self.seen.load(Ordering::Acquire) {
            return Ok(());
        }
        let _changing = self.changing.lock().await;
        self.take_up().await
    }

    /// Takes up what other processes have changed. Whoever calls this holds `changing`.
    pub(super) async fn take_up(&self) -> sqlx::Result<()> {
        // Before the rows: of what changes in between, the next look hears.
        let revision = self.store.revision().await?;
        if revision == self.seen.load(Ordering::Acquire) {
            return Ok(());
        }
        let id = |route: &Route| {
            let created = route.created_at.as_millisecond();
            (route.hostname.clone(), created)
        };
        let rows = self.store.targets().await?;
        let there: HashSet<_> = rows.iter().map(id).collect();
        let mut gone = self.routes.keep(|route| there.contains(&id(route)));
        let mut secured = Vec::new();
        for route in rows {
            if self.routes.find(&route.hostname).is_none() {
                if route.enable_https {
                    secured.push(route.hostname.clone());
                }
                self.revive(route);
            }
        }
        gone.retain(|hostname| self.routes.find(hostname).is_none());
        self.withdraw(gone).await;
        self.take_up_certificates(secured).await;
        self.seen.store(revision, Ordering::Release);
        self.tell_changed();
        Ok(())
    }

    /// A change of this process, which it knows of. Whoever calls this holds `changing`.
    pub(super) fn know(&self, revision: i64) {
        // Others have changed something in between: the next look reads everything.
        if self.seen.load(Ordering::Acquire) + 1 == revision {
            self.seen.store(revision, Ordering::Release);
        }
    }

    /// The certificates of hosts that another process has created: those that it put into the same
    /// folder, or else certificates of our own. A host without one is looked after later.
    async fn take_up_certificates(&self, hostnames: Vec<String>) {
        if hostnames.is_empty() {
            return;
        }
        let certificates = Arc::clone(&self.certificates);
        let work = move || {
            certificates.refresh()?;
            let mut hostnames = hostnames.iter();
            hostnames.try_for_each(|hostname| certificates.ensure(hostname))
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(work).await {
            tracing::error!(%error, "hosts that were created elsewhere have no certificate yet");
        }
    }
}

/// Keeps up until the proxy is gone.
pub(super) async fn follow(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(FOLLOW).await;
        let Some(inner) = inner.upgrade() else {
            return;
        };
        if let Err(error) = inner.catch_up().await {
            tracing::error!(%error, "the targets cannot be read");
        }
    }
}
