//! Bookings: the newest, a period in numbers, and one in detail.

use jiff::Timestamp;
use jiff::civil::Date;
use mcp_runtime::prelude::*;

use super::reply::{Meta, TimeWindow};
use crate::backend::Backend;

/// How far a booking is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BookingStatus {
    Pending,
    Confirmed,
    Completed,
    Cancelled,
    NoShow,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct BookingsRecent {
    pub meta: Meta,
    /// Newest first.
    pub bookings: Vec<BookingItem>,
    pub count: u64,
    pub filters_applied: RecentFilters,
    pub checked_at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct BookingItem {
    pub booking_id: String,
    pub status: BookingStatus,
    pub booking_date: Date,
    /// In UTC, like 14:30.
    pub start_time: String,
    pub end_time: String,
    /// First name and initial.
    pub student_name: String,
    pub instructor_name: String,
    pub service_name: String,
    pub category: String,
    pub total_cents: i64,
    pub location_type: String,
    pub created_at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RecentFilters {
    pub status: Option<BookingStatus>,
    pub limit: u64,
    pub hours: u64,
}

/// The bookings that were made in the last hours, newest first. Use it to see what is going on, or
/// to find the booking_id of a booking that somebody talks about; for a period in numbers call
/// instainstru_bookings_summary.
#[mcp_tool(title = "Recent bookings", scope = "copilot:read", read_only)]
pub async fn instainstru_bookings_recent(
    backend: &Backend,
    caller: &Caller,
    /// Only bookings with this status.
    status: Option<BookingStatus>,
    /// How many to return at most.
    #[arg(range = 1..=100, default = 20)]
    limit: u32,
    /// How many hours to look back.
    #[arg(range = 1..=168, default = 24)]
    hours: u32,
) -> ToolResult<BookingsRecent> {
    backend
        .get(caller, "/ops/bookings/recent")
        .query("status", status)
        .query("limit", limit)
        .query("hours", hours)
        .answer()
        .await
}

/// Days up to today, or yesterday alone.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub enum SummaryPeriod {
    #[serde(rename = "today")]
    Today,
    #[serde(rename = "yesterday")]
    Yesterday,
    #[serde(rename = "this_week")]
    ThisWeek,
    #[serde(rename = "last_7_days")]
    LastSevenDays,
    #[serde(rename = "this_month")]
    ThisMonth,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct BookingsSummary {
    pub meta: Meta,
    pub data: Summary,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    pub time_window: TimeWindow,
    pub total_bookings: u64,
    pub by_status: StatusCounts,
    pub by_category: Vec<CategoryCount>,
    pub total_value_cents: i64,
    pub average_value_cents: i64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub struct StatusCounts {
    pub pending: u64,
    pub confirmed: u64,
    pub completed: u64,
    pub cancelled: u64,
    pub no_show: u64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct CategoryCount {
    pub category: String,
    pub count: u64,
    pub total_cents: i64,
}

/// How many lessons a period has, by status and by category, and what they are worth. A lesson
/// belongs to the day on which it takes place. Name a period, or dates, not both; without either
/// it is about today.
#[mcp_tool(title = "Bookings of a period", scope = "copilot:read", read_only)]
pub async fn instainstru_bookings_summary(
    backend: &Backend,
    caller: &Caller,
    /// A period up to today. Weeks begin on Monday.
    period: Option<SummaryPeriod>,
    /// First day, in UTC (2026-01-31); without it from the beginning.
    start_date: Option<Date>,
    /// Last day, in UTC, included; without it without end.
    end_date: Option<Date>,
) -> ToolResult<BookingsSummary> {
    backend
        .get(caller, "/ops/bookings/summary")
        .query("period", period)
        .query("start_date", start_date)
        .query("end_date", end_date)
        .answer()
        .await
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct BookingDetail {
    pub meta: Meta,
    pub booking: BookingWhole,
    /// What happened, in order.
    pub timeline: Vec<TimelineEvent>,
    pub payment: Payment,
    /// Null unless asked for.
    pub messages: Option<Messages>,
    /// What the payment provider said; null when not asked for.
    pub webhooks: Option<Vec<Webhook>>,
    /// The requests of admins about this booking, newest first; null unless asked for.
    pub traces: Option<Vec<TraceLink>>,
    /// Newest first.
    pub admin_notes: Vec<AdminNote>,
    pub recommended_actions: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct BookingWhole {
    #[serde(flatten)]
    pub item: BookingItem,
    pub student_id: String,
    pub student_email: String,
    pub instructor_id: String,
    pub instructor_email: String,
    pub duration_minutes: u64,
    pub cancelled_at: Option<Timestamp>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct TimelineEvent {
    pub at: Timestamp,
    /// Like `created`, `completed`, `booking_reschedule`.
    pub event: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Payment {
    /// `scheduled`, `authorized`, `payment_method_required`, `manual_review`, `locked` or
    /// `settled`.
    pub status: String,
    pub total_cents: i64,
    pub refunded_cents: i64,
    /// `card` or `credit`.
    pub refund_method: Option<String>,
    /// When the instructor got the money.
    pub paid_out_at: Option<Timestamp>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Messages {
    pub count: u64,
    pub by_student: u64,
    pub by_instructor: u64,
    pub last_at: Option<Timestamp>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Webhook {
    pub event_type: String,
    /// `processed` or `failed`.
    pub status: String,
    pub received_at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct TraceLink {
    /// Names the request in the log of the platform.
    pub request_id: String,
    pub action: String,
    pub at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct AdminNote {
    pub author_id: String,
    pub note: String,
    pub created_at: Timestamp,
}

/// Everything about one booking: people, time, payment, what happened to it, what admins noted,
/// and what to do next. Use it before you cancel or move a booking.
#[mcp_tool(title = "Booking in detail", scope = "copilot:read", read_only)]
pub async fn instainstru_booking_detail(
    backend: &Backend,
    caller: &Caller,
    /// Id of the booking, 26 characters.
    #[arg(len = 1..=64, pattern = "^[0-9A-Za-z]+$")]
    booking_id: String,
    /// Whether to count the messages between student and instructor.
    #[arg(default = false)]
    include_messages_summary: bool,
    /// Whether to list what the payment provider said.
    #[arg(default = true)]
    include_webhooks: bool,
    /// Whether to list the requests of admins about it.
    #[arg(default = false)]
    include_trace_links: bool,
) -> ToolResult<BookingDetail> {
    backend
        .get(caller, "/bookings/{booking_id}/detail")
        .segment("{booking_id}", &booking_id)
        .query("include_messages_summary", include_messages_summary)
        .query("include_webhooks", include_webhooks)
        .query("include_trace_links", include_trace_links)
        .answer()
        .await
}
