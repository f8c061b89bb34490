//! Everything that can go wrong between the server and the API, and what the model reads then.

use std::time::{Duration, Instant};

use http::Response;
use mcp_runtime::testing::{TestReply, TestServer};
use reference_server::backend::Limits;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::fake::{Fake, TOKEN, reply, server, short};

const METRIC: &str = "instainstru_metrics_describe";

async fn ask(server: &TestServer) -> TestReply {
    let admin = server
        .as_user("ada")
        .scopes(["copilot:read", "copilot:write"]);
    admin
        .call(METRIC, json!({"metric_name": "founding.cap"}))
        .await
}

async fn preview(server: &TestServer) -> TestReply {
    let admin = server
        .as_user("ada")
        .scopes(["copilot:read", "copilot:write"]);
    let arguments = json!({"recipient_emails": ["ann@example.com"]});
    admin.call("instainstru_invites_preview", arguments).await
}

fn data(reply: &TestReply) -> &Value {
    &reply.result()["structuredContent"]
}

/// `(status, body, code, what the data holds)`
fn refusals() -> Vec<(u16, String, &'static str, Value)> {
    let detail = |code: &str| json!({"detail": {"code": code, "message": "m"}}).to_string();
    let page = "<html>Bad gateway</html>".to_owned();
    vec![
        (
            401,
            detail("invalid_service_token"),
            "backend_auth_failed",
            json!({"status_code": 401}),
        ),
        (
            403,
            "{}".into(),
            "backend_auth_failed",
            json!({"status_code": 403}),
        ),
        (
            404,
            detail("path_not_found"),
            "backend_not_found",
            json!({"status_code": 404}),
        ),
        (
            404,
            json!({"detail": "Not Found"}).to_string(),
            "backend_not_found",
            json!({"message": "Not Found"}),
        ),
        (
            404,
            detail("metric_not_found"),
            "metric_not_found",
            json!({"backend_error": "backend_not_found"}),
        ),
        (
            400,
            detail("idempotency_key_mismatch"),
            "idempotency_key_mismatch",
            json!({"status_code": 400}),
        ),
        (
            409,
            detail("founding_slots_taken"),
            "founding_slots_taken",
            json!({"status_code": 409}),
        ),
        (
            422,
            json!({"detail": [{"loc": ["query"], "msg": "bad"}]}).to_string(),
            "backend_error_422",
            json!({"details": [{"loc": ["query"], "msg": "bad"}]}),
        ),
        (
            500,
            detail("internal_error"),
            "backend_error_500",
            json!({"status_code": 500}),
        ),
        (
            502,
            page,
            "backend_error_502",
            json!({"status_code": 502, "text": null}),
        ),
        (
            503,
            detail("idempotency_store_unavailable"),
            "idempotency_store_unavailable",
            json!({"status_code": 503}),
        ),
        (
            302,
            String::new(),
            "backend_error_302",
            json!({"status_code": 302}),
        ),
        // Successes that are none.
        (
            200,
            "pong".into(),
            "backend_invalid_reply",
            json!({"status_code": 200, "text": "pong"}),
        ),
        (200, "{}".into(), "backend_invalid_reply", json!({})),
        (
            204,
            String::new(),
            "backend_invalid_reply",
            json!({"status_code": 204}),
        ),
    ]
}

#[tokio::test]
async fn every_answer_of_the_platform_has_a_name() {
    for (status, body, code, expected) in refusals() {
        let answer = body.clone();
        let fake = Fake::new(move |_| std::future::ready(reply(status, answer.clone()))).await;
        let reply = ask(&fake.server(Limits::default())).await;
        assert_eq!(reply.code(), code, "{status} {body}");
        for (name, value) in expected.as_object().expect("an object") {
            assert_eq!(&data(&reply)[name], value, "{status} {body} {name}");
        }
        assert!(!reply.body.to_string().contains(TOKEN));
    }
}

/// AU-07: what a backend says when it breaks is for the log, in whatever form it says it.
#[tokio::test]
async fn au_07_nothing_of_what_a_broken_backend_says_is_shown() {
    let leak = "java.sql.SQLException: SELECT * FROM users at /srv/app/Users.java";
    let bodies = [
        leak.to_owned(),
        json!(leak).to_string(),
        json!({"detail": leak}).to_string(),
        json!({"detail": [{"msg": leak}]}).to_string(),
        json!({"detail": {"code": "internal_error", "message": leak}}).to_string(),
        json!({"detail": {"code": leak, "message": leak, "details": {"sql": leak}}}).to_string(),
    ];
    for status in [500, 502, 503, 599] {
        for body in bodies.clone() {
            let answer = body.clone();
            let fake = Fake::new(move |_| std::future::ready(reply(status, answer.clone()))).await;
            let reply = ask(&fake.server(Limits::default())).await;
            let place = format!("{status} {body}: {}", reply.body);
            assert_eq!(reply.code(), format!("backend_error_{status}"), "{place}");
            assert_eq!(data(&reply)["status_code"], status, "{place}");
            let id = fake.asked()[0].headers["x-request-id"].clone();
            let id = id.to_str().expect("visible ASCII");
            assert_eq!(data(&reply)["request_id"], id, "{place}");
            assert!(reply.text().contains(id), "names no request: {place}");
            for word in ["java", "SELECT", "/srv"] {
                assert!(
                    !reply.body.to_string().contains(word),
                    "shows {word}: {place}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_token() {
    let elsewhere = Fake::new(|_| std::future::ready(reply(200, "{}"))).await;
    let to = elsewhere.url.clone();
    let fake = Fake::new(move |_| {
        let redirect = Response::builder().status(307).header("location", &to);
        std::future::ready(
            redirect
                .body(axum::body::Body::empty())
                .expect("a response"),
        )
    })
    .await;
    assert_eq!(
        ask(&fake.server(Limits::default())).await.code(),
        "backend_error_307"
    );
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn a_huge_answer_is_cut_off() {
    let fake = Fake::new(|_| std::future::ready(reply(200, vec![b' '; 9 << 20]))).await;
    assert_eq!(
        ask(&fake.server(Limits::default())).await.code(),
        "backend_answer_too_large"
    );
}

#[tokio::test]
async fn s0_047_to_049_a_slow_backend_is_named_with_path_and_seconds() {
    let fake = Fake::new(|_| async {
        std::future::pending::<()>().await;
        reply(200, "{}")
    })
    .await;
    let server = fake.server(short());
    let since = Instant::now();
    for (reply, path, seconds) in [
        (ask(&server).await, "/metrics/{metric_name}", 0.4),
        (preview(&server).await, "/invites/preview", 0.6),
    ] {
        assert_eq!(reply.code(), "backend_timeout");
        assert_eq!(data(&reply)["path"], path);
        assert_eq!(data(&reply)["seconds"], seconds);
        assert!(reply.text().contains(path) && reply.text().contains(&seconds.to_string()));
    }
    assert!(since.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_backend_that_stops_in_the_middle_is_slow_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let mute = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut connection, _)) = listener.accept().await {
            let read = connection.read(&mut [0; 4096]).await;
            assert!(read.is_ok_and(|read| read > 0), "a request");
            let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{";
            connection.write_all(half).await.expect("written");
            open.push(connection);
        }
    });
    let limits = Limits {
        read: Duration::from_millis(200),
        ..Limits::default()
    };
    let reply = ask(&server(&url, limits)).await;
    mute.abort();
    assert_eq!(reply.code(), "backend_timeout");
    assert_eq!(data(&reply)["seconds"], 0.2);
}

#[tokio::test]
async fn a_backend_that_is_down_is_told_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let since = Instant::now();
    let reply = ask(&server(&url, Limits::default())).await;
    assert_eq!(reply.code(), "backend_connection_failed");
    assert!(since.elapsed() < Duration::from_secs(5));
}

const METRIC_FOUND: &str = r#"{"meta": {"request_id": "r", "generated_at": "2026-06-01T12:00:00Z",
    "actor": {"id": "ada", "email": null}}, "data": {"metric": "m", "definition": "d",
    "requirements": [], "source_fields": [], "related_metrics": []}}"#;

fn busy(retry_after: &'static str) -> Response<axum::body::Body> {
    let mut busy = reply(
        429,
        r#"{"detail": {"code": "rate_limited", "message": "m"}}"#,
    );
    busy.headers_mut()
        .insert("retry-after", http::HeaderValue::from_static(retry_after));
    busy
}

#[tokio::test]
async fn a_busy_backend_is_asked_again_after_the_wait_it_names() {
    let fake = Fake::new(|nth| {
        std::future::ready(if nth == 0 {
            busy("1")
        } else {
            reply(200, METRIC_FOUND)
        })
    })
    .await;
    let since = Instant::now();
    let reply = ask(&fake.server(Limits::default())).await;
    assert_eq!(reply.structured()["data"]["metric"], "m");
    assert!(since.elapsed() >= Duration::from_secs(1));
    let ids: Vec<_> = fake
        .asked()
        .iter()
        .map(|asked| asked.headers["x-request-id"].clone())
        .collect();
    assert_eq!(ids[0], ids[1], "one call has one id");
}

#[tokio::test]
async fn a_backend_that_stays_busy_is_named_with_the_wait() {
    for (retry_after, seconds) in [
        ("16", 16),
        ("3600", 3600),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 1),
    ] {
        let fake = Fake::new(move |_| std::future::ready(busy(retry_after))).await;
        let since = Instant::now();
        let reply = ask(&fake.server(Limits::default())).await;
        assert_eq!(reply.code(), "rate_limited");
        assert_eq!(data(&reply)["retry_after_s"], seconds);
        assert!(
            since.elapsed() < Duration::from_secs(5),
            "waited for nothing"
        );
        assert_eq!(fake.asked().len(), 1);
    }
}

#[tokio::test]
async fn the_patience_with_a_busy_backend_ends() {
    let fake = Fake::new(|_| std::future::ready(busy("1"))).await;
    let limits = Limits {
        call_patience: Duration::from_secs(1),
        ..Limits::default()
    };
    assert_eq!(ask(&fake.server(limits)).await.code(), "rate_limited");
    assert_eq!(fake.asked().len(), 2);
    // No time left for the wait.
    let fake = Fake::new(|_| std::future::ready(busy("1"))).await;
    assert_eq!(ask(&fake.server(short())).await.code(), "rate_limited");
    assert_eq!(fake.asked().len(), 1);
}

/// What the platform never sees is not counted by it: the wrong URL is refused when it is set.
#[test]
fn a_base_url_is_checked_and_never_shown_with_a_password() {
    use reference_server::Secret;
    use reference_server::backend::Backend;

    let token = Secret::from(TOKEN);
    for url in [
        "",
        "nonsense",
        "ftp://example.com",
        "https://u:hunter2@example.com",
        "https://example.com/?a=b",
    ] {
        let refused = Backend::remote(url, &token, Limits::default()).expect_err(url);
        let text = format!("{refused} {refused:?}");
        assert!(
            text.contains("backend.url") && !text.contains("hunter2"),
            "{text}"
        );
    }
    let backend =
        Backend::remote("https://api.example.com", &token, Limits::default()).expect("fine");
    assert!(!format!("{backend:?}").contains(TOKEN));
    let refused = Backend::remote("https://api.example.com", &"a\nb".into(), Limits::default());
    assert!(refused.is_err());
}
