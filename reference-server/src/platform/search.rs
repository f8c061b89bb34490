//! What people search for, and what they do not find.

use axum::extract::State;
use axum::http::Uri;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::Platform;
use super::answer::{Answer, Data, Problem, reply};
use super::auth::Actor;
use super::funnel::rate;
use super::instructors::two_decimals;
use super::query::{Query, Window, day, days_before};

#[derive(Serialize)]
pub(super) struct TopQueries {
    time_window: Window,
    queries: Vec<TopQuery>,
    total_searches: i64,
}

#[derive(Serialize)]
struct TopQuery {
    query: String,
    count: i64,
    avg_results: f64,
    conversion_rate: f64,
}

/// `GET /search/top-queries`: a search converts when somebody booked from it, however often.
pub(super) async fn top_queries(
    State(platform): State<Platform>,
    actor: Actor,
    uri: Uri,
) -> Answer<Data<TopQueries>> {
    let sizes = platform.0.settings.page_sizes;
    let now = platform.now();
    let mut query = Query::of(&uri);
    let dates = query.dates();
    let limit = query.int("limit", sizes.default, 1..=sizes.max);
    let min_count = query.int("min_count", 2, 1..=1_000);
    query.finish()?;
    let time_window = last_30_days(dates, now)?;
    let (from, to) = time_window.millis();

    let rows: Vec<(String, i64, f64, i64)> = sqlx::query_as(
        "SELECT q.normalized_query, COUNT(*), CAST(AVG(q.result_count) AS DOUBLE PRECISION),
            CAST(SUM(CASE WHEN EXISTS (SELECT 1 FROM search_clicks c
                WHERE c.search_query_id = q.id AND c.action = 'book') THEN 1 ELSE 0 END) AS BIGINT)
         FROM search_queries q
         WHERE q.created_at >= $1 AND q.created_at < $2
         GROUP BY q.normalized_query HAVING COUNT(*) >= $3
         ORDER BY 2 DESC, 1 LIMIT $4",
    )
    .bind(from)
    .bind(to)
    .bind(min_count)
    .bind(limit)
    .fetch_all(platform.0.db.pool())
    .await?;
    let (total_searches,): (i64,) = sqlx::query_as(
        "SELECT COUNT(*) FROM search_queries WHERE created_at >= $1 AND created_at < $2",
    )
    .bind(from)
    .bind(to)
    .fetch_one(platform.0.db.pool())
    .await?;
    let queries = rows
        .into_iter()
        .map(|(query, count, avg_results, booked)| TopQuery {
            query,
            count,
            avg_results: two_decimals(avg_results),
            conversion_rate: rate(booked, count),
        })
        .collect();
    let data = TopQueries {
        time_window,
        queries,
        total_searches,
    };
    Ok(reply(actor, now, Data { data }))
}

#[derive(Serialize)]
pub(super) struct ZeroResults {
    time_window: Window,
    queries: Vec<ZeroQuery>,
    total_zero_result_searches: i64,
    zero_result_rate: f64,
}

#[derive(Serialize)]
struct ZeroQuery {
    query: String,
    count: i64,
}

/// `GET /search/zero-results`
pub(super) async fn zero_results(
    State(platform): State<Platform>,
    actor: Actor,
    uri: Uri,
) -> Answer<Data<ZeroResults>> {
    let sizes = platform.0.settings.page_sizes;
    let now = platform.now();
    let mut query = Query::of(&uri);
    let dates = query.dates();
    let limit = query.int("limit", sizes.default, 1..=sizes.max);
    query.finish()?;
    let time_window = last_30_days(dates, now)?;
    let (from, to) = time_window.millis();

    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT normalized_query, COUNT(*) FROM search_queries
         WHERE result_count = 0 AND created_at >= $1 AND created_at < $2
         GROUP BY normalized_query ORDER BY 2 DESC, 1 LIMIT $3",
    )
    .bind(from)
    .bind(to)
    .bind(limit)
    .fetch_all(platform.0.db.pool())
    .await?;
    let (all, zero): (i64, i64) = sqlx::query_as(
        "SELECT COUNT(*), COUNT(CASE WHEN result_count = 0 THEN 1 END) FROM search_queries
         WHERE created_at >= $1 AND created_at < $2",
    )
    .bind(from)
    .bind(to)
    .fetch_one(platform.0.db.pool())
    .await?;
    let data = ZeroResults {
        time_window,
        queries: rows
            .into_iter()
            .map(|(query, count)| ZeroQuery { query, count })
            .collect(),
        total_zero_result_searches: zero,
        zero_result_rate: rate(zero, all),
    };
    Ok(reply(actor, now, Data { data }))
}

/// Without an end it ends today; without a start it covers the 30 days up to its end.
fn last_30_days(
    (start, end): (Option<Date>, Option<Date>),
    now: Timestamp,
) -> Result<Window, Problem> {
    let end = end.unwrap_or_else(|| day(now));
    let start = start.unwrap_or_else(|| days_before(end, 29));
    Window::new(Some(start), Some(end))
}
