//! Whether anybody is there.

use jiff::Timestamp;
use mcp_runtime::prelude::*;

use crate::proxy::{Proxy, docker};

/// Says back what it hears: `Echo: <message>`. For trying out whether a client reaches this server;
/// it needs no token and changes nothing.
#[mcp_tool(title = "Echo", public, read_only)]
pub fn echo(
    /// What to say back.
    #[arg(len = ..=65_536)]
    message: String,
) -> String {
    format!("Echo: {message}")
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// Degraded when any component is unhealthy.
    pub status: Overall,
    pub timestamp: Timestamp,
    pub components: Components,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overall {
    Healthy,
    Degraded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Healthy,
    Unhealthy,
}

/// What is not configured is null.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Components {
    pub store: Part,
    /// The sockets that answer traffic.
    pub listener: Option<Part>,
    /// Whether the certificate folder can be read.
    pub cert_manager: Part,
    pub docker_manager: Option<Part>,
}

/// Whether the reverse proxy is well: its store, its sockets, its certificate folder, and the
/// container engine where one is configured. Ask it first when hosts do not answer.
#[mcp_tool(title = "Health of the proxy", scope = "proxy:read", read_only)]
pub async fn health_check(proxy: &Proxy, clock: &Clock) -> ToolResult<Health> {
    let inner = proxy.get()?;
    let sockets = inner.sockets();
    let sockets = sockets.map(|sockets| [&sockets.http, &sockets.https]);
    let alive: Vec<bool> = sockets
        .into_iter()
        .flatten()
        .flatten()
        .map(|socket| socket.is_alive())
        .collect();
    let certificates = std::sync::Arc::clone(&inner.certificates);
    let readable = tokio::task::spawn_blocking(move || certificates.refresh()).await?;
    let engine = match &inner.docker_socket {
        Some(socket) => Some(part(docker::ping(socket).await)),
        None => None,
    };
    let components = Components {
        store: part(inner.store.ping().await.is_ok()),
        listener: (!alive.is_empty()).then(|| part(alive.iter().all(|alive| *alive))),
        cert_manager: part(readable.is_ok()),
        docker_manager: engine,
    };
    Ok(Health {
        status: components.overall(),
        timestamp: clock.now(),
        components,
    })
}

fn part(well: bool) -> Part {
    if well { Part::Healthy } else { Part::Unhealthy }
}

impl Components {
    fn overall(&self) -> Overall {
        let all = [
            Some(self.store),
            self.listener,
            Some(self.cert_manager),
            self.docker_manager,
        ];
        match all.contains(&Some(Part::Unhealthy)) {
            true => Overall::Degraded,
            false => Overall::Healthy,
        }
    }
}
