//! What the API is asked, byte by byte.

use reference_server::backend::Limits;
use serde_json::{Value, json};

use super::fake::{Fake, TOKEN, reply};

/// `(tool, arguments, method, path and query)`
fn requests() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    vec![
        (
            "founding_funnel_summary",
            json!({}),
            "GET",
            "/founding/funnel",
        ),
        (
            "founding_funnel_summary",
            json!({"start_date": "2026-01-01", "end_date": "2026-01-31"}),
            "GET",
            "/founding/funnel?start_date=2026-01-01&end_date=2026-01-31",
        ),
        (
            "founding_stuck_instructors",
            json!({}),
            "GET",
            "/founding/stuck?stuck_days=7&limit=50",
        ),
        (
            "founding_stuck_instructors",
            json!({"stage": "bgc_initiated"}),
            "GET",
            "/founding/stuck?stuck_days=7&stage=bgc_initiated&limit=50",
        ),
        (
            "instructors_list",
            json!({"status": "live", "is_founding": false, "service_slug": "a b&c",
            "cursor": "x"}),
            "GET",
            "/instructors?status=live&is_founding=false&service_slug=a%20b%26c&limit=50&cursor=x",
        ),
        (
            "instructors_coverage",
            json!({}),
            "GET",
            "/instructors/coverage?status=live&group_by=category&top=25",
        ),
        (
            "instructors_detail",
            json!({"identifier": "a/../b?c@example.com"}),
            "GET",
            "/instructors/a%2F..%2Fb%3Fc%40example.com",
        ),
        (
            "search_top_queries",
            json!({}),
            "GET",
            "/search/top-queries?limit=50&min_count=2",
        ),
        (
            "search_zero_results",
            json!({"limit": 1}),
            "GET",
            "/search/zero-results?limit=1",
        ),
        (
            "invites_preview",
            json!({"recipient_emails": ["ann@example.com"]}),
            "POST",
            "/invites/preview",
        ),
        (
            "invites_send",
            json!({"confirm_token": "t", "idempotency_key": "k"}),
            "POST",
            "/invites/send",
        ),
        (
            "metrics_describe",
            json!({"metric_name": "founding.cap"}),
            "GET",
            "/metrics/founding.cap",
        ),
    ]
}

#[tokio::test]
async fn s0_018_019_every_tool_is_one_request_with_the_service_token() {
    let fake = Fake::new(|_| std::future::ready(reply(404, "{}"))).await;
    let server = fake.server(Limits::default());
    let ada = server
        .as_user("ada")
        .scopes(["copilot:read", "copilot:write"]);
    for (n, (tool, arguments, method, path)) in requests().into_iter().enumerate() {
        ada.call(&format!("instainstru_{tool}"), arguments).await;
        let asked = fake.asked();
        assert_eq!(asked.len(), n + 1, "{tool}");
        let asked = &asked[n];
        assert_eq!(asked.method, method);
        assert_eq!(asked.uri, format!("/api/v1/admin/mcp{path}"));
        assert_eq!(asked.headers["authorization"], format!("Bearer {TOKEN}"));
        assert_eq!(asked.headers["x-acting-user"], "ada");
        let id = asked.headers["x-request-id"].to_str().expect("text");
        assert!(id.len() == 36 && id.as_bytes()[14] == b'4', "{id}");
    }
}

#[tokio::test]
async fn bodies_carry_the_names_of_the_contract() {
    let fake = Fake::new(|_| std::future::ready(reply(404, "{}"))).await;
    let server = fake.server(Limits::default());
    let ada = server.as_user("ada").scopes(["copilot:write"]);
    ada.call(
        "instainstru_invites_preview",
        json!({"recipient_emails": ["ann@example.com"]}),
    )
    .await;
    ada.call(
        "instainstru_invites_send",
        json!({"confirm_token": "t", "idempotency_key": "k"}),
    )
    .await;
    let asked = fake.asked();
    let body = |n: usize| serde_json::from_slice::<Value>(&asked[n].body).expect("JSON");
    let preview = json!({"recipient_emails": ["ann@example.com"], "grant_founding_status": true,
        "expires_in_days": 14, "message_note": null});
    assert_eq!(body(0), preview);
    assert_eq!(
        body(1),
        json!({"confirm_token": "t", "idempotency_key": "k"})
    );
    assert_eq!(asked[1].headers["idempotency-key"], "k");
}
