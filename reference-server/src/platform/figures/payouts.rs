//! `GET /ops/payments/pending-payouts`: what instructors have earned and not got yet.

use axum::extract::State;
use axum::http::Uri;
use jiff::civil::Date;
use serde::Serialize;

use super::FEE_PERCENT;
use crate::platform::Platform;
use crate::platform::answer::{Answer, reply};
use crate::platform::auth::Actor;
use crate::platform::db::instant;
use crate::platform::query::{Query, day};

#[derive(Serialize)]
pub(super) struct Pending {
    payouts: Vec<Payout>,
    total_pending_cents: i64,
    instructor_count: i64,
}

#[derive(Serialize)]
struct Payout {
    instructor_id: String,
    instructor_name: String,
    pending_amount_cents: i64,
    completed_lessons: i64,
    oldest_pending_date: Date,
    stripe_connected: bool,
}

#[derive(sqlx::FromRow)]
struct Row {
    instructor_id: String,
    first_name: String,
    last_name: String,
    cents: i64,
    lessons: i64,
    oldest: i64,
    connected: i64,
}

pub(super) async fn pending(
    State(platform): State<Platform>,
    actor: Actor,
    uri: Uri,
) -> Answer<Pending> {
    let now = platform.now();
    let mut query = Query::of(&uri);
    let limit = query.int("limit", 20, 1..=100);
    query.finish()?;
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT b.instructor_id, u.first_name, u.last_name,
            CAST(SUM(b.total_cents - b.total_cents * $1 / 100) AS BIGINT) AS cents,
            COUNT(*) AS lessons, MIN(b.starts_at) AS oldest,
            CAST(COUNT(a.instructor_id) AS BIGINT) AS connected
         FROM bookings b
         JOIN users u ON u.id = b.instructor_id
         LEFT JOIN payout_accounts a ON a.instructor_id = b.instructor_id
         WHERE b.status = 'COMPLETED' AND b.payment_status = 'settled' AND b.paid_out_at IS NULL
         GROUP BY b.instructor_id, u.first_name, u.last_name
         ORDER BY 4 DESC, 1 LIMIT $2",
    )
    .bind(FEE_PERCENT)
    .bind(limit)
    .fetch_all(platform.0.db.pool())
    .await?;
    let (total_pending_cents, instructor_count): (i64, i64) = sqlx::query_as(
        "SELECT CAST(COALESCE(SUM(total_cents - total_cents * $1 / 100), 0) AS BIGINT),
            COUNT(DISTINCT instructor_id) FROM bookings
         WHERE status = 'COMPLETED' AND payment_status = 'settled' AND paid_out_at IS NULL",
    )
    .bind(FEE_PERCENT)
    .fetch_one(platform.0.db.pool())
    .await?;
    let payouts = rows.into_iter().map(Payout::from).collect();
    let body = Pending {
        payouts,
        total_pending_cents,
        instructor_count,
    };
    Ok(reply(actor, now, body))
}

impl From<Row> for Payout {
    fn from(row: Row) -> Self {
        Self {
            instructor_id: row.instructor_id,
            instructor_name: format!("{} {}", row.first_name, row.last_name),
            pending_amount_cents: row.cents,
            completed_lessons: row.lessons,
            oldest_pending_date: day(instant(row.oldest)),
            stripe_connected: row.connected > 0,
        }
    }
}
