//! Cancelling a booking by force and moving one: look first, then do it.

use jiff::Timestamp;
use jiff::civil::Date;
use mcp_runtime::prelude::*;
use serde_json::json;

use super::bookings::{BookingItem, BookingStatus};
use super::reply::{Meta, confirmed};
use crate::backend::Backend;

/// Why an admin cancels.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CancelReason {
    AdminDiscretion,
    InstructorNoShow,
    StudentNoShow,
    DuplicateBooking,
    TechnicalIssue,
    DisputeResolution,
}

/// What the student gets back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RefundPreference {
    FullCard,
    PolicyBased,
    NoRefund,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefundMethod {
    Card,
    Credit,
    None,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct CancelPreviewed {
    pub meta: Meta,
    pub data: CancelPreview,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct CancelPreview {
    /// Whether it can be cancelled; without that there is no token.
    pub eligible: bool,
    pub ineligible_reason: Option<String>,
    pub current_state: CurrentState,
    pub refund_method: RefundMethod,
    /// In cents.
    pub refund_amount: i64,
    /// What would happen.
    pub impacts: Vec<String>,
    /// What the user should know before agreeing.
    pub warnings: Vec<String>,
    /// What instainstru_booking_force_cancel_execute takes. Good once, for five minutes.
    pub confirm_token: Option<String>,
    pub confirm_expires_at: Option<Timestamp>,
    /// A key that was not used before, for the execution.
    pub idempotency_key: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct CurrentState {
    pub status: BookingStatus,
    pub payment_status: String,
    pub total_cents: i64,
    pub booking: BookingItem,
}

/// First step of cancelling a booking by force: says whether that is possible, what the student
/// would get back and who would be told, and returns a confirm_token that is good for five
/// minutes. Changes nothing. Show impacts and warnings to the user, then call
/// instainstru_booking_force_cancel_execute.
#[mcp_tool(
    title = "Preview a forced cancellation",
    scope = "copilot:write",
    timeout = "60s"
)]
pub async fn instainstru_booking_force_cancel_preview(
    backend: &Backend,
    caller: &Caller,
    /// Id of the booking, 26 characters.
    #[arg(len = 1..=64, pattern = "^[0-9A-Za-z]+$")]
    booking_id: String,
    /// Why it is cancelled.
    reason_code: CancelReason,
    /// What other admins should know about it.
    #[arg(len = 1..=2000)]
    note: String,
    /// All of it by card, what the policy says, or nothing.
    #[arg(default = RefundPreference::PolicyBased)]
    refund_preference: RefundPreference,
) -> ToolResult<CancelPreviewed> {
    let body = json!({
        "reason_code": reason_code,
        "note": note,
        "refund_preference": refund_preference,
    });
    backend
        .post(caller, "/bookings/{booking_id}/force-cancel/preview", body)
        .segment("{booking_id}", &booking_id)
        .answer()
        .await
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Cancelled {
    pub meta: Meta,
    pub data: Cancellation,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Cancellation {
    pub success: bool,
    pub error: Option<String>,
    pub booking_id: String,
    pub previous_status: BookingStatus,
    pub new_status: BookingStatus,
    pub refund_method: RefundMethod,
    /// In cents.
    pub refund_amount: i64,
    pub notifications_sent: Vec<Notification>,
    pub audit_id: String,
}

/// Somebody who was told.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Notification {
    /// `student` or `instructor`.
    pub recipient: String,
    pub channel: String,
}

/// Second step of cancelling a booking by force: does exactly what
/// instainstru_booking_force_cancel_preview showed, and tells both people. Cannot be undone, so
/// ask the user first. After a timeout or a lost answer call again with the same token and the
/// same key: the result of the first call comes back.
#[mcp_tool(
    title = "Cancel a booking by force",
    scope = "copilot:write",
    destructive,
    idempotent,
    open_world,
    timeout = "60s"
)]
pub async fn instainstru_booking_force_cancel_execute(
    backend: &Backend,
    caller: &Caller,
    /// Id of the booking, as in the preview.
    #[arg(len = 1..=64, pattern = "^[0-9A-Za-z]+$")]
    booking_id: String,
    /// The confirm_token of the preview, unchanged.
    #[arg(len = 1..=66_000, secret)]
    confirm_token: String,
    /// The idempotency_key of the preview, or a name that was not used before.
    #[arg(len = 1..=255, pattern = "^[!-~]+$")]
    idempotency_key: String,
) -> ToolResult<Cancelled> {
    let endpoint = "/bookings/{booking_id}/force-cancel/execute";
    let ask = confirmed(backend, caller, endpoint, &confirm_token, &idempotency_key);
    ask.segment("{booking_id}", &booking_id).answer().await
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReschedulePreviewed {
    pub meta: Meta,
    pub data: ReschedulePreview,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReschedulePreview {
    /// Whether it can be moved there; without that there is no token.
    pub eligible: bool,
    pub ineligible_reason: Option<String>,
    pub current_slot: Slot,
    pub new_slot: Slot,
    /// Lessons of the two people at the new time; ten at most.
    pub conflicts: Vec<Conflict>,
    /// How much more the lesson would cost if it was booked today. The booking keeps its price.
    pub price_difference_cents: i64,
    /// Whether both people get a day to notice.
    pub notice_window_ok: bool,
    /// What instainstru_booking_reschedule_execute takes. Good once, for five minutes.
    pub confirm_token: Option<String>,
    pub confirm_expires_at: Option<Timestamp>,
    /// A key that was not used before, for the execution.
    pub idempotency_key: Option<String>,
}

/// When a lesson is, in UTC.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Slot {
    pub date: Date,
    pub start_time: String,
    pub end_time: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Conflict {
    #[serde(flatten)]
    pub slot: Slot,
    pub booking_id: String,
    /// `student` or `instructor`.
    pub who: String,
}

/// First step of moving a booking: says whether student and instructor are free at the new time,
/// and returns a confirm_token that is good for five minutes. Changes nothing. Only PENDING and
/// CONFIRMED bookings can be moved, before they begin. Show the slots to the user, then call
/// instainstru_booking_reschedule_execute.
#[mcp_tool(
    title = "Preview moving a booking",
    scope = "copilot:write",
    timeout = "60s"
)]
pub async fn instainstru_booking_reschedule_preview(
    backend: &Backend,
    caller: &Caller,
    /// Id of the booking, 26 characters.
    #[arg(len = 1..=64, pattern = "^[0-9A-Za-z]+$")]
    booking_id: String,
    /// The new day, in UTC (2026-01-31).
    new_date: Date,
    /// When the lesson begins on it, in UTC (14:30).
    #[arg(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", example = "14:30")]
    new_start_time: String,
    /// Why it is moved; other admins read it.
    #[arg(len = 1..=2000)]
    reason: String,
) -> ToolResult<ReschedulePreviewed> {
    let body = json!({
        "new_date": new_date,
        "new_start_time": new_start_time,
        "reason": reason,
    });
    backend
        .post(caller, "/bookings/{booking_id}/reschedule/preview", body)
        .segment("{booking_id}", &booking_id)
        .answer()
        .await
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Rescheduled {
    pub meta: Meta,
    pub data: Rescheduling,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Rescheduling {
    pub success: bool,
    pub booking_id: String,
    pub previous_slot: Slot,
    pub new_slot: Slot,
    pub notifications_sent: Vec<Notification>,
    pub audit_id: String,
}

/// Second step of moving a booking: moves it to the slot that
/// instainstru_booking_reschedule_preview showed, unless somebody took it since, and tells both
/// people. Ask the user first. After a timeout or a lost answer call again with the same token and
/// the same key: the result of the first call comes back.
#[mcp_tool(
    title = "Move a booking",
    scope = "copilot:write",
    destructive,
    idempotent,
    open_world,
    timeout = "60s"
)]
pub async fn instainstru_booking_reschedule_execute(
    backend: &Backend,
    caller: &Caller,
    /// Id of the booking, as in the preview.
    #[arg(len = 1..=64, pattern = "^[0-9A-Za-z]+$")]
    booking_id: String,
    /// The confirm_token of the preview, unchanged.
    #[arg(len = 1..=66_000, secret)]
    confirm_token: String,
    /// The idempotency_key of the preview, or a name that was not used before.
    #[arg(len = 1..=255, pattern = "^[!-~]+$")]
    idempotency_key: String,
) -> ToolResult<Rescheduled> {
    let endpoint = "/bookings/{booking_id}/reschedule/execute";
    let ask = confirmed(backend, caller, endpoint, &confirm_token, &idempotency_key);
    ask.segment("{booking_id}", &booking_id).answer().await
}
