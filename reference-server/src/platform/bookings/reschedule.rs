//! Moving a booking to another time.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::booking::{Booking, minute, slot};
use super::change::{self, Change, Planned};
use super::slots;
use crate::platform::Platform;
use crate::platform::answer::{Answer, Data, Problem, reply};
use crate::platform::audit;
use crate::platform::auth::Actor;
use crate::platform::body::Fields;
use crate::platform::confirmed::Execution;
use crate::platform::db::millis;
use crate::platform::query::path_text;

const OPERATION: &str = "booking_reschedule";
/// What people are given to notice: a day.
const NOTICE: i64 = 24 * 3_600_000;

/// What a token confirms: what is to happen, and to what.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    booking_id: String,
    status: String,
    starts_at: i64,
    new_starts_at: i64,
    reason: String,
}

pub(super) async fn preview(
    State(platform): State<Platform>,
    actor: Actor,
    path: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Answer<Data<Value>> {
    let id = path_text("booking_id", path)?;
    let (new_starts_at, reason) = read(Fields::of(body)?)?;
    let now = platform.now();
    let mut tx = platform.0.db.begin_write().await?;
    let booking = Booking::find(&mut tx, &id).await?;
    let mut data = looked_at(&mut tx, &booking, new_starts_at, millis(now)).await?;
    if data["eligible"] == json!(true) {
        let plan = Plan {
            booking_id: booking.id.clone(),
            status: booking.status.clone(),
            starts_at: booking.starts_at,
            new_starts_at,
            reason,
        };
        plan.offer(&platform, &actor, &mut data)?;
    }
    let entry = audit::Entry {
        entity_type: "booking",
        entity_id: &booking.id,
        action: "bookings.reschedule_preview",
        after: json!({ "eligible": data["eligible"], "new_starts_at": new_starts_at }),
    };
    audit::record(&mut tx, &actor, now, entry).await?;
    tx.commit().await?;
    Ok(reply(actor, now, Data { data }))
}

fn read(mut fields: Fields) -> Result<(i64, String), Problem> {
    let date = fields.required_day("new_date");
    let time: Option<Time> = fields
        .text("new_start_time")
        .filter(|text| text.len() == 5)
        .and_then(|text| text.parse().ok());
    if time.is_none() {
        fields
            .problems
            .add("new_start_time", "must be a time such as 14:30");
    }
    let reason = fields.note("reason");
    fields.finish()?;
    // Both are there now, and every day that is taken has every time of a day.
    let at = date.zip(time).map(|(date, time)| date.to_datetime(time));
    let at = at.and_then(|at| at.to_zoned(TimeZone::UTC).ok());
    let at = at.ok_or_else(|| Problem::internal("a checked slot is no instant"))?;
    Ok((millis(at.timestamp()), reason))
}

async fn looked_at(
    connection: &mut AnyConnection,
    booking: &Booking,
    new_starts_at: i64,
    now: i64,
) -> Result<Value, Problem> {
    let new_ends_at = new_starts_at + booking.duration_minutes * 60_000;
    let conflicts = slots::conflicts(connection, booking, new_starts_at, new_ends_at).await?;
    let why = match () {
        () if !booking.is_open() => Some("Only PENDING and CONFIRMED bookings can be moved."),
        () if booking.starts_at <= now => Some("Its lesson has begun."),
        () if new_starts_at <= now => Some("The new time is not in the future."),
        () if minute(new_starts_at) == minute(booking.starts_at) => {
            Some("The booking is at that time already.")
        }
        () if !conflicts.is_empty() => Some("Somebody is busy at the new time; see conflicts."),
        () => None,
    };
    let price = booking.hourly_rate_cents * booking.duration_minutes / 60;
    Ok(json!({
        "eligible": why.is_none(),
        "ineligible_reason": why,
        "current_slot": slot(booking.starts_at, booking.ends_at()),
        "new_slot": slot(new_starts_at, new_ends_at),
        "conflicts": conflicts,
        "price_difference_cents": price - booking.total_cents,
        "notice_window_ok": new_starts_at - now >= NOTICE && booking.starts_at - now >= NOTICE,
        "confirm_token": null,
        "confirm_expires_at": null,
        "idempotency_key": null,
    }))
}

impl Planned for Plan {
    const OPERATION: &str = OPERATION;

    fn booking_id(&self) -> &str {
        &self.booking_id
    }

    /// Moves the booking, if it is what the preview saw, both times still lie ahead, and nobody took
    /// the slot.
    async fn write(&self, platform: &Platform, execution: &Execution) -> Result<String, Problem> {
        let mut tx = platform.0.db.begin_write().await?;
        // It may have waited.
        let now = platform.now();
        if self.new_starts_at <= millis(now) {
            return Err(slot_past());
        }
        let booking = Booking::find(&mut tx, &self.booking_id).await?;
        if booking.starts_at <= millis(now) {
            return Err(lesson_begun());
        }
        slots::lock(&mut tx, &booking).await?;
        let ends_at = self.new_starts_at + booking.duration_minutes * 60_000;
        let conflicts = slots::conflicts(&mut tx, &booking, self.new_starts_at, ends_at).await?;
        if !conflicts.is_empty() {
            return Err(slot_taken(&conflicts));
        }
        let moved = sqlx::query(
            "UPDATE bookings SET starts_at = $1 WHERE id = $2 AND status = $3 AND starts_at = $4",
        )
        .bind(self.new_starts_at)
        .bind(self.booking_id.clone())
        .bind(self.status.clone())
        .bind(self.starts_at)
        .execute(&mut *tx)
        .await?;
        if moved.rows_affected() == 0 {
            return Err(change::changed(&booking));
        }
        let id = of(self, &booking).write(&mut tx, execution, now).await?;
        tx.commit().await?;
        Ok(id)
    }
}

fn of<'a>(plan: &Plan, booking: &'a Booking) -> Change<'a> {
    let ends = |starts: i64| starts + booking.duration_minutes * 60_000;
    let (previous, new) = (
        slot(plan.starts_at, ends(plan.starts_at)),
        slot(plan.new_starts_at, ends(plan.new_starts_at)),
    );
    let said = |slot: &Value, member: &str| slot[member].as_str().unwrap_or_default().to_owned();
    let body = format!(
        "Hello,\n\nyour {} lesson on {} at {} UTC was moved to {} at {} UTC.\n\n\
         Your iNSTAiNSTRU team\n",
        booking.service_name,
        said(&previous, "date"),
        said(&previous, "start_time"),
        said(&new, "date"),
        said(&new, "start_time"),
    );
    Change {
        operation: OPERATION,
        action: "bookings.reschedule",
        booking,
        outcome: json!({
            "success": true,
            "booking_id": booking.id,
            "previous_slot": previous,
            "new_slot": new,
        }),
        audited: json!({
            "previous_starts_at": plan.starts_at,
            "new_starts_at": plan.new_starts_at,
        }),
        note: format!("Rescheduled: {}", plan.reason),
        subject: "Your lesson was moved",
        body,
    }
}

fn slot_past() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "slot_past",
        "The new time has come since the preview; run the preview again with another time.",
    )
}

fn lesson_begun() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "lesson_begun",
        "The lesson has begun since the preview and cannot be moved any more.",
    )
}

fn slot_taken(conflicts: &[Value]) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "slot_taken",
        "Somebody took the slot since the preview; run the preview again with another time.",
    )
    .details(json!({ "conflicts": conflicts }))
}
