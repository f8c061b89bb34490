//! Who gets in, and as whom.

use axum::body::Body;
use http::Request;

use super::{REQUEST_ID, Stage, TOKEN, admin_request, send};

const ENDPOINTS: [(&str, &str); 10] = [
    ("GET", "/founding/funnel"),
    ("GET", "/founding/stuck"),
    ("GET", "/instructors"),
    ("GET", "/instructors/coverage"),
    ("GET", "/instructors/maya"),
    ("GET", "/search/top-queries"),
    ("GET", "/search/zero-results"),
    ("POST", "/invites/preview"),
    ("POST", "/invites/send"),
    ("GET", "/metrics/founding.cap"),
];

#[tokio::test]
async fn no_endpoint_opens_without_the_service_token() {
    let stage = Stage::new().await;
    let wrong = [
        None,
        Some(String::new()),
        Some(TOKEN.to_owned()),
        Some("Bearer".to_owned()),
        Some("Bearer wrong".to_owned()),
        Some(format!("Basic {TOKEN}")),
        Some(format!("Bearer {}", &TOKEN[1..])),
        Some(format!("Bearer {TOKEN}x")),
    ];
    for (method, path) in ENDPOINTS {
        for header in &wrong {
            let mut request = Request::builder()
                .method(method)
                .uri(format!("/api/v1/admin/mcp{path}"));
            if let Some(header) = header {
                request = request.header("authorization", header);
            }
            let request = request.body(Body::empty()).expect("a request");
            let answer = send(&stage.router, request).await;
            assert_eq!(
                answer.headers["www-authenticate"], "Bearer",
                "{path} {header:?}"
            );
            answer.refused(401, "invalid_service_token");
        }
    }
}

#[tokio::test]
async fn the_wrong_method_is_said_to_be_wrong() {
    let stage = Stage::new().await;
    for (method, path) in ENDPOINTS {
        let other = if method == "GET" { "DELETE" } else { "PUT" };
        let request = admin_request(other, path, &[], Body::empty());
        let answer = send(&stage.router, request).await;
        let allowed = answer.headers["allow"].to_str().expect("a list");
        assert!(
            allowed.split(',').any(|one| one == method),
            "{path}: {allowed}"
        );
        answer.refused(405, "method_not_allowed");
    }
}

#[tokio::test]
async fn health_is_open_and_says_little() {
    let stage = Stage::new().await;
    let request = Request::get("/api/v1/health")
        .body(Body::empty())
        .expect("a request");
    let body = send(&stage.router, request).await.ok();
    assert_eq!(body["status"], "ok");
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(3));
}

#[tokio::test]
async fn a_request_acts_for_the_service_account_unless_it_names_an_admin() {
    let stage = Stage::new().await;
    let body = stage.get("/metrics/founding.cap").await.ok();
    assert_eq!(body["meta"]["actor"]["email"], "admin@example.com");

    for (header, email) in [
        ("https://as.example.com|user-17", None),
        ("ada@example.com", Some("ada@example.com")),
    ] {
        let headers = [("x-acting-user", header)];
        let request = admin_request("GET", "/metrics/founding.cap", &headers, Body::empty());
        let body = send(&stage.router, request).await.ok();
        assert_eq!(body["meta"]["actor"]["id"], header);
        assert_eq!(body["meta"]["actor"]["email"].as_str(), email);
    }

    let two = [("x-acting-user", "ada"), ("x-acting-user", "bob")];
    let request = admin_request("GET", "/metrics/founding.cap", &two, Body::empty());
    send(&stage.router, request)
        .await
        .refused(400, "invalid_acting_user");
    for bad in ["", "two words", "caf\u{e9}", &"x".repeat(201)] {
        let headers = [("x-acting-user", bad)];
        let request = admin_request("GET", "/metrics/founding.cap", &headers, Body::empty());
        send(&stage.router, request)
            .await
            .refused(400, "invalid_acting_user");
    }
}

#[tokio::test]
async fn a_well_formed_request_id_is_kept_and_another_replaced() {
    let stage = Stage::new().await;
    let answer = stage.get("/metrics/founding.cap").await;
    assert_eq!(answer.headers["x-request-id"], REQUEST_ID);
    assert_eq!(answer.ok()["meta"]["request_id"], REQUEST_ID);

    for bad in ["1", "${jndi:x}", "6f1c2d3e-4b5a-1c7d-8e9f-0a1b2c3d4e5f"] {
        let request = Request::get("/api/v1/admin/mcp/metrics/founding.cap")
            .header("authorization", format!("bearer {TOKEN}"))
            .header("x-request-id", bad)
            .body(Body::empty())
            .expect("a request");
        let body = send(&stage.router, request).await.ok();
        let made = body["meta"]["request_id"].as_str().expect("an id");
        assert!(made != bad && made.len() == 36, "{made}");
    }
}

#[tokio::test]
async fn settings_do_not_show_their_secrets() {
    let stage = Stage::new().await;
    let shown = format!("{:?}", stage.settings);
    assert!(
        !shown.contains(TOKEN) && !shown.contains("a-confirm-key"),
        "{shown}"
    );
}
