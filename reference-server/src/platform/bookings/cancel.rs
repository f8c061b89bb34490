//! Cancelling a booking by force: who gets what back, and doing it.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::booking::Booking;
use super::change::{self, Change, Planned};
use crate::platform::Platform;
use crate::platform::answer::{Answer, Data, Problem, reply};
use crate::platform::audit;
use crate::platform::auth::Actor;
use crate::platform::body::Fields;
use crate::platform::confirmed::Execution;
use crate::platform::db::millis;
use crate::platform::query::path_text;

const OPERATION: &str = "booking_force_cancel";
const REASONS: [&str; 6] = [
    "ADMIN_DISCRETION",
    "INSTRUCTOR_NO_SHOW",
    "STUDENT_NO_SHOW",
    "DUPLICATE_BOOKING",
    "TECHNICAL_ISSUE",
    "DISPUTE_RESOLUTION",
];
const PREFERENCES: [&str; 3] = ["FULL_CARD", "POLICY_BASED", "NO_REFUND"];
const HOUR: i64 = 3_600_000;

/// What a token confirms: what is to happen, and to what.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    booking_id: String,
    reason_code: String,
    note: String,
    refund_preference: String,
    refund_method: String,
    refund_cents: i64,
    status: String,
    payment_status: String,
    starts_at: i64,
}

pub(super) async fn preview(
    State(platform): State<Platform>,
    actor: Actor,
    path: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Answer<Data<Value>> {
    let id = path_text("booking_id", path)?;
    let (reason, note, preference) = read(Fields::of(body)?)?;
    let now = platform.now();
    let mut tx = platform.0.db.begin_write().await?;
    let booking = Booking::find(&mut tx, &id).await?;
    let (method, cents) = refund(&booking, reason, preference, millis(now));
    let mut data = shown(&booking, method, cents, preference);
    if booking.is_open() {
        let plan = plan(&booking, reason, note, preference, method, cents);
        plan.offer(&platform, &actor, &mut data)?;
    }
    let entry = audit::Entry {
        entity_type: "booking",
        entity_id: &booking.id,
        action: "bookings.force_cancel_preview",
        after: json!({ "eligible": booking.is_open(), "reason_code": reason, "refund_cents": cents }),
    };
    audit::record(&mut tx, &actor, now, entry).await?;
    tx.commit().await?;
    Ok(reply(actor, now, Data { data }))
}

fn read(mut fields: Fields) -> Result<(&'static str, String, &'static str), Problem> {
    let reason = fields.required_one_of("reason_code", &REASONS);
    let preference = fields.one_of("refund_preference", &PREFERENCES);
    let note = fields.note("note");
    fields.finish()?;
    Ok((reason, note, preference.unwrap_or("POLICY_BASED")))
}

fn plan(
    booking: &Booking,
    reason: &str,
    note: String,
    preference: &str,
    method: &str,
    cents: i64,
) -> Plan {
    Plan {
        booking_id: booking.id.clone(),
        reason_code: reason.to_owned(),
        note,
        refund_preference: preference.to_owned(),
        refund_method: method.to_owned(),
        refund_cents: cents,
        status: booking.status.clone(),
        payment_status: booking.payment_status.clone(),
        starts_at: booking.starts_at,
    }
}

/// Who gets what back. By policy: the whole by card up to a day before, as credit up to half a day
/// before, nothing later; the whole whenever it was not the student's doing, nothing when they did
/// not come.
fn refund(booking: &Booking, reason: &str, preference: &str, now: i64) -> (&'static str, i64) {
    let notice = booking.starts_at - now;
    let by_policy = match reason {
        "STUDENT_NO_SHOW" => "none",
        "INSTRUCTOR_NO_SHOW" | "DUPLICATE_BOOKING" | "TECHNICAL_ISSUE" => "card",
        _ if notice >= 24 * HOUR => "card",
        _ if notice >= 12 * HOUR => "credit",
        _ => "none",
    };
    let method = match preference {
        _ if !booking.is_open() || !charged(booking) => "none",
        "FULL_CARD" => "card",
        "NO_REFUND" => "none",
        _ => by_policy,
    };
    let left = booking.total_cents - booking.refunded_cents;
    (method, if method == "none" { 0 } else { left })
}

/// Whether there is money that could go back.
fn charged(booking: &Booking) -> bool {
    matches!(
        booking.payment_status.as_str(),
        "authorized" | "locked" | "settled" | "manual_review"
    )
}

fn shown(booking: &Booking, method: &str, cents: i64, preference: &str) -> Value {
    let why = match booking.status.as_str() {
        _ if booking.is_open() => None,
        "CANCELLED" => Some("It is cancelled already."),
        _ => Some("Its lesson is over: only PENDING and CONFIRMED bookings can be cancelled."),
    };
    let (mut impacts, mut warnings) = (Vec::new(), Vec::new());
    if booking.is_open() {
        impacts.push("The slot of the instructor becomes free again.".to_owned());
        impacts.push("Student and instructor are told by mail.".to_owned());
        impacts.push(match method {
            "none" => "The student gets no money back.".to_owned(),
            _ => format!("The student gets {cents} cents back by {method}."),
        });
        if !charged(booking) {
            warnings.push("Nothing was charged yet, so there is nothing to refund.".to_owned());
        } else if preference == "NO_REFUND" {
            warnings.push("The student has paid and would get nothing back.".to_owned());
        }
    }
    json!({
        "eligible": booking.is_open(),
        "ineligible_reason": why,
        "current_state": {
            "status": booking.status,
            "payment_status": booking.payment_status,
            "total_cents": booking.total_cents,
            "booking": booking.shown(),
        },
        "refund_method": method,
        "refund_amount": cents,
        "impacts": impacts,
        "warnings": warnings,
        "confirm_token": null,
        "confirm_expires_at": null,
        "idempotency_key": null,
    })
}

impl Planned for Plan {
    const OPERATION: &str = OPERATION;

    fn booking_id(&self) -> &str {
        &self.booking_id
    }

    /// Cancels the booking, if it is what the preview saw.
    async fn write(&self, platform: &Platform, execution: &Execution) -> Result<String, Problem> {
        let now = platform.now();
        let mut tx = platform.0.db.begin_write().await?;
        let done = sqlx::query(
        "UPDATE bookings SET status = 'CANCELLED', payment_status = 'settled', cancelled_at = $1,
            refunded_cents = refunded_cents + $2, refund_method = $3
         WHERE id = $4 AND status = $5 AND payment_status = $6 AND starts_at = $7",
    )
    .bind(millis(now))
    .bind(self.refund_cents)
    .bind((self.refund_cents > 0).then(|| self.refund_method.clone()))
    .bind(self.booking_id.clone())
    .bind(self.status.clone())
    .bind(self.payment_status.clone())
    .bind(self.starts_at)
    .execute(&mut *tx)
    .await?;
        let booking = Booking::find(&mut tx, &self.booking_id).await?;
        if done.rows_affected() == 0 {
            return Err(change::changed(&booking));
        }
        let id = of(self, &booking).write(&mut tx, execution, now).await?;
        tx.commit().await?;
        Ok(id)
    }
}

fn of<'a>(plan: &Plan, booking: &'a Booking) -> Change<'a> {
    let slot = super::booking::slot(booking.starts_at, booking.ends_at());
    let back = match plan.refund_cents {
        0 => String::new(),
        cents => format!(
            "{}.{:02} USD go back to the student by {}.\n\n",
            cents / 100,
            cents % 100,
            plan.refund_method
        ),
    };
    Change {
        operation: OPERATION,
        action: "bookings.force_cancel",
        booking,
        outcome: json!({
            "success": true,
            "error": null,
            "booking_id": booking.id,
            "previous_status": plan.status,
            "new_status": booking.status,
            "refund_method": plan.refund_method,
            "refund_amount": plan.refund_cents,
        }),
        audited: json!({
            "reason_code": plan.reason_code,
            "previous_status": plan.status,
            "refund_method": plan.refund_method,
            "refund_cents": plan.refund_cents,
        }),
        note: format!("{}: {}", plan.reason_code, plan.note),
        subject: "Your lesson was cancelled",
        body: format!(
            "Hello,\n\nyour {} lesson on {} at {} UTC was cancelled.\n\n{back}Your iNSTAiNSTRU team\n",
            booking.service_name,
            slot["date"].as_str().unwrap_or_default(),
            slot["start_time"].as_str().unwrap_or_default(),
        ),
    }
}
