//! What clients learn about the tools before they call one.

use serde_json::json;

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
