//! Stores between machines, each for one test.
//!
//! `MCP_TEST_POSTGRES` and `MCP_TEST_REDIS` say where the services are. Without one its part is
//! skipped, with a line that says so; under `CI=true` that is a failure.

use std::net::ToSocketAddrs;
use std::path::Path;

use reqwest::Url;
use tempfile::TempDir;

use super::program::Place;

const REDIS: &str = "redis://127.0.0.1:6379";

/// A store that is one test's alone and goes with it.
pub(super) enum Own {
    File(TempDir),
    /// A schema.
    Postgres(Url, String),
    /// A prefix.
    Redis(Url, String),
}

impl Own {
    pub(super) async fn all(test: &str) -> Vec<Self> {
        let mut all = vec![Self::File(TempDir::new().expect("a temporary folder"))];
        let name = format!("mcp_test_{}_{test}", std::process::id());
        if let Some(url) = service(
            "MCP_TEST_POSTGRES",
            "postgres://root@127.0.0.1:5432/root",
            5432,
        ) {
            sql(&url, format!("CREATE SCHEMA {name}")).await;
            all.push(Self::Postgres(url, name.clone()));
        }
        if let Some(url) = service("MCP_TEST_REDIS", REDIS, 6379) {
            all.push(Self::Redis(url, format!("{name}:")));
        }
        all
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "sqlite",
            Self::Postgres(..) => "postgres",
            Self::Redis(..) => "redis",
        }
    }

    /// One of Redis, for whoever cannot do without.
    pub(super) fn redis(test: &str) -> Self {
        let url = service("MCP_TEST_REDIS", REDIS, 6379).expect("Redis (MCP_TEST_REDIS)");
        Self::Redis(url, format!("mcp_test_{}_{test}:", std::process::id()))
    }

    /// A machine that uses it.
    pub(super) fn machine(&self) -> Place {
        let place = Place::alone();
        let variables = self.variables(place.path());
        variables
            .iter()
            .fold(place, |place, (name, value)| place.env(name, value))
    }

    /// The settings of a machine that uses it. A file of them may lie in the folder.
    pub(super) fn variables(&self, folder: &Path) -> Vec<(&'static str, String)> {
        match self {
            Self::File(of_store) => {
                let path = of_store.path().join("store.db");
                vec![("MCP_STORE__URL", format!("sqlite:{}", path.display()))]
            }
            Self::Postgres(url, schema) => {
                let mut url = url.clone();
                let path = format!("-c search_path={schema}");
                url.query_pairs_mut().append_pair("options", &path);
                // Not in the environment under a name that is a setting: it may have a password.
                vec![
                    ("MCP_STORE__URL_ENV", "STORE".to_owned()),
                    ("STORE", url.to_string()),
                ]
            }
            Self::Redis(url, prefix) => {
                let file = folder.join("store-url");
                std::fs::write(&file, format!("{url}\n")).expect("written");
                vec![
                    ("MCP_STORE__URL_FILE", file.display().to_string()),
                    ("MCP_STORE__PREFIX", prefix.clone()),
                ]
            }
        }
    }

    async fn clear(&self) {
        match self {
            Self::File(_) => {}
            Self::Postgres(url, schema) => {
                sql(url, format!("DROP SCHEMA {schema} CASCADE")).await;
            }
            Self::Redis(url, prefix) => {
                let client = redis::Client::open(url.as_str()).expect("a URL");
                let connection = client.get_multiplexed_async_connection().await;
                let mut connection = connection.expect("a connection");
                let mut keys = redis::cmd("KEYS");
                keys.arg(format!("{prefix}*"));
                let keys: Vec<String> = keys.query_async(&mut connection).await.expect("keys");
                for key in keys {
                    let mut del = redis::cmd("DEL");
                    del.arg(key);
                    del.exec_async(&mut connection).await.expect("deleted");
                }
            }
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // Of its own, as that of the test may be about to end.
        let clear = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(self.clear());
        };
        let cleared = std::thread::scope(|scope| scope.spawn(clear).join().is_ok());
        assert!(
            cleared || std::thread::panicking(),
            "something is left behind"
        );
    }
}

fn service(variable: &str, local: &str, port: u16) -> Option<Url> {
    let url = std::env::var(variable).unwrap_or_else(|_| local.to_owned());
    let url: Url = url.parse().expect("a URL");
    let host = url.host_str().expect("a host");
    let mut addresses = (host, url.port().unwrap_or(port)).to_socket_addrs();
    let answers = addresses
        .as_mut()
        .is_ok_and(|addresses| addresses.any(|at| std::net::TcpStream::connect(at).is_ok()));
    if answers {
        return Some(url);
    }
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!ci, "nothing answers at {host}: CI needs it ({variable})");
    eprintln!("SKIPPED: nothing answers at {host}; {variable} says where it is");
    None
}

async fn sql(url: &Url, statement: String) {
    use sqlx::Connection as _;
    let mut connection = sqlx::PgConnection::connect(url.as_str())
        .await
        .expect("connected");
    let statement = sqlx::query(sqlx::AssertSqlSafe(statement));
    statement.execute(&mut connection).await.expect("done");
}
