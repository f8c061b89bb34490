//! What can be exported: each template is a view with typed columns, and a version.

use mcp_runtime::ToolResult;
use mcp_runtime::prelude::*;
use serde_json::Value as Json;

use super::books::{Books, values};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// Minor units, shown with two decimals.
    Money,
    /// Milliseconds since 1970.
    Instant,
}

/// A view that can be exported.
pub(super) struct Template {
    pub(super) id: &'static str,
    pub(super) version: u32,
    pub(super) about: &'static str,
    /// Heading, and its name in the rows.
    pub(super) columns: &'static [(&'static str, &'static str, Kind)],
}

use Kind::{Instant, Money, Text};

pub(super) const ALL: [Template; 4] = [
    Template {
        id: "user_roster_v1",
        version: 1,
        about: "Everybody who is not deleted.",
        columns: &[
            ("ID", "id", Text),
            ("Email", "email", Text),
            ("Name", "name", Text),
            ("Role", "role", Text),
            ("Status", "status", Text),
            ("Created", "created_at", Instant),
            ("Last login", "last_login", Instant),
        ],
    },
    Template {
        id: "class_enrollment_v1",
        version: 1,
        about: "Who is in which class.",
        columns: &[
            ("Class", "class", Text),
            ("Student", "student", Text),
            ("Email", "email", Text),
            ("Enrolment date", "day", Text),
            ("Status", "status", Text),
        ],
    },
    Template {
        id: "attendance_report_v1",
        version: 1,
        about: "Who was there, and who was not.",
        columns: &[
            ("Class", "class", Text),
            ("Date", "day", Text),
            ("Student", "student", Text),
            ("Status", "status", Text),
            ("Notes", "notes", Text),
        ],
    },
    Template {
        id: "payment_ledger_v1",
        version: 1,
        about: "Every payment that was recorded.",
        columns: &[
            ("Date", "day", Text),
            ("Student", "student", Text),
            ("Amount", "amount", Money),
            ("Method", "method", Text),
            ("Status", "status", Text),
            ("Invoice no.", "invoice", Text),
        ],
    },
];

/// The most rows of an export.
pub(super) const MAX_ROWS: usize = 10_000;

/// Which rows an export holds; what is absent does not narrow it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Filters {
    /// Of a user, an enrolment, an attendance or an invoice, like `active` or `absent`.
    pub status: Option<String>,
    /// Of users only: `admin`, `teacher` or `student`.
    pub role: Option<String>,
    /// Of enrolments and attendance only.
    pub class_id: Option<String>,
    /// First day of enrolments, attendance and payments.
    pub start_date: Option<jiff::civil::Date>,
    /// Last day, included.
    pub end_date: Option<jiff::civil::Date>,
}

impl Books<'_> {
    /// The rows of a template, one more than an export may have if there are too many.
    pub(super) async fn view(&mut self, id: &str, filters: &Filters) -> ToolResult<Vec<Json>> {
        let day = |day: Option<jiff::civil::Date>| day.map(|day| day.to_string());
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (from, to) = (
            day(filters.start_date).unwrap_or_default(),
            day(filters.end_date).unwrap_or_else(|| "9999-12-31".to_owned()),
        );
        let (status, class) = (text(&filters.status), text(&filters.class_id));
        match id {
            "user_roster_v1" => {
                self.dump(
                    "SELECT p.id, p.email, p.name, p.role, p.status, p.created_at, p.last_login
                     FROM people p
                     WHERE p.tenant_id = $1 AND p.deleted_at IS NULL
                        AND ($2 = '' OR p.status = $2) AND ($3 = '' OR p.role = $3)
                     ORDER BY p.name_folded, p.id LIMIT 10001",
                    values![status, text(&filters.role)],
                )
                .await
            }
            "class_enrollment_v1" => {
                self.dump(
                    "SELECT c.name AS class, p.name AS student, p.email, e.enrollment_date AS day,
                        e.status
                     FROM enrollments e
                        JOIN classes c ON c.tenant_id = $1 AND c.id = e.class_id
                        JOIN people p ON p.tenant_id = $1 AND p.id = e.student_id
                     WHERE e.tenant_id = $1 AND ($2 = '' OR e.status = $2)
                        AND ($3 = '' OR e.class_id = $3)
                        AND e.enrollment_date >= $4 AND e.enrollment_date <= $5
                     ORDER BY c.name, p.name_folded, e.id LIMIT 10001",
                    values![status, class, from, to],
                )
                .await
            }
            "attendance_report_v1" => {
                self.dump(
                    "SELECT c.name AS class, a.session_date AS day, p.name AS student, a.status,
                        a.notes
                     FROM attendance a
                        JOIN classes c ON c.tenant_id = $1 AND c.id = a.class_id
                        JOIN people p ON p.tenant_id = $1 AND p.id = a.student_id
                     WHERE a.tenant_id = $1 AND ($2 = '' OR a.status = $2)
                        AND ($3 = '' OR a.class_id = $3)
                        AND a.session_date >= $4 AND a.session_date <= $5
                     ORDER BY c.name, a.session_date, p.name_folded, a.class_id, p.id LIMIT 10001",
                    values![status, class, from, to],
                )
                .await
            }
            _ => {
                self.dump(
                    "SELECT y.payment_date AS day, p.name AS student, y.amount, y.method, i.status,
                        i.number AS invoice
                     FROM payments y
                        JOIN invoices i ON i.tenant_id = $1 AND i.id = y.invoice_id
                        JOIN people p ON p.tenant_id = $1 AND p.id = y.student_id
                     WHERE y.tenant_id = $1 AND ($2 = '' OR i.status = $2)
                        AND y.payment_date >= $3 AND y.payment_date <= $4
                     ORDER BY y.payment_date, y.id LIMIT 10001",
                    values![status, from, to],
                )
                .await
            }
        }
    }
}
