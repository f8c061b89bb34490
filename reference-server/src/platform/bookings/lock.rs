//! Who is changing a booking: one at a time, across all processes.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;

use crate::platform::Platform;
use crate::platform::answer::{Problem, whole_seconds};
use crate::platform::db::millis;

/// Longer than telling two people by mail takes.
const LONGEST: Duration = Duration::from_secs(120);

/// Held until it is given back, or for [`LONGEST`] when its holder dies.
pub(super) struct Lock<'a> {
    platform: &'a Platform,
    booking_id: &'a str,
    holder: &'a str,
}

impl<'a> Lock<'a> {
    /// For this holder, who gets it again after a crash.
    pub(super) async fn take(
        platform: &'a Platform,
        booking_id: &'a str,
        holder: &'a str,
    ) -> Result<Self, Problem> {
        let now = millis(platform.now());
        let mut tx = platform.0.db.begin_write().await?;
        let (known,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM bookings WHERE id = $1")
            .bind(booking_id.to_owned())
            .fetch_one(&mut *tx)
            .await?;
        if known == 0 {
            let message = "There is no booking with this id.";
            return Err(Problem::not_found("booking_not_found", message));
        }
        let taken = sqlx::query(
            "INSERT INTO booking_locks (booking_id, holder, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT (booking_id) DO UPDATE
             SET holder = excluded.holder, expires_at = excluded.expires_at
             WHERE booking_locks.expires_at <= $4 OR booking_locks.holder = excluded.holder",
        )
        .bind(booking_id.to_owned())
        .bind(holder.to_owned())
        .bind(now + i64::try_from(LONGEST.as_millis()).unwrap_or(i64::MAX / 2))
        .bind(now)
        .execute(&mut *tx)
        .await?;
        if taken.rows_affected() == 0 {
            let (until,): (i64,) =
                sqlx::query_as("SELECT expires_at FROM booking_locks WHERE booking_id = $1")
                    .bind(booking_id.to_owned())
                    .fetch_one(&mut *tx)
                    .await?;
            return Err(held(until - now));
        }
        tx.commit().await?;
        Ok(Self {
            platform,
            booking_id,
            holder,
        })
    }

    pub(super) async fn release(self) {
        let released =
            sqlx::query("DELETE FROM booking_locks WHERE booking_id = $1 AND holder = $2")
                .bind(self.booking_id.to_owned())
                .bind(self.holder.to_owned())
                .execute(self.platform.0.db.pool())
                .await;
        if let Err(error) = released {
            tracing::warn!(%error, "the lock of a booking stays until it ends by itself");
        }
    }
}

fn held(millis_left: i64) -> Problem {
    let left = Duration::from_millis(u64::try_from(millis_left).unwrap_or(0));
    let seconds = whole_seconds(left).max(1);
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "booking_locked",
        format!("Somebody else is changing this booking; try again in {seconds} s at the latest."),
    )
    .details(json!({ "retry_after_s": seconds }))
    .retry_after(Duration::from_secs(seconds))
}
