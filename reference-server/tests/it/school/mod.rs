//! The school's tools, resources and prompts, called the way a client calls them, on the demo data
//! of two tenants.

mod contract;
mod exports;
mod flows;
mod offers;
mod payments;
mod rivals;
mod sql;
mod tenants;

use std::sync::Arc;

use jiff::Timestamp;
use mcp_runtime::testing::{TestClient, TestReply, TestServer};
use mcp_runtime::{Caller, Clock, Server, Service};
use reference_server::backend::{Backend, Limits};
use reference_server::platform::Mail;
use reference_server::school::gateway::{Gateway, TestGateway};
use reference_server::school::{self, School, SchoolSettings};
use reference_server::{App, Secret};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::databases::Database;

/// A server with the demo schools, whose clock stands at noon of 1 June 2026, a Monday.
struct Campus {
    clock: Clock,
    service: Service,
    server: TestServer,
    settings: SchoolSettings,
    /// Dropped after what is open in it.
    database: Database,
    folder: TempDir,
}

impl Campus {
    async fn new() -> Self {
        Self::with(Arc::new(TestGateway)).await
    }

    async fn with(gateway: Arc<dyn Gateway>) -> Self {
        Self::on(Database::memory(), gateway).await
    }

    async fn on(database: Database, gateway: Arc<dyn Gateway>) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let settings = SchoolSettings {
            database: database.url().into(),
            currency: "USD".to_owned(),
            demo_data: true,
            mail: Mail::Folder(folder.path().join("mail")),
            link_key: Secret::from("a-link-key-of-at-least-32-bytes-for-tests"),
            link_base: "https://mcp.example.com".to_owned(),
            backups: folder.path().join("backups"),
        };
        let noon: Timestamp = "2026-06-01T12:00:00Z".parse().expect("an instant");
        let clock = Clock::manual(noon);
        let service = serve(&settings, &clock, gateway).await;
        Self {
            clock,
            server: TestServer::over(service.clone()),
            service,
            settings,
            database,
            folder,
        }
    }

    /// A server of its own on the same database, as in another process.
    async fn beside(&self, gateway: Arc<dyn Gateway>) -> TestServer {
        TestServer::over(serve(&self.settings, &self.clock, gateway).await)
    }

    /// The admin of the first school.
    fn admin(&self) -> TestClient {
        self.admin_of("org_a")
    }

    fn admin_of(&self, tenant: &str) -> TestClient {
        self.server.as_caller(admin_of(tenant))
    }

    fn letters(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path().join("mail"));
        let files = files.into_iter().flatten().flatten();
        files
            .map(|file| std::fs::read_to_string(file.path()).expect("a letter"))
            .collect()
    }
}

async fn serve(settings: &SchoolSettings, clock: &Clock, gateway: Arc<dyn Gateway>) -> Service {
    let school = School::open_at(settings.clone(), clock.clone(), gateway)
        .await
        .expect("a school");
    let token = Secret::from("nobody-asks-the-marketplace");
    let backend = Backend::in_process(axum::Router::new(), &token, Limits::default());
    let app = App {
        backend: backend.expect("a client"),
        proxy: Default::default(),
        school: school.clone(),
    };
    let server = Server::with_state(app, school::tools())
        .resources(school::resources())
        .prompts(school::prompts())
        .tenant_header("x-tenant-id".parse().expect("a name"))
        .routes(school::links::routes(&school))
        .clock(clock.clone());
    server.build().expect("a server")
}

fn admin_of(tenant: &str) -> Caller {
    Caller::user("admin")
        .tenant(tenant)
        .roles(["admin"])
        .scopes(["school:admin", "school:attendance"])
}

/// What a resource holds.
async fn read(client: &TestClient, uri: &str) -> Value {
    let reply = client.request("resources/read", json!({"uri": uri})).await;
    let text = reply.result()["contents"][0]["text"].as_str();
    serde_json::from_str(text.expect("a text")).expect("JSON")
}

async fn ok(client: &TestClient, tool: &str, arguments: Value) -> Value {
    let reply = client.call(tool, arguments.clone()).await;
    let good = reply.status == 200 && reply.result()["isError"] == false;
    assert!(good, "{tool} {arguments}: {}", reply.body);
    reply.structured().clone()
}

#[track_caller]
fn code(reply: &TestReply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.code().to_owned()
}
