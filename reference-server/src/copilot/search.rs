//! What people search for, and what they do not find.

use jiff::civil::Date;
use mcp_runtime::prelude::*;

use super::reply::{Meta, TimeWindow};
use crate::backend::Backend;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SearchTopQueries {
    pub meta: Meta,
    pub data: TopQueries,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct TopQueries {
    pub time_window: TimeWindow,
    /// Most frequent first.
    pub queries: Vec<TopQuery>,
    /// All searches in the window, also those not listed.
    pub total_searches: u64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct TopQuery {
    pub query: String,
    pub count: u64,
    pub avg_results: f64,
    /// Share of these searches from which somebody booked, four decimals.
    pub conversion_rate: f64,
}

/// What students search for most, how many results they get on average, and how often a search
/// leads to a booking. Covers the last 30 days unless dates are given. For searches that found
/// nothing call instainstru_search_zero_results.
#[mcp_tool(title = "Top search queries", scope = "copilot:read", read_only)]
pub async fn instainstru_search_top_queries(
    backend: &Backend,
    caller: &Caller,
    /// First day, in UTC (2026-01-31); without it 29 days before the last.
    start_date: Option<Date>,
    /// Last day, in UTC, included; without it today.
    end_date: Option<Date>,
    /// How many queries to return at most.
    #[arg(range = 1..=200, default = 50)]
    limit: u32,
    /// Leave out queries that were searched for less often.
    #[arg(range = 1..=1000, default = 2)]
    min_count: u32,
) -> ToolResult<SearchTopQueries> {
    backend
        .get(caller, "/search/top-queries")
        .query("start_date", start_date)
        .query("end_date", end_date)
        .query("limit", limit)
        .query("min_count", min_count)
        .answer()
        .await
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SearchZeroResults {
    pub meta: Meta,
    pub data: ZeroResults,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ZeroResults {
    pub time_window: TimeWindow,
    /// Most frequent first.
    pub queries: Vec<ZeroQuery>,
    pub total_zero_result_searches: u64,
    /// Their share of all searches in the window, four decimals.
    pub zero_result_rate: f64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ZeroQuery {
    pub query: String,
    pub count: u64,
}

/// Searches that found nothing, most frequent first: demand without supply, and where to recruit
/// instructors. Covers the last 30 days unless dates are given.
#[mcp_tool(title = "Searches without results", scope = "copilot:read", read_only)]
pub async fn instainstru_search_zero_results(
    backend: &Backend,
    caller: &Caller,
    /// First day, in UTC (2026-01-31); without it 29 days before the last.
    start_date: Option<Date>,
    /// Last day, in UTC, included; without it today.
    end_date: Option<Date>,
    /// How many queries to return at most.
    #[arg(range = 1..=200, default = 50)]
    limit: u32,
) -> ToolResult<SearchZeroResults> {
    backend
        .get(caller, "/search/zero-results")
        .query("start_date", start_date)
        .query("end_date", end_date)
        .query("limit", limit)
        .answer()
        .await
}
