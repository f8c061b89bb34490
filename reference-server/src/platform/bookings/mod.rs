//! Bookings: looking at them, cancelling one by force, and moving one to another time.
//!
//! A change is a pair, as with invites: a preview says what would happen and issues a token for
//! five minutes, an execution does exactly that, once. Between the two the world may change, so an
//! execution
//!
//! 1. takes its idempotency key (`confirmed`),
//! 2. takes the lock of the booking, or is told to wait (`lock`),
//! 3. uses up the token,
//! 4. in one transaction: changes the booking if it still is what the preview saw, and writes the
//!    change, the note and the audit row (`cancel`, `reschedule`),
//! 5. tells student and instructor, and writes the result.
//!
//! All but the fourth is the same for both, in `change`.

mod booking;
mod cancel;
mod change;
mod detail;
mod lock;
mod recent;
mod reschedule;
mod slots;

use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};

pub(super) use self::change::finish_interrupted;
use super::Platform;

const TOKEN_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// How far a booking may be; the order is the one of its life.
pub(super) const STATUSES: [&str; 5] =
    ["PENDING", "CONFIRMED", "COMPLETED", "CANCELLED", "NO_SHOW"];

pub(super) fn routes() -> Router<Platform> {
    Router::new()
        .route("/ops/bookings/recent", get(recent::recent))
        .route("/ops/bookings/summary", get(recent::summary))
        .route("/bookings/{booking_id}/detail", get(detail::detail))
        .route(
            "/bookings/{booking_id}/force-cancel/preview",
            post(cancel::preview),
        )
        .route(
            "/bookings/{booking_id}/force-cancel/execute",
            post(change::execute::<cancel::Plan>),
        )
        .route(
            "/bookings/{booking_id}/reschedule/preview",
            post(reschedule::preview),
        )
        .route(
            "/bookings/{booking_id}/reschedule/execute",
            post(change::execute::<reschedule::Plan>),
        )
}
