//! One instructor, found by id, e-mail or name.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use jiff::Timestamp;
use serde::Serialize;

use super::Platform;
use super::answer::{Answer, Problem, reply};
use super::auth::Actor;
use super::db::{Db, instant};
use super::funnel::{four_decimals, full_name};
use super::instructors::{admin_url, is_id, two_decimals};
use super::query::{Query, path_text};

/// Candidates shown when several instructors fit.
const CANDIDATES: usize = 10;

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Found {
    One(Box<Detail>),
    Several {
        ambiguous: bool,
        candidates: Vec<Candidate>,
    },
}

#[derive(Serialize)]
pub(super) struct Candidate {
    user_id: String,
    name: String,
    email: String,
    status: String,
    admin_url: String,
}

#[derive(Serialize)]
pub(super) struct Detail {
    user_id: String,
    name: String,
    email: String,
    phone: Option<String>,
    status: String,
    is_founding: bool,
    founding_granted_at: Option<Timestamp>,
    admin_url: String,
    live_at: Option<Timestamp>,
    onboarding: Onboarding,
    bgc: BackgroundCheck,
    services: Vec<Service>,
    stats: Stats,
}

#[derive(Serialize)]
struct Onboarding {
    profile_created_at: Timestamp,
    profile_updated_at: Timestamp,
    identity_verified_at: Option<Timestamp>,
    background_check_uploaded_at: Option<Timestamp>,
    bgc_invited_at: Option<Timestamp>,
    bgc_completed_at: Option<Timestamp>,
    onboarding_completed_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct BackgroundCheck {
    status: Option<String>,
    completed_at: Option<Timestamp>,
    valid_until: Option<Timestamp>,
}

#[derive(Serialize)]
struct Service {
    name: String,
    slug: String,
    category: String,
    hourly_rate: f64,
    is_active: bool,
}

#[derive(Serialize)]
struct Stats {
    bookings_completed: i64,
    bookings_cancelled: i64,
    no_shows: i64,
    rating_avg: Option<f64>,
    rating_count: i64,
    response_rate: Option<f64>,
}

#[derive(sqlx::FromRow)]
struct Row {
    user_id: String,
    profile_id: String,
    first_name: String,
    last_name: String,
    email: String,
    phone: Option<String>,
    status: String,
    is_founding_instructor: i64,
    founding_granted_at: Option<i64>,
    live_at: Option<i64>,
    profile_created_at: i64,
    profile_updated_at: i64,
    identity_verified_at: Option<i64>,
    background_check_uploaded_at: Option<i64>,
    bgc_status: Option<String>,
    bgc_invited_at: Option<i64>,
    bgc_completed_at: Option<i64>,
    bgc_valid_until: Option<i64>,
    onboarding_completed_at: Option<i64>,
    response_rate: Option<f64>,
}

/// `GET /instructors/{identifier}`
pub(super) async fn detail(
    State(platform): State<Platform>,
    actor: Actor,
    identifier: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Answer<Found> {
    Query::of(&uri).finish()?;
    let identifier = path_text("identifier", identifier)?;
    let db = &platform.0.db;
    let mut rows = lookup(db, &identifier).await?;
    let found = match rows.len() {
        0 => {
            return Err(Problem::not_found(
                "instructor_not_found",
                "Instructor not found",
            ));
        }
        1 => Found::One(Box::new(describe(db, rows.remove(0)).await?)),
        _ => Found::Several {
            ambiguous: true,
            candidates: rows.into_iter().take(CANDIDATES).map(candidate).collect(),
        },
    };
    Ok(reply(actor, platform.now(), found))
}

/// The form of the identifier decides where to look; there is no second guess.
async fn lookup(db: &Db, identifier: &str) -> Result<Vec<Row>, Problem> {
    const BY_USER: &str = "SELECT * FROM instructors WHERE user_id = $1";
    const BY_PROFILE: &str = "SELECT * FROM instructors WHERE profile_id = $1";
    const BY_EMAIL: &str = "SELECT * FROM instructors WHERE email = $1";
    const BY_NAME: &str =
        "SELECT * FROM instructors WHERE name_folded = $1 ORDER BY user_id LIMIT 10";
    const BY_PART: &str = "SELECT * FROM instructors WHERE name_folded LIKE $1 ESCAPE '!'
        ORDER BY name_folded, user_id LIMIT 10";

    let fetch = |sql: &'static str, key: String| {
        let query = sqlx::query_as::<_, Row>(sql).bind(key);
        async move { Ok::<_, Problem>(query.fetch_all(db.pool()).await?) }
    };
    let folded = identifier.to_lowercase();
    let words: Vec<&str> = folded.split_whitespace().collect();
    if is_id(identifier) {
        let id = identifier.to_ascii_uppercase();
        let by_user = fetch(BY_USER, id.clone()).await?;
        if !by_user.is_empty() {
            return Ok(by_user);
        }
        fetch(BY_PROFILE, id).await
    } else if identifier.contains('@') {
        fetch(BY_EMAIL, folded).await
    } else if words.len() >= 2 {
        fetch(BY_NAME, words.join(" ")).await
    } else {
        fetch(BY_PART, format!("%{}%", escape_like(&folded))).await
    }
}

async fn describe(db: &Db, row: Row) -> Result<Detail, Problem> {
    let services: Vec<(String, String, String, i64)> = sqlx::query_as(
        "SELECT c.name, c.slug, g.name, s.hourly_rate_cents FROM instructor_services s
         JOIN service_catalog c ON c.id = s.catalog_id
         JOIN service_categories g ON g.id = c.category_id
         WHERE s.profile_id = $1 AND s.is_active = 1 ORDER BY c.name",
    )
    .bind(row.profile_id.clone())
    .fetch_all(db.pool())
    .await?;
    let bookings: Vec<(String, i64)> = sqlx::query_as(
        "SELECT status, COUNT(*) FROM bookings WHERE instructor_id = $1 GROUP BY status",
    )
    .bind(row.user_id.clone())
    .fetch_all(db.pool())
    .await?;
    let (rating_avg, rating_count): (Option<f64>, i64) = sqlx::query_as(
        "SELECT CAST(AVG(rating) AS DOUBLE PRECISION), COUNT(*) FROM reviews
         WHERE instructor_id = $1",
    )
    .bind(row.user_id.clone())
    .fetch_one(db.pool())
    .await?;
    let count = |status| {
        let of_status = bookings.iter().find(|(name, _)| name == status);
        of_status.map_or(0, |(_, count)| *count)
    };

    Ok(Detail {
        name: full_name(&row.first_name, &row.last_name),
        is_founding: row.is_founding_instructor == 1,
        founding_granted_at: row.founding_granted_at.map(instant),
        admin_url: admin_url(&row.profile_id),
        live_at: row.live_at.map(instant),
        onboarding: Onboarding {
            profile_created_at: instant(row.profile_created_at),
            profile_updated_at: instant(row.profile_updated_at),
            identity_verified_at: row.identity_verified_at.map(instant),
            background_check_uploaded_at: row.background_check_uploaded_at.map(instant),
            bgc_invited_at: row.bgc_invited_at.map(instant),
            bgc_completed_at: row.bgc_completed_at.map(instant),
            onboarding_completed_at: row.onboarding_completed_at.map(instant),
        },
        bgc: BackgroundCheck {
            status: row.bgc_status,
            completed_at: row.bgc_completed_at.map(instant),
            valid_until: row.bgc_valid_until.map(instant),
        },
        services: services
            .into_iter()
            .map(|(name, slug, category, cents)| Service {
                name,
                slug,
                category,
                hourly_rate: cents as f64 / 100.0,
                is_active: true,
            })
            .collect(),
        stats: Stats {
            bookings_completed: count("COMPLETED"),
            bookings_cancelled: count("CANCELLED"),
            no_shows: count("NO_SHOW"),
            rating_avg: rating_avg.map(two_decimals),
            rating_count,
            response_rate: row.response_rate.map(four_decimals),
        },
        user_id: row.user_id,
        email: row.email,
        phone: row.phone,
        status: row.status,
    })
}

fn candidate(row: Row) -> Candidate {
    Candidate {
        name: full_name(&row.first_name, &row.last_name),
        admin_url: admin_url(&row.profile_id),
        user_id: row.user_id,
        email: row.email,
        status: row.status,
    }
}

/// A `%` or `_` in a name is a letter, not a wildcard. `!` escapes because a backslash means
/// different things to different databases.
fn escape_like(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '!' | '%' | '_') {
            escaped.push('!');
        }
        escaped.push(c);
    }
    escaped
}
