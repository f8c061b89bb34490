//! The records tools, called the way a client calls them, and the API beneath them.

mod api;
mod calls;
mod changes;
mod conflicts;
mod contract;
mod extended;
mod flows;
mod rivals;
mod sync;
mod tenants;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use jiff::Timestamp;
use mcp_runtime::tenant_signature::{Signer, SigningKey, Version};
use mcp_runtime::testing::{TestClient, TestServer};
use mcp_runtime::{Changes, Clock, Server};
use reference_server::backend::{Backend, Limits};
use reference_server::identity::Identity;
use reference_server::platform::{Platform, RateLimits, Settings, TenantSignatures};
use reference_server::{App, Secret, records};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::databases::Database;

const TOKEN: &str = "a-service-token-for-tests";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOBODY: &str = "99999999-9999-4999-8999-999999999999";

/// A records service with its tools, whose clock stands at noon of 1 June 2026.
struct Office {
    clock: Clock,
    router: Router,
    server: TestServer,
    settings: Settings,
    /// Dropped after what is open in it.
    _database: Database,
    _folder: TempDir,
}

impl Office {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(adjust: impl FnOnce(&mut Settings)) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let database = Database::file(&folder.path().join("platform.db"));
        let key = "a-confirm-key-of-at-least-32-bytes-for-tests";
        let mut settings = Settings::new(database.url(), TOKEN, key);
        settings.rate_limits = RateLimits::Off;
        settings.record_signatures = Some(TenantSignatures::new(signing_key(), Version::V1));
        adjust(&mut settings);
        let noon: Timestamp = "2026-06-01T12:00:00Z".parse().expect("an instant");
        let clock = Clock::manual(noon);
        let platform = Platform::open(settings.clone(), clock.clone()).await;
        let platform = platform.expect("the platform");
        let router = platform.router();
        let changes = Changes::default();
        let heard = changes.clone();
        platform.on_record_change(move |_, owner| {
            heard.resource_of_owner(owner, records::changes::URI);
        });
        Self {
            server: tools_over(router.clone(), &clock, changes),
            clock,
            router,
            settings,
            _database: database,
            _folder: folder,
        }
    }

    /// The tools over a platform of its own on the same database, as in another process.
    async fn beside(&self) -> TestServer {
        let platform = Platform::open(self.settings.clone(), self.clock.clone()).await;
        tools_over(
            platform.expect("a second platform").router(),
            &self.clock,
            Changes::default(),
        )
    }

    /// A demo identity, as its token makes it.
    fn demo(&self, name: &str) -> TestClient {
        let identity = Identity::named(name).expect("an identity");
        self.server
            .as_caller(identity.caller(&[]).expect("a caller"))
    }

    /// `ada` of `org_a`, every other time on the second server.
    fn of(&self, n: u64, second: &TestServer) -> TestClient {
        let scopes = ["records:read", "records:write"];
        let server = if n.is_multiple_of(2) {
            &self.server
        } else {
            second
        };
        server.as_user("ada").tenant("org_a").scopes(scopes)
    }

    /// Somebody who may do everything.
    fn user(&self, name: &str, tenant: &str) -> TestClient {
        let scopes = ["records:read", "records:write"];
        self.server.as_user(name).tenant(tenant).scopes(scopes)
    }

    /// Asks the API itself, for `ada` of `org_a` unless the headers say otherwise.
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let of = |wanted: &str| headers.iter().find(|(name, _)| *name == wanted);
        let tenant = of("tenant").map_or("org_a", |(_, tenant)| tenant);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {TOKEN}"));
        if of("x-acting-user").is_none() {
            request = request.header("x-acting-user", "ada");
        }
        for (name, value) in headers.iter().filter(|(name, _)| *name != "tenant") {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let mut request = request.body(Body::from(body.clone())).expect("a request");
        let signer = Signer::new(signing_key(), self.clock.clone());
        signer.sign(
            &tenant.parse().expect("a tenant"),
            &mut request,
            body.as_bytes(),
        );
        send(&self.router, request).await
    }

    /// Session and epoch of a new session.
    async fn session(&self, user: &str, tenant: &str) -> (String, String) {
        let whose = [("x-acting-user", user), ("tenant", tenant)];
        let answer = self
            .ask("POST", "/v1/sync/sessions", &whose, Value::Null)
            .await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let id = answer.body["id"].as_str().expect("an id").to_owned();
        (id, answer.body["epoch"].to_string())
    }

    /// Asks the API within a new session of `ada`.
    async fn synced(&self, method: &str, path: &str, body: Value) -> Answer {
        let (session, epoch) = self.session("ada", "org_a").await;
        let headers = [("x-sync-session", &*session), ("x-sync-epoch", &*epoch)];
        self.ask(method, path, &headers, body).await
    }
}

fn signing_key() -> SigningKey {
    SigningKey::new(SECRET).expect("long enough")
}

fn tools_over(router: Router, clock: &Clock, changes: Changes) -> TestServer {
    let backend = Backend::in_process(router, &Secret::from(TOKEN), Limits::default());
    tools_with(backend.expect("a client"), clock, changes)
}

fn tools_with(backend: Backend, clock: &Clock, changes: Changes) -> TestServer {
    let signer = Signer::new(signing_key(), clock.clone());
    let server = Server::with_state(
        App {
            backend: backend.with_records(signer),
            proxy: Default::default(),
            school: reference_server::school::School::absent(),
        },
        records::tools() + records::extended_tools(),
    )
    .resources(records::resources())
    .changes(changes)
    .clock(clock.clone());
    TestServer::new(server).expect("a server")
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

async fn send(router: &Router, request: Request<Body>) -> Answer {
    let answer = router.clone().oneshot(request).await;
    let (head, body) = answer.expect("infallible").into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: serde_json::from_slice(&bytes).unwrap_or(Value::String(text)),
    }
}

/// Calls a tool that has to work.
async fn done(client: &TestClient, tool: &str, arguments: Value) -> Value {
    client.call(tool, arguments).await.structured().clone()
}

/// What a tool refuses with: its structured content.
async fn refused(client: &TestClient, tool: &str, arguments: Value) -> Value {
    let reply = client.call(tool, arguments).await;
    reply.code();
    reply.result()["structuredContent"].clone()
}

fn uid_of(record: &Value) -> String {
    record["uid"].as_str().expect("a uid").to_owned()
}

async fn note(client: &TestClient, title: &str) -> Value {
    done(
        client,
        "create_note",
        json!({"title": title, "content": "text"}),
    )
    .await
}

/// Notes that are almost as long as one may be, with the same text.
async fn long_notes(client: &TestClient, count: usize) -> Vec<String> {
    let mut uids = Vec::with_capacity(count);
    for nth in 0..count {
        let long = json!({"title": format!("Long {nth}"), "content": "x".repeat(99_000)});
        uids.push(uid_of(&done(client, "create_note", long).await));
    }
    uids
}
