//! The reverse proxy: its tools as a client calls them, and the traffic that follows.

mod access;
mod commands;
mod contract;
mod flow;
mod logs;
mod rivals;
mod secrets;
mod services;
mod targets;
mod tenants;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use mcp_runtime::Clock;
use mcp_runtime::testing::{TestClient, TestReply, TestServer};
use reference_server::App;
use reference_server::backend::{Backend, Limits};
use reference_server::identity::{Identity, TokenFile};
use reference_server::proxy::{Proxy, Settings};
use reference_server::toolsets;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::databases::Database;

/// Longer than anything here takes, on a busy machine, too.
const PATIENCE: Duration = Duration::from_secs(30);

/// A proxy that listens, its MCP server, and one target on this machine.
struct Site {
    folder: TempDir,
    proxy: Proxy,
    server: TestServer,
    tokens: Arc<TokenFile>,
    target: Target,
    /// Dropped after what is open in it.
    database: Database,
}

/// A web server that says what it was asked, and counts.
#[derive(Clone)]
struct Target {
    address: SocketAddr,
    hits: Arc<AtomicUsize>,
}

impl Target {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("an address");
        let hits = Arc::new(AtomicUsize::new(0));
        let router = Router::new().fallback(told).with_state(Arc::clone(&hits));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, hits }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

async fn told(State(hits): State<Arc<AtomicUsize>>, request: Request) -> impl IntoResponse {
    hits.fetch_add(1, Ordering::SeqCst);
    let (head, body) = request.into_parts();
    if head.uri.path() == "/never" {
        std::future::pending::<()>().await;
    }
    let body = axum::body::to_bytes(body, 64 << 20).await.expect("a body");
    let headers: Value = head
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), json!(value))
        })
        .collect::<serde_json::Map<_, _>>()
        .into();
    let said = json!({
        "method": head.method.as_str(),
        "uri": head.uri.to_string(),
        "headers": headers,
        "length": body.len(),
    });
    let status = match head.uri.path() {
        "/broken" => 500,
        "/missing" => 404,
        _ => 200,
    };
    let status = http::StatusCode::from_u16(status).expect("a status");
    let headers = [("connection", "x-hop"), ("x-hop", "1"), ("x-kept", "1")];
    (status, headers, said.to_string())
}

impl Site {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(adjust: impl FnOnce(&mut Settings)) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let database = Database::file(&folder.path().join("proxy.db"));
        Self::on((folder, database), Target::start().await, adjust).await
    }

    async fn on(
        (folder, database): (TempDir, Database),
        target: Target,
        adjust: impl FnOnce(&mut Settings),
    ) -> Self {
        let clock = Clock::system();
        let tokens = Arc::new(TokenFile::new(folder.path(), clock.clone()));
        let mut settings = Settings::new(database.url(), folder.path().join("proxy"));
        settings.listen = Some("127.0.0.1:0".to_owned());
        settings.tls_listen = Some("127.0.0.1:0".to_owned());
        settings.reserved = vec!["mcp.example.test".to_owned()];
        settings.private_targets = vec![target.url()];
        settings.tokens = Some(Arc::clone(&tokens));
        adjust(&mut settings);
        let proxy = Proxy::open(settings, clock.clone()).await.expect("a proxy");
        let backend =
            Backend::in_process(Router::new(), &"a-service-token".into(), Limits::default());
        let app = App {
            backend: backend.expect("a client"),
            proxy: proxy.clone(),
            school: reference_server::school::School::absent(),
        };
        let server = toolsets::server(app, &["proxy"]).expect("a toolset");
        Self {
            server: TestServer::new(server.clock(clock)).expect("a server"),
            folder,
            proxy,
            tokens,
            target,
            database,
        }
    }

    /// A demo identity, as its token makes it.
    fn demo(&self, name: &str) -> TestClient {
        let identity = Identity::named(name).expect("an identity");
        self.server
            .as_caller(identity.caller(&[]).expect("a caller"))
    }

    fn admin(&self) -> TestClient {
        self.demo("admin")
    }

    fn bob(&self) -> TestClient {
        self.demo("bob")
    }

    async fn create(&self, client: &TestClient, hostname: &str) -> TestReply {
        let arguments = json!({"hostname": hostname, "target_url": self.target.url()});
        client.call("create_proxy", arguments).await
    }

    /// A request to the proxy for this host.
    async fn get(&self, hostname: &str, path: &str) -> reqwest::Response {
        let (http, _) = self.proxy.addresses();
        let url = format!("http://{}{path}", http.expect("it listens"));
        let request = browser().get(url).header("host", hostname);
        request.send().await.expect("an answer")
    }

    /// Waits until as many requests are remembered.
    async fn logs(&self, client: &TestClient, arguments: Value, count: usize) -> Value {
        let since = Instant::now();
        loop {
            let reply = client.call("get_logs", arguments.clone()).await;
            let found = reply.structured().clone();
            if found["count"] == json!(count) {
                return found;
            }
            assert!(since.elapsed() < PATIENCE, "not {count}: {found}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn browser() -> reqwest::Client {
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE);
    client.build().expect("a client")
}

/// What the target was asked.
async fn said(answer: reqwest::Response) -> Value {
    let text = answer.text().await.expect("a body");
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("not of the target: {text}"))
}

/// Says yes to what is asked.
async fn confirmed(client: &TestClient, tool: &str, mut arguments: Value) -> TestReply {
    let asked = client.call(tool, arguments.clone()).await;
    assert_eq!(asked.code(), "confirmation_required", "{}", asked.body);
    arguments["confirm_token"] = asked.result()["structuredContent"]["confirm_token"].clone();
    client.call(tool, arguments).await
}
