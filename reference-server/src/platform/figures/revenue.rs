//! `GET /analytics/revenue`: what lessons bring in, and how that compares.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::Uri;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::lessons::{Lessons, Sum};
use super::periods::{bucket, compared, period};
use crate::platform::Platform;
use crate::platform::answer::{Answer, Data, Problem, reply};
use crate::platform::auth::Actor;
use crate::platform::funnel::rate;
use crate::platform::query::{Query, Window, day};

const PERIODS: [&str; 7] = [
    "today",
    "yesterday",
    "last_7_days",
    "last_30_days",
    "this_month",
    "last_month",
    "this_quarter",
];
const COMPARISONS: [&str; 3] = [
    "previous_period",
    "same_period_last_month",
    "same_period_last_year",
];

pub(super) async fn dashboard(
    State(platform): State<Platform>,
    actor: Actor,
    uri: Uri,
) -> Answer<Data<Value>> {
    let now = platform.now();
    let mut query = Query::of(&uri);
    let named = query.one_of("period", &PERIODS).unwrap_or("last_30_days");
    let compare_to = query.one_of("compare_to", &COMPARISONS);
    let breakdown_by = query.one_of("breakdown_by", &["day", "week", "category"]);
    query.finish()?;
    let window = period(named, day(now));
    let lessons = Lessons::in_window(&platform, window).await?;
    let mut data = figures(&lessons);
    data["period"] = json!(named);
    data["time_window"] = json!(window);
    data["comparison"] = match (compare_to, window.start.zip(window.end)) {
        (Some(name), Some(days)) => comparison(&platform, name, days, &lessons).await?,
        _ => Value::Null,
    };
    data["breakdown"] = match breakdown_by {
        Some("category") => rows(lessons.completed_by_category()),
        Some(by) => rows(lessons.completed_by_time(|date| bucket(by, date))),
        None => Value::Null,
    };
    data["health"] = health(&lessons);
    Ok(reply(actor, now, Data { data }))
}

fn figures(lessons: &Lessons) -> Value {
    let (all, done) = (lessons.all(), lessons.with_status("COMPLETED"));
    json!({
        "gmv": done.cents,
        "platform_revenue": done.fee_cents,
        "instructor_payouts": done.cents - done.fee_cents,
        "net_revenue": done.fee_cents - all.credit_cents,
        "take_rate": rate(done.fee_cents, done.cents),
        "total_bookings": all.count,
        "completed_bookings": done.count,
        "cancelled_bookings": lessons.with_status("CANCELLED").count,
        "completion_rate": completion(lessons),
        "average_booking_value": if done.count == 0 { 0 } else { done.cents / done.count },
    })
}

/// Of the lessons that were to take place, those that did.
fn completion(lessons: &Lessons) -> f64 {
    let done = lessons.with_status("COMPLETED").count;
    let failed = lessons.with_status("CANCELLED").count + lessons.with_status("NO_SHOW").count;
    rate(done, done + failed)
}

async fn comparison(
    platform: &Platform,
    name: &str,
    days: (Date, Date),
    lessons: &Lessons,
) -> Result<Value, Problem> {
    let (start, end) = compared(name, days);
    let window = Window::new(Some(start), Some(end))?;
    let before = Lessons::in_window(platform, window).await?;
    let (now, then) = (
        lessons.with_status("COMPLETED"),
        before.with_status("COMPLETED"),
    );
    Ok(json!({
        "compare_to": name,
        "time_window": window,
        "gmv": then.cents,
        "platform_revenue": then.fee_cents,
        "completed_bookings": then.count,
        "gmv_change": change(now.cents, then.cents),
        "completed_bookings_change": change(now.count, then.count),
    }))
}

/// How much more, as a share of what was; none when there was nothing.
pub(super) fn change(now: i64, then: i64) -> Option<f64> {
    (then != 0).then(|| rate(now - then, then))
}

fn rows(groups: BTreeMap<String, Sum>) -> Value {
    let rows = groups.into_iter().map(|(label, sum)| {
        json!({
            "label": label,
            "gmv": sum.cents,
            "platform_revenue": sum.fee_cents,
            "completed_bookings": sum.count,
        })
    });
    Value::Array(rows.collect())
}

fn health(lessons: &Lessons) -> Value {
    let completion = completion(lessons);
    let over = |status| rate(lessons.with_status(status).count, lessons.all().count) > 0.1;
    let mut issues = Vec::new();
    if lessons.with_status("COMPLETED").count == 0 {
        issues.push("No lesson was completed.");
    } else if completion < 0.8 {
        issues.push("Fewer than 80 % of the lessons took place.");
    }
    if over("CANCELLED") {
        issues.push("More than 10 % of the bookings were cancelled.");
    }
    if over("NO_SHOW") {
        issues.push("At more than 10 % of the lessons somebody did not come.");
    }
    let status = if issues.is_empty() { "good" } else { "watch" };
    json!({ "status": status, "issues": issues })
}
