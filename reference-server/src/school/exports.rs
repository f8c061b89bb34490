//! Files for people: the rows of a template as Excel or CSV, behind a link that is good for a day.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use mcp_runtime::prelude::*;
use serde_json::json;

use super::School;
use super::books::{Books, actor, refused, values};
use super::offers::STATUS;
use super::sheet;
use super::templates::{self, Filters, MAX_ROWS, Template};

const LINK_LIFE: SignedDuration = SignedDuration::from_hours(24);
/// Exports of one admin in an hour.
const PER_HOUR: i64 = 10;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct TemplateList {
    pub templates: Vec<TemplateInfo>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct TemplateInfo {
    pub template_id: String,
    pub version: u32,
    pub description: String,
    pub columns: Vec<String>,
}

/// What can be exported: templates with their columns. Pass the template_id to
/// generate_excel_export or generate_csv_export.
#[mcp_tool(
    title = "List export templates",
    scope = "school:admin",
    role = "admin",
    read_only
)]
pub async fn list_export_templates(_tenant: &Tenant) -> TemplateList {
    let templates = templates::ALL.iter().map(|template| TemplateInfo {
        template_id: template.id.to_owned(),
        version: template.version,
        description: template.about.to_owned(),
        columns: template
            .columns
            .iter()
            .map(|(title, ..)| (*title).to_owned())
            .collect(),
    });
    TemplateList {
        templates: templates.collect(),
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Exported {
    pub template_id: String,
    pub filename: String,
    /// Without the header.
    pub rows: usize,
    pub size_bytes: usize,
    /// Whoever has it can fetch the file: give it to the person you work for, and to nobody else.
    pub download_url: String,
    /// When the link ends.
    pub expires_at: Timestamp,
}

/// Make an Excel file of a template and get a link to it that is good for 24 hours. A second
/// sheet says which template, version, time and school it is. Ten exports an hour. Look up
/// template_id with list_export_templates.
#[mcp_tool(title = "Export to Excel", scope = "school:admin", role = "admin")]
pub async fn generate_excel_export(
    school: &School,
    tenant: &Tenant,
    caller: &Caller,
    changes: &Changes,
    /// Which template, like `user_roster_v1`.
    #[arg(len = 1..=100)]
    template_id: String,
    /// Which rows; all unless narrowed.
    filters: Option<Filters>,
    /// Name of the file, without its ending.
    #[arg(pattern = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,79}$")]
    filename: Option<String>,
) -> ToolResult<Exported> {
    export(
        school,
        tenant,
        caller,
        changes,
        (&template_id, filename),
        filters,
        Form::Excel,
    )
    .await
}

/// Make a CSV file of a template and get a link to it that is good for 24 hours. Ten exports an
/// hour. Look up template_id with list_export_templates.
#[mcp_tool(title = "Export to CSV", scope = "school:admin", role = "admin")]
pub async fn generate_csv_export(
    school: &School,
    tenant: &Tenant,
    caller: &Caller,
    changes: &Changes,
    /// Which template, like `user_roster_v1`.
    #[arg(len = 1..=100)]
    template_id: String,
    /// Which rows; all unless narrowed.
    filters: Option<Filters>,
    /// Name of the file, without its ending.
    #[arg(pattern = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,79}$")]
    filename: Option<String>,
) -> ToolResult<Exported> {
    export(
        school,
        tenant,
        caller,
        changes,
        (&template_id, filename),
        filters,
        Form::Csv,
    )
    .await
}

#[derive(Clone, Copy)]
enum Form {
    Excel,
    Csv,
}

impl Form {
    fn ending(self) -> &'static str {
        match self {
            Self::Excel => "xlsx",
            Self::Csv => "csv",
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Excel => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

async fn export(
    school: &School,
    tenant: &Tenant,
    caller: &Caller,
    changes: &Changes,
    (template_id, filename): (&str, Option<String>),
    filters: Option<Filters>,
    form: Form,
) -> ToolResult<Exported> {
    let template = template(template_id)?;
    let filters = filters.unwrap_or_default();
    let mut books = school.write(tenant).await?;
    books.not_too_often(caller).await?;
    let rows = books.view(template.id, &filters).await?;
    if rows.len() > MAX_ROWS {
        return Err(refused(
            "too_many_rows",
            format!("More than {MAX_ROWS} rows: narrow them with filters."),
        ));
    }
    let now = books.now;
    let about = [
        ("Template", template.id.to_owned()),
        ("Version", template.version.to_string()),
        ("Generated at", now.to_string()),
        ("Tenant", tenant.to_string()),
        ("Rows", rows.len().to_string()),
    ];
    let content = match form {
        Form::Excel => sheet::excel(template, &rows, &about, now)?,
        Form::Csv => sheet::csv(template, &rows),
    };
    let day = books.today();
    let name = filename.unwrap_or_else(|| format!("{template_id}-{day}"));
    let name = format!("{name}.{}", form.ending());
    let (id, until) = (books.new_id(), now + LINK_LIFE);
    let (millis, end) = (books.millis(), until.as_millisecond());
    books.forget_old_exports().await?;
    books
        .run(
            "INSERT INTO exports (tenant_id, id, template, version, file_name, media_type,
                size_bytes, row_count, content, requested_by, updated_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            values![
                &id,
                template.id,
                template.version,
                &name,
                form.media_type(),
                content.len() as i64,
                rows.len() as i64,
                STANDARD.encode(&content),
                actor(caller),
                millis,
                end
            ],
        )
        .await?;
    let facts = json!({"template": template.id, "rows": rows.len(), "filename": name});
    books
        .note(caller, "export", ("export", &id), &facts)
        .await?;
    // The status says how much room exports take.
    books.close(changes, &[STATUS]).await?;
    Ok(Exported {
        template_id: template.id.to_owned(),
        filename: name,
        rows: rows.len(),
        size_bytes: content.len(),
        download_url: school.open()?.links.link(tenant, &id, end),
        expires_at: until,
    })
}

fn template(id: &str) -> ToolResult<&'static Template> {
    templates::ALL
        .iter()
        .find(|template| template.id == id)
        .ok_or_else(|| {
            let known = templates::ALL.map(|template| template.id);
            refused(
                "template_not_found",
                format!(
                    "There is no such template. There are: {}.",
                    known.join(", ")
                ),
            )
            .data(json!({"templates": known}))
        })
}

impl Books<'_> {
    async fn not_too_often(&mut self, caller: &Caller) -> ToolResult<()> {
        let hour_ago = self.millis() - 3_600_000;
        let made = self
            .number(
                "SELECT COUNT(*) FROM exports x
                 WHERE x.tenant_id = $1 AND x.requested_by = $2 AND x.updated_at > $3",
                values![actor(caller), hour_ago],
            )
            .await?;
        if made < PER_HOUR {
            return Ok(());
        }
        Err(refused(
            "rate_limited",
            format!("{PER_HOUR} exports an hour are the most. Try again later."),
        ))
    }

    /// Files whose links are over go with the next export.
    async fn forget_old_exports(&mut self) -> ToolResult<()> {
        let now = self.millis();
        self.run(
            "DELETE FROM exports WHERE tenant_id = $1 AND expires_at <= $2",
            values![now],
        )
        .await?;
        Ok(())
    }
}
