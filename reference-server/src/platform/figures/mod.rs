//! The marketplace in numbers: money, payouts, who stays, who comes.
//!
//! A lesson belongs to the day on which it starts, in UTC. Money is in cents. The platform keeps
//! [`FEE_PERCENT`] of every lesson that took place.

mod lessons;
mod payouts;
mod periods;
mod pipeline;
mod retention;
mod revenue;
mod signups;

use axum::Router;
use axum::routing::get;

pub(super) use self::lessons::Lessons;
pub(super) use self::periods::period;
use super::Platform;

/// Of what a student pays.
const FEE_PERCENT: i64 = 15;

pub(super) fn routes() -> Router<Platform> {
    Router::new()
        .route("/analytics/revenue", get(revenue::dashboard))
        .route("/analytics/cohort-retention", get(retention::cohorts))
        .route("/analytics/student-signups", get(signups::students))
        .route("/ops/payments/pipeline", get(pipeline::pipeline))
        .route("/ops/payments/pending-payouts", get(payouts::pending))
}
