//! Instructors: as a list, in numbers, and one in detail.

use jiff::Timestamp;
use mcp_runtime::prelude::*;

use super::reply::Meta;
use crate::backend::Backend;

/// How far an instructor is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Registered,
    Onboarding,
    Live,
    Paused,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct InstructorList {
    pub meta: Meta,
    /// In the order of user ids.
    pub items: Vec<InstructorItem>,
    /// Pass it as `cursor` to get the next page; null on the last one.
    pub next_cursor: Option<String>,
    pub limit: u64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct InstructorItem {
    pub user_id: String,
    pub name: String,
    pub email: String,
    pub status: String,
    pub is_founding: bool,
    pub founding_granted_at: Option<Timestamp>,
    pub services: Vec<String>,
    pub categories: Vec<String>,
    pub live_at: Option<Timestamp>,
    /// 1 to 5; null without reviews.
    pub rating_avg: Option<f64>,
    pub bookings_completed: u64,
    /// Path of the instructor's page in the admin site.
    pub admin_url: String,
}

/// Instructors page by page, filtered by status, founding status, service or category. Use it to
/// list or count people who meet a condition; for everything about one person call
/// instainstru_instructors_detail, for numbers per category instainstru_instructors_coverage.
#[mcp_tool(title = "List instructors", scope = "copilot:read", read_only)]
#[expect(clippy::too_many_arguments, reason = "the filters of the contract")]
pub async fn instainstru_instructors_list(
    backend: &Backend,
    caller: &Caller,
    /// Only instructors with this status.
    status: Option<Status>,
    /// Only instructors with the founding status (true), or only those without (false).
    is_founding: Option<bool>,
    /// Only instructors who offer this service, by its slug (like `piano`).
    #[arg(len = 1..=100)]
    service_slug: Option<String>,
    /// Only instructors who offer something in this category, by its slug (like `music`).
    #[arg(len = 1..=100)]
    category_slug: Option<String>,
    /// How many to return on a page.
    #[arg(range = 1..=200, default = 50)]
    limit: u32,
    /// `next_cursor` of the page before, unchanged.
    #[arg(len = 1..=200)]
    cursor: Option<String>,
) -> ToolResult<InstructorList> {
    backend
        .get(caller, "/instructors")
        .query("status", status)
        .query("is_founding", is_founding)
        .query("service_slug", service_slug)
        .query("category_slug", category_slug)
        .query("limit", limit)
        .query("cursor", cursor)
        .answer()
        .await
}

/// What instructors are counted by.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    Category,
    Service,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct InstructorCoverage {
    pub meta: Meta,
    pub data: Coverage,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Coverage {
    pub group_by: String,
    /// Categories or services, most instructors first.
    pub labels: Vec<String>,
    /// Distinct instructors per label, in the same order.
    pub values: Vec<u64>,
    /// Over all labels, also those that `top` cuts off.
    pub total_instructors: u64,
    pub total_services_offered: u64,
}

/// How many distinct instructors there are per category or per service, largest first. Use it to
/// see where supply is thin or plenty; compare with instainstru_search_zero_results for demand
/// that nobody serves.
#[mcp_tool(title = "Instructor coverage", scope = "copilot:read", read_only)]
pub async fn instainstru_instructors_coverage(
    backend: &Backend,
    caller: &Caller,
    /// Count instructors with this status.
    #[arg(default = Status::Live)]
    status: Status,
    /// Count per category or per service.
    #[arg(default = GroupBy::Category)]
    group_by: GroupBy,
    /// How many labels to return at most.
    #[arg(range = 1..=200, default = 25)]
    top: u32,
) -> ToolResult<InstructorCoverage> {
    backend
        .get(caller, "/instructors/coverage")
        .query("status", status)
        .query("group_by", group_by)
        .query("top", top)
        .answer()
        .await
}

/// One instructor; or, when several fit the identifier, who they are.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct InstructorDetail {
    pub meta: Meta,
    /// True when several instructors fit: ask again with the user_id of one of the candidates.
    #[serde(default)]
    pub ambiguous: bool,
    /// Up to ten who fit, when it is ambiguous.
    #[serde(default)]
    pub candidates: Vec<Candidate>,
    #[serde(flatten)]
    pub instructor: Option<Instructor>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    pub user_id: String,
    pub name: String,
    pub email: String,
    pub status: String,
    pub admin_url: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Instructor {
    pub user_id: String,
    pub name: String,
    pub email: String,
    pub phone: Option<String>,
    pub status: String,
    pub is_founding: bool,
    pub founding_granted_at: Option<Timestamp>,
    pub admin_url: String,
    pub live_at: Option<Timestamp>,
    pub onboarding: Onboarding,
    pub bgc: BackgroundCheck,
    /// Active services only.
    pub services: Vec<Service>,
    pub stats: Stats,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Onboarding {
    pub profile_created_at: Option<Timestamp>,
    pub profile_updated_at: Option<Timestamp>,
    pub identity_verified_at: Option<Timestamp>,
    pub background_check_uploaded_at: Option<Timestamp>,
    pub bgc_invited_at: Option<Timestamp>,
    pub bgc_completed_at: Option<Timestamp>,
    pub onboarding_completed_at: Option<Timestamp>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct BackgroundCheck {
    pub status: Option<String>,
    pub completed_at: Option<Timestamp>,
    pub valid_until: Option<Timestamp>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    pub name: String,
    pub slug: String,
    pub category: String,
    pub hourly_rate: f64,
    pub is_active: bool,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    pub bookings_completed: u64,
    pub bookings_cancelled: u64,
    pub no_shows: u64,
    pub rating_avg: Option<f64>,
    pub rating_count: u64,
    pub response_rate: Option<f64>,
}

/// Everything about one instructor: contact, status, onboarding dates, background check, services
/// with prices, bookings and ratings. Takes an id, an e-mail address or a name; when several
/// people fit, it lists them as candidates and you ask again with one user_id.
#[mcp_tool(title = "Instructor in detail", scope = "copilot:read", read_only)]
pub async fn instainstru_instructors_detail(
    backend: &Backend,
    caller: &Caller,
    /// User id or profile id (26 characters), e-mail address, first and last name, or part of a
    /// name.
    // Dots alone would climb in the path of a URL, whatever their encoding.
    #[arg(len = 1..=254, pattern = r"[^.\s]")]
    identifier: String,
) -> ToolResult<InstructorDetail> {
    let ask = backend
        .get(caller, "/instructors/{identifier}")
        .segment("{identifier}", &identifier);
    let found: InstructorDetail = ask.answer().await?;
    if found.instructor.is_none() && !found.ambiguous {
        return Err(ask.unreadable("neither an instructor nor candidates"));
    }
    Ok(found)
}
