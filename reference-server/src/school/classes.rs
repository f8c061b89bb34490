//! Classes, who is in them, and when they meet.

use jiff::civil::Date;
use mcp_runtime::prelude::*;
use serde_json::json;
use sqlx::FromRow;

use super::School;
use super::books::{Books, Value, refused, values};
use super::offers::{CLASSES, STATUS};
use super::people::{Role, word};
use super::schedule::conflict;

/// How far a class is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Level {
    Beginner,
    Intermediate,
    Advanced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassStatus {
    Active,
    Completed,
    Cancelled,
}

#[derive(Clone, Debug, FromRow, Serialize)]
pub(super) struct Class {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) level: String,
    pub(super) capacity: i64,
    pub(super) teacher_id: String,
    pub(super) schedule: String,
    pub(super) start_date: String,
    pub(super) end_date: Option<String>,
    pub(super) status: String,
    pub(super) enrolled: i64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ClassCreated {
    pub class_id: String,
    pub name: String,
    pub capacity: i64,
    pub teacher_id: String,
    pub status: String,
}

/// Set up a class with its teacher and its times. The result names the class_id, which
/// create_enrollment takes. A teacher cannot have two classes at the same time.
#[mcp_tool(title = "Create a class", scope = "school:admin", role = "admin")]
#[expect(clippy::too_many_arguments, reason = "the parameters of the contract")]
pub async fn create_class(
    school: &School,
    tenant: &Tenant,
    caller: &Caller,
    changes: &Changes,
    /// Name of the class.
    #[arg(len = 1..=200, pattern = r"\S")]
    name: String,
    /// How far students are.
    level: Level,
    /// How many students it takes.
    #[arg(range = 1..=1000)]
    capacity: u32,
    /// Id of the user who teaches it.
    #[arg(len = 1..=64)]
    teacher_id: String,
    /// When it meets. Written like `Mon, Wed 18:00-19:30`, conflicts are found.
    #[arg(len = 1..=200, pattern = r"\S", example = "Mon, Wed 18:00-19:30")]
    schedule: String,
    /// First day (2026-01-31).
    start_date: Date,
    /// Last day; without it the class goes on.
    end_date: Option<Date>,
) -> ToolResult<ClassCreated> {
    in_order(start_date, end_date)?;
    let mut books = school.write(tenant).await?;
    let class = Class {
        id: books.new_id(),
        name: name.trim().to_owned(),
        level: word(level),
        capacity: capacity.into(),
        teacher_id,
        schedule: schedule.trim().to_owned(),
        start_date: start_date.to_string(),
        end_date: end_date.map(|date| date.to_string()),
        status: "active".to_owned(),
        enrolled: 0,
    };
    books.add_class(&class).await?;
    let facts =
        json!({"name": class.name, "teacher_id": class.teacher_id, "schedule": class.schedule});
    books
        .note(caller, "create_class", ("class", &class.id), &facts)
        .await?;
    books.close(changes, &[CLASSES, STATUS]).await?;
    Ok(class.into())
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ClassModified {
    pub class_id: String,
    pub name: String,
    pub level: String,
    pub capacity: i64,
    pub enrolled: i64,
    pub teacher_id: String,
    pub schedule: String,
    pub start_date: String,
    pub end_date: Option<String>,
    pub status: String,
}

/// Change a class: its times, teacher, size, dates or status. Only what is named changes; the
/// result is the class as it is now. Nobody who is enrolled loses a place by it. Refused when its
/// new times collide with another class of its teacher or of a student.
#[mcp_tool(
    title = "Modify a class",
    scope = "school:admin",
    role = "admin",
    idempotent
)]
#[expect(clippy::too_many_arguments, reason = "the parameters of the contract")]
pub async fn modify_class(
    school: &School,
    tenant: &Tenant,
    caller: &Caller,
    changes: &Changes,
    /// Id of the class, as create_class or the class list names it.
    #[arg(len = 1..=64)]
    class_id: String,
    /// New name.
    #[arg(len = 1..=200, pattern = r"\S")]
    name: Option<String>,
    /// New level.
    level: Option<Level>,
    /// New size; not below the number of students enrolled.
    #[arg(range = 1..=1000)]
    capacity: Option<u32>,
    /// Id of the user who teaches it from now on.
    #[arg(len = 1..=64)]
    teacher_id: Option<String>,
    /// New times, like `Mon, Wed 18:00-19:30`.
    #[arg(len = 1..=200, pattern = r"\S")]
    schedule: Option<String>,
    /// New first day.
    start_date: Option<Date>,
    /// New last day.
    end_date: Option<Date>,
    /// New status.
    status: Option<ClassStatus>,
) -> ToolResult<ClassModified> {
    let mut books = school.write(tenant).await?;
    let before = books.class(&class_id).await?;
    let mut class = before.clone();
    let names_teacher = teacher_id.is_some();
    class.name = name.map_or(class.name, |name| name.trim().to_owned());
    class.level = level.map_or(class.level, word);
    class.capacity = capacity.map_or(class.capacity, i64::from);
    class.teacher_id = teacher_id.unwrap_or(class.teacher_id);
    class.schedule = schedule.map_or(class.schedule, |text| text.trim().to_owned());
    class.start_date = start_date.map_or(class.start_date, |date| date.to_string());
    class.end_date = end_date.map(|date| date.to_string()).or(class.end_date);
    class.status = status.map_or(class.status, word);
    class.can_be()?;
    books.change_class(&before, &class, names_teacher).await?;
    let facts = json!({"before": before, "after": class});
    books
        .note(caller, "modify_class", ("class", &class.id), &facts)
        .await?;
    books.close(changes, &[CLASSES, STATUS]).await?;
    Ok(class.into())
}

impl Class {
    /// All that a row holds, behind the tenant; when it was written comes last.
    fn columns(&self, now: i64) -> [Value; 10] {
        values![
            &self.id,
            &self.name,
            &self.level,
            self.capacity,
            &self.teacher_id,
            &self.schedule,
            &self.start_date,
            self.end_date.clone(),
            &self.status,
            now
        ]
    }

    /// What it depends on whether two classes collide.
    fn when(&self) -> (&str, &str, Option<&str>, &str) {
        let end = self.end_date.as_deref();
        (&self.schedule, &self.start_date, end, &self.status)
    }

    /// Whether its dates are in order and everybody who is enrolled has a place.
    fn can_be(&self) -> ToolResult<()> {
        let end = self.end_date.as_ref();
        if end.is_some_and(|end| *end < self.start_date) {
            return Err(ends_early());
        }
        if self.capacity < self.enrolled {
            let enrolled = self.enrolled;
            return Err(refused(
                "class_full",
                format!("{enrolled} students are enrolled: the capacity cannot be less."),
            ));
        }
        Ok(())
    }
}

impl From<Class> for ClassCreated {
    fn from(class: Class) -> Self {
        Self {
            class_id: class.id,
            name: class.name,
            capacity: class.capacity,
            teacher_id: class.teacher_id,
            status: class.status,
        }
    }
}

impl From<Class> for ClassModified {
    fn from(class: Class) -> Self {
        Self {
            class_id: class.id,
            name: class.name,
            level: class.level,
            capacity: class.capacity,
            enrolled: class.enrolled,
            teacher_id: class.teacher_id,
            schedule: class.schedule,
            start_date: class.start_date,
            end_date: class.end_date,
            status: class.status,
        }
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct EnrollmentCreated {
    pub enrollment_id: String,
    pub student_id: String,
    pub class_id: String,
    pub status: String,
    pub enrollment_date: String,
    /// Places that are left after this one.
    pub seats_left: i64,
}

/// Enrol a student in a class. Refused when the class is full or not active, when the student is
/// in it already, and when the times collide with another class of the student. enroll_student
/// does the same.
#[mcp_tool(title = "Enrol a student", scope = "school:admin", role = "admin")]
#[expect(clippy::too_many_arguments, reason = "the parameters of the contract")]
pub async fn create_enrollment(
    school: &School,
    tenant: &Tenant,
    caller: &Caller,
    changes: &Changes,
    /// Id of the student, as add_user names it. This or student_id.
    #[arg(len = 1..=64)]
    user_id: Option<String>,
    /// The same as user_id.
    #[arg(len = 1..=64)]
    student_id: Option<String>,
    /// Id of the class, as create_class or the class list names it.
    #[arg(len = 1..=64)]
    class_id: String,
    /// The day from which on; today unless said otherwise.
    enrollment_date: Option<Date>,
) -> ToolResult<EnrollmentCreated> {
    let student = match (user_id, student_id) {
        (Some(user), Some(student)) if user != student => {
            return Err(refused(
                "two_students",
                "user_id and student_id name different users: send one of them.",
            ));
        }
        (Some(id), _) | (None, Some(id)) => id,
        (None, None) => return Err(refused("student_missing", "Say whom: send user_id.")),
    };
    enrol(
        school,
        tenant,
        caller,
        changes,
        (&student, &class_id),
        enrollment_date,
    )
    .await
}

/// Enrol a student in a class: create_enrollment under its other name. Refused when the class is
/// full or not active, when the student is in it already, and when the times collide with another
/// class of the student.
#[mcp_tool(title = "Enrol a student", scope = "school:admin", role = "admin")]
pub async fn enroll_student(
    school: &School,
    tenant: &Tenant,
    caller: &Caller,
    changes: &Changes,
    /// Id of the student, as add_user names it.
    #[arg(len = 1..=64)]
    student_id: String,
    /// Id of the class, as create_class or the class list names it.
    #[arg(len = 1..=64)]
    class_id: String,
    /// The day from which on; today unless said otherwise.
    enrollment_date: Option<Date>,
) -> ToolResult<EnrollmentCreated> {
    enrol(
        school,
        tenant,
        caller,
        changes,
        (&student_id, &class_id),
        enrollment_date,
    )
    .await
}

async fn enrol(
    school: &School,
    tenant: &Tenant,
    caller: &Caller,
    changes: &Changes,
    (student_id, class_id): (&str, &str),
    day: Option<Date>,
) -> ToolResult<EnrollmentCreated> {
    let mut books = school.write(tenant).await?;
    let student = books.active(student_id, Role::Student).await?;
    let class = books.class(class_id).await?;
    books.can_join(&student.id, &class).await?;
    let (id, now) = (books.new_id(), books.millis());
    let day = day.unwrap_or(books.today());
    books
        .run(
            "INSERT INTO enrollments (tenant_id, id, student_id, class_id, enrollment_date, status,
                created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, 'active', $6, $6)",
            values![&id, student_id, class_id, day, now],
        )
        .await?;
    let facts = json!({"student_id": student_id, "class_id": class_id});
    books
        .note(caller, "create_enrollment", ("enrollment", &id), &facts)
        .await?;
    books.close(changes, &[CLASSES]).await?;
    Ok(EnrollmentCreated {
        enrollment_id: id,
        student_id: student_id.to_owned(),
        class_id: class_id.to_owned(),
        status: "active".to_owned(),
        enrollment_date: day.to_string(),
        seats_left: class.capacity - class.enrolled - 1,
    })
}

impl Books<'_> {
    pub(super) async fn class(&mut self, id: &str) -> ToolResult<Class> {
        let found = self
            .one(
                "SELECT c.id, c.name, c.level, c.capacity, c.teacher_id, c.schedule, c.start_date,
                    c.end_date, c.status,
                    (SELECT COUNT(*) FROM enrollments e WHERE e.tenant_id = $1
                        AND e.class_id = c.id AND e.status = 'active') AS enrolled
                 FROM classes c WHERE c.tenant_id = $1 AND c.id = $2",
                values![id],
            )
            .await?;
        found.ok_or_else(|| {
            refused(
                "class_not_found",
                "There is no class with this id. Look at admin://class_list.",
            )
        })
    }

    async fn add_class(&mut self, class: &Class) -> ToolResult<()> {
        self.can_teach(class).await?;
        let now = self.millis();
        self.run(
            "INSERT INTO classes (tenant_id, id, name, level, capacity, teacher_id, schedule,
                start_date, end_date, status, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)",
            class.columns(now),
        )
        .await?;
        Ok(())
    }

    /// Whether a class can become this: whoever is named as its teacher is one, and while it is
    /// active, nobody in it has to be elsewhere.
    async fn can_become(
        &mut self,
        before: &Class,
        class: &Class,
        names_teacher: bool,
    ) -> ToolResult<()> {
        if class.status == "active" {
            self.can_teach(class).await?;
            if class.when() != before.when() {
                self.students_can_come(class).await?;
            }
        } else if names_teacher {
            self.active(&class.teacher_id, Role::Teacher).await?;
        }
        Ok(())
    }

    async fn change_class(
        &mut self,
        before: &Class,
        class: &Class,
        names_teacher: bool,
    ) -> ToolResult<()> {
        self.can_become(before, class, names_teacher).await?;
        let now = self.millis();
        self.run(
            "UPDATE classes SET name = $3, level = $4, capacity = $5, teacher_id = $6,
                schedule = $7, start_date = $8, end_date = $9, status = $10, updated_at = $11
             WHERE tenant_id = $1 AND id = $2",
            class.columns(now),
        )
        .await?;
        Ok(())
    }

    /// Whether the teacher is one, and free when the class meets.
    async fn can_teach(&mut self, class: &Class) -> ToolResult<()> {
        self.active(&class.teacher_id, Role::Teacher).await?;
        let others: Vec<Class> = self
            .all(
                "SELECT c.id, c.name, c.level, c.capacity, c.teacher_id, c.schedule, c.start_date,
                    c.end_date, c.status, 0 AS enrolled
                 FROM classes c WHERE c.tenant_id = $1 AND c.teacher_id = $2 AND c.id <> $3
                    AND c.status = 'active'",
                values![&class.teacher_id, &class.id],
            )
            .await?;
        match others.iter().find(|other| meet(other, class)) {
            Some(other) => Err(collides("The teacher", other)),
            None => Ok(()),
        }
    }

    /// Whether all who are enrolled are free when the class meets.
    async fn students_can_come(&mut self, class: &Class) -> ToolResult<()> {
        let others: Vec<Class> = self
            .all(
                "SELECT DISTINCT c.id, c.name, c.level, c.capacity, c.teacher_id, c.schedule,
                    c.start_date, c.end_date, c.status, 0 AS enrolled
                 FROM enrollments e
                    JOIN enrollments o ON o.tenant_id = $1 AND o.student_id = e.student_id
                    JOIN classes c ON c.tenant_id = $1 AND c.id = o.class_id
                 WHERE e.tenant_id = $1 AND e.class_id = $2 AND e.status = 'active'
                    AND o.class_id <> $2 AND o.status = 'active' AND c.status = 'active'
                 ORDER BY c.id",
                values![&class.id],
            )
            .await?;
        match others.iter().find(|other| meet(other, class)) {
            Some(other) => Err(collides("A student of the class", other)),
            None => Ok(()),
        }
    }

    async fn can_join(&mut self, student_id: &str, class: &Class) -> ToolResult<()> {
        if class.status != "active" {
            return Err(refused(
                "class_not_active",
                format!("The class is {}: choose another.", class.status),
            ));
        }
        let others: Vec<Class> = self
            .all(
                "SELECT c.id, c.name, c.level, c.capacity, c.teacher_id, c.schedule, c.start_date,
                    c.end_date, c.status, 0 AS enrolled
                 FROM enrollments e
                    JOIN classes c ON c.tenant_id = $1 AND c.id = e.class_id
                 WHERE e.tenant_id = $1 AND e.student_id = $2 AND e.status = 'active'",
                values![student_id],
            )
            .await?;
        if others.iter().any(|other| other.id == class.id) {
            return Err(refused(
                "already_enrolled",
                "The student is enrolled in this class already. Nothing is left to do.",
            ));
        }
        if class.enrolled >= class.capacity {
            let (enrolled, capacity) = (class.enrolled, class.capacity);
            return Err(refused(
                "class_full",
                format!(
                    "The class is at capacity ({enrolled}/{capacity}). Choose another, or raise \
                     its capacity with modify_class."
                ),
            ));
        }
        match others
            .iter()
            .find(|other| other.status == "active" && meet(other, class))
        {
            Some(other) => Err(collides("The student", other)),
            None => Ok(()),
        }
    }
}

/// Whether two classes take place on the same days at the same time.
fn meet(one: &Class, two: &Class) -> bool {
    let before = |end: &Option<String>, start: &str| end.as_deref().is_some_and(|end| end < start);
    !before(&one.end_date, &two.start_date)
        && !before(&two.end_date, &one.start_date)
        && conflict(&one.schedule, &two.schedule)
}

fn collides(who: &str, other: &Class) -> ToolError {
    let (name, schedule) = (&other.name, &other.schedule);
    refused(
        "schedule_conflict",
        format!("{who} is in the class {name} at that time ({schedule}). Choose other times."),
    )
    .data(json!({"class_id": other.id}))
}

fn in_order(start: Date, end: Option<Date>) -> ToolResult<()> {
    match end {
        Some(end) if end < start => Err(ends_early()),
        _ => Ok(()),
    }
}

fn ends_early() -> ToolError {
    refused(
        "ends_before_start",
        "The class ends before it begins: mend the dates.",
    )
}
