//! Resources: the school at a glance. Lists end after a hundred entries; exports have all.
//!
//! Tools that change something tell those who watch. The long lists are kept for a while, until
//! something is written.

use std::time::Duration;

use jiff::Timestamp;
use mcp_runtime::prelude::*;
use serde::de::DeserializeOwned;
use sqlx::FromRow;

use super::School;
use super::books::{Books, values};
use super::figures::{AttendanceOverview, PaymentSummary, last_month};
use crate::platform::db::instant;

pub(super) const ROSTER: &str = "admin://user_roster";
pub(super) const CLASSES: &str = "admin://class_list";
pub(super) const PAYMENTS: &str = "admin://payment_summary";
pub(super) const STATUS: &str = "admin://system_status";
pub(super) const ATTENDANCE: &str = "admin://attendance_overview";

const FIVE_MINUTES: Duration = Duration::from_secs(300);
const TEN_MINUTES: Duration = Duration::from_secs(600);

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct UserRoster {
    pub users: Vec<RosterEntry>,
    /// All there are, also those not listed.
    pub total: i64,
    pub filters_applied: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RosterEntry {
    pub id: String,
    pub email: String,
    pub name: String,
    pub role: String,
    pub status: String,
    pub created_at: Timestamp,
    pub last_login: Option<Timestamp>,
}

#[derive(FromRow)]
struct RosterRow {
    id: String,
    email: String,
    name: String,
    role: String,
    status: String,
    created_at: i64,
    last_login: Option<i64>,
}

/// The users of the school, newest first: up to a hundred of them.
#[mcp_resource(
    "admin://user_roster",
    title = "User roster",
    scope = "school:admin",
    role = "admin"
)]
pub async fn user_roster(school: &School, tenant: &Tenant) -> ToolResult<UserRoster> {
    kept(school, tenant, ROSTER, FIVE_MINUTES, async |books| {
        let rows: Vec<RosterRow> = books
            .all(
                "SELECT p.id, p.email, p.name, p.role, p.status, p.created_at, p.last_login
                 FROM people p WHERE p.tenant_id = $1 AND p.deleted_at IS NULL
                 ORDER BY p.created_at DESC, p.id DESC LIMIT 100",
                values![],
            )
            .await?;
        Ok(UserRoster {
            users: rows.into_iter().map(RosterEntry::from).collect(),
            total: books.users().await?,
            filters_applied: Vec::new(),
        })
    })
    .await
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ClassList {
    pub classes: Vec<ClassEntry>,
    /// All there are, also those not listed.
    pub total: i64,
}

#[derive(Debug, FromRow, Serialize, Deserialize, JsonSchema)]
pub struct ClassEntry {
    pub id: String,
    pub name: String,
    pub level: String,
    pub capacity: i64,
    pub enrolled: i64,
    pub teacher_id: String,
    pub teacher_name: String,
    pub schedule: String,
    pub status: String,
}

/// The classes of the school with their teachers and how full they are: up to a hundred of them.
#[mcp_resource(
    "admin://class_list",
    title = "Class list",
    scope = "school:admin",
    role = "admin"
)]
pub async fn class_list(school: &School, tenant: &Tenant) -> ToolResult<ClassList> {
    kept(school, tenant, CLASSES, TEN_MINUTES, async |books| {
        let (classes, total) = books.class_entries("").await?;
        Ok(ClassList { classes, total })
    })
    .await
}

/// Money that came in the last thirty days, and what is still open, in minor units (cents).
#[mcp_resource(
    "admin://payment_summary",
    title = "Payment summary",
    scope = "school:admin",
    role = "admin"
)]
pub async fn payment_summary(school: &School, tenant: &Tenant) -> ToolResult<PaymentSummary> {
    let mut books = school.read(tenant).await?;
    let range = last_month(books.today());
    books.payment_summary(range).await
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SystemStatus {
    /// `ok`, as somebody has answered.
    pub status: String,
    pub database: String,
    pub last_backup: Option<Timestamp>,
    /// Null: sessions are a matter of the MCP server, which keeps none of stateless clients.
    pub active_sessions: Option<u64>,
    pub total_users: i64,
    pub total_classes: i64,
    /// Bytes of exports and backups of this school.
    pub storage_used: i64,
    /// Null: there is no limit.
    pub storage_limit: Option<i64>,
}

/// Whether the school works: its database, its last backup, and how much it holds.
#[mcp_resource(
    "admin://system_status",
    title = "System status",
    scope = "school:admin",
    role = "admin"
)]
pub async fn system_status(school: &School, tenant: &Tenant) -> ToolResult<SystemStatus> {
    let mut books = school.read(tenant).await?;
    let (_, total_classes) = books.class_entries("").await?;
    let storage_used = books
        .number(
            "SELECT (SELECT CAST(COALESCE(SUM(x.size_bytes), 0) AS BIGINT) FROM exports x
                        WHERE x.tenant_id = $1)
                + (SELECT CAST(COALESCE(SUM(b.size_bytes), 0) AS BIGINT) FROM backups b
                        WHERE b.tenant_id = $1)",
            values![],
        )
        .await?;
    Ok(SystemStatus {
        status: "ok".to_owned(),
        database: "connected".to_owned(),
        last_backup: books.last_backup().await?.map(instant),
        active_sessions: None,
        total_users: books.users().await?,
        total_classes,
        storage_used,
        storage_limit: None,
    })
}

/// How well classes were attended in the last thirty days, and which are below 75 %.
#[mcp_resource(
    "admin://attendance_overview",
    title = "Attendance overview",
    scope = "school:admin",
    role = "admin"
)]
pub async fn attendance_overview(
    school: &School,
    tenant: &Tenant,
) -> ToolResult<AttendanceOverview> {
    let mut books = school.read(tenant).await?;
    let range = last_month(books.today());
    books.attendance_overview(range).await
}

/// What was read for this tenant a short while ago, if nothing was written since, or else what is
/// read now.
async fn kept<T: Serialize + DeserializeOwned>(
    school: &School,
    tenant: &Tenant,
    uri: &'static str,
    life: Duration,
    read: impl AsyncFnOnce(&mut Books<'_>) -> ToolResult<T>,
) -> ToolResult<T> {
    let pages = &school.open()?.pages;
    let mut books = school.read(tenant).await?;
    let (revision, now) = (books.revision().await?, books.now);
    if let Some(page) = pages.find(tenant, uri, (revision, now)) {
        return Ok(serde_json::from_value(page)?);
    }
    let page = read(&mut books).await?;
    let json = serde_json::to_value(&page)?;
    pages.keep(tenant, uri, (revision, now + life), json);
    Ok(page)
}

impl Books<'_> {
    /// How often something was written.
    async fn revision(&mut self) -> ToolResult<i64> {
        self.number(
            "SELECT COALESCE((SELECT t.revision FROM tenants t WHERE t.tenant_id = $1), -1)",
            values![],
        )
        .await
    }

    async fn users(&mut self) -> ToolResult<i64> {
        self.number(
            "SELECT COUNT(*) FROM people p WHERE p.tenant_id = $1 AND p.deleted_at IS NULL",
            values![],
        )
        .await
    }

    /// Up to a hundred classes, of this status if it is not empty, and how many there are.
    pub(super) async fn class_entries(
        &mut self,
        status: &str,
    ) -> ToolResult<(Vec<ClassEntry>, i64)> {
        let classes = self
            .all(
                "SELECT c.id, c.name, c.level, c.capacity, c.teacher_id, p.name AS teacher_name,
                    c.schedule, c.status,
                    (SELECT COUNT(*) FROM enrollments e WHERE e.tenant_id = $1
                        AND e.class_id = c.id AND e.status = 'active') AS enrolled
                 FROM classes c
                    JOIN people p ON p.tenant_id = $1 AND p.id = c.teacher_id
                 WHERE c.tenant_id = $1 AND ($2 = '' OR c.status = $2)
                 ORDER BY c.name, c.id LIMIT 100",
                values![status],
            )
            .await?;
        let total = self
            .number(
                "SELECT COUNT(*) FROM classes c
                 WHERE c.tenant_id = $1 AND ($2 = '' OR c.status = $2)",
                values![status],
            )
            .await?;
        Ok((classes, total))
    }
}

impl From<RosterRow> for RosterEntry {
    fn from(row: RosterRow) -> Self {
        Self {
            id: row.id,
            email: row.email,
            name: row.name,
            role: row.role,
            status: row.status,
            created_at: instant(row.created_at),
            last_login: row.last_login.map(instant),
        }
    }
}
