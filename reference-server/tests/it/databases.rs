//! Databases for tests: of SQLite, or, with `MCP_TEST_DATABASE=postgres`, schemas of PostgreSQL that
//! are a test's own and go with it. `MCP_TEST_POSTGRES` says where PostgreSQL is.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};

/// The database of one test, for all parts of the server.
pub(crate) struct Database {
    url: String,
    schema: Option<String>,
}

/// The schemas that the server makes beside the one that the URL names.
const PARTS: [&str; 3] = ["platform", "school", "proxy"];

/// Whether tests run on PostgreSQL.
pub(crate) fn are_postgres() -> bool {
    match std::env::var("MCP_TEST_DATABASE").as_deref() {
        Ok("postgres") => true,
        Ok("sqlite") | Err(_) => false,
        Ok(other) => panic!("MCP_TEST_DATABASE is {other}: say postgres or sqlite"),
    }
}

/// Where PostgreSQL is.
pub(crate) fn server() -> String {
    let url = std::env::var("MCP_TEST_POSTGRES");
    url.unwrap_or_else(|_| "postgres://root@127.0.0.1:5432/root".to_owned())
}

/// How many random operations a model test does: more than the ordinary 2,000 with
/// `MCP_TEST_MODEL_STEPS`.
pub(crate) fn model_steps() -> usize {
    let steps = std::env::var("MCP_TEST_MODEL_STEPS");
    steps.map_or(2_000, |steps| steps.parse().expect("a number of steps"))
}

impl Database {
    /// In this file, unless tests run on PostgreSQL.
    pub(crate) fn file(path: &Path) -> Self {
        match are_postgres() {
            true => Self::schema(),
            false => Self::sqlite(format!("sqlite://{}", path.display())),
        }
    }

    /// In memory, unless tests run on PostgreSQL.
    pub(crate) fn memory() -> Self {
        match are_postgres() {
            true => Self::schema(),
            false => Self::sqlite("sqlite::memory:".to_owned()),
        }
    }

    fn sqlite(url: String) -> Self {
        Self { url, schema: None }
    }

    fn schema() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mcp_test_server_{}_{count}", std::process::id());
        run(vec![format!("CREATE SCHEMA {name}")]);
        Self {
            url: at(&name, &name),
            schema: Some(name),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A connection that sees the tables of all parts, as somebody behind their back.
    pub(crate) async fn connect(&self) -> AnyConnection {
        sqlx::any::install_default_drivers();
        let url = match &self.schema {
            None => self.url.clone(),
            Some(name) => {
                let parts = PARTS.map(|part| format!("{name}_{part}"));
                at(&format!("{},{name}", parts.join(",")), name)
            }
        };
        AnyConnection::connect(&url).await.expect("the database")
    }
}

/// The URL that looks for tables in these schemas, for connections of this name. They do not wait
/// for the disk: what a test has written need not outlive a power cut.
fn at(search_path: &str, name: &str) -> String {
    let server = server();
    let joint = if server.contains('?') { '&' } else { '?' };
    let settings = [
        ("search_path", search_path),
        ("application_name", name),
        ("synchronous_commit", "off"),
    ];
    let settings = settings.map(|(setting, value)| format!("-c%20{setting}%3D{value}"));
    format!("{server}{joint}options={}", settings.join("%20"))
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some(name) = &self.schema else {
            return;
        };
        let mut names = vec![name.clone()];
        names.extend(PARTS.map(|part| format!("{name}_{part}")));
        let drops = names.iter();
        let drops = drops.map(|name| format!("DROP SCHEMA IF EXISTS {name} CASCADE"));
        // What still runs in the background of the test runs on the thread that waits here, and would
        // never let go of its tables.
        let mut statements = vec![format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{name}'"
        )];
        statements.extend(drops);
        run(statements);
    }
}

/// Runs these, on a thread of its own: that of the test may be about to end.
fn run(statements: Vec<String>) {
    let ran = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            sqlx::any::install_default_drivers();
            let mut server = AnyConnection::connect(&server())
                .await
                .expect("PostgreSQL (MCP_TEST_POSTGRES)");
            for statement in statements {
                let done = server.execute(AssertSqlSafe(statement.clone())).await;
                done.unwrap_or_else(|error| panic!("{statement}: {error}"));
            }
        });
    });
    let ran = ran.join();
    assert!(ran.is_ok() || std::thread::panicking(), "see above");
}
