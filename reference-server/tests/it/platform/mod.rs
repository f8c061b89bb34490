//! The platform's REST API, called the way the tools call it: through its router.

mod access;
mod database;
mod invites;
#[cfg(debug_assertions)] // A release build cannot be stopped.
mod invites_crash;
mod invites_kill;
mod limits;
mod lost;
mod mail_server;
mod reads;
mod rivals;
mod tenants;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use jiff::Timestamp;
use mcp_runtime::Clock;
use reference_server::platform::{Mail, Platform, RateLimits, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::databases::Database;

const TOKEN: &str = "a-service-token-for-tests";
const REQUEST_ID: &str = "6f1c2d3e-4b5a-4c7d-8e9f-0a1b2c3d4e5f";

/// A platform with the demo marketplace, whose clock stands at noon of 1 June 2026.
struct Stage {
    clock: Clock,
    settings: Settings,
    platform: Platform,
    router: Router,
    database: Database,
    /// Holds the mail, and the database where it is a file.
    folder: TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Stage {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(adjust: impl FnOnce(&mut Settings)) -> Self {
        Self::by(str::to_owned, adjust).await
    }

    /// With another way to the database than the straight one.
    async fn by(way: impl FnOnce(&str) -> String, adjust: impl FnOnce(&mut Settings)) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let database = Database::file(&folder.path().join("platform.db"));
        let key = "a-confirm-key-of-at-least-32-bytes-for-tests";
        let mut settings = Settings::new(way(database.url()), TOKEN, key);
        settings.demo_data = true;
        settings.rate_limits = RateLimits::Off;
        settings.mail = Mail::Folder(folder.path().join("mail"));
        adjust(&mut settings);
        let noon: Timestamp = "2026-06-01T12:00:00Z".parse().expect("an instant");
        let clock = Clock::manual(noon);
        let platform = open(&settings, &clock).await;
        Self {
            clock,
            settings,
            router: platform.router(),
            platform,
            database,
            folder,
        }
    }

    async fn get(&self, path: &str) -> Answer {
        send(&self.router, admin_request("GET", path, &[], Body::empty())).await
    }

    /// A second start on the same files, as after a crash.
    async fn restart(&mut self) {
        self.platform = open(&self.settings, &self.clock).await;
        self.router = self.platform.router();
    }

    async fn preview(&self, body: Value) -> Answer {
        self.preview_as(&[], body).await
    }

    async fn preview_as(&self, headers: &[(&str, &str)], body: Value) -> Answer {
        let body = Body::from(body.to_string());
        let request = admin_request("POST", "/invites/preview", headers, body);
        send(&self.router, request).await
    }

    /// The confirm token of a preview for these recipients, without founding status.
    async fn token(&self, recipients: &[&str]) -> String {
        let body = json!({"recipient_emails": recipients, "grant_founding_status": false});
        let preview = self.preview(body).await.ok();
        let token = preview["data"]["confirm_token"].as_str();
        token.expect("a token").to_owned()
    }

    async fn send(&self, token: &str, key: &str) -> Answer {
        self.send_as(&[], token, key).await
    }

    async fn send_as(&self, headers: &[(&str, &str)], token: &str, key: &str) -> Answer {
        send(&self.router, send_request(headers, token, key)).await
    }

    /// The letters in the mail folder: file name and text.
    fn letters(&self) -> Vec<(String, String)> {
        let Ok(files) = std::fs::read_dir(self.folder.path().join("mail")) else {
            return Vec::new();
        };
        let mut letters: Vec<_> = files
            .map(|file| {
                let path = file.expect("a file").path();
                let name = path.file_name().expect("a name").to_string_lossy();
                let text = std::fs::read_to_string(&path).expect("a letter");
                (name.into_owned(), text)
            })
            .collect();
        letters.sort();
        letters
    }

    /// One number from the database, looked up behind the platform's back.
    async fn number(&self, sql: &'static str) -> i64 {
        let mut db = self.database.connect().await;
        let number = sqlx::query_scalar(sql).fetch_one(&mut db).await;
        number.expect("a number")
    }
}

async fn open(settings: &Settings, clock: &Clock) -> Platform {
    let platform = Platform::open(settings.clone(), clock.clone()).await;
    platform.expect("the platform opens")
}

fn admin_request(method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/api/v1/admin/mcp{path}"))
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("x-request-id", REQUEST_ID);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).expect("a request")
}

fn send_request(headers: &[(&str, &str)], token: &str, key: &str) -> Request<Body> {
    let mut all = vec![("idempotency-key", key)];
    all.extend(headers);
    let body = json!({"confirm_token": token, "idempotency_key": key});
    admin_request("POST", "/invites/send", &all, Body::from(body.to_string()))
}

async fn send(router: &Router, request: Request<Body>) -> Answer {
    let answer = tokio::time::timeout(Duration::from_secs(60), router.clone().oneshot(request));
    let answer = answer.await.expect("an answer in time");
    let (parts, body) = answer.expect("the router is infallible").into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    let body = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| panic!("not JSON: {}", String::from_utf8_lossy(&bytes)));
    Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

impl Answer {
    #[track_caller]
    fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.body
    }

    #[track_caller]
    fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert_eq!(self.body["detail"]["code"], code, "{}", self.body);
        let message = self.body["detail"]["message"].as_str();
        assert!(message.is_some_and(|m| !m.is_empty()), "{}", self.body);
        self.body
    }
}
