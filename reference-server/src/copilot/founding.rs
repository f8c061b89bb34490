//! The onboarding funnel: how many got how far, and who is stuck.

use jiff::Timestamp;
use jiff::civil::Date;
use mcp_runtime::prelude::*;

use super::reply::{Meta, TimeWindow};
use crate::backend::Backend;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct FunnelSummary {
    pub meta: Meta,
    /// In the order of the funnel.
    pub stages: Vec<StageCount>,
    /// Between neighbouring stages.
    pub conversion_rates: Vec<Conversion>,
    pub founding_cap: FoundingCap,
    pub time_window: TimeWindow,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct StageCount {
    pub stage: String,
    /// Distinct people who reached the stage in the window.
    pub count: u64,
    pub description: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Conversion {
    pub from_stage: String,
    pub to_stage: String,
    /// A share with four decimals; 0 when nobody reached the first stage.
    pub rate: f64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct FoundingCap {
    /// How many may ever get the founding status.
    pub cap: u64,
    pub used: u64,
    pub remaining: u64,
    /// Of the remaining, promised in open invites.
    #[serde(default)]
    pub reserved: u64,
    pub is_founding_phase: bool,
}

/// How many instructors reached each onboarding stage, the conversion between neighbouring stages,
/// and how many founding slots are used. Start here for questions like "how is onboarding going"
/// or "where do we lose people"; to learn who is stuck, call
/// instainstru_founding_stuck_instructors.
#[mcp_tool(title = "Founding funnel summary", scope = "copilot:read", read_only)]
pub async fn instainstru_founding_funnel_summary(
    backend: &Backend,
    caller: &Caller,
    /// First day to count, in UTC (2026-01-31); without it from the beginning.
    start_date: Option<Date>,
    /// Last day to count, in UTC, included; without it until now.
    end_date: Option<Date>,
) -> ToolResult<FunnelSummary> {
    backend
        .get(caller, "/founding/funnel")
        .query("start_date", start_date)
        .query("end_date", end_date)
        .answer()
        .await
}

/// Where an instructor may stand.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Registered,
    ProfileSubmitted,
    ServicesConfigured,
    BgcInitiated,
    BgcCompleted,
    IdentityVerified,
    WentLive,
    Paused,
    Reactivated,
    Deactivated,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct StuckInstructors {
    pub meta: Meta,
    /// Stages in which somebody is stuck.
    pub summary: Vec<StuckStage>,
    /// Longest stuck first.
    pub instructors: Vec<StuckInstructor>,
    /// How many are listed here.
    pub total_stuck: u64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct StuckStage {
    pub stage: String,
    pub stuck_count: u64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct StuckInstructor {
    pub user_id: String,
    pub name: String,
    pub email: String,
    pub current_stage: String,
    pub days_in_stage: u64,
    /// When the stage was reached.
    pub occurred_at: Timestamp,
}

/// Instructors who have not moved on in their onboarding for some days, longest stuck first, with
/// their e-mail addresses and a count per stage. Use it to decide whom to nudge. People who are
/// live, paused or deactivated are not stuck.
#[mcp_tool(title = "Stuck instructors", scope = "copilot:read", read_only)]
pub async fn instainstru_founding_stuck_instructors(
    backend: &Backend,
    caller: &Caller,
    /// How many days without progress count as stuck.
    #[arg(range = 1..=90, default = 7)]
    stuck_days: u32,
    /// Only people in this stage.
    stage: Option<Stage>,
    /// How many to return at most.
    #[arg(range = 1..=200, default = 50)]
    limit: u32,
) -> ToolResult<StuckInstructors> {
    backend
        .get(caller, "/founding/stuck")
        .query("stuck_days", stuck_days)
        .query("stage", stage)
        .query("limit", limit)
        .answer()
        .await
}
