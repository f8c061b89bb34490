//! Where instances share what they have to agree on.

use std::path::PathBuf;
use std::sync::Arc;

use mcp_runtime::store::{MemoryStore, SqlStore, Store, StoreError};
use mcp_runtime::{BootError, Clock, Result, Server};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Config, Mode};
use crate::data;
use crate::secret::Secret;

/// A store is named in one place at most.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    pub url: Option<Secret>,
    pub url_env: Option<String>,
    pub url_file: Option<PathBuf>,
    pub prefix: String,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            url: None,
            url_env: None,
            url_file: None,
            prefix: PREFIX.to_owned(),
        }
    }
}

/// That of the library.
const PREFIX: &str = "mcp:";

/// Entries of a store in memory, as many as a server without a store of its own remembers.
const CAPACITY: usize = 65_536;

/// A store, and who else may use it.
pub struct SharedStore {
    store: Arc<dyn Store>,
    reach: Reach,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// This process.
    Process,
    /// Processes of this machine.
    Machine,
    Network,
}

impl SharedStore {
    /// The store, where it outlives this process.
    pub fn lasting(self) -> Option<Arc<dyn Store>> {
        (self.reach != Reach::Process).then_some(self.store)
    }
}

/// The kinds of stores there are, by how their URLs begin.
fn known() -> String {
    let mut known = vec!["memory:", "sqlite:<path>"];
    if cfg!(feature = "postgres") {
        known.push("postgres://…");
    }
    if cfg!(feature = "redis") {
        known.extend(["redis://…", "rediss://…"]);
    }
    known.join(", ")
}

impl StoreSettings {
    /// The store that is configured; `None` when each process keeps to itself.
    ///
    /// # Errors
    /// When it is not known, named twice, or cannot be used. The error has nothing of a password.
    pub async fn open(&self, clock: &Clock) -> Result<Option<SharedStore>> {
        let Some(url) = self.url()? else {
            return match self.prefix.as_str() {
                PREFIX => Ok(None),
                _ => Err(wrong(".prefix is of no use without a store: set store.url")),
            };
        };
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        if self.prefix != PREFIX && !scheme.starts_with("redis") {
            return Err(wrong(".prefix is for Redis: leave it out"));
        }
        let (store, reach) = self.by_scheme(scheme, &url, clock).await?;
        Ok(Some(SharedStore { store, reach }))
    }

    async fn by_scheme(
        &self,
        scheme: &str,
        url: &str,
        clock: &Clock,
    ) -> Result<(Arc<dyn Store>, Reach)> {
        let clock = clock.clone();
        Ok(match scheme {
            "memory" if url == "memory:" => {
                (Arc::new(MemoryStore::new(clock, CAPACITY)), Reach::Process)
            }
            "sqlite" => {
                let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
                if path.is_empty() || path == ":memory:" {
                    return Err(wrong(
                        ".url names no file: write it like sqlite:data/store.db",
                    ));
                }
                let store = SqlStore::open(path, clock).await;
                let store = store.map_err(|error| unusable(path, &error))?;
                (Arc::new(store), Reach::Machine)
            }
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => {
                let store = SqlStore::connect(url, clock).await;
                let store = store.map_err(|error| unusable(&address(url), &error))?;
                (Arc::new(store), Reach::Network)
            }
            #[cfg(feature = "redis")]
            "redis" | "rediss" => {
                let store = mcp_runtime::store::RedisStore::connect(url, clock).await;
                let store = store.map_err(|error| unusable(&address(url), &error))?;
                (Arc::new(store.prefix(&*self.prefix)), Reach::Network)
            }
            _ => {
                let known = known();
                return Err(wrong(&format!(
                    ".url does not begin like one of a store; there are: {known}"
                )));
            }
        })
    }

    fn url(&self) -> Result<Option<String>> {
        let text = match (&self.url, &self.url_env, &self.url_file) {
            (None, None, None) => return Ok(None),
            (Some(url), None, None) => url.reveal().to_owned(),
            (None, Some(variable), None) => std::env::var(variable).map_err(|_| {
                wrong(&format!(
                    ".url_env names {variable}, and there is no such environment variable"
                ))
            })?,
            (None, None, Some(path)) => {
                std::fs::read_to_string(path).map_err(|error| data::trouble(path, &error))?
            }
            _ => {
                return Err(wrong(
                    " has more than one of url, url_env and url_file: keep one",
                ));
            }
        };
        Ok(Some(text.trim().to_owned()))
    }
}

impl Config {
    /// Puts the store that is configured on a server.
    ///
    /// # Errors
    /// As [`StoreSettings::open`].
    pub async fn sharing<S: Send + Sync + 'static>(
        &self,
        server: Server<S>,
        clock: &Clock,
    ) -> Result<Server<S>> {
        let Some(shared) = self.store.open(clock).await? else {
            return Ok(server);
        };
        if shared.reach == Reach::Network {
            self.warn_of_own_secrets();
        }
        let server = server.store(Arc::clone(&shared.store));
        // Alone there is nobody to count with, and addresses would crowd out what else is there.
        Ok(match shared.lasting() {
            Some(store) => server.shared_limits(store),
            None => server,
        })
    }

    /// Secrets of a data folder are those of one machine. That there is another one, nobody knows.
    fn warn_of_own_secrets(&self) {
        let mut own = Vec::new();
        if self.keys.is_empty() && self.keys_file.is_none() {
            own.push("keys");
        }
        if self.backend.mode == Mode::InProcess && self.platform.confirm_keys.is_empty() {
            own.push("platform.confirm_keys");
        }
        if !own.is_empty() {
            let settings = own.join(", ");
            let folder = self.data.display();
            tracing::warn!(
                settings,
                "the store is shared with other machines, but these secrets are made in {folder}, \
                 which is not: what one instance signs, another refuses. Give all instances the same"
            );
        }
    }
}

/// Where a URL leads, without who asks.
#[cfg(any(feature = "postgres", feature = "redis"))]
fn address(url: &str) -> String {
    let Ok(url) = url.parse::<reqwest::Url>() else {
        return "store.url, which is not a URL".to_owned();
    };
    let host = url.host_str().unwrap_or("this machine");
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

fn unusable(place: &str, error: &StoreError) -> BootError {
    let mut text = format!("cannot use the store at {place}");
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    BootError::new(text)
}

fn wrong(problem: &str) -> BootError {
    BootError::new(format!("store{problem}"))
}
