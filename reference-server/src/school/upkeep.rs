//! Who did what, and copies of everything for bad days.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::{Date, date};
use mcp_runtime::prelude::*;
use serde_json::{Value as Json, json};
use sqlx::FromRow;

use super::School;
use super::books::{Books, refused, values};
use super::figures::DateRange;
use super::offers::STATUS;
use super::people::word;
use crate::data;
use crate::platform::db::instant;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct AuditView {
    /// Newest first.
    pub entries: Vec<AuditEntry>,
    /// How many are listed here.
    pub total: usize,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    pub audit_id: String,
    pub user_id: String,
    /// The tool that was called, mostly.
    pub action: String,
    pub resource_type: String,
    pub resource_id: String,
    /// What was changed, as JSON.
    pub changes: String,
    pub timestamp: Timestamp,
}

#[derive(FromRow)]
struct AuditRow {
    id: String,
    user_id: String,
    action: String,
    resource_type: String,
    resource_id: String,
    changes: String,
    updated_at: i64,
}

/// What was changed in the school, by whom and when, newest first. Filter by action (the name of
/// a tool), by user or by days.
#[mcp_tool(
    title = "View the audit log",
    scope = "school:admin",
    role = "admin",
    read_only
)]
pub async fn view_audit_log(
    school: &School,
    tenant: &Tenant,
    /// How many entries to return at most.
    #[arg(range = 1..=500, default = 50)]
    limit: u32,
    /// Only this action, like `add_user`.
    #[arg(len = 1..=100)]
    action_type: Option<String>,
    /// Only what this user did.
    #[arg(len = 1..=200)]
    user_id: Option<String>,
    /// Only these days, both included, in UTC.
    date_range: Option<DateRange>,
) -> ToolResult<AuditView> {
    let range = date_range.unwrap_or_default();
    range.in_order()?;
    let from = range.start_date.map_or(i64::MIN, midnight);
    let to = range.end_date.map_or(i64::MAX, |day| midnight(day) + DAY);
    let mut books = school.read(tenant).await?;
    let rows: Vec<AuditRow> = books
        .all(
            "SELECT a.id, a.user_id, a.action, a.resource_type, a.resource_id, a.changes,
                a.updated_at
             FROM audit a
             WHERE a.tenant_id = $1 AND ($2 = '' OR a.action = $2) AND ($3 = '' OR a.user_id = $3)
                AND a.updated_at >= $4 AND a.updated_at < $5
             ORDER BY a.updated_at DESC, a.id DESC LIMIT $6",
            values![
                logged(action_type.as_deref().unwrap_or_default()),
                user_id.unwrap_or_default(),
                from,
                to,
                limit
            ],
        )
        .await?;
    let entries: Vec<AuditEntry> = rows.into_iter().map(AuditEntry::from).collect();
    Ok(AuditView {
        total: entries.len(),
        entries,
    })
}

/// How long a day is, in milliseconds.
const DAY: i64 = 24 * 60 * 60 * 1000;
const EPOCH: Date = date(1970, 1, 1);

/// When a day begins, in milliseconds since 1970: also a day of which no timestamp tells.
fn midnight(day: Date) -> i64 {
    day.duration_since(EPOCH).as_secs() * 1000
}

/// What the log says where this tool was called: some tools are two ways to do the same.
fn logged(tool: &str) -> &str {
    match tool {
        "generate_csv_export" | "generate_excel_export" => "export",
        "enroll_student" => "create_enrollment",
        other => other,
    }
}

impl From<AuditRow> for AuditEntry {
    fn from(row: AuditRow) -> Self {
        Self {
            audit_id: row.id,
            user_id: row.user_id,
            action: row.action,
            resource_type: row.resource_type,
            resource_id: row.resource_id,
            changes: row.changes,
            timestamp: instant(row.updated_at),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackupType {
    Full,
    Incremental,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct BackupCreated {
    pub backup_id: String,
    pub backup_type: String,
    pub size_bytes: i64,
    /// Where it lies, below the backup folder of the server.
    pub place: String,
    /// `completed`
    pub status: String,
}

/// Write a copy of all records of this school into the backup folder of the server: all of them,
/// or (incremental) what changed since the last backup. An operator can read it from there.
#[mcp_tool(
    title = "Create a backup",
    scope = "school:admin",
    role = "admin",
    rate = "10/hour"
)]
pub async fn create_backup(
    school: &School,
    tenant: &Tenant,
    caller: &Caller,
    changes: &Changes,
    /// All records, or those that changed since the last backup.
    #[arg(default = BackupType::Full)]
    backup_type: BackupType,
    /// Whether the files of exports are part of it.
    #[arg(default = false)]
    include_files: bool,
) -> ToolResult<BackupCreated> {
    let mut books = school.write(tenant).await?;
    let since = books.since(backup_type).await?;
    let copy = books.copy(since, include_files).await?;
    let (id, now, kind) = (books.new_id(), books.millis(), word(backup_type));
    let place = format!("{tenant}/{id}.json");
    let text = json!({
        "tenant": tenant.as_str(),
        "backup_type": kind,
        "created_at": books.now,
        "tables": copy,
    })
    .to_string();
    let size = text.len() as i64;
    let path = school.open()?.settings.backups.join(&place);
    tokio::task::spawn_blocking(move || put(path, text.as_bytes())).await??;
    books
        .run(
            "INSERT INTO backups (tenant_id, id, kind, size_bytes, place, status, updated_at)
             VALUES ($1, $2, $3, $4, $5, 'completed', $6)",
            values![&id, &kind, size, &place, now],
        )
        .await?;
    let facts = json!({"backup_type": kind, "size_bytes": size});
    books
        .note(caller, "create_backup", ("backup", &id), &facts)
        .await?;
    books.close(changes, &[STATUS]).await?;
    Ok(BackupCreated {
        backup_id: id,
        backup_type: kind,
        size_bytes: size,
        place,
        status: "completed".to_owned(),
    })
}

/// For its owner alone, and still there after a power cut.
fn put(path: PathBuf, bytes: &[u8]) -> ToolResult<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    data::create(folder)?;
    let mut file = data::private(OpenOptions::new().write(true).create_new(true)).open(&path)?;
    file.write_all(bytes)?;
    Ok(file.sync_all()?)
}

impl Books<'_> {
    /// From when on a backup of this kind has what changed.
    async fn since(&mut self, kind: BackupType) -> ToolResult<i64> {
        let last = match kind {
            BackupType::Full => return Ok(i64::MIN),
            BackupType::Incremental => self.last_backup().await?,
        };
        last.ok_or_else(|| {
            refused(
                "no_backup_yet",
                "There is no backup yet. Make a full one first.",
            )
        })
    }

    pub(super) async fn last_backup(&mut self) -> ToolResult<Option<i64>> {
        let row: Option<(i64,)> = self
            .one(
                "SELECT b.updated_at FROM backups b WHERE b.tenant_id = $1
                 ORDER BY b.updated_at DESC LIMIT 1",
                values![],
            )
            .await?;
        Ok(row.map(|(at,)| at))
    }

    /// The rows of this tenant that changed since then, table by table. Hashes of passwords stay
    /// where they are.
    async fn copy(&mut self, since: i64, files: bool) -> ToolResult<Json> {
        let people = self
            .dump(
                "SELECT p.id, p.auth_id, p.email, p.name, p.role, p.status, p.last_login,
                    p.created_at, p.updated_at, p.deleted_at
                 FROM people p WHERE p.tenant_id = $1 AND p.updated_at >= $2 ORDER BY p.id",
                values![since],
            )
            .await?;
        let mut tables = serde_json::Map::from_iter([("people".to_owned(), Json::Array(people))]);
        let wanted = TABLES
            .iter()
            .filter(|(name, _)| files || *name != "exports");
        for (name, sql) in wanted {
            let rows = self.dump(sql, values![since]).await?;
            tables.insert((*name).to_owned(), Json::Array(rows));
        }
        Ok(Json::Object(tables))
    }
}

/// What is copied as it is.
const TABLES: [(&str, &str); 9] = [
    (
        "classes",
        "SELECT * FROM classes c WHERE c.tenant_id = $1 AND c.updated_at >= $2 ORDER BY c.id",
    ),
    (
        "enrollments",
        "SELECT * FROM enrollments e WHERE e.tenant_id = $1 AND e.updated_at >= $2 ORDER BY e.id",
    ),
    (
        "attendance",
        "SELECT * FROM attendance a WHERE a.tenant_id = $1 AND a.updated_at >= $2
         ORDER BY a.class_id, a.session_date, a.student_id",
    ),
    (
        "bookings",
        "SELECT * FROM bookings b WHERE b.tenant_id = $1 AND b.updated_at >= $2 ORDER BY b.id",
    ),
    (
        "invoices",
        "SELECT * FROM invoices i WHERE i.tenant_id = $1 AND i.updated_at >= $2 ORDER BY i.id",
    ),
    (
        "receipts",
        "SELECT * FROM receipts r WHERE r.tenant_id = $1 AND r.updated_at >= $2 ORDER BY r.id",
    ),
    (
        "payments",
        "SELECT * FROM payments y WHERE y.tenant_id = $1 AND y.updated_at >= $2 ORDER BY y.id",
    ),
    (
        "audit",
        "SELECT * FROM audit a WHERE a.tenant_id = $1 AND a.updated_at >= $2 ORDER BY a.id",
    ),
    (
        "exports",
        "SELECT * FROM exports x WHERE x.tenant_id = $1 AND x.updated_at >= $2 ORDER BY x.id",
    ),
];
