//! What the OAuth proxy asks others, and what of their answers goes on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use axum::routing::{get, post};
use mcp_runtime::auth::{Egress, Jwt, OAuthProxy};
use mcp_runtime::testing::TestServer;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::identity::{builder, local};
use crate::oauth_facade::{World, form};

/// A provider whose answers carry more than they should.
async fn talkative() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
    });
    let answer = |document: String| {
        Response::builder()
            .header("content-type", "application/json")
            .header("set-cookie", "sid=1")
            .header("connection", "x-evil")
            .header("x-evil", "1")
            .header("access-control-allow-origin", "*")
            .header("access-control-allow-credentials", "true")
            .header("location", "https://evil.test/")
            .header("server", "Upstream/1.0")
            .body(Body::from(document))
            .unwrap()
    };
    let metadata = metadata.to_string();
    let token = json!({ "access_token": "t", "token_type": "Bearer" }).to_string();
    let router = Router::new()
        .route(
            "/.well-known/oauth-authorization-server",
            get(move || async move { answer(metadata) }),
        )
        .route("/token", post(move || async move { answer(token) }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    issuer
}

#[tokio::test]
async fn oa_47_no_header_of_the_provider_goes_on() {
    let issuer = talkative().await;
    let server = builder()
        .auth(Jwt::discover(&issuer).egress(local()))
        .oauth_proxy(OAuthProxy::relay(&issuer).egress(local()));
    let server = TestServer::new(server).unwrap();
    let redeem = form(&[("grant_type", "authorization_code"), ("code", "c")]);
    let request = Request::post("/oauth2/token")
        .header("host", "mcp.example.com")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(redeem.into_bytes())
        .unwrap();
    let reply = server.send(request).await;
    assert_eq!(
        (reply.status, &reply.body["access_token"]),
        (200, &json!("t"))
    );
    for name in [
        "set-cookie",
        "x-evil",
        "location",
        "server",
        "access-control-allow-credentials",
    ] {
        assert_eq!(reply.headers.get(name), None, "{name}");
    }
    let connection = reply.headers.get("connection");
    assert!(connection.is_none_or(|value| value != "x-evil"));
    assert_eq!(reply.headers["cache-control"], "no-store");
}

/// Counts who connects, and says nothing to them.
async fn silent(address: Ipv4Addr, port: u16) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((address, port)).await.unwrap();
    let (at, hits) = (
        listener.local_addr().unwrap(),
        Arc::new(AtomicUsize::new(0)),
    );
    let counted = Arc::clone(&hits);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            drop(socket);
        }
    });
    (at, hits)
}

/// What a name server says, one answer after the other, the last one for ever.
fn says(answers: &[&[Ipv4Addr]]) -> (impl Fn(&str) -> Vec<IpAddr> + use<>, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let answers: Vec<Vec<IpAddr>> = answers
        .iter()
        .map(|answer| answer.iter().map(|&ip| ip.into()).collect())
        .collect();
    let said = Mutex::new(answers);
    let look_up = move |_: &str| {
        counted.fetch_add(1, Ordering::SeqCst);
        let mut left = said.lock().unwrap();
        match left.len() {
            1 => left[0].clone(),
            _ => left.remove(0),
        }
    };
    (look_up, asked)
}

/// OA-52. The addresses are of this machine, so that nothing leaves it; which of them is allowed
/// makes the difference.
#[tokio::test]
async fn oa_52_a_connection_goes_where_its_name_was_checked() {
    let (first, second) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3));
    let (at, checked) = silent(first, 0).await;
    let (_, other) = silent(second, at.port()).await;
    let client = format!("https://c.test:{}/m.json", at.port());
    let refuses = async |egress: Egress| {
        let proxy = OAuthProxy::facade("https://login.example.com", "us", "a secret of ours");
        let proxy = proxy.egress(egress).allow_everybody().scopes(["mcp:read"]);
        let server = TestServer::new(builder().oauth_proxy(proxy)).unwrap();
        let query = form(&[("response_type", "code"), ("client_id", &client)]);
        let request = Request::get(format!("/oauth2/authorize?{query}"))
            .header("host", "mcp.example.com")
            .body(Vec::new());
        let page = server.send(request.unwrap()).await;
        assert_eq!(page.status, 400, "{page:?}");
        assert!(page.headers.get("location").is_none());
    };

    // A name that changes its answer is asked once for one connection.
    let (look_up, asked) = says(&[&[first], &[second]]);
    refuses(local().names(look_up)).await;
    assert_eq!(checked.load(Ordering::SeqCst), 1);
    assert_eq!(other.load(Ordering::SeqCst), 0);
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    // What is not public is never connected to, alone or among others that are not either.
    for answer in [
        vec![first],
        vec![second, Ipv4Addr::new(10, 0, 0, 1)],
        vec![Ipv4Addr::new(169, 254, 169, 254), first],
        vec![Ipv4Addr::UNSPECIFIED],
        vec![],
    ] {
        let (look_up, asked) = says(&[&answer]);
        refuses(Egress::new().names(look_up)).await;
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{answer:?}");
    }
    assert_eq!(checked.load(Ordering::SeqCst), 1, "no sink was reached");
    assert_eq!(other.load(Ordering::SeqCst), 0, "no sink was reached");
}

#[tokio::test]
async fn oa_52_a_host_that_trickles_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = format!("http://{}/m.json", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.read(&mut [0; 4096]).await;
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n";
        let _ = socket.write_all(head.as_bytes()).await;
        while socket.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let world = World::with(|proxy| proxy).await;
    let since = Instant::now();
    let page = world.authorize(&client, &[], None).await;
    assert_eq!(page.status, 400, "{page:?}");
    assert!(
        since.elapsed() < Duration::from_secs(10),
        "{:?}",
        since.elapsed()
    );
}
