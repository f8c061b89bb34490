//! Two made-up schools, the same ones for the same clock, for the tenants of the demo identities:
//! teachers, students, classes with places taken, four weeks of attendance, invoices and payments.

use jiff::ToSpan;
use jiff::civil::Date;
use mcp_runtime::{Tenant, ToolResult};

use super::School;
use super::books::{Books, values};
use super::people::folded;

/// A tenant, its name, and who its first admin is to the identity provider.
const SCHOOLS: [(&str, &str, &str); 2] = [
    ("org_a", "Northside Language School", "admin"),
    ("org_b", "Southside Music School", "bob"),
];

const FIRST: [&str; 12] = [
    "Ada", "Ben", "Chloe", "Dario", "Elif", "Finn", "Greta", "Hugo", "Iris", "Jonas", "Kira",
    "Liam",
];
const LAST: [&str; 2] = ["Abbott", "Baumann"];

/// Name, level, capacity, teacher and times.
const CLASSES: [(&str, &str, u32, u32, &str); 4] = [
    (
        "Evening Beginners",
        "Beginner",
        12,
        1,
        "Mon, Wed 18:00-19:30",
    ),
    (
        "Morning Conversation",
        "Intermediate",
        10,
        2,
        "Tue, Thu 09:00-10:30",
    ),
    ("Exam Preparation", "Advanced", 8, 3, "Fri 16:00-18:00"),
    ("Weekend Intensive", "Intermediate", 2, 1, "Sat 10:00-13:00"),
];

/// Writes the schools that are not there.
pub(super) async fn fill_if_empty(school: &School) -> ToolResult<()> {
    for (tenant, name, admin) in SCHOOLS {
        let tenant = Tenant::new(tenant)?;
        let mut books = school.write(&tenant).await?;
        let people = books
            .number(
                "SELECT COUNT(*) FROM people p WHERE p.tenant_id = $1",
                values![],
            )
            .await?;
        if people == 0 {
            books.open_school(name, admin).await?;
        }
        books.keep().await?;
    }
    Ok(())
}

impl Books<'_> {
    async fn open_school(&mut self, name: &str, admin: &str) -> ToolResult<()> {
        self.run(
            "UPDATE tenants SET name = $2 WHERE tenant_id = $1",
            values![name],
        )
        .await?;
        self.somebody("admin-1", Some(admin), "Olivia Office", "admin")
            .await?;
        self.somebody("admin-2", None, "Peter Principal", "admin")
            .await?;
        for (number, name) in (1..).zip(["Tara Teacher", "Tom Tutor", "Uma Usher"]) {
            self.somebody(&format!("teacher-{number}"), None, name, "teacher")
                .await?;
        }
        for number in 0..24 {
            let name = format!("{} {}", FIRST[number % 12], LAST[number / 12]);
            let id = format!("student-{:02}", number + 1);
            self.somebody(&id, None, &name, "student").await?;
        }
        let start = self.today().checked_sub(60.days())?;
        for (number, class) in (1..).zip(CLASSES) {
            self.class_with_students(number, class, start).await?;
        }
        self.bill_everybody().await
    }

    /// Ids are the tenant's own: one of another school is not even a coincidence.
    fn demo_id(&self, what: &str) -> String {
        format!("{}-{what}", self.tenant())
    }

    async fn somebody(
        &mut self,
        id: &str,
        auth: Option<&str>,
        name: &str,
        role: &str,
    ) -> ToolResult<()> {
        let email = format!(
            "{}@{}.example.com",
            folded(name).replace(' ', "."),
            self.tenant()
        );
        let email = email.replace('_', "-");
        let (id, now) = (self.demo_id(id), self.millis());
        self.run(
            "INSERT INTO people (tenant_id, id, auth_id, email, name, name_folded, role, status,
                created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 'active', $8, $8)",
            values![id, auth, email, name, folded(name), role, now],
        )
        .await?;
        Ok(())
    }

    async fn class_with_students(
        &mut self,
        number: u32,
        (name, level, capacity, teacher, schedule): (&str, &str, u32, u32, &str),
        start: Date,
    ) -> ToolResult<()> {
        let class = self.demo_id(&format!("class-{number}"));
        let teacher = self.demo_id(&format!("teacher-{teacher}"));
        let now = self.millis();
        self.run(
            "INSERT INTO classes (tenant_id, id, name, level, capacity, teacher_id, schedule,
                start_date, status, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'active', $9, $9)",
            values![&class, name, level, capacity, teacher, schedule, start, now],
        )
        .await?;
        // The last class is full, the others are half full.
        let places = if capacity == 2 { 2 } else { capacity / 2 };
        for place in 0..places {
            let student = self.demo_id(&format!("student-{:02}", (number - 1) * 6 + place + 1));
            let id = format!("{class}-place-{place}");
            self.run(
                "INSERT INTO enrollments (tenant_id, id, student_id, class_id, enrollment_date,
                    status, created_at, updated_at)
                 VALUES ($1, $2, $3, $4, $5, 'active', $6, $6)",
                values![id, &student, &class, start, now],
            )
            .await?;
            for week in 1..=4_u32 {
                let day = self.today().checked_sub((7 * i64::from(week)).days())?;
                // The third class is one to look at.
                let missed = (place + week) % 5 == 0 || number == 3 && week % 2 == 0;
                let status = if missed { "absent" } else { "present" };
                self.run(
                    "INSERT INTO attendance (tenant_id, class_id, session_date, student_id, status,
                        recorded_by, updated_at)
                     VALUES ($1, $2, $3, $4, $5, 'demo', $6)",
                    values![&class, day, &student, status, now],
                )
                .await?;
            }
        }
        Ok(())
    }

    /// One invoice each: every third is paid, every fourth was due a week ago.
    async fn bill_everybody(&mut self) -> ToolResult<()> {
        let (now, today) = (self.millis(), self.today());
        let currency = self.currency().await?;
        for number in 1..=24_u32 {
            let student = self.demo_id(&format!("student-{number:02}"));
            let invoice = self.demo_id(&format!("invoice-{number:02}"));
            let amount = 10_000 + i64::from(number) * 500;
            let paid = if number.is_multiple_of(3) { amount } else { 0 };
            let due = if number.is_multiple_of(4) {
                today.checked_sub(7.days())?
            } else {
                today.checked_add(14.days())?
            };
            let status = if paid > 0 { "paid" } else { "pending" };
            self.run(
                "INSERT INTO invoices (tenant_id, id, number, student_id, amount, paid, currency,
                    description, line_items, issue_date, due_date, status, created_at, updated_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, 'Fees of the term', '[]', $8, $9, $10, $11,
                    $11)",
                values![
                    &invoice,
                    format!("INV-{}-{number:05}", today.year()),
                    &student,
                    amount,
                    paid,
                    &currency,
                    today,
                    due,
                    status,
                    now
                ],
            )
            .await?;
            if paid > 0 {
                self.run(
                    "INSERT INTO payments (tenant_id, id, invoice_id, student_id, amount, currency,
                        method, payment_date, recorded_by, updated_at)
                     VALUES ($1, $2, $3, $4, $5, $6, 'cash', $7, 'demo', $8)",
                    values![
                        self.demo_id(&format!("payment-{number:02}")),
                        &invoice,
                        &student,
                        paid,
                        &currency,
                        today,
                        now
                    ],
                )
                .await?;
            }
        }
        Ok(())
    }
}
