//! The container engine, over its unix socket: one question, read only.

use std::path::Path;
use std::time::Duration;

use http::{Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use mcp_runtime::prelude::*;
use tokio::net::UnixStream;

use super::logs::tame;

const PATIENCE: Duration = Duration::from_secs(5);
const MAX_ANSWER: usize = 4 << 20;
/// More containers are not listed.
const MOST: usize = 500;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A container.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    pub name: String,
    pub image: String,
    /// Like `running` or `exited`.
    pub status: String,
    /// Like `127.0.0.1:8080->80/tcp`, or `80/tcp` for one that is not published.
    pub ports: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    #[serde(default)]
    names: Vec<String>,
    image: String,
    state: String,
    #[serde(default)]
    ports: Vec<Port>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Port {
    #[serde(rename = "IP")]
    ip: Option<String>,
    private_port: u16,
    public_port: Option<u16>,
    #[serde(rename = "Type")]
    kind: String,
}

/// All containers, running or not, by name.
pub(super) async fn services(socket: &Path) -> Result<Vec<Service>, BoxError> {
    let text = tokio::time::timeout(PATIENCE, get(socket, "/containers/json?all=true"));
    let containers: Vec<Container> = serde_json::from_slice(&text.await??)?;
    let mut services: Vec<Service> = containers.into_iter().map(Service::of).collect();
    services.sort_by(|a, b| a.name.cmp(&b.name));
    services.truncate(MOST);
    Ok(services)
}

pub(super) async fn ping(socket: &Path) -> bool {
    let text = tokio::time::timeout(PATIENCE, get(socket, "/_ping"));
    matches!(text.await, Ok(Ok(_)))
}

async fn get(socket: &Path, path: &str) -> Result<Bytes, BoxError> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(header::HOST, "docker")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let exchange = async {
        let answer = sender.send_request(request).await?;
        if answer.status() != 200 {
            return Err(format!("the engine answers {}", answer.status()).into());
        }
        let body = Limited::new(answer.into_body(), MAX_ANSWER)
            .collect()
            .await?;
        Ok(body.to_bytes())
    };
    // Both in this task: who stops waiting ends the connection, too.
    tokio::pin!(exchange, connection);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => {
            ended?;
            exchange.await
        }
    }
}

impl Service {
    fn of(container: Container) -> Self {
        let name = container.names.first().map(String::as_str).unwrap_or("");
        let ports = container.ports.iter().take(50);
        Self {
            name: tame(name.trim_start_matches('/'), 128),
            image: tame(&container.image, 256),
            status: tame(&container.state, 32),
            ports: ports.map(Port::shown).collect(),
        }
    }
}

impl Port {
    fn shown(&self) -> String {
        let inside = format!("{}/{}", self.private_port, tame(&self.kind, 8));
        match (&self.ip, self.public_port) {
            (Some(ip), Some(port)) => format!("{}:{port}->{inside}", tame(ip, 45)),
            (None, Some(port)) => format!("{port}->{inside}"),
            (_, None) => inside,
        }
    }
}
