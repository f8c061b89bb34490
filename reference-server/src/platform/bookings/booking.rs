//! One booking with everything that names it.

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::AnyConnection;

use crate::platform::answer::Problem;
use crate::platform::db::instant;
use crate::platform::query::day;

#[derive(sqlx::FromRow)]
pub(super) struct Booking {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) payment_status: String,
    pub(super) total_cents: i64,
    pub(super) starts_at: i64,
    pub(super) created_at: i64,
    pub(super) duration_minutes: i64,
    pub(super) location_type: String,
    pub(super) cancelled_at: Option<i64>,
    pub(super) refunded_cents: i64,
    pub(super) refund_method: Option<String>,
    pub(super) paid_out_at: Option<i64>,
    pub(super) student_id: String,
    pub(super) student_first: String,
    pub(super) student_last: String,
    pub(super) student_email: String,
    pub(super) instructor_id: String,
    pub(super) instructor_first: String,
    pub(super) instructor_last: String,
    pub(super) instructor_email: String,
    pub(super) hourly_rate_cents: i64,
    pub(super) service_name: String,
    pub(super) category: String,
}

/// All bookings; a condition may follow.
pub(super) const SELECT: &str = "SELECT b.id, b.status, b.payment_status, b.total_cents,
        b.starts_at, b.created_at, b.duration_minutes, b.location_type, b.cancelled_at,
        b.refunded_cents, b.refund_method, b.paid_out_at,
        b.student_id, s.first_name AS student_first, s.last_name AS student_last,
        s.email AS student_email,
        b.instructor_id, i.first_name AS instructor_first, i.last_name AS instructor_last,
        i.email AS instructor_email,
        o.hourly_rate_cents, c.name AS service_name, g.name AS category
     FROM bookings b
     JOIN users s ON s.id = b.student_id
     JOIN users i ON i.id = b.instructor_id
     JOIN instructor_services o ON o.id = b.service_id
     JOIN service_catalog c ON c.id = o.catalog_id
     JOIN service_categories g ON g.id = c.category_id";

impl Booking {
    pub(super) async fn find(connection: &mut AnyConnection, id: &str) -> Result<Self, Problem> {
        let sql = sqlx::AssertSqlSafe(format!("{SELECT} WHERE b.id = $1"));
        let found = sqlx::query_as(sql).bind(id.to_owned());
        found.fetch_optional(connection).await?.ok_or_else(|| {
            Problem::not_found("booking_not_found", "There is no booking with this id.")
        })
    }

    /// Whether it lies ahead as far as anybody has said.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.status.as_str(), "PENDING" | "CONFIRMED")
    }

    pub(super) fn ends_at(&self) -> i64 {
        self.starts_at + self.duration_minutes * 60_000
    }

    /// As lists show it: students by first name and initial.
    pub(super) fn shown(&self) -> Value {
        let slot = slot(self.starts_at, self.ends_at());
        json!({
            "booking_id": self.id,
            "status": self.status,
            "booking_date": slot["date"],
            "start_time": slot["start_time"],
            "end_time": slot["end_time"],
            "student_name": short_name(&self.student_first, &self.student_last),
            "instructor_name": format!("{} {}", self.instructor_first, self.instructor_last),
            "service_name": self.service_name,
            "category": self.category,
            "total_cents": self.total_cents,
            "location_type": self.location_type,
            "created_at": instant(self.created_at),
        })
    }
}

/// Slots are told by the minute, so that is how they are compared.
pub(super) fn minute(at: i64) -> i64 {
    at.div_euclid(60_000)
}

/// Day and times, in UTC.
pub(super) fn slot(starts_at: i64, ends_at: i64) -> Value {
    let (start, end) = (instant(starts_at), instant(ends_at));
    json!({ "date": day(start), "start_time": time(start), "end_time": time(end) })
}

fn time(at: Timestamp) -> String {
    at.strftime("%H:%M").to_string()
}

/// `Maya C.`
fn short_name(first: &str, last: &str) -> String {
    match last.chars().next() {
        Some(initial) => format!("{first} {initial}."),
        None => first.to_owned(),
    }
}
