//! Rate limits as a caller sees them.

use axum::body::Body;
use reference_server::platform::RateLimits;
use serde_json::json;

use super::{Answer, Stage, admin_request, send};

async fn ask_as(stage: &Stage, actor: &str) -> Answer {
    let headers = [("x-acting-user", actor)];
    let request = admin_request("GET", "/metrics/founding.cap", &headers, Body::empty());
    send(&stage.router, request).await
}

#[tokio::test]
async fn the_eleventh_request_of_a_burst_is_told_when_to_come_back() {
    let stage = Stage::with(|settings| settings.rate_limits = RateLimits::On).await;
    let mut refused = None;
    // A request that waits for the disk may see the bucket refill by one or two.
    for n in 0..15 {
        let answer = ask_as(&stage, "ada").await;
        assert_eq!(answer.headers["x-ratelimit-limit"], "60");
        assert_eq!(answer.headers["x-ratelimit-shadow"], "false");
        assert_eq!(
            answer.headers["x-ratelimit-policy"],
            "60;w=60;burst=10;name=\"admin_mcp\""
        );
        if answer.status == 429 {
            assert!(n >= 10, "refused too early, at {n}");
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a burst of 15 is too much");
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.headers["x-ratelimit-remaining"], "0");
    assert_eq!(refused.headers["x-ratelimit-reset"], "10");
    refused.refused(429, "rate_limited");
    ask_as(&stage, "bob").await.ok();
}

#[tokio::test]
async fn invites_have_a_smaller_bucket_of_their_own() {
    let stage = Stage::with(|settings| settings.rate_limits = RateLimits::On).await;
    let body = json!({"recipient_emails": ["ann@example.com"]});
    for _ in 0..2 {
        stage.preview(body.clone()).await.ok();
    }
    // Previewing and sending share it.
    let refused = stage.send("token", "key").await;
    assert_eq!(
        refused.headers["x-ratelimit-policy"],
        "10;w=60;burst=2;name=\"admin_mcp_invite\""
    );
    let wait = refused.headers["retry-after"].to_str().expect("a number");
    let wait: u64 = wait.parse().expect("a number");
    // Six, unless this machine took its time for the previews.
    assert!((1..=6).contains(&wait), "{wait}");
    let body = refused.refused(429, "rate_limited");
    assert_eq!(
        body["detail"]["details"],
        json!({"bucket": "admin_mcp_invite", "retry_after_s": wait})
    );
    stage.get("/founding/funnel").await.ok();
}

#[tokio::test]
async fn shadow_mode_only_measures() {
    let stage = Stage::with(|settings| settings.rate_limits = RateLimits::Shadow).await;
    for _ in 0..30 {
        let answer = ask_as(&stage, "ada").await;
        assert_eq!(answer.headers["x-ratelimit-shadow"], "true");
        answer.ok();
    }
}

#[tokio::test]
async fn switched_off_it_says_nothing() {
    let stage = Stage::new().await;
    let answer = ask_as(&stage, "ada").await;
    assert!(!answer.headers.contains_key("x-ratelimit-limit"));
}
