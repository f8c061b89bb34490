//! Founding slots: how many there are, and who holds them.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::AnyConnection;

use super::answer::Problem;
use super::db::millis;

/// A slot is used by a founding instructor, and reserved by an open invite that promises one.
#[derive(Serialize)]
pub(super) struct FoundingCap {
    cap: i64,
    used: i64,
    remaining: i64,
    /// Of the remaining, promised in invites that are neither used, expired nor void.
    reserved: i64,
    is_founding_phase: bool,
}

impl FoundingCap {
    pub(super) async fn read(
        connection: &mut AnyConnection,
        cap: u32,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let cap = i64::from(cap);
        let (used, reserved): (i64, i64) = sqlx::query_as(
            "SELECT
                (SELECT COUNT(*) FROM instructor_profiles WHERE is_founding_instructor = 1),
                (SELECT COUNT(*) FROM beta_invites
                    WHERE grant_founding_status = 1 AND used_at IS NULL AND revoked_at IS NULL
                        AND expires_at > $1)",
        )
        .bind(millis(now))
        .fetch_one(connection)
        .await?;
        Ok(Self {
            cap,
            used,
            remaining: (cap - used).max(0),
            reserved,
            is_founding_phase: used < cap,
        })
    }

    /// Slots that a new invite may promise.
    pub(super) fn available(&self) -> i64 {
        (self.remaining - self.reserved).max(0)
    }
}

/// Held until the transaction ends: whoever counts slots to claim some does so alone.
pub(super) async fn lock(connection: &mut AnyConnection) -> sqlx::Result<()> {
    sqlx::query("UPDATE founding_lock SET claims = claims + 1 WHERE id = 1")
        .execute(connection)
        .await
        .map(drop)
}
