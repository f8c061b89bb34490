//! The onboarding funnel: how many got how far, and who is stuck.

use axum::extract::State;
use axum::http::Uri;
use jiff::{Timestamp, ToSpan};
use serde::Serialize;

use super::Platform;
use super::answer::{Answer, reply};
use super::auth::Actor;
use super::db::{instant, millis};
use super::founding::FoundingCap;
use super::query::{Query, Window};

/// The stages in funnel order, with what reaching one means.
pub(super) const STAGES: [(&str, &str); 7] = [
    ("registered", "Created an instructor account"),
    ("profile_submitted", "Submitted the public profile"),
    ("services_configured", "Configured at least one service"),
    ("bgc_initiated", "Started the background check"),
    ("bgc_completed", "Completed the background check"),
    ("identity_verified", "Verified their identity"),
    ("went_live", "Went live and can be booked"),
];

/// Where a user may stand outside of the funnel.
const OUTSIDE: [&str; 3] = ["paused", "reactivated", "deactivated"];

#[derive(Serialize)]
pub(super) struct Summary {
    stages: Vec<Stage>,
    conversion_rates: Vec<Conversion>,
    founding_cap: FoundingCap,
    time_window: Window,
}

#[derive(Serialize)]
struct Stage {
    stage: &'static str,
    count: i64,
    description: &'static str,
}

#[derive(Serialize)]
struct Conversion {
    from_stage: &'static str,
    to_stage: &'static str,
    rate: f64,
}

/// `GET /founding/funnel`: distinct users with at least one event of each stage in the window.
pub(super) async fn summary(
    State(platform): State<Platform>,
    actor: Actor,
    uri: Uri,
) -> Answer<Summary> {
    let mut query = Query::of(&uri);
    let (start, end) = query.dates();
    query.finish()?;
    let time_window = Window::new(start, end)?;
    let (from, to) = time_window.millis();

    let now = platform.now();
    let mut db = platform.0.db.pool().acquire().await?;
    let counts: Vec<(String, i64)> = sqlx::query_as(
        "SELECT event_type, COUNT(DISTINCT user_id) FROM lifecycle_events
         WHERE occurred_at >= $1 AND occurred_at < $2 GROUP BY event_type",
    )
    .bind(from)
    .bind(to)
    .fetch_all(&mut *db)
    .await?;
    let stages: Vec<Stage> = STAGES
        .into_iter()
        .map(|(stage, description)| Stage {
            stage,
            count: counts
                .iter()
                .find(|(name, _)| name == stage)
                .map_or(0, |(_, count)| *count),
            description,
        })
        .collect();
    let conversion_rates = stages
        .windows(2)
        .map(|pair| Conversion {
            from_stage: pair[0].stage,
            to_stage: pair[1].stage,
            rate: rate(pair[1].count, pair[0].count),
        })
        .collect();
    let founding_cap = FoundingCap::read(&mut db, platform.0.settings.founding_cap, now).await?;
    Ok(reply(
        actor,
        now,
        Summary {
            stages,
            conversion_rates,
            founding_cap,
            time_window,
        },
    ))
}

#[derive(Serialize)]
pub(super) struct Stuck {
    summary: Vec<StuckStage>,
    instructors: Vec<StuckInstructor>,
    total_stuck: usize,
}

#[derive(Serialize)]
struct StuckStage {
    stage: String,
    stuck_count: usize,
}

#[derive(Serialize)]
struct StuckInstructor {
    user_id: String,
    name: String,
    email: String,
    current_stage: String,
    days_in_stage: i64,
    occurred_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct StuckRow {
    id: String,
    first_name: String,
    last_name: String,
    email: String,
    event_type: String,
    occurred_at: i64,
}

/// `GET /founding/stuck`: users whose newest event is old and leads somewhere, oldest first.
pub(super) async fn stuck(
    State(platform): State<Platform>,
    actor: Actor,
    uri: Uri,
) -> Answer<Stuck> {
    let sizes = platform.0.settings.page_sizes;
    let stages: Vec<_> = STAGES
        .map(|(stage, _)| stage)
        .into_iter()
        .chain(OUTSIDE)
        .collect();
    let mut query = Query::of(&uri);
    let stuck_days = query.int("stuck_days", 7, 1..=90);
    let stage = query.one_of("stage", &stages);
    let limit = query.int("limit", sizes.default, 1..=sizes.max);
    query.finish()?;

    let now = platform.now();
    let oldest_fine = now - (24 * stuck_days).hours();
    let rows: Vec<StuckRow> = sqlx::query_as(
        "SELECT u.id, u.first_name, u.last_name, u.email, e.event_type, e.occurred_at
         FROM lifecycle_events e JOIN users u ON u.id = e.user_id
         WHERE e.occurred_at <= $1
            AND e.event_type NOT IN ('went_live', 'paused', 'reactivated', 'deactivated')
            AND ($2 = '' OR e.event_type = $2)
            AND NOT EXISTS (SELECT 1 FROM lifecycle_events newer
                WHERE newer.user_id = e.user_id
                    AND (newer.occurred_at > e.occurred_at
                        OR (newer.occurred_at = e.occurred_at AND newer.id > e.id)))
         ORDER BY e.occurred_at, e.id
         LIMIT $3",
    )
    .bind(millis(oldest_fine))
    .bind(stage.unwrap_or_default())
    .bind(limit)
    .fetch_all(platform.0.db.pool())
    .await?;

    let summary = stages
        .iter()
        .filter_map(|stage| {
            let stuck_count = rows.iter().filter(|row| row.event_type == *stage).count();
            (stuck_count > 0).then(|| StuckStage {
                stage: (*stage).to_owned(),
                stuck_count,
            })
        })
        .collect();
    let instructors: Vec<_> = rows
        .into_iter()
        .map(|row| StuckInstructor {
            user_id: row.id,
            name: full_name(&row.first_name, &row.last_name),
            email: row.email,
            current_stage: row.event_type,
            days_in_stage: (millis(now) - row.occurred_at) / 86_400_000,
            occurred_at: instant(row.occurred_at),
        })
        .collect();
    let total_stuck = instructors.len();
    Ok(reply(
        actor,
        now,
        Stuck {
            summary,
            instructors,
            total_stuck,
        },
    ))
}

pub(super) fn full_name(first: &str, last: &str) -> String {
    format!("{first} {last}").trim().to_owned()
}

/// A share with four decimals; of nothing it is 0.
pub(super) fn rate(part: i64, whole: i64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    four_decimals(part as f64 / whole as f64)
}

pub(super) fn four_decimals(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}
