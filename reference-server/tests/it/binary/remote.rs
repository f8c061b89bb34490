//! The REST API in another process.

use serde_json::json;

use super::calls;
use super::program::Place;
use crate::backend::fake::{Fake, reply};

#[tokio::test]
async fn s0_018_the_tools_work_on_an_api_in_another_process() {
    let place = Place::new();
    let platform = place.start(&["platform", "--listen", "127.0.0.1:0"]).await;
    let place = place
        .env("MCP_BACKEND__MODE", "url")
        .env("MCP_BACKEND__URL", &platform.url);
    let server = place.serve(&[]).await;
    let admin = place.token(&["--as", "admin"]);
    for (tool, arguments, pointer) in calls() {
        let reply = server.call(&admin, tool, arguments).await;
        assert!(
            reply.structured().pointer(pointer).is_some(),
            "{tool}: {}",
            reply.body
        );
    }
    // The platform goes away, and the model is told so, at once.
    drop(platform);
    let since = std::time::Instant::now();
    let arguments = json!({"metric_name": "founding.cap"});
    let reply = server
        .call(&admin, "instainstru_metrics_describe", arguments)
        .await;
    assert_eq!(reply.code(), "backend_connection_failed");
    assert!(since.elapsed().as_secs() < 5);
    let secret = std::fs::read_to_string(place.data().join("service.token")).expect("made");
    assert!(!server.log().contains(secret.trim()) && !server.log().contains(&admin));
}

#[tokio::test]
async fn a_wrong_service_token_is_the_operators_business() {
    let place = Place::new();
    let platform = place.start(&["platform", "--listen", "127.0.0.1:0"]).await;
    let place = place
        .env("MCP_BACKEND__MODE", "url")
        .env("MCP_BACKEND__URL", &platform.url)
        .env("MCP_BACKEND__SERVICE_TOKEN", "not-the-right-token");
    let server = place.serve(&[]).await;
    let admin = place.token(&["--as", "admin"]);
    let reply = server
        .call(&admin, "instainstru_founding_funnel_summary", json!({}))
        .await;
    assert_eq!(reply.code(), "backend_auth_failed");
    assert!(!reply.body.to_string().contains("not-the-right-token"));
}

#[tokio::test]
async fn the_limits_of_the_platform_hold_and_a_short_wait_is_waited() {
    let place = Place::new().env("MCP_PLATFORM__RATE_LIMITS", "on");
    let place = place.env("MCP_BACKEND__TIMEOUTS__INVITE_PATIENCE", "1s");
    let server = place.serve(&[]).await;
    let admin = place.token(&["--as", "admin"]);
    // One more than the burst of ten: the last waits for a second, and nobody notices.
    for n in 0..11 {
        let arguments = json!({"metric_name": "founding.cap"});
        let reply = server
            .call(&admin, "instainstru_metrics_describe", arguments)
            .await;
        assert_eq!(reply.structured()["data"]["metric"], "founding.cap", "{n}");
    }
    // Two previews at once, then one in six seconds: longer than this server may wait.
    let arguments = json!({"recipient_emails": ["ann@example.com"]});
    for _ in 0..2 {
        server
            .call(&admin, "instainstru_invites_preview", arguments.clone())
            .await
            .structured();
    }
    let reply = server
        .call(&admin, "instainstru_invites_preview", arguments)
        .await;
    assert_eq!(reply.code(), "rate_limited");
    let wait = reply.body["result"]["structuredContent"]["retry_after_s"].as_u64();
    assert!(wait.is_some_and(|wait| (2..=6).contains(&wait)), "{wait:?}");
}

#[tokio::test]
async fn s0_047_a_slow_backend_is_named_after_the_configured_time() {
    let slow = Fake::new(|_| async {
        std::future::pending::<()>().await;
        reply(200, "{}")
    })
    .await;
    let place = Place::new()
        .env("MCP_BACKEND__MODE", "url")
        .env("MCP_BACKEND__URL", &slow.url)
        .env("MCP_BACKEND__TIMEOUTS__CALL", "300ms");
    let server = place.serve(&[]).await;
    let reader = place.token(&["--as", "reader"]);
    let reply = server
        .call(&reader, "instainstru_search_zero_results", json!({}))
        .await;
    assert_eq!(reply.code(), "backend_timeout");
    let text = reply.body["result"]["content"][0]["text"].as_str();
    let text = text.expect("a text");
    assert!(
        text.contains("/search/zero-results") && text.contains("0.3 s"),
        "{text}"
    );
}
