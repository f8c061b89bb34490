//! A PostgreSQL that goes away and comes back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mcp_runtime::Clock;
use reference_server::platform::{OpenError, Platform, Settings};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Stage, TOKEN};
use crate::databases;

const PATIENCE: Duration = Duration::from_secs(60);

/// Stands between the platform and its database.
struct Relay {
    address: SocketAddr,
    open: watch::Sender<bool>,
}

impl Relay {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("an address");
        let (open, state) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server.clone(), state.clone()));
            }
        });
        Self { address, open }
    }
}

async fn pass(mut client: TcpStream, server: String, mut open: watch::Receiver<bool>) {
    if !*open.borrow() {
        return;
    }
    let mut server = TcpStream::connect(server).await.expect("the server");
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = open.wait_for(|open| !open) => {}
    }
}

#[tokio::test]
async fn a_database_that_is_gone_is_told_and_comes_back_without_a_restart() {
    if !databases::are_postgres() {
        return; // A file does not go away.
    }
    let server: reqwest::Url = databases::server().parse().expect("a URL");
    let port = server.port().unwrap_or(5432);
    let relay = Relay::to(format!("{}:{port}", server.host_str().expect("a host"))).await;
    let address = relay.address;
    let way = |url: &str| {
        let mut url: reqwest::Url = url.parse().expect("a URL");
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(address.port())).expect("a port");
        url.to_string()
    };
    let stage = Stage::by(way, |_| {}).await;
    stage.get("/instructors").await.ok();
    let recipients = json!({"recipient_emails": ["ann@example.com"]});

    relay.open.send_replace(false);
    for answer in [
        stage.get("/instructors").await,
        stage.preview(recipients.clone()).await,
    ] {
        let told = answer.headers["retry-after"].clone();
        let body = answer.refused(503, "database_unavailable");
        assert_eq!(told, "1", "{body}");
        assert!(!body.to_string().contains("127.0.0.1"), "{body}");
    }

    relay.open.send_replace(true);
    let since = Instant::now();
    while stage.get("/instructors").await.status != 200 {
        assert!(since.elapsed() < PATIENCE, "it does not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stage.preview(recipients).await.ok();
}

/// Port 1 answers nobody.
#[tokio::test]
async fn a_database_that_is_not_there_is_no_start_and_shows_no_password() {
    let url = "postgres://me:hunter2@127.0.0.1:1/x?password=hunter2";
    let settings = Settings::new(url, TOKEN, "a-confirm-key-of-at-least-32-bytes-for-tests");
    assert!(!format!("{settings:?}").contains("hunter2"));
    let Err(error) = Platform::open(settings, Clock::system()).await else {
        panic!("it opens");
    };
    let mut text = format!("{error} {error:?}");
    let mut next = std::error::Error::source(&error);
    while let Some(cause) = next {
        text.push_str(&format!(" {cause}"));
        next = cause.source();
    }
    assert!(matches!(error, OpenError::Database(_)), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}
