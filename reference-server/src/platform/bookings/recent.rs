//! What was booked lately, and a period in numbers.

use axum::extract::State;
use axum::http::Uri;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::AssertSqlSafe;

use super::STATUSES;
use super::booking::{Booking, SELECT};
use crate::platform::Platform;
use crate::platform::answer::{Answer, Data, Problem, reply};
use crate::platform::auth::Actor;
use crate::platform::db::millis;
use crate::platform::figures::{Lessons, period};
use crate::platform::query::{Query, Window, day};

#[derive(Serialize)]
pub(super) struct Recent {
    bookings: Vec<Value>,
    count: usize,
    filters_applied: Value,
    checked_at: Timestamp,
}

/// `GET /ops/bookings/recent`: newest first, by when they were made.
pub(super) async fn recent(
    State(platform): State<Platform>,
    actor: Actor,
    uri: Uri,
) -> Answer<Recent> {
    let now = platform.now();
    let mut query = Query::of(&uri);
    let status = query.one_of("status", &STATUSES);
    let limit = query.int("limit", 20, 1..=100);
    let hours = query.int("hours", 24, 1..=168);
    query.finish()?;
    let sql = format!(
        "{SELECT} WHERE b.created_at >= $1 AND b.created_at <= $2
            AND (b.status = $3 OR CAST($4 AS BIGINT) = 1)
         ORDER BY b.created_at DESC, b.id DESC LIMIT $5"
    );
    let rows: Vec<Booking> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(millis(now) - hours * 3_600_000)
        .bind(millis(now))
        .bind(status.unwrap_or_default())
        .bind(i64::from(status.is_none()))
        .bind(limit)
        .fetch_all(platform.0.db.pool())
        .await?;
    let bookings: Vec<Value> = rows.iter().map(Booking::shown).collect();
    let body = Recent {
        count: bookings.len(),
        bookings,
        filters_applied: json!({ "status": status, "limit": limit, "hours": hours }),
        checked_at: now,
    };
    Ok(reply(actor, now, body))
}

const PERIODS: [&str; 5] = [
    "today",
    "yesterday",
    "this_week",
    "last_7_days",
    "this_month",
];

/// `GET /ops/bookings/summary`: the lessons of a period, by when they take place.
pub(super) async fn summary(
    State(platform): State<Platform>,
    actor: Actor,
    uri: Uri,
) -> Answer<Data<Value>> {
    let now = platform.now();
    let mut query = Query::of(&uri);
    let named = query.one_of("period", &PERIODS);
    let (start, end) = query.dates();
    query.finish()?;
    let window = match (named, start, end) {
        (named, None, None) => period(named.unwrap_or("today"), day(now)),
        (None, start, end) => Window::new(start, end)?,
        _ => {
            return Err(Problem::bad_request(
                "period_or_dates",
                "Name a period, or start_date and end_date, not both.",
            ));
        }
    };
    let lessons = Lessons::in_window(&platform, window).await?;
    let by_status: Map<String, Value> = STATUSES
        .iter()
        .map(|status| {
            (
                (*status).to_owned(),
                json!(lessons.with_status(status).count),
            )
        })
        .collect();
    let all = lessons.all();
    let by_category: Vec<Value> = lessons
        .by_category()
        .into_iter()
        .map(|(category, sum)| {
            json!({ "category": category, "count": sum.count, "total_cents": sum.cents })
        })
        .collect();
    let data = json!({
        "time_window": window,
        "total_bookings": all.count,
        "by_status": by_status,
        "by_category": by_category,
        "total_value_cents": all.cents,
        "average_value_cents": if all.count == 0 { 0 } else { all.cents / all.count },
    });
    Ok(reply(actor, now, Data { data }))
}
