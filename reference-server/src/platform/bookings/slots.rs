//! When two people are busy.

use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::booking::{Booking, minute, slot};
use crate::platform::answer::Problem;

/// Held until the transaction ends: whoever looks for a free slot to take it does so alone.
pub(super) async fn lock(connection: &mut AnyConnection, booking: &Booking) -> Result<(), Problem> {
    let mut people = [&booking.instructor_id, &booking.student_id];
    // In one order everywhere, or two changes could wait for each other.
    people.sort();
    for person in people {
        sqlx::query(
            "INSERT INTO calendars (user_id, changes) VALUES ($1, 1)
             ON CONFLICT (user_id) DO UPDATE SET changes = calendars.changes + 1",
        )
        .bind(person.clone())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Taken {
    id: String,
    instructor_id: String,
    starts_at: i64,
    duration_minutes: i64,
}

/// Other lessons of the two people between these instants, by the minute; ten at most.
pub(super) async fn conflicts(
    connection: &mut AnyConnection,
    booking: &Booking,
    from: i64,
    to: i64,
) -> Result<Vec<Value>, Problem> {
    let taken: Vec<Taken> = sqlx::query_as(
        "SELECT id, instructor_id, starts_at, duration_minutes FROM bookings
         WHERE id <> $1 AND status IN ('PENDING', 'CONFIRMED')
            AND (instructor_id = $2 OR student_id = $3)
            AND starts_at / 60000 < $4 AND starts_at / 60000 + duration_minutes > $5
         ORDER BY starts_at, id LIMIT 10",
    )
    .bind(booking.id.clone())
    .bind(booking.instructor_id.clone())
    .bind(booking.student_id.clone())
    .bind(minute(to))
    .bind(minute(from))
    .fetch_all(connection)
    .await?;
    let shown = taken.into_iter().map(|taken| {
        let mut shown = slot(
            taken.starts_at,
            taken.starts_at + taken.duration_minutes * 60_000,
        );
        shown["booking_id"] = json!(taken.id);
        shown["who"] = match taken.instructor_id == booking.instructor_id {
            true => json!("instructor"),
            false => json!("student"),
        };
        shown
    });
    Ok(shown.collect())
}
