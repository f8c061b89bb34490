//! What clients learn about the tools before they call one.

use serde_json::{Value, json};

use super::Market;

#[tokio::test]
async fn s0_011_exactly_ten_tools_are_listed_in_order() {
    let market = Market::new().await;
    let listed = market.admin().tools().await;
    assert_eq!(
        listed,
        [
            "instainstru_founding_funnel_summary",
            "instainstru_founding_stuck_instructors",
            "instainstru_instructors_list",
            "instainstru_instructors_coverage",
            "instainstru_instructors_detail",
            "instainstru_search_top_queries",
            "instainstru_search_zero_results",
            "instainstru_invites_preview",
            "instainstru_invites_send",
            "instainstru_metrics_describe",
        ]
    );
}

/// The whole list: names, titles, descriptions, both schemas and annotations. A change here is a
/// change of the contract with every client.
#[tokio::test]
async fn the_list_is_what_clients_know() {
    let market = Market::new().await;
    let reply = market.admin().request("tools/list", json!({})).await;
    insta::assert_json_snapshot!("tools_list", reply.result()["tools"]);
}

#[tokio::test]
async fn every_tool_and_parameter_says_what_it_is_for() {
    let market = Market::new().await;
    let reply = market.admin().request("tools/list", json!({})).await;
    for tool in reply.result()["tools"].as_array().expect("tools") {
        let name = &tool["name"];
        let about = tool["description"].as_str().unwrap_or_default();
        assert!(
            (80..=1024).contains(&about.len()),
            "{name}: {} characters",
            about.len()
        );
        assert!(tool["title"].is_string(), "{name} has no title");
        assert!(
            tool["outputSchema"]["properties"]["meta"].is_object(),
            "{name}"
        );
        let parameters = tool["inputSchema"]["properties"].as_object();
        for (parameter, schema) in parameters.into_iter().flatten() {
            let about = schema["description"].as_str().unwrap_or_default();
            assert!(!about.is_empty(), "{name}: {parameter} says nothing");
        }
    }
}

#[tokio::test]
async fn annotations_say_what_a_call_may_do() {
    let market = Market::new().await;
    let reply = market.admin().request("tools/list", json!({})).await;
    let (reads, preview, send) = (
        json!({"readOnlyHint": true, "destructiveHint": false, "idempotentHint": false, "openWorldHint": false}),
        json!({"readOnlyHint": false, "destructiveHint": false, "idempotentHint": false, "openWorldHint": false}),
        json!({"readOnlyHint": false, "destructiveHint": true, "idempotentHint": true, "openWorldHint": true}),
    );
    for tool in reply.result()["tools"].as_array().expect("tools") {
        let expected = match tool["name"].as_str() {
            Some("instainstru_invites_preview") => &preview,
            Some("instainstru_invites_send") => &send,
            _ => &reads,
        };
        let annotations: &Value = &tool["annotations"];
        assert_eq!(annotations, expected, "{}", tool["name"]);
    }
}
