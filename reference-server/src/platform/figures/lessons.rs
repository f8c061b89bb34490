//! The lessons of a period, counted and summed in every way that is asked for.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::FEE_PERCENT;
use crate::platform::Platform;
use crate::platform::answer::Problem;
use crate::platform::db::instant;
use crate::platform::query::{Window, day};

pub(super) const DAY: i64 = 86_400_000;

/// One row for each day, category and status.
pub(in super::super) struct Lessons(Vec<Row>);

#[derive(sqlx::FromRow)]
struct Row {
    day: i64,
    category: String,
    status: String,
    count: i64,
    cents: i64,
    fee_cents: i64,
    credit_cents: i64,
}

/// What some lessons come to.
#[derive(Clone, Copy, Default)]
pub(in super::super) struct Sum {
    pub(in super::super) count: i64,
    pub(in super::super) cents: i64,
    /// Of it, what the platform keeps.
    pub(super) fee_cents: i64,
    /// Given back as credit.
    pub(super) credit_cents: i64,
}

impl Lessons {
    pub(in super::super) async fn in_window(
        platform: &Platform,
        window: Window,
    ) -> Result<Self, Problem> {
        let (from, to) = window.millis();
        let rows = sqlx::query_as(
            "SELECT b.starts_at / 86400000 AS day, g.name AS category, b.status AS status,
                COUNT(*) AS count, CAST(SUM(b.total_cents) AS BIGINT) AS cents,
                CAST(SUM(b.total_cents * $1 / 100) AS BIGINT) AS fee_cents,
                CAST(SUM(CASE WHEN b.refund_method = 'credit' THEN b.refunded_cents ELSE 0 END)
                    AS BIGINT) AS credit_cents
             FROM bookings b
             JOIN instructor_services o ON o.id = b.service_id
             JOIN service_catalog c ON c.id = o.catalog_id
             JOIN service_categories g ON g.id = c.category_id
             WHERE b.starts_at >= $2 AND b.starts_at < $3
             GROUP BY b.starts_at / 86400000, g.name, b.status",
        )
        .bind(FEE_PERCENT)
        .bind(from)
        .bind(to)
        .fetch_all(platform.0.db.pool())
        .await?;
        Ok(Self(rows))
    }

    pub(in super::super) fn all(&self) -> Sum {
        self.sum(|_| true)
    }

    pub(in super::super) fn with_status(&self, status: &str) -> Sum {
        self.sum(|row| row.status == status)
    }

    /// By name, without those that have none.
    pub(in super::super) fn by_category(&self) -> BTreeMap<String, Sum> {
        self.grouped(|row| row.category.clone(), |_| true)
    }

    /// What took place, by category.
    pub(super) fn completed_by_category(&self) -> BTreeMap<String, Sum> {
        self.grouped(|row| row.category.clone(), completed)
    }

    /// What took place, by the day or week it was in.
    pub(super) fn completed_by_time(&self, bucket: impl Fn(Date) -> Date) -> BTreeMap<String, Sum> {
        let key = |row: &Row| bucket(day(instant(row.day * DAY))).to_string();
        self.grouped(key, completed)
    }

    fn sum(&self, wanted: impl Fn(&Row) -> bool) -> Sum {
        let mut sum = Sum::default();
        self.0
            .iter()
            .filter(|row| wanted(row))
            .for_each(|row| sum.add(row));
        sum
    }

    fn grouped(
        &self,
        key: impl Fn(&Row) -> String,
        wanted: impl Fn(&Row) -> bool,
    ) -> BTreeMap<String, Sum> {
        let mut groups = BTreeMap::new();
        for row in self.0.iter().filter(|row| wanted(row)) {
            let sum: &mut Sum = groups.entry(key(row)).or_default();
            sum.add(row);
        }
        groups
    }
}

fn completed(row: &Row) -> bool {
    row.status == "COMPLETED"
}

impl Sum {
    fn add(&mut self, row: &Row) {
        self.count += row.count;
        self.cents += row.cents;
        self.fee_cents += row.fee_cents;
        self.credit_cents += row.credit_cents;
    }
}
