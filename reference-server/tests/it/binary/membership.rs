//! `[auth.membership]`: whether callers still belong to their tenants.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::json;

use super::program::Place;

const METRIC: &str = "instainstru_metrics_describe";
const SECRET: &str = "CNRY-MEMBERSHIP-b1";

/// An API of memberships: the status that it answers with, and what it was asked.
async fn api() -> (String, Arc<AtomicU16>, Arc<Mutex<Vec<String>>>) {
    let status = Arc::new(AtomicU16::new(200));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (says, hears) = (Arc::clone(&status), Arc::clone(&asked));
    let answer = move |request: Request| async move {
        let bearer = request.headers().get(header::AUTHORIZATION);
        let bearer = bearer.and_then(|it| it.to_str().ok()).unwrap_or_default();
        let line = format!("{} {bearer}", request.uri());
        hears.lock().expect("unpoisoned").push(line);
        let status = StatusCode::from_u16(says.load(Ordering::SeqCst)).expect("a status");
        let kind = [(header::CONTENT_TYPE, "application/json")];
        (status, kind, json!({"member": true}).to_string()).into_response()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let url = format!("http://{}/m", listener.local_addr().expect("an address"));
    let router = Router::new().route("/m", get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, status, asked)
}

#[tokio::test]
async fn tn_16_the_program_asks_and_fails_closed() {
    let (url, status, asked) = api().await;
    let place = Place::new()
        .env("MEMBERS", SECRET)
        .env("MCP_AUTH__MEMBERSHIP__URL", &url)
        .env("MCP_AUTH__MEMBERSHIP__TOKEN_ENV", "MEMBERS")
        .env("MCP_AUTH__MEMBERSHIP__CACHE_TTL", "1s")
        .env("MCP_AUTH__MEMBERSHIP__ALLOW_LOOPBACK", "true");
    let server = place.serve(&[]).await;
    let reader = place.token(&["--as", "reader"]);
    let call = || async {
        let arguments = json!({"metric_name": "founding.cap"});
        server.call(&reader, METRIC, arguments).await
    };
    assert_eq!(call().await.status, 200);
    let first = asked.lock().expect("unpoisoned")[0].clone();
    assert!(
        first.contains("subject=reader&tenant=org_a") && first.ends_with(SECRET),
        "{first}"
    );
    for (answers, expected) in [(404, 403), (200, 200), (500, 503), (200, 200)] {
        status.store(answers, Ordering::SeqCst);
        let since = Instant::now();
        // What was remembered is over soon, of refusals after five seconds.
        loop {
            let reply = call().await;
            if reply.status.as_u16() == expected {
                let said = reply.body.to_string();
                assert!(!said.contains("CNRY") && !said.contains("member"), "{said}");
                break;
            }
            assert!(since.elapsed() < Duration::from_secs(30), "{expected}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    assert!(!server.log().contains(SECRET), "{}", server.log());
}

/// `(what is set, what the error says)`
const REFUSED: &[(&[(&str, &str)], &str)] = &[
    (&[("TOKEN_ENV", "MEMBERS")], "has no `url`"),
    (&[("URL", "https://api.example.com/m")], "token_env"),
    (
        &[
            ("URL", "http://api.example.com/m"),
            ("TOKEN_ENV", "MEMBERS"),
        ],
        "does not start with https://",
    ),
    (
        &[("URL", "http://127.0.0.1:9/m"), ("TOKEN_ENV", "MEMBERS")],
        "allow_loopback",
    ),
    (
        &[
            ("URL", "https://api.example.com/m"),
            ("TOKEN_ENV", "NOWHERE"),
        ],
        "NOWHERE is not set",
    ),
    (
        &[
            ("URL", "https://api.example.com/m"),
            ("TOKEN_ENV", "MEMBERS"),
            ("CACHE_TTL", "6m"),
        ],
        "at most 5m",
    ),
    (&[("TOKEN", SECRET)], "no setting"),
];

#[test]
fn hi_04_a_check_of_memberships_that_would_not_be_safe_does_not_start() {
    for (settings, expected) in REFUSED {
        let place = Place::new()
            .env("MEMBERS", SECRET)
            .env("MCP_LISTEN", "127.0.0.1:0");
        let place = settings.iter().fold(place, |place, (name, value)| {
            place.env(&format!("MCP_AUTH__MEMBERSHIP__{name}"), value)
        });
        let output = place.run(&["serve"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{settings:?}");
        assert!(error.contains(expected), "{settings:?}: {error}");
        assert!(!error.contains(SECRET), "{error}");
    }
}
