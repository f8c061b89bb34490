//! One student, with all that is open.

use mcp_runtime::prelude::*;
use sqlx::FromRow;

use super::School;
use super::books::{Books, refused, values};
use super::people::{Person, folded};

/// The student; or, when several have the name, who they are.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct StudentInfo {
    /// True when several students fit: ask again with the student_id of one of the matches.
    pub ambiguous: bool,
    /// Up to ten who fit, when it is ambiguous.
    pub matches: Vec<Match>,
    #[serde(flatten)]
    pub student: Option<Student>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Match {
    pub student_id: String,
    pub name: String,
    pub email: String,
    pub status: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Student {
    pub student_id: String,
    pub name: String,
    pub email: String,
    pub status: String,
    /// What is left to pay, in minor units (cents).
    pub amount_due: i64,
    pub currency: String,
    /// Due first comes first.
    pub open_invoices: Vec<OpenInvoice>,
    pub enrollments: Vec<Place>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct OpenInvoice {
    pub invoice_id: String,
    pub number: String,
    /// In minor units.
    pub amount: i64,
    /// In minor units.
    pub paid: i64,
    pub due_date: String,
    /// `pending` or `overdue`.
    pub status: String,
}

#[derive(Debug, FromRow, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    pub class_id: String,
    pub class_name: String,
    pub status: String,
}

/// One student by name or id: contact, what they have to pay in minor units (cents) with the open
/// invoices, and their classes. A name may be a part of it; when several students fit, they are
/// listed instead. The first step of taking a payment: then process_payment and record_payment.
#[mcp_tool(
    title = "Student information",
    scope = "school:admin",
    role = "admin",
    read_only
)]
pub async fn get_student_info(
    school: &School,
    tenant: &Tenant,
    /// The name, or a part of it. This or student_id.
    #[arg(len = 1..=200, pattern = r"\S")]
    name: Option<String>,
    /// Id of the student.
    #[arg(len = 1..=64)]
    student_id: Option<String>,
) -> ToolResult<StudentInfo> {
    let mut books = school.read(tenant).await?;
    let mut found = match (&student_id, &name) {
        (Some(id), _) => books.student_by_id(id).await?,
        (None, Some(name)) => books.students_named(name).await?,
        (None, None) => {
            return Err(refused(
                "student_missing",
                "Say whom: send name or student_id.",
            ));
        }
    };
    let Some(only) = found.pop() else {
        return Err(refused(
            "student_not_found",
            "There is no such student. Try a part of the name, or look at admin://user_roster.",
        ));
    };
    if found.is_empty() {
        return Ok(StudentInfo {
            student: Some(books.all_about(only).await?),
            ..StudentInfo::default()
        });
    }
    found.push(only);
    Ok(StudentInfo {
        ambiguous: true,
        matches: found.into_iter().take(10).map(Match::from).collect(),
        student: None,
    })
}

impl Books<'_> {
    async fn student_by_id(&mut self, id: &str) -> ToolResult<Vec<Person>> {
        self.all(
            "SELECT p.id, p.auth_id, p.email, p.name, p.role, p.status FROM people p
             WHERE p.tenant_id = $1 AND p.id = $2 AND p.role = 'student'
                AND p.deleted_at IS NULL",
            values![id],
        )
        .await
    }

    /// Who has this name; if nobody, who has a name with this in it.
    async fn students_named(&mut self, name: &str) -> ToolResult<Vec<Person>> {
        let name = folded(name);
        let exactly: Vec<Person> = self
            .all(
                "SELECT p.id, p.auth_id, p.email, p.name, p.role, p.status FROM people p
                 WHERE p.tenant_id = $1 AND p.name_folded = $2 AND p.role = 'student'
                    AND p.deleted_at IS NULL
                 ORDER BY p.id LIMIT 11",
                values![&name],
            )
            .await?;
        if !exactly.is_empty() {
            return Ok(exactly);
        }
        let escaped = name
            .replace('\\', "\\\\")
            .replace('%', "\\%")
            .replace('_', "\\_");
        self.all(
            "SELECT p.id, p.auth_id, p.email, p.name, p.role, p.status FROM people p
             WHERE p.tenant_id = $1 AND p.name_folded LIKE $2 ESCAPE '\\' AND p.role = 'student'
                AND p.deleted_at IS NULL
             ORDER BY p.name_folded, p.id LIMIT 11",
            values![format!("%{escaped}%")],
        )
        .await
    }

    async fn all_about(&mut self, person: Person) -> ToolResult<Student> {
        let open = self.open_invoices(&person.id).await?;
        let enrollments = self
            .all(
                "SELECT e.class_id, c.name AS class_name, e.status
                 FROM enrollments e
                    JOIN classes c ON c.tenant_id = $1 AND c.id = e.class_id
                 WHERE e.tenant_id = $1 AND e.student_id = $2
                 ORDER BY e.enrollment_date, e.id LIMIT 100",
                values![&person.id],
            )
            .await?;
        let currency = self.currency().await?;
        Ok(Student {
            student_id: person.id,
            name: person.name,
            email: person.email,
            status: person.status,
            amount_due: open
                .iter()
                .map(|invoice| invoice.amount - invoice.paid)
                .sum(),
            currency,
            open_invoices: open
                .into_iter()
                .map(|invoice| OpenInvoice {
                    invoice_id: invoice.id,
                    number: invoice.number,
                    amount: invoice.amount,
                    paid: invoice.paid,
                    due_date: invoice.due_date,
                    status: invoice.status,
                })
                .collect(),
            enrollments,
        })
    }
}

impl From<Person> for Match {
    fn from(person: Person) -> Self {
        Self {
            student_id: person.id,
            name: person.name,
            email: person.email,
            status: person.status,
        }
    }
}
