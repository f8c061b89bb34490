//! `GET /analytics/student-signups`: how many students came, and when.

use std::collections::BTreeMap;
use std::ops::Bound;

use axum::extract::State;
use axum::http::Uri;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::lessons::DAY;
use super::periods::{bucket, compared, next};
use super::revenue::change;
use crate::platform::Platform;
use crate::platform::answer::{Answer, Data, Problem, reply};
use crate::platform::auth::Actor;
use crate::platform::db::instant;
use crate::platform::query::{Query, Window, day, days_before};

/// A year and a day: what one answer may span.
const MOST_DAYS: i32 = 367;

pub(super) async fn students(
    State(platform): State<Platform>,
    actor: Actor,
    uri: Uri,
) -> Answer<Data<Value>> {
    let now = platform.now();
    let mut query = Query::of(&uri);
    let (start, end) = query.dates();
    let by = query
        .one_of("group_by", &["day", "week", "month"])
        .unwrap_or("day");
    query.finish()?;
    let end = end.unwrap_or_else(|| day(now));
    let start = start.unwrap_or_else(|| days_before(end, 29));
    let window = Window::new(Some(start), Some(end))?;
    if (end - start).get_days() >= MOST_DAYS {
        let message = format!("The dates must span at most {MOST_DAYS} days.");
        return Err(Problem::bad_request("window_too_long", message));
    }
    let counts = per_day(&platform, window).await?;
    let (from, to) = compared("previous_period", (start, end));
    let before = per_day(&platform, Window::new(Some(from), Some(to))?).await?;
    let (total, previous) = (counts.values().sum(), before.values().sum());
    let data = json!({
        "time_window": window,
        "group_by": by,
        "series": series(by, (start, end), &counts),
        "total": total,
        "previous_total": previous,
        "change": change(total, previous),
    });
    Ok(reply(actor, now, Data { data }))
}

async fn per_day(platform: &Platform, window: Window) -> Result<BTreeMap<Date, i64>, Problem> {
    let (from, to) = window.millis();
    let rows: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT created_at / 86400000, COUNT(*) FROM users
         WHERE role = 'student' AND created_at >= $1 AND created_at < $2
         GROUP BY created_at / 86400000",
    )
    .bind(from)
    .bind(to)
    .fetch_all(platform.0.db.pool())
    .await?;
    let dated = rows.into_iter();
    Ok(dated
        .map(|(n, count)| (day(instant(n * DAY)), count))
        .collect())
}

/// Every bucket that the days touch, also those in which nobody came.
fn series(by: &str, (start, end): (Date, Date), counts: &BTreeMap<Date, i64>) -> Vec<Value> {
    let mut series = Vec::new();
    let mut at = Some(bucket(by, start));
    while let Some(first) = at.filter(|first| *first <= end) {
        let after = next(by, first);
        let days = (
            Bound::Included(first),
            after.map_or(Bound::Unbounded, Bound::Excluded),
        );
        let count: i64 = counts.range(days).map(|(_, count)| count).sum();
        series.push(json!({ "bucket": first, "count": count }));
        at = after;
    }
    series
}
