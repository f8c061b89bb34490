//! Reports: figures as a text that can be shown as it is.

use std::fmt::Write;

use jiff::Timestamp;
use mcp_runtime::prelude::*;

use super::School;
use super::books::Books;
use super::figures::{DateRange, Tally};
use super::offers::ClassEntry;
use super::sheet::money;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportType {
    UserSummary,
    ClassSummary,
    AttendanceSummary,
    PaymentSummary,
}

/// What narrows a report.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReportFilters {
    /// Of a class summary only: `active`, `completed` or `cancelled`.
    pub status: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    pub report_type: ReportType,
    pub generated_at: Timestamp,
    /// Markdown.
    pub text: String,
}

/// A report with figures about users, classes, attendance or payments, as Markdown that can be
/// shown as it is. Dates narrow attendance and payments; without them all time is covered. For
/// rows instead of figures make an export.
#[mcp_tool(
    title = "Generate a report",
    scope = "school:admin",
    role = "admin",
    read_only
)]
pub async fn generate_report(
    school: &School,
    tenant: &Tenant,
    /// What it is about.
    report_type: ReportType,
    /// Which days, both included.
    date_range: Option<DateRange>,
    /// What narrows it.
    filters: Option<ReportFilters>,
) -> ToolResult<Report> {
    let range = date_range.unwrap_or_default();
    range.in_order()?;
    let filters = filters.unwrap_or_default();
    let mut books = school.read(tenant).await?;
    let text = match report_type {
        ReportType::UserSummary => books.on_users().await?,
        ReportType::ClassSummary => books.on_classes(filters.status.as_deref()).await?,
        ReportType::AttendanceSummary => books.on_attendance(range).await?,
        ReportType::PaymentSummary => books.on_payments(range).await?,
    };
    Ok(Report {
        report_type,
        generated_at: books.now,
        text,
    })
}

impl Books<'_> {
    async fn on_users(&mut self) -> ToolResult<String> {
        let (roles, states) = (self.people_by_role().await?, self.people_by_status().await?);
        let total: i64 = roles.iter().map(|tally| tally.number).sum();
        let mut text = format!("# Users\n\n{total} users\n\n| role | users |\n|---|---|\n");
        rows(&mut text, &roles);
        text.push_str("\n| status | users |\n|---|---|\n");
        rows(&mut text, &states);
        Ok(text)
    }

    async fn on_classes(&mut self, status: Option<&str>) -> ToolResult<String> {
        let (classes, total) = self.class_entries(status.unwrap_or_default()).await?;
        let mut text = format!(
            "# Classes\n\n{total} classes\n\n| class | level | teacher | enrolled | times | status |\n\
             |---|---|---|---|---|---|\n"
        );
        for class in classes {
            let ClassEntry {
                name,
                level,
                teacher_name,
                enrolled,
                capacity,
                schedule,
                status,
                ..
            } = class;
            let _ = writeln!(
                text,
                "| {} | {level} | {} | {enrolled}/{capacity} | {} | {status} |",
                cell(&name),
                cell(&teacher_name),
                cell(&schedule)
            );
        }
        Ok(text)
    }

    async fn on_attendance(&mut self, range: DateRange) -> ToolResult<String> {
        let overview = self.attendance_overview(range).await?;
        let share = |rate: f64| format!("{:.1} %", rate * 100.0);
        let average = overview
            .average_attendance_rate
            .map_or("none yet".to_owned(), share);
        let mut text = format!(
            "# Attendance, {}\n\n{} sessions, average {average}\n",
            overview.period, overview.total_sessions
        );
        if !overview.classes_with_low_attendance.is_empty() {
            text.push_str("\n| class below 75 % | attendance |\n|---|---|\n");
        }
        for class in overview.classes_with_low_attendance {
            let rate = share(class.attendance_rate);
            let _ = writeln!(text, "| {} | {rate} |", cell(&class.class_name));
        }
        Ok(text)
    }

    async fn on_payments(&mut self, range: DateRange) -> ToolResult<String> {
        let summary = self.payment_summary(range).await?;
        let currency = &summary.currency;
        let mut text = format!(
            "# Payments, {}\n\n{} payments, {} {currency}\n\nStill open: {} {currency}, {} invoices \
             overdue\n\n| method | {currency} |\n|---|---|\n",
            summary.period,
            summary.paid,
            money(summary.total_revenue),
            money(summary.outstanding),
            summary.overdue_count,
        );
        for (method, amount) in &summary.payment_methods {
            let _ = writeln!(text, "| {method} | {} |", money(*amount));
        }
        Ok(text)
    }
}

fn rows(text: &mut String, tallies: &[Tally]) {
    for tally in tallies {
        let _ = writeln!(text, "| {} | {} |", tally.word, tally.number);
    }
}

/// A text that stays within its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\r', '\n'], " ")
}
