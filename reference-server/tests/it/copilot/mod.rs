//! The copilot's tools, called the way a client calls them, on the demo marketplace.

mod booking_changes;
mod extended;
mod invites;
mod listing;
mod reads;
mod refusals;

use jiff::Timestamp;
use mcp_runtime::testing::{TestClient, TestServer};
use mcp_runtime::{Caller, Clock, Server, ToolSet};
use reference_server::backend::{Backend, Limits};
use reference_server::identity::Identity;
use reference_server::platform::{Mail, Platform, RateLimits, Settings};
use reference_server::school::School;
use reference_server::{App, Secret, copilot};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::databases::Database;

const TOKEN: &str = "a-service-token-for-tests";
const NOON: &str = "2026-06-01T12:00:00Z";

/// A server with the demo marketplace, whose clock stands at noon of 1 June 2026.
struct Market {
    clock: Clock,
    backend: Backend,
    server: TestServer,
    /// Dropped after what is open in it.
    _database: Database,
    folder: TempDir,
    /// Where the data is, unless it is in memory.
    database: Option<(TempDir, String)>,
}

impl Market {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(adjust: impl FnOnce(&mut Settings)) -> Self {
        Self::serving(NOON, copilot::tools(), adjust).await
    }

    /// With the tools that are served only when named. The database is a file.
    async fn extended() -> Self {
        Self::extended_at(NOON).await
    }

    /// As [`extended`](Self::extended), at another time.
    async fn extended_at(now: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("platform.db");
        let database = format!("sqlite://{}", file.display());
        let adjust = |settings: &mut Settings| settings.database = database.clone().into();
        let mut market = Self::serving(now, copilot::extended_tools(), adjust).await;
        market.database = Some((folder, database));
        market
    }

    async fn serving(now: &str, tools: ToolSet<App>, adjust: impl FnOnce(&mut Settings)) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let key = "a-confirm-key-of-at-least-32-bytes-for-tests";
        let database = Database::memory();
        let mut settings = Settings::new(database.url(), TOKEN, key);
        settings.demo_data = true;
        settings.rate_limits = RateLimits::Off;
        settings.mail = Mail::Folder(folder.path().join("mail"));
        adjust(&mut settings);
        let now: Timestamp = now.parse().expect("an instant");
        let clock = Clock::manual(now);
        let platform = Platform::open(settings, clock.clone())
            .await
            .expect("the platform");
        let token = Secret::from(TOKEN);
        let limits = Limits::default();
        let backend = Backend::in_process(platform.router(), &token, limits).expect("a client");
        let app = App {
            backend: backend.clone(),
            proxy: Default::default(),
            school: School::absent(),
        };
        let server = Server::with_state(app, tools).clock(clock.clone());
        let server = TestServer::new(server).expect("a server");
        Self {
            clock,
            backend,
            server,
            _database: database,
            folder,
            database: None,
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

    /// The confirm token of a preview by the admin.
    async fn token(&self, recipients: &[&str]) -> String {
        let arguments = json!({"recipient_emails": recipients, "grant_founding_status": false});
        let preview = self
            .admin()
            .call("instainstru_invites_preview", arguments)
            .await;
        let token = preview.structured()["data"]["confirm_token"].as_str();
        token.expect("a token").to_owned()
    }

    fn letters(&self) -> usize {
        let files = std::fs::read_dir(self.folder.path().join("mail"));
        files.map_or(0, |files| files.count())
    }
}

fn send_arguments(token: &str, key: &str) -> Value {
    json!({"confirm_token": token, "idempotency_key": key})
}

fn caller(subject: &str) -> Caller {
    Caller::user(subject).scopes(["copilot:read", "copilot:write"])
}
