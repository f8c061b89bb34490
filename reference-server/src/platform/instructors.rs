//! Instructors as a list, and what they cover.

use std::collections::HashMap;

use axum::extract::State;
use axum::http::Uri;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use sqlx::AssertSqlSafe;

use super::Platform;
use super::answer::{Answer, Data, Problem, reply};
use super::auth::Actor;
use super::db::{Db, instant};
use super::funnel::full_name;
use super::query::Query;

pub(super) const STATUSES: [&str; 4] = ["registered", "onboarding", "live", "paused"];

#[derive(Serialize)]
pub(super) struct Page {
    items: Vec<Instructor>,
    next_cursor: Option<String>,
    limit: i64,
}

#[derive(Serialize)]
struct Instructor {
    user_id: String,
    name: String,
    email: String,
    status: String,
    is_founding: bool,
    founding_granted_at: Option<Timestamp>,
    services: Vec<String>,
    categories: Vec<String>,
    live_at: Option<Timestamp>,
    rating_avg: Option<f64>,
    bookings_completed: i64,
    admin_url: String,
}

#[derive(sqlx::FromRow)]
struct InstructorRow {
    user_id: String,
    profile_id: String,
    first_name: String,
    last_name: String,
    email: String,
    status: String,
    is_founding_instructor: i64,
    founding_granted_at: Option<i64>,
    live_at: Option<i64>,
    rating_avg: Option<f64>,
    bookings_completed: i64,
}

/// `GET /instructors`: one page in the order of user ids.
pub(super) async fn list(State(platform): State<Platform>, actor: Actor, uri: Uri) -> Answer<Page> {
    let sizes = platform.0.settings.page_sizes;
    let mut query = Query::of(&uri);
    let status = query.one_of("status", &STATUSES);
    let is_founding = query.flag("is_founding");
    let service = query.text("service_slug");
    let category = query.text("category_slug");
    let limit = query.int("limit", sizes.default, 1..=sizes.max);
    let cursor = query.text("cursor");
    query.finish()?;
    let after = cursor.as_deref().map(read_cursor).transpose()?;

    let db = &platform.0.db;
    // An empty text stands for "any": no status, slug or id is empty.
    let mut rows: Vec<InstructorRow> = sqlx::query_as(
        "SELECT i.user_id, i.profile_id, i.first_name, i.last_name, i.email, i.status,
            i.is_founding_instructor, i.founding_granted_at, i.live_at,
            (SELECT CAST(AVG(r.rating) AS DOUBLE PRECISION) FROM reviews r
                WHERE r.instructor_id = i.user_id) AS rating_avg,
            (SELECT COUNT(*) FROM bookings b
                WHERE b.instructor_id = i.user_id AND b.status = 'COMPLETED') AS bookings_completed
         FROM instructors i
         WHERE ($1 = '' OR i.status = $1)
            AND ($2 < 0 OR i.is_founding_instructor = $2)
            AND ($3 = '' OR EXISTS (SELECT 1 FROM instructor_services s
                JOIN service_catalog c ON c.id = s.catalog_id
                WHERE s.profile_id = i.profile_id AND s.is_active = 1 AND c.slug = $3))
            AND ($4 = '' OR EXISTS (SELECT 1 FROM instructor_services s
                JOIN service_catalog c ON c.id = s.catalog_id
                JOIN service_categories g ON g.id = c.category_id
                WHERE s.profile_id = i.profile_id AND s.is_active = 1 AND g.slug = $4))
            AND i.user_id > $5
         ORDER BY i.user_id
         LIMIT $6",
    )
    .bind(status.unwrap_or_default())
    .bind(is_founding.map_or(-1, i64::from))
    .bind(service.unwrap_or_default())
    .bind(category.unwrap_or_default())
    .bind(after.unwrap_or_default())
    .bind(limit + 1)
    .fetch_all(db.pool())
    .await?;

    let more = rows.len() as i64 > limit;
    if more {
        rows.pop();
    }
    let next_cursor = rows
        .last()
        .filter(|_| more)
        .map(|last| URL_SAFE_NO_PAD.encode(&last.user_id));
    let mut offers = offers(db, &rows).await?;
    let items = rows
        .into_iter()
        .map(|row| {
            let (services, categories) = offers.remove(&row.profile_id).unwrap_or_default();
            Instructor {
                name: full_name(&row.first_name, &row.last_name),
                is_founding: row.is_founding_instructor == 1,
                founding_granted_at: row.founding_granted_at.map(instant),
                services,
                categories,
                live_at: row.live_at.map(instant),
                rating_avg: row.rating_avg.map(two_decimals),
                bookings_completed: row.bookings_completed,
                admin_url: admin_url(&row.profile_id),
                user_id: row.user_id,
                email: row.email,
                status: row.status,
            }
        })
        .collect();
    let page = Page {
        items,
        next_cursor,
        limit,
    };
    Ok(reply(actor, platform.now(), page))
}

/// Names of the active services and their categories, per profile.
async fn offers(
    db: &Db,
    rows: &[InstructorRow],
) -> Result<HashMap<String, (Vec<String>, Vec<String>)>, Problem> {
    let mut offers: HashMap<String, (Vec<String>, Vec<String>)> = HashMap::new();
    if rows.is_empty() {
        return Ok(offers);
    }
    let places: Vec<String> = (1..=rows.len()).map(|n| format!("${n}")).collect();
    // Only placeholders are put together here, never values.
    let sql = AssertSqlSafe(format!(
        "SELECT s.profile_id, c.name, g.name FROM instructor_services s
         JOIN service_catalog c ON c.id = s.catalog_id
         JOIN service_categories g ON g.id = c.category_id
         WHERE s.is_active = 1 AND s.profile_id IN ({})
         ORDER BY c.name",
        places.join(", ")
    ));
    let mut query = sqlx::query_as::<_, (String, String, String)>(sql);
    for row in rows {
        query = query.bind(row.profile_id.clone());
    }
    for (profile, service, category) in query.fetch_all(db.pool()).await? {
        let (services, categories) = offers.entry(profile).or_default();
        services.push(service);
        if !categories.contains(&category) {
            categories.push(category);
        }
    }
    Ok(offers)
}

#[derive(Serialize)]
pub(super) struct Coverage {
    group_by: &'static str,
    labels: Vec<String>,
    values: Vec<i64>,
    total_instructors: i64,
    total_services_offered: i64,
}

/// `GET /instructors/coverage`: distinct instructors per category or service, largest first. The
/// totals are over all groups, also those that `top` cuts off.
pub(super) async fn coverage(
    State(platform): State<Platform>,
    actor: Actor,
    uri: Uri,
) -> Answer<Data<Coverage>> {
    let mut query = Query::of(&uri);
    let status = query.one_of("status", &STATUSES).unwrap_or("live");
    let group_by = query.one_of("group_by", &["category", "service"]);
    let group_by = group_by.unwrap_or("category");
    let top = query.int("top", 25, 1..=200);
    query.finish()?;

    let sql = if group_by == "category" {
        "SELECT g.name, COUNT(DISTINCT i.user_id) FROM instructors i
         JOIN instructor_services s ON s.profile_id = i.profile_id AND s.is_active = 1
         JOIN service_catalog c ON c.id = s.catalog_id
         JOIN service_categories g ON g.id = c.category_id
         WHERE i.status = $1 GROUP BY g.id, g.name ORDER BY 2 DESC, 1 LIMIT $2"
    } else {
        "SELECT c.name, COUNT(DISTINCT i.user_id) FROM instructors i
         JOIN instructor_services s ON s.profile_id = i.profile_id AND s.is_active = 1
         JOIN service_catalog c ON c.id = s.catalog_id
         WHERE i.status = $1 GROUP BY c.id, c.name ORDER BY 2 DESC, 1 LIMIT $2"
    };
    let groups: Vec<(String, i64)> = sqlx::query_as(sql)
        .bind(status)
        .bind(top)
        .fetch_all(platform.0.db.pool())
        .await?;
    let (total_instructors, total_services_offered): (i64, i64) = sqlx::query_as(
        "SELECT COUNT(DISTINCT i.user_id), COUNT(s.id) FROM instructors i
         LEFT JOIN instructor_services s ON s.profile_id = i.profile_id AND s.is_active = 1
         WHERE i.status = $1",
    )
    .bind(status)
    .fetch_one(platform.0.db.pool())
    .await?;
    let (labels, values) = groups.into_iter().unzip();
    let data = Coverage {
        group_by,
        labels,
        values,
        total_instructors,
        total_services_offered,
    };
    Ok(reply(actor, platform.now(), Data { data }))
}

pub(super) fn admin_url(profile_id: &str) -> String {
    format!("/admin/instructors/{profile_id}")
}

pub(super) fn two_decimals(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn read_cursor(cursor: &str) -> Result<String, Problem> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|id| is_id(id))
        .ok_or_else(|| {
            Problem::bad_request("invalid_cursor", "Invalid cursor")
                .details(json!({ "hint": "pass the next_cursor of the previous page unchanged" }))
        })
}

pub(super) fn is_id(text: &str) -> bool {
    text.len() == 26 && text.bytes().all(|b| b.is_ascii_alphanumeric())
}
