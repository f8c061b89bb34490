//! The eight tools that read, and the preview: each has something to tell, and tells it in the
//! shape that it published.

use reference_server::copilot::metrics::instainstru_metrics_describe;
use serde_json::{Value, json};

use super::Market;

/// A call, a place in its structured result, and what stands there.
struct Row {
    tool: &'static str,
    arguments: Value,
    pointer: &'static str,
    expected: Value,
}

fn row(tool: &'static str, arguments: Value, pointer: &'static str, expected: Value) -> Row {
    Row {
        tool,
        arguments,
        pointer,
        expected,
    }
}

fn rows() -> Vec<Row> {
    let funnel = "instainstru_founding_funnel_summary";
    let stuck = "instainstru_founding_stuck_instructors";
    let list = "instainstru_instructors_list";
    let coverage = "instainstru_instructors_coverage";
    let detail = "instainstru_instructors_detail";
    let top = "instainstru_search_top_queries";
    let zero = "instainstru_search_zero_results";
    let preview = "instainstru_invites_preview";
    let metric = "instainstru_metrics_describe";
    let maya = json!({"identifier": "Maya.Chen@example.com"});
    vec![
        // S0-001, S0-016
        row(funnel, json!({}), "/stages/0/stage", json!("registered")),
        row(funnel, json!({}), "/stages/6/stage", json!("went_live")),
        row(
            funnel,
            json!({}),
            "/conversion_rates/5/to_stage",
            json!("went_live"),
        ),
        row(funnel, json!({}), "/founding_cap/cap", json!(100)),
        row(funnel, json!({}), "/founding_cap/used", json!(0)),
        row(funnel, json!({}), "/founding_cap/remaining", json!(100)),
        row(
            funnel,
            json!({"start_date": "2026-05-01"}),
            "/time_window/start",
            json!("2026-05-01"),
        ),
        row(
            funnel,
            json!({"start_date": null}),
            "/time_window/start",
            Value::Null,
        ),
        row(
            funnel,
            json!({"start_date": "2030-01-01"}),
            "/stages/0/count",
            json!(0),
        ),
        // S0-002
        row(stuck, json!({"limit": 3}), "/total_stuck", json!(3)),
        row(
            stuck,
            json!({"stage": "bgc_initiated"}),
            "/summary/0/stage",
            json!("bgc_initiated"),
        ),
        row(stuck, json!({"stage": "paused"}), "/total_stuck", json!(0)),
        // S0-003
        row(list, json!({}), "/limit", json!(50)),
        row(
            list,
            json!({"status": "live", "limit": 1}),
            "/items/0/status",
            json!("live"),
        ),
        row(list, json!({"is_founding": true}), "/items", json!([])),
        row(
            list,
            json!({"category_slug": "music", "limit": 2}),
            "/items/0/categories/0",
            json!("Music"),
        ),
        // S0-004, S0-016
        row(
            coverage,
            json!({}),
            "/data/values",
            json!([12, 11, 11, 11, 10, 10]),
        ),
        row(coverage, json!({}), "/data/total_instructors", json!(65)),
        row(
            coverage,
            json!({"group_by": "service", "top": 1}),
            "/data/group_by",
            json!("service"),
        ),
        // S0-005
        row(detail, maya.clone(), "/name", json!("Maya Chen")),
        row(detail, maya, "/ambiguous", json!(false)),
        row(
            detail,
            json!({"identifier": "maya chen"}),
            "/email",
            json!("maya.chen@example.com"),
        ),
        row(
            detail,
            json!({"identifier": "novak"}),
            "/ambiguous",
            json!(true),
        ),
        // S0-006, S0-007
        row(top, json!({}), "/data/time_window/end", json!("2026-06-01")),
        row(
            top,
            json!({}),
            "/data/time_window/start",
            json!("2026-05-03"),
        ),
        row(top, json!({"limit": 1}), "/data/queries/1", Value::Null),
        row(zero, json!({"limit": 1}), "/data/queries/1", Value::Null),
        // S0-008
        row(
            preview,
            json!({"recipient_emails": [" Ann@Example.com ", "ann@example.com"]}),
            "/data/recipients/0/email",
            json!("ann@example.com"),
        ),
        row(
            preview,
            json!({"recipient_emails": ["ann@example.com"]}),
            "/data/invite_preview/grants_founding",
            json!(true),
        ),
        row(
            preview,
            json!({"recipient_emails": ["ann@example.com"]}),
            "/data/confirm_expires_at",
            json!("2026-06-01T12:30:00Z"),
        ),
        // S0-010
        row(
            metric,
            json!({"metric_name": "search.conversion"}),
            "/data/metric",
            json!("search.conversion"),
        ),
    ]
}

#[tokio::test]
async fn s0_001_to_010_every_tool_has_something_to_tell() {
    let market = Market::new().await;
    let admin = market.admin();
    for Row {
        tool,
        arguments,
        pointer,
        expected,
    } in rows()
    {
        let reply = admin.call(tool, arguments.clone()).await;
        let found = reply.structured().pointer(pointer).unwrap_or(&Value::Null);
        assert_eq!(
            found,
            &expected,
            "{tool} {arguments} {pointer}: {}",
            reply.structured()
        );
    }
}

/// What is published as `outputSchema` is what comes back, in every answer above.
#[tokio::test]
async fn results_have_the_shape_that_was_published() {
    let market = Market::new().await;
    let admin = market.admin();
    let listed = admin.request("tools/list", json!({})).await;
    let listed = listed.result()["tools"].as_array().expect("tools");
    for Row {
        tool, arguments, ..
    } in rows()
    {
        let reply = admin.call(tool, arguments).await;
        let of_tool = listed
            .iter()
            .find(|listed| listed["name"] == tool)
            .expect("listed");
        let validator = jsonschema::draft202012::new(&of_tool["outputSchema"]).expect("a schema");
        let errors: Vec<String> = validator
            .iter_errors(reply.structured())
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{tool}: {errors:?}");
        let mirror: Value = serde_json::from_str(reply.text()).expect("a mirror in JSON");
        assert_eq!(&mirror, reply.structured(), "{tool}");
    }
}

/// No server, no JSON: what `#[mcp_tool]` leaves behind is the function.
#[tokio::test]
async fn a_tool_is_an_ordinary_function() {
    let market = Market::new().await;
    let admin = super::caller("ada");
    let metric = "founding.cap".to_owned();
    let described = instainstru_metrics_describe(&market.backend, &admin, metric).await;
    assert_eq!(described.expect("described").data.metric, "founding.cap");
    let refused = instainstru_metrics_describe(&market.backend, &admin, "x".to_owned()).await;
    assert_eq!(refused.expect_err("refused").code_str(), "metric_not_found");
}

#[tokio::test]
async fn s0_003_pages_follow_each_other_without_gap_or_overlap() {
    let market = Market::new().await;
    let mut seen = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let arguments = json!({"status": "live", "limit": 30, "cursor": cursor});
        let reply = market
            .admin()
            .call("instainstru_instructors_list", arguments)
            .await;
        let page = reply.structured();
        let ids = page["items"].as_array().into_iter().flatten();
        seen.extend(ids.filter_map(|item| item["user_id"].as_str().map(str::to_owned)));
        cursor = page["next_cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(seen.len(), 65);
    assert!(seen.is_sorted_by(|a, b| a < b));
}

#[tokio::test]
async fn an_ambiguous_name_leads_to_one_instructor_in_two_calls() {
    let market = Market::new().await;
    let detail = "instainstru_instructors_detail";
    let several = market
        .admin()
        .call(detail, json!({"identifier": "novak"}))
        .await;
    let candidate = &several.structured()["candidates"][0];
    assert!(several.structured().get("user_id").is_none());
    let one = market
        .admin()
        .call(detail, json!({"identifier": candidate["user_id"]}))
        .await;
    assert_eq!(one.structured()["email"], candidate["email"]);
}

#[tokio::test]
async fn the_platform_knows_callers_of_two_tenants_apart() {
    let market = Market::new().await;
    let mut actors = Vec::new();
    for client in [
        market.admin(),
        market.demo("reader"),
        market.demo("bob"),
        market.server.as_caller(super::caller("admin")),
        market
            .server
            .as_caller(super::caller("admin").tenant("org_b")),
    ] {
        let reply = client
            .call(
                "instainstru_metrics_describe",
                json!({"metric_name": "founding.cap"}),
            )
            .await;
        let actor = reply.structured()["meta"]["actor"]["id"]
            .as_str()
            .map(str::to_owned);
        actors.push(actor.expect("an actor"));
    }
    assert_eq!(actors[3], "admin", "without a tenant the plain name serves");
    actors.sort();
    actors.dedup();
    assert_eq!(actors.len(), 5);
}
