//! Numbers about the school: for resources, and for reports.

use jiff::ToSpan;
use jiff::civil::Date;
use mcp_runtime::ToolResult;
use mcp_runtime::prelude::*;
use sqlx::FromRow;
use std::collections::BTreeMap;

use super::books::{Books, refused, values};

/// Days, both included; an end that is missing is open.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DateRange {
    /// First day (2026-01-31).
    pub start_date: Option<Date>,
    /// Last day, included.
    pub end_date: Option<Date>,
}

/// The last thirty days, as resources show them.
pub(super) fn last_month(today: Date) -> DateRange {
    DateRange {
        start_date: today.checked_sub(29.days()).ok(),
        end_date: Some(today),
    }
}

impl DateRange {
    /// Whether it ends when it begins, or later.
    pub(super) fn in_order(self) -> ToolResult<()> {
        match (self.start_date, self.end_date) {
            (Some(start), Some(end)) if end < start => Err(refused(
                "ends_before_start",
                "The range ends before it begins: mend it.",
            )),
            _ => Ok(()),
        }
    }

    fn ends(self) -> (String, String) {
        let text = |day: Option<Date>, open: &str| day.map_or(open.to_owned(), |d| d.to_string());
        (text(self.start_date, ""), text(self.end_date, "9999-12-31"))
    }

    pub(super) fn text(self) -> String {
        let text = |day: Option<Date>| day.map_or("…".to_owned(), |day| day.to_string());
        match (self.start_date, self.end_date) {
            (None, None) => "all time".to_owned(),
            (start, end) => format!("{} to {}", text(start), text(end)),
        }
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct PaymentSummary {
    /// Which days `paid`, `total_revenue` and `payment_methods` cover.
    pub period: String,
    /// Recorded in the period, in minor units.
    pub total_revenue: i64,
    /// Still to pay on all invoices, in minor units.
    pub outstanding: i64,
    /// How many payments were recorded in the period.
    pub paid: i64,
    pub currency: String,
    /// Minor units per way of payment.
    pub payment_methods: BTreeMap<String, i64>,
    pub overdue_count: i64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct AttendanceOverview {
    pub period: String,
    pub total_sessions: i64,
    /// Present and late of all that were not excused, four decimals; null without any.
    pub average_attendance_rate: Option<f64>,
    /// Classes below 75 %, the lowest first.
    pub classes_with_low_attendance: Vec<LowAttendance>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct LowAttendance {
    pub class_id: String,
    pub class_name: String,
    pub attendance_rate: f64,
}

/// Below that, a class is worth a look.
const LOW: f64 = 0.75;

#[derive(FromRow)]
struct Presences {
    class_id: String,
    class_name: String,
    sessions: i64,
    there: i64,
    counted: i64,
}

/// How many rows have a word in some column.
#[derive(FromRow)]
pub(super) struct Tally {
    pub(super) word: String,
    pub(super) number: i64,
}

impl Books<'_> {
    pub(super) async fn payment_summary(&mut self, range: DateRange) -> ToolResult<PaymentSummary> {
        let (from, to) = range.ends();
        let methods: Vec<Tally> = self
            .all(
                "SELECT y.method AS word, CAST(SUM(y.amount) AS BIGINT) AS number FROM payments y
                 WHERE y.tenant_id = $1 AND y.payment_date >= $2 AND y.payment_date <= $3
                 GROUP BY y.method",
                values![&from, &to],
            )
            .await?;
        let paid = self
            .number(
                "SELECT COUNT(*) FROM payments y
                 WHERE y.tenant_id = $1 AND y.payment_date >= $2 AND y.payment_date <= $3",
                values![from, to],
            )
            .await?;
        let outstanding = self
            .number(
                "SELECT CAST(COALESCE(SUM(i.amount - i.paid), 0) AS BIGINT) FROM invoices i
                 WHERE i.tenant_id = $1 AND i.status = 'pending'",
                values![],
            )
            .await?;
        let today = self.today();
        let overdue_count = self
            .number(
                "SELECT COUNT(*) FROM invoices i
                 WHERE i.tenant_id = $1 AND i.status = 'pending' AND i.due_date < $2",
                values![today],
            )
            .await?;
        Ok(PaymentSummary {
            period: range.text(),
            total_revenue: methods.iter().map(|tally| tally.number).sum(),
            outstanding,
            paid,
            currency: self.currency().await?,
            payment_methods: methods
                .into_iter()
                .map(|tally| (tally.word, tally.number))
                .collect(),
            overdue_count,
        })
    }

    pub(super) async fn attendance_overview(
        &mut self,
        range: DateRange,
    ) -> ToolResult<AttendanceOverview> {
        let (from, to) = range.ends();
        let classes: Vec<Presences> = self
            .all(
                "SELECT a.class_id, c.name AS class_name,
                    COUNT(DISTINCT a.session_date) AS sessions,
                    CAST(SUM(CASE WHEN a.status IN ('present', 'late') THEN 1 ELSE 0 END)
                        AS BIGINT) AS there,
                    CAST(SUM(CASE WHEN a.status <> 'excused' THEN 1 ELSE 0 END)
                        AS BIGINT) AS counted
                 FROM attendance a
                    JOIN classes c ON c.tenant_id = $1 AND c.id = a.class_id
                 WHERE a.tenant_id = $1 AND a.session_date >= $2 AND a.session_date <= $3
                 GROUP BY a.class_id, c.name ORDER BY a.class_id",
                values![from, to],
            )
            .await?;
        let sum = |of: fn(&Presences) -> i64| classes.iter().map(of).sum::<i64>();
        let average_attendance_rate = rate(sum(|class| class.there), sum(|class| class.counted));
        let mut low: Vec<LowAttendance> = classes
            .iter()
            .filter_map(|class| {
                let rate = rate(class.there, class.counted).filter(|rate| *rate < LOW)?;
                Some(LowAttendance {
                    class_id: class.class_id.clone(),
                    class_name: class.class_name.clone(),
                    attendance_rate: rate,
                })
            })
            .collect();
        low.sort_by(|a, b| a.attendance_rate.total_cmp(&b.attendance_rate));
        low.truncate(100);
        Ok(AttendanceOverview {
            period: range.text(),
            total_sessions: sum(|class| class.sessions),
            average_attendance_rate,
            classes_with_low_attendance: low,
        })
    }

    pub(super) async fn people_by_role(&mut self) -> ToolResult<Vec<Tally>> {
        self.all(
            "SELECT p.role AS word, COUNT(*) AS number FROM people p
             WHERE p.tenant_id = $1 AND p.deleted_at IS NULL GROUP BY p.role ORDER BY p.role",
            values![],
        )
        .await
    }

    pub(super) async fn people_by_status(&mut self) -> ToolResult<Vec<Tally>> {
        self.all(
            "SELECT p.status AS word, COUNT(*) AS number FROM people p
             WHERE p.tenant_id = $1 AND p.deleted_at IS NULL GROUP BY p.status ORDER BY p.status",
            values![],
        )
        .await
    }
}

fn rate(there: i64, counted: i64) -> Option<f64> {
    (counted > 0).then(|| (there as f64 / counted as f64 * 10_000.0).round() / 10_000.0)
}
