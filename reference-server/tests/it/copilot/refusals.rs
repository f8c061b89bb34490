//! What a model reads when a call cannot be done, and who may call what.

use serde_json::{Value, json};

use super::Market;

/// `(tool, arguments, code, what the text says)`
fn refused() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let funnel = "instainstru_founding_funnel_summary";
    let stuck = "instainstru_founding_stuck_instructors";
    let list = "instainstru_instructors_list";
    let coverage = "instainstru_instructors_coverage";
    let detail = "instainstru_instructors_detail";
    let top = "instainstru_search_top_queries";
    let zero = "instainstru_search_zero_results";
    let preview = "instainstru_invites_preview";
    let send = "instainstru_invites_send";
    let metric = "instainstru_metrics_describe";
    let wrong = "invalid_arguments";
    let swapped = json!({"start_date": "2026-02-01", "end_date": "2026-01-01"});
    let many: Vec<String> = (0..101).map(|n| format!("a{n}@example.com")).collect();
    vec![
        (
            funnel,
            json!({"start_date": "2026-13-01"}),
            wrong,
            "/start_date",
        ),
        (
            funnel,
            json!({"start_date": "20260101"}),
            wrong,
            "/start_date",
        ),
        (
            funnel,
            swapped.clone(),
            "start_date_after_end_date",
            "start_date",
        ),
        (
            funnel,
            json!({"strat_date": "2026-01-01"}),
            wrong,
            "start_date",
        ),
        (stuck, json!({"stuck_days": 0}), wrong, "/stuck_days"),
        (
            stuck,
            json!({"stuck_days": 91, "limit": 201}),
            wrong,
            "/limit",
        ),
        (
            stuck,
            json!({"stage": "daydreaming"}),
            wrong,
            "profile_submitted",
        ),
        (list, json!({"status": "retired"}), wrong, "onboarding"),
        (list, json!({"limit": 0}), wrong, "/limit"),
        (
            list,
            json!({"cursor": "nonsense"}),
            "invalid_cursor",
            "Invalid cursor",
        ),
        (coverage, json!({"group_by": "city"}), wrong, "category"),
        (coverage, json!({"top": 201}), wrong, "/top"),
        (detail, json!({}), wrong, "/identifier"),
        (detail, json!({"identifier": ".."}), wrong, "/identifier"),
        (detail, json!({"identifier": "  "}), wrong, "/identifier"),
        (
            detail,
            json!({"identifier": "x".repeat(255)}),
            wrong,
            "/identifier",
        ),
        (
            detail,
            json!({"identifier": "nobody@example.com"}),
            "instructor_not_found",
            "not found",
        ),
        (
            detail,
            json!({"identifier": "../metrics/founding.cap"}),
            "instructor_not_found",
            "",
        ),
        (
            detail,
            json!({"identifier": "a/b?c#d%2f"}),
            "instructor_not_found",
            "",
        ),
        (top, swapped.clone(), "start_date_after_end_date", ""),
        (top, json!({"min_count": 1001}), wrong, "/min_count"),
        (zero, swapped, "start_date_after_end_date", ""),
        (
            preview,
            json!({"recipient_emails": []}),
            wrong,
            "/recipient_emails",
        ),
        (
            preview,
            json!({"recipient_emails": many}),
            wrong,
            "/recipient_emails",
        ),
        (
            preview,
            json!({"recipient_emails": ["nonsense"]}),
            "validation_failed",
            "recipient_emails[0]",
        ),
        (
            preview,
            json!({"recipient_emails": ["a@example.com"], "expires_in_days": 181}),
            wrong,
            "/expires_in_days",
        ),
        (
            send,
            json!({"confirm_token": "x"}),
            wrong,
            "/idempotency_key",
        ),
        (
            send,
            json!({"confirm_token": "x", "idempotency_key": "two words"}),
            wrong,
            "/idempotency_key",
        ),
        (
            metric,
            json!({"metric_name": "nonsense"}),
            "metric_not_found",
            "founding.cap",
        ),
    ]
}

#[tokio::test]
async fn a_refusal_has_a_code_and_says_what_to_mend() {
    let market = Market::new().await;
    for (tool, arguments, code, text) in refused() {
        let reply = market.admin().call(tool, arguments.clone()).await;
        assert_eq!(reply.status, 200, "{tool} {arguments}");
        assert_eq!(reply.code(), code, "{tool} {arguments}: {}", reply.body);
        assert!(
            reply.text().contains(text),
            "{tool} {arguments}: {}",
            reply.text()
        );
    }
}

#[tokio::test]
async fn a_refusal_of_the_platform_carries_its_details() {
    let market = Market::new().await;
    let arguments = json!({"metric_name": "nonsense"});
    let reply = market
        .admin()
        .call("instainstru_metrics_describe", arguments)
        .await;
    let data = &reply.result()["structuredContent"];
    assert_eq!(
        data["details"]["known_metrics"].as_array().map(Vec::len),
        Some(11)
    );
    assert_eq!(data["backend_error"], "backend_not_found");
    assert_eq!(data["status_code"], 404);
}

#[tokio::test]
async fn without_a_token_or_a_scope_the_answer_says_what_to_get() {
    let market = Market::new().await;
    let listed = market.admin().tools().await;
    for tool in &listed {
        let scope = if tool.contains("_invites_") {
            "copilot:write"
        } else {
            "copilot:read"
        };
        let anonymous = market.server.call(tool, json!({})).await;
        assert_eq!(anonymous.status, 401, "{tool}");
        let stranger = market.server.as_user("eve").call(tool, json!({})).await;
        assert_eq!(stranger.status, 403, "{tool}");
        let challenge = stranger.headers["www-authenticate"].to_str().expect("text");
        assert!(
            challenge.contains("insufficient_scope") && challenge.contains(scope),
            "{challenge}"
        );
    }
    let reader = market.demo("reader");
    assert_eq!(
        reader
            .call("instainstru_invites_send", json!({}))
            .await
            .status,
        403
    );
    assert_eq!(
        reader
            .call("instainstru_search_zero_results", json!({}))
            .await
            .status,
        200
    );
    assert_eq!(
        reader.tools().await,
        listed,
        "a scope can be acquired: nothing is hidden"
    );
}
