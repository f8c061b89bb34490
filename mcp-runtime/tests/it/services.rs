//! PostgreSQL and Redis for tests, each test in a corner of its own, and a way to lose them.
//!
//! `MCP_TEST_POSTGRES` and `MCP_TEST_REDIS` say where they are. A test that needs one that does not
//! answer is skipped, with a line that says so; under `CI=true` it fails.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reqwest::Url;
use sqlx::{Connection, Executor, PgConnection};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A part of a service that is a test's alone and goes with it.
pub(crate) struct Corner {
    pub(crate) url: Url,
    /// The schema in PostgreSQL; the prefix of all keys in Redis.
    pub(crate) name: String,
    service: Service,
}

#[derive(Clone, Copy)]
enum Service {
    Postgres,
    Redis,
}

/// A new schema, at which the URL points.
pub(crate) async fn postgres() -> Option<Corner> {
    let service = Service::Postgres;
    let mut url = service.url();
    if !answers(&url, "PostgreSQL", service.variable()).await {
        return None;
    }
    let name = unique();
    let mut connection = PgConnection::connect(url.as_str()).await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {name}"));
    connection.execute(create).await.unwrap();
    url.query_pairs_mut()
        .append_pair("options", &format!("-c search_path={name}"));
    Some(Corner { url, name, service })
}

/// A prefix that nobody else has.
pub(crate) async fn redis() -> Option<Corner> {
    let service = Service::Redis;
    let url = service.url();
    let name = format!("{}:", unique());
    answers(&url, "Redis", service.variable())
        .await
        .then_some(Corner { url, name, service })
}

impl Service {
    fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "MCP_TEST_POSTGRES",
            Self::Redis => "MCP_TEST_REDIS",
        }
    }

    fn url(self) -> Url {
        let local = match self {
            Self::Postgres => "postgres://root@127.0.0.1:5432/root",
            Self::Redis => "redis://127.0.0.1:6379",
        };
        let url = std::env::var(self.variable()).unwrap_or_else(|_| local.to_owned());
        url.parse().unwrap()
    }
}

async fn answers(url: &Url, name: &str, variable: &str) -> bool {
    let address = address_of(url);
    let connected = tokio::time::timeout(Duration::from_secs(5), TcpStream::connect(&address));
    if matches!(connected.await, Ok(Ok(_))) {
        return true;
    }
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(
        !ci,
        "{name} does not answer at {address}: CI needs it ({variable})"
    );
    eprintln!("SKIPPED: {name} does not answer at {address}; {variable} says where it is");
    false
}

fn address_of(url: &Url) -> String {
    let port = if url.scheme() == "redis" { 6379 } else { 5432 };
    format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(port))
}

fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("mcp_test_{}_{count}", std::process::id())
}

impl Drop for Corner {
    fn drop(&mut self) {
        let (url, name, service) = (self.service.url(), self.name.clone(), self.service);
        // Of its own, as that of the test may be about to end.
        let cleared = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                match service {
                    Service::Postgres => {
                        let mut connection = PgConnection::connect(url.as_str()).await.unwrap();
                        let drop = format!("DROP SCHEMA {name} CASCADE");
                        connection.execute(sqlx::AssertSqlSafe(drop)).await.unwrap();
                    }
                    Service::Redis => {
                        for key in keys(&url, &name).await {
                            let mut del = redis::cmd("DEL");
                            ask::<i64>(&url, del.arg(key)).await;
                        }
                    }
                }
            });
        });
        let cleared = cleared.join();
        assert!(
            cleared.is_ok() || std::thread::panicking(),
            "{} is left behind",
            self.name
        );
    }
}

/// The keys in Redis that begin with a prefix.
pub(crate) async fn keys(url: &Url, prefix: &str) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), 0_u64);
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{prefix}*"));
        let (next, found): (u64, Vec<String>) = ask(url, scan.arg("COUNT").arg(1000)).await;
        all.extend(found);
        cursor = next;
        if cursor == 0 {
            return all;
        }
    }
}

pub(crate) async fn ask<T: redis::FromRedisValue>(url: &Url, command: &redis::Cmd) -> T {
    let client = redis::Client::open(url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    command.query_async(&mut connection).await.unwrap()
}

/// Stands between a store and its service, and can be in the way.
pub(crate) struct Relay {
    address: SocketAddr,
    way: watch::Sender<Way>,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Open,
    /// Connections are closed, open ones and new ones.
    Cut,
    /// Nothing goes through, and nobody is told.
    Silent,
}

impl Relay {
    pub(crate) async fn to(url: &Url) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (way, mut ways) = watch::channel(Way::Open);
        let service = address_of(url);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    connection = listener.accept() => {
                        let (connection, _) = connection.unwrap();
                        tokio::spawn(pass(connection, service.clone(), ways.clone()));
                    }
                    gone = closed(&mut ways) => return gone,
                }
            }
        });
        Self { address, way }
    }

    /// A URL with which one comes by here.
    pub(crate) fn url(&self, url: &Url) -> Url {
        let mut url = url.clone();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url
    }

    pub(crate) fn cut(&self) {
        self.way.send_replace(Way::Cut);
    }

    pub(crate) fn silence(&self) {
        self.way.send_replace(Way::Silent);
    }

    pub(crate) fn mend(&self) {
        self.way.send_replace(Way::Open);
    }
}

/// Returns when the relay is gone.
async fn closed(ways: &mut watch::Receiver<Way>) {
    while ways.changed().await.is_ok() {}
}

async fn pass(mut from: TcpStream, service: String, mut ways: watch::Receiver<Way>) {
    let mut to = None;
    loop {
        let way = *ways.borrow_and_update();
        match (way, &mut to) {
            (Way::Cut, _) => return,
            (Way::Open, None) => match TcpStream::connect(&service).await {
                Ok(connected) => to = Some(connected),
                Err(_) => return,
            },
            (Way::Open, Some(to)) => tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut from, to) => return,
                changed = ways.changed() => if changed.is_err() { return },
            },
            (Way::Silent, _) => {
                if ways.changed().await.is_err() {
                    return;
                }
                // What was on its way is lost: nothing good can come of this connection.
                if to.is_some() {
                    return;
                }
            }
        }
    }
}
