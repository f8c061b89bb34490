//! The program itself, started as an operator or a client starts it.

mod access;
mod audit;
mod authorization;
mod command_line;
mod contracts;
mod figures;
mod http;
mod kill;
mod lists;
mod login;
mod membership;
mod mounts;
mod oauth_proxy;
mod program;
mod records;
mod proxy;
mod remote;
mod school;
mod secure;
mod shared;
mod shared_store;
mod stdio;
mod stores;
mod tokens;

use serde_json::{Value, json};

/// A call of each of the ten tools that ends well, and a place in its result that says something.
/// The send is called by itself, with the token of a preview.
fn calls() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (
            "instainstru_founding_funnel_summary",
            json!({}),
            "/stages/6/count",
        ),
        (
            "instainstru_founding_stuck_instructors",
            json!({}),
            "/instructors/0/email",
        ),
        (
            "instainstru_instructors_list",
            json!({"limit": 1}),
            "/items/0/user_id",
        ),
        (
            "instainstru_instructors_coverage",
            json!({}),
            "/data/values/5",
        ),
        (
            "instainstru_instructors_detail",
            json!({"identifier": "maya chen"}),
            "/stats/rating_avg",
        ),
        (
            "instainstru_search_top_queries",
            json!({}),
            "/data/queries/0/query",
        ),
        (
            "instainstru_search_zero_results",
            json!({}),
            "/data/queries/0/query",
        ),
        (
            "instainstru_metrics_describe",
            json!({"metric_name": "founding.cap"}),
            "/data/definition",
        ),
        (
            "instainstru_invites_preview",
            json!({"recipient_emails": ["ann@example.com", "bob@example.org"]}),
            "/data/confirm_token",
        ),
    ]
}
