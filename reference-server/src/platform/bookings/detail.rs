//! `GET /bookings/{booking_id}/detail`: everything known about one booking.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::booking::Booking;
use crate::platform::Platform;
use crate::platform::answer::{Answer, Problem, reply};
use crate::platform::auth::Actor;
use crate::platform::db::{instant, millis};
use crate::platform::query::{Query, path_text};

#[derive(Serialize)]
pub(super) struct Detail {
    booking: Value,
    timeline: Vec<Event>,
    payment: Value,
    messages: Option<Value>,
    webhooks: Option<Vec<Value>>,
    traces: Option<Vec<Value>>,
    admin_notes: Vec<Value>,
    recommended_actions: Vec<String>,
}

#[derive(Serialize)]
struct Event {
    at: Timestamp,
    event: String,
}

pub(super) async fn detail(
    State(platform): State<Platform>,
    actor: Actor,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Answer<Detail> {
    let id = path_text("booking_id", path)?;
    let mut query = Query::of(&uri);
    let with_messages = query.flag("include_messages_summary").unwrap_or(false);
    let with_webhooks = query.flag("include_webhooks").unwrap_or(true);
    let with_traces = query.flag("include_trace_links").unwrap_or(false);
    query.finish()?;
    let now = platform.now();
    let mut db = platform.0.db.pool().acquire().await?;
    let booking = Booking::find(&mut db, &id).await?;
    let webhooks = webhooks(&mut db, &id).await?;
    let failed = webhooks.iter().any(|hook| hook["status"] == "failed");
    let body = Detail {
        timeline: timeline(&mut db, &booking).await?,
        payment: payment(&booking),
        messages: match with_messages {
            true => Some(messages(&mut db, &id).await?),
            false => None,
        },
        webhooks: with_webhooks.then_some(webhooks),
        traces: match with_traces {
            true => Some(traces(&mut db, &id).await?),
            false => None,
        },
        admin_notes: notes(&mut db, &id).await?,
        recommended_actions: recommended(&booking, failed, millis(now)),
        booking: whole(&booking),
    };
    Ok(reply(actor, now, body))
}

fn whole(booking: &Booking) -> Value {
    let mut shown = booking.shown();
    shown["student_id"] = json!(booking.student_id);
    shown["student_email"] = json!(booking.student_email);
    shown["instructor_id"] = json!(booking.instructor_id);
    shown["instructor_email"] = json!(booking.instructor_email);
    shown["duration_minutes"] = json!(booking.duration_minutes);
    shown["cancelled_at"] = json!(booking.cancelled_at.map(instant));
    shown
}

fn payment(booking: &Booking) -> Value {
    json!({
        "status": booking.payment_status,
        "total_cents": booking.total_cents,
        "refunded_cents": booking.refunded_cents,
        "refund_method": booking.refund_method,
        "paid_out_at": booking.paid_out_at.map(instant),
    })
}

async fn timeline(db: &mut AnyConnection, booking: &Booking) -> Result<Vec<Event>, Problem> {
    let changes: Vec<(String, i64)> = sqlx::query_as(
        "SELECT operation, created_at FROM booking_changes
         WHERE booking_id = $1 ORDER BY created_at, id LIMIT 100",
    )
    .bind(booking.id.clone())
    .fetch_all(&mut *db)
    .await?;
    let reviewed: Option<(i64,)> =
        sqlx::query_as("SELECT created_at FROM reviews WHERE booking_id = $1")
            .bind(booking.id.clone())
            .fetch_optional(db)
            .await?;
    let over = match booking.status.as_str() {
        "COMPLETED" => Some(("completed", booking.ends_at())),
        "NO_SHOW" => Some(("no_show", booking.starts_at)),
        _ => None,
    };
    let mut events = vec![("created".to_owned(), booking.created_at)];
    events.extend(changes);
    let rest = [
        over,
        reviewed.map(|(at,)| ("reviewed", at)),
        booking.cancelled_at.map(|at| ("cancelled", at)),
        booking.paid_out_at.map(|at| ("paid_out", at)),
    ];
    let rest = rest.into_iter().flatten();
    events.extend(rest.map(|(event, at)| (event.to_owned(), at)));
    events.sort_by_key(|(_, at)| *at);
    let shown = events.into_iter().map(|(event, at)| Event {
        at: instant(at),
        event,
    });
    Ok(shown.collect())
}

async fn messages(db: &mut AnyConnection, id: &str) -> Result<Value, Problem> {
    let (count, by_student, last): (i64, i64, Option<i64>) = sqlx::query_as(
        "SELECT COUNT(*), COUNT(CASE WHEN sender_role = 'student' THEN 1 END), MAX(sent_at)
         FROM booking_messages WHERE booking_id = $1",
    )
    .bind(id.to_owned())
    .fetch_one(db)
    .await?;
    Ok(json!({
        "count": count,
        "by_student": by_student,
        "by_instructor": count - by_student,
        "last_at": last.map(instant),
    }))
}

async fn webhooks(db: &mut AnyConnection, id: &str) -> Result<Vec<Value>, Problem> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT event_type, status, received_at FROM payment_webhooks
         WHERE booking_id = $1 ORDER BY received_at, id LIMIT 100",
    )
    .bind(id.to_owned())
    .fetch_all(db)
    .await?;
    let shown = rows.into_iter().map(|(event_type, status, at)| {
        json!({ "event_type": event_type, "status": status, "received_at": instant(at) })
    });
    Ok(shown.collect())
}

/// The requests of admins that were about this booking, as the log of the platform names them.
async fn traces(db: &mut AnyConnection, id: &str) -> Result<Vec<Value>, Problem> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT request_id, action, occurred_at FROM audit_log
         WHERE entity_type = 'booking' AND entity_id = $1
         ORDER BY occurred_at DESC, id DESC LIMIT 50",
    )
    .bind(id.to_owned())
    .fetch_all(db)
    .await?;
    let shown = rows.into_iter().map(|(request_id, action, at)| {
        json!({ "request_id": request_id, "action": action, "at": instant(at) })
    });
    Ok(shown.collect())
}

async fn notes(db: &mut AnyConnection, id: &str) -> Result<Vec<Value>, Problem> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT author_id, note, created_at FROM booking_notes
         WHERE booking_id = $1 ORDER BY created_at DESC, id DESC LIMIT 50",
    )
    .bind(id.to_owned())
    .fetch_all(db)
    .await?;
    let shown = rows.into_iter().map(|(author_id, note, at)| {
        json!({ "author_id": author_id, "note": note, "created_at": instant(at) })
    });
    Ok(shown.collect())
}

fn recommended(booking: &Booking, webhook_failed: bool, now: i64) -> Vec<String> {
    let mut actions = Vec::new();
    if booking.is_open() && booking.ends_at() < now {
        actions.push(
            "The lesson is over and nobody closed it: ask both sides, then cancel it by force \
             when one of them did not come.",
        );
    }
    if booking.is_open() && booking.payment_status == "payment_method_required" {
        actions.push("Ask the student for another means of payment.");
    }
    if booking.payment_status == "manual_review" {
        actions.push("Review the payment by hand.");
    }
    if webhook_failed {
        actions.push("A message of the payment provider was not processed: have it sent again.");
    }
    actions.into_iter().map(str::to_owned).collect()
}
