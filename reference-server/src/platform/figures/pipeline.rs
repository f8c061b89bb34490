//! `GET /ops/payments/pipeline`: where the money of all bookings stands.

use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;

use super::FEE_PERCENT;
use crate::platform::Platform;
use crate::platform::answer::{Answer, Data, reply};
use crate::platform::auth::Actor;
use crate::platform::query::Query;

/// In the order in which money moves, with what it means to be there. A booking is in one of them.
const STAGES: [(&str, &str); 8] = [
    ("scheduled", "Nothing was charged yet"),
    (
        "payment_method_required",
        "Nothing could be charged: the student has to name another means of payment",
    ),
    (
        "authorized",
        "Reserved at the student's bank until the lesson",
    ),
    ("locked", "Held until it is decided who gets it"),
    ("manual_review", "Somebody has to look at the payment"),
    (
        "pending_payout",
        "The lesson took place and is settled; the instructor has not got the money yet",
    ),
    ("paid_out", "The instructor has got the money"),
    (
        "closed_without_lesson",
        "Settled without a lesson; what went back to the student is in the refunds",
    ),
];

#[derive(Serialize)]
pub(super) struct Pipeline {
    stages: Vec<Stage>,
    captured_cents: i64,
    platform_fees_cents: i64,
    pending_payout_cents: i64,
    paid_out_cents: i64,
    refunds: Refunds,
}

#[derive(Serialize)]
struct Stage {
    stage: &'static str,
    count: i64,
    amount_cents: i64,
    description: &'static str,
}

#[derive(Serialize)]
struct Refunds {
    count: i64,
    card_cents: i64,
    credit_cents: i64,
}

#[derive(sqlx::FromRow)]
struct Row {
    stage: String,
    count: i64,
    cents: i64,
    fee_cents: i64,
    refunds: i64,
    card_cents: i64,
    credit_cents: i64,
}

pub(super) async fn pipeline(
    State(platform): State<Platform>,
    actor: Actor,
    uri: Uri,
) -> Answer<Data<Pipeline>> {
    Query::of(&uri).finish()?;
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT CASE WHEN payment_status <> 'settled' THEN payment_status
                WHEN status <> 'COMPLETED' THEN 'closed_without_lesson'
                WHEN paid_out_at IS NULL THEN 'pending_payout'
                ELSE 'paid_out' END AS stage,
            COUNT(*) AS count, CAST(SUM(total_cents) AS BIGINT) AS cents,
            CAST(SUM(total_cents * $1 / 100) AS BIGINT) AS fee_cents,
            COUNT(CASE WHEN refunded_cents > 0 THEN 1 END) AS refunds,
            CAST(SUM(CASE WHEN refund_method = 'card' THEN refunded_cents ELSE 0 END)
                AS BIGINT) AS card_cents,
            CAST(SUM(CASE WHEN refund_method = 'credit' THEN refunded_cents ELSE 0 END)
                AS BIGINT) AS credit_cents
         FROM bookings GROUP BY 1",
    )
    .bind(FEE_PERCENT)
    .fetch_all(platform.0.db.pool())
    .await?;
    let data = Pipeline::of(&rows);
    Ok(reply(actor, platform.now(), Data { data }))
}

impl Pipeline {
    fn of(rows: &[Row]) -> Self {
        let row = |stage: &str| rows.iter().find(|row| row.stage == stage);
        let stages = STAGES.map(|(stage, description)| Stage {
            stage,
            count: row(stage).map_or(0, |row| row.count),
            amount_cents: row(stage).map_or(0, |row| row.cents),
            description,
        });
        // What instructors get, and what the platform keeps.
        let split = |stage: &str| {
            let of = |row: &Row| (row.cents - row.fee_cents, row.fee_cents);
            row(stage).map_or((0, 0), of)
        };
        let (pending_payout_cents, pending_fees) = split("pending_payout");
        let (paid_out_cents, paid_fees) = split("paid_out");
        let platform_fees_cents = pending_fees + paid_fees;
        Self {
            stages: stages.into(),
            captured_cents: pending_payout_cents + paid_out_cents + platform_fees_cents,
            platform_fees_cents,
            pending_payout_cents,
            paid_out_cents,
            refunds: Refunds {
                count: rows.iter().map(|row| row.refunds).sum(),
                card_cents: rows.iter().map(|row| row.card_cents).sum(),
                credit_cents: rows.iter().map(|row| row.credit_cents).sum(),
            },
        }
    }
}
