//! The marketplace in numbers: revenue, payouts, who stays, who comes.

use jiff::civil::Date;
use mcp_runtime::prelude::*;

use super::reply::{Meta, TimeWindow};
use crate::backend::Backend;

/// Days up to today, unless the name says otherwise.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub enum RevenuePeriod {
    #[serde(rename = "today")]
    Today,
    #[serde(rename = "yesterday")]
    Yesterday,
    #[serde(rename = "last_7_days")]
    LastSevenDays,
    #[serde(rename = "last_30_days")]
    LastThirtyDays,
    #[serde(rename = "this_month")]
    ThisMonth,
    #[serde(rename = "last_month")]
    LastMonth,
    #[serde(rename = "this_quarter")]
    ThisQuarter,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompareTo {
    PreviousPeriod,
    SamePeriodLastMonth,
    SamePeriodLastYear,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakdownBy {
    Day,
    Week,
    Category,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RevenueDashboard {
    pub meta: Meta,
    pub data: Revenue,
}

/// All money in cents.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Revenue {
    pub period: RevenuePeriod,
    pub time_window: TimeWindow,
    /// What students paid for the lessons that took place.
    pub gmv: i64,
    /// Of it, what the platform keeps.
    pub platform_revenue: i64,
    /// Of it, what instructors get.
    pub instructor_payouts: i64,
    /// What the platform keeps, less what it gave back as credit.
    pub net_revenue: i64,
    /// platform_revenue / gmv, four decimals.
    pub take_rate: f64,
    /// With any status.
    pub total_bookings: u64,
    pub completed_bookings: u64,
    pub cancelled_bookings: u64,
    /// Of the lessons that were completed, cancelled or missed, those completed; four decimals.
    pub completion_rate: f64,
    /// Of those completed.
    pub average_booking_value: i64,
    /// Null unless compare_to is given.
    pub comparison: Option<Comparison>,
    /// Null unless breakdown_by is given.
    pub breakdown: Option<Vec<BreakdownRow>>,
    pub health: Health,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    pub compare_to: CompareTo,
    pub time_window: TimeWindow,
    pub gmv: i64,
    pub platform_revenue: i64,
    pub completed_bookings: u64,
    /// How much more there is now, as a share of what was; null when there was nothing.
    pub gmv_change: Option<f64>,
    pub completed_bookings_change: Option<f64>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct BreakdownRow {
    /// A day, the Monday of a week, or a category.
    pub label: String,
    pub gmv: i64,
    pub platform_revenue: i64,
    pub completed_bookings: u64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// `good` or `watch`.
    pub status: String,
    pub issues: Vec<String>,
}

/// What lessons brought in during a period: their value, what the platform keeps, what instructors
/// get, how many took place, and whether anything looks wrong. Compares with an earlier period and
/// breaks the period down when asked to. All money is in cents.
#[mcp_tool(title = "Revenue", scope = "copilot:read", read_only)]
pub async fn instainstru_revenue_dashboard(
    backend: &Backend,
    caller: &Caller,
    /// The days to sum up, in UTC, by when lessons take place.
    #[arg(default = RevenuePeriod::LastThirtyDays)]
    period: RevenuePeriod,
    /// What to compare with.
    compare_to: Option<CompareTo>,
    /// What to break it down by.
    breakdown_by: Option<BreakdownBy>,
) -> ToolResult<RevenueDashboard> {
    backend
        .get(caller, "/analytics/revenue")
        .query("period", period)
        .query("compare_to", compare_to)
        .query("breakdown_by", breakdown_by)
        .answer()
        .await
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct PaymentsPipeline {
    pub meta: Meta,
    pub data: Pipeline,
}

/// All money in cents, of all bookings there ever were.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Pipeline {
    /// In the order in which money moves; every booking is in one of them.
    pub stages: Vec<PaymentStage>,
    /// What students paid for lessons that took place and are settled: the next three together.
    pub captured_cents: i64,
    /// Of it, what the platform keeps.
    pub platform_fees_cents: i64,
    /// Of it, what instructors get and have not got yet.
    pub pending_payout_cents: i64,
    /// Of it, what instructors have got.
    pub paid_out_cents: i64,
    pub refunds: Refunds,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct PaymentStage {
    /// `scheduled`, `payment_method_required`, `authorized`, `locked`, `manual_review`,
    /// `pending_payout`, `paid_out` or `closed_without_lesson`.
    pub stage: String,
    /// Bookings that are there now.
    pub count: u64,
    /// Their prices, before refunds.
    pub amount_cents: i64,
    pub description: String,
}

/// What went back to students.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Refunds {
    /// Bookings of which something was given back.
    pub count: u64,
    pub card_cents: i64,
    pub credit_cents: i64,
}

/// Where the money of all bookings stands now: how many bookings, and how much, wait to be charged,
/// are reserved, need somebody to look at them, are settled or paid out, and what was given back.
/// All money is in cents. For the instructors behind pending_payout call
/// instainstru_payments_pending_payouts; for the money of a period instainstru_revenue_dashboard.
#[mcp_tool(title = "Payments pipeline", scope = "copilot:read", read_only)]
pub async fn instainstru_payments_pipeline(
    backend: &Backend,
    caller: &Caller,
) -> ToolResult<PaymentsPipeline> {
    backend.get(caller, "/ops/payments/pipeline").answer().await
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct PendingPayouts {
    pub meta: Meta,
    /// Largest first.
    pub payouts: Vec<Payout>,
    /// Over all instructors, also those not listed.
    pub total_pending_cents: i64,
    pub instructor_count: u64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Payout {
    pub instructor_id: String,
    pub instructor_name: String,
    pub pending_amount_cents: i64,
    pub completed_lessons: u64,
    /// The day of the first lesson that is not paid out.
    pub oldest_pending_date: Date,
    /// Whether the instructor has an account that money can be sent to.
    pub stripe_connected: bool,
}

/// What instructors have earned and not got yet, largest amount first. Somebody who is not
/// connected to the payment provider cannot be paid: ask them to connect.
#[mcp_tool(title = "Pending payouts", scope = "copilot:read", read_only)]
pub async fn instainstru_payments_pending_payouts(
    backend: &Backend,
    caller: &Caller,
    /// How many instructors to return at most.
    #[arg(range = 1..=100, default = 20)]
    limit: u32,
) -> ToolResult<PendingPayouts> {
    backend
        .get(caller, "/ops/payments/pending-payouts")
        .query("limit", limit)
        .answer()
        .await
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserType {
    Student,
    Instructor,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CohortPeriod {
    Week,
    Month,
}

/// What counts as being there.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetentionMetric {
    /// Any sign of life.
    Active,
    /// A booking that was made.
    Booking,
    /// A lesson that was paid for.
    Revenue,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct CohortRetention {
    pub meta: Meta,
    pub data: Retention,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Retention {
    pub user_type: UserType,
    pub cohort_period: CohortPeriod,
    pub metric: RetentionMetric,
    /// Oldest first, without periods in which nobody came.
    pub cohorts: Vec<Cohort>,
    /// Over all cohorts and all periods after their first, four decimals; null when there is none.
    pub avg_retention: Option<f64>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Cohort {
    /// A month like 2026-01, or a week like 2026-W05.
    pub cohort_label: String,
    pub cohort_size: u64,
    /// The share that was there in the period of the cohort, in the one after, and so on.
    pub retention: Vec<f64>,
}

/// Of the people who signed up in one week or month, how many were still there in the ones after.
/// The last share of every cohort is about the current week or month, which is not over.
#[mcp_tool(title = "Retention by cohort", scope = "copilot:read", read_only)]
pub async fn instainstru_cohort_retention(
    backend: &Backend,
    caller: &Caller,
    /// Students or instructors.
    #[arg(default = UserType::Student)]
    user_type: UserType,
    /// Whether people are put together by week or by month.
    #[arg(default = CohortPeriod::Month)]
    cohort_period: CohortPeriod,
    /// How many weeks or months to look back.
    #[arg(range = 1..=24, default = 6)]
    periods_back: u32,
    /// What counts as being there.
    #[arg(default = RetentionMetric::Active)]
    metric: RetentionMetric,
) -> ToolResult<CohortRetention> {
    backend
        .get(caller, "/analytics/cohort-retention")
        .query("user_type", user_type)
        .query("cohort_period", cohort_period)
        .query("periods_back", periods_back)
        .query("metric", metric)
        .answer()
        .await
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupByTime {
    Day,
    Week,
    Month,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct StudentSignups {
    pub meta: Meta,
    pub data: Signups,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Signups {
    pub time_window: TimeWindow,
    pub group_by: GroupByTime,
    /// In order, also where nobody came.
    pub series: Vec<SignupBucket>,
    pub total: i64,
    /// In as many days right before.
    pub previous_total: i64,
    /// How much more there are, as a share of previous_total; null when that is 0.
    pub change: Option<f64>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SignupBucket {
    /// The first day of the day, week or month.
    pub bucket: Date,
    pub count: i64,
}

/// How many students signed up, day by day, week by week or month by month, and how that compares
/// with as many days before. Covers the last 30 days unless dates are given, at most a year.
#[mcp_tool(title = "Student signups", scope = "copilot:read", read_only)]
pub async fn instainstru_student_signups(
    backend: &Backend,
    caller: &Caller,
    /// First day, in UTC (2026-01-31); without it 29 days before the last.
    start_date: Option<Date>,
    /// Last day, in UTC, included; without it today.
    end_date: Option<Date>,
    /// What to count by. Weeks begin on Monday.
    #[arg(default = GroupByTime::Day)]
    group_by: GroupByTime,
) -> ToolResult<StudentSignups> {
    backend
        .get(caller, "/analytics/student-signups")
        .query("start_date", start_date)
        .query("end_date", end_date)
        .query("group_by", group_by)
        .answer()
        .await
}
