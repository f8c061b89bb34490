//! Who was there, and who comes for a lesson alone.

use std::collections::BTreeSet;

use jiff::civil::Date;
use mcp_runtime::prelude::*;
use serde_json::{Value, json};

use super::School;
use super::books::{Books, actor, refused, values};
use super::classes::Class;
use super::offers::ATTENDANCE;
use super::people::{Role, is_self, word};
use super::schedule::minutes;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    Present,
    Absent,
    Late,
    Excused,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Id of the student.
    #[schemars(length(min = 1, max = 64))]
    pub student_id: String,
    /// How it was.
    pub status: Presence,
    /// Anything worth remembering.
    #[schemars(length(max = 500))]
    pub notes: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct AttendanceRecorded {
    pub class_id: String,
    pub session_date: String,
    /// How many students were written down.
    pub recorded: usize,
    /// How many of them were there, if late.
    pub present: usize,
}

/// Write down who was in a session of a class. All of the list is taken or nothing; recording the
/// same session again replaces what was said of these students. For admins, and for the teacher
/// of the class.
#[mcp_tool(
    title = "Record attendance",
    scope = "school:attendance",
    roles("admin", "teacher"),
    idempotent
)]
pub async fn record_attendance(
    school: &School,
    tenant: &Tenant,
    caller: &Caller,
    changes: &Changes,
    /// Id of the class.
    #[arg(len = 1..=64)]
    class_id: String,
    /// The day of the session (2026-01-31); not in the future.
    session_date: Date,
    /// The students, each once.
    #[arg(len = 1..=1000)]
    attendance_records: Vec<Entry>,
) -> ToolResult<AttendanceRecorded> {
    let mut books = school.write(tenant).await?;
    let class = books.class(&class_id).await?;
    books.is_theirs(caller, &class).await?;
    books.has_met(&class, session_date)?;
    let day = session_date.to_string();
    let mut seen = BTreeSet::new();
    for entry in &attendance_records {
        if !seen.insert(&entry.student_id) {
            return Err(
                refused("student_twice", "A student stands in the list twice.")
                    .data(json!({"student_id": entry.student_id})),
            );
        }
        books.take_down(caller, (&class_id, &day), entry).await?;
    }
    let recorded = attendance_records.len();
    let facts = json!({"session_date": day, "recorded": recorded});
    books
        .note(caller, "record_attendance", ("class", &class_id), &facts)
        .await?;
    books.close(changes, &[ATTENDANCE]).await?;
    let there = |entry: &&Entry| matches!(entry.status, Presence::Present | Presence::Late);
    Ok(AttendanceRecorded {
        class_id,
        session_date: day,
        recorded,
        present: attendance_records.iter().filter(there).count(),
    })
}

impl Books<'_> {
    /// Whether the caller is an admin, or teaches the class and is not suspended.
    async fn is_theirs(&mut self, caller: &Caller, class: &Class) -> ToolResult<()> {
        if caller.has_role("admin") {
            return Ok(());
        }
        let teacher = self.person(&class.teacher_id).await?;
        if !is_self(&teacher, caller) {
            return Err(refused(
                "not_your_class",
                "Only the teacher of the class may do that.",
            ));
        }
        self.active(&teacher.id, Role::Teacher).await?;
        Ok(())
    }

    fn has_met(&self, class: &Class, on: Date) -> ToolResult<()> {
        let day = on.to_string();
        let over = class.end_date.as_ref().is_some_and(|end| *end < day);
        if on > self.today() || day < class.start_date || over {
            return Err(refused(
                "no_session_then",
                "The class does not meet on that day, or not yet. Mend the date.",
            ));
        }
        Ok(())
    }

    async fn take_down(
        &mut self,
        caller: &Caller,
        (class_id, day): (&str, &str),
        entry: &Entry,
    ) -> ToolResult<()> {
        let enrolled = self
            .number(
                "SELECT COUNT(*) FROM enrollments e
                 WHERE e.tenant_id = $1 AND e.class_id = $2 AND e.student_id = $3
                    AND e.status <> 'dropped'",
                values![class_id, &entry.student_id],
            )
            .await?;
        if enrolled == 0 {
            return Err(refused(
                "not_enrolled",
                "A student of the list is not in this class. Nothing was written down.",
            )
            .data(json!({"student_id": entry.student_id})));
        }
        let now = self.millis();
        self.run(
            "INSERT INTO attendance (tenant_id, class_id, session_date, student_id, status, notes,
                recorded_by, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (tenant_id, class_id, session_date, student_id) DO UPDATE
             SET status = excluded.status, notes = excluded.notes,
                recorded_by = excluded.recorded_by, updated_at = excluded.updated_at",
            values![
                class_id,
                day,
                &entry.student_id,
                word(entry.status),
                entry.notes.clone(),
                actor(caller),
                now
            ],
        )
        .await?;
        Ok(())
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct BookingCreated {
    pub booking_id: String,
    pub student_id: String,
    pub teacher_id: String,
    pub date: String,
    pub start_time: String,
    pub duration_minutes: u32,
    pub status: String,
}

/// Book a lesson of one student with one teacher. Refused when either of them has another lesson
/// booked at that time.
#[mcp_tool(title = "Book a lesson", scope = "school:admin", role = "admin")]
#[expect(clippy::too_many_arguments, reason = "the parameters of the contract")]
pub async fn create_booking(
    school: &School,
    tenant: &Tenant,
    caller: &Caller,
    /// Id of the student.
    #[arg(len = 1..=64)]
    student_id: String,
    /// Id of the teacher.
    #[arg(len = 1..=64)]
    teacher_id: String,
    /// The day (2026-01-31); not in the past.
    date: Date,
    /// When it begins, like `18:00`.
    #[arg(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    start_time: String,
    /// How long it takes; it ends on the same day.
    #[arg(range = 5..=480)]
    duration_minutes: u32,
    /// What it is about.
    #[arg(len = ..=200)]
    subject: Option<String>,
    /// Anything worth remembering.
    #[arg(len = ..=1000)]
    notes: Option<String>,
) -> ToolResult<BookingCreated> {
    let mut books = school.write(tenant).await?;
    let lesson = Lesson {
        student_id,
        teacher_id,
        date,
        start: minutes(&start_time).tell("Write start_time like 18:00.")?,
        duration_minutes,
    };
    books.can_take_place(&lesson).await?;
    let id = books.add_lesson(&lesson, subject, notes).await?;
    books
        .note(caller, "create_booking", ("booking", &id), &lesson.facts())
        .await?;
    books.keep().await?;
    Ok(BookingCreated {
        booking_id: id,
        student_id: lesson.student_id,
        teacher_id: lesson.teacher_id,
        date: date.to_string(),
        start_time,
        duration_minutes,
        status: "booked".to_owned(),
    })
}

/// Who meets when.
struct Lesson {
    student_id: String,
    teacher_id: String,
    date: Date,
    /// Minutes since midnight.
    start: u32,
    duration_minutes: u32,
}

impl Lesson {
    fn facts(&self) -> Value {
        json!({"student_id": self.student_id, "teacher_id": self.teacher_id, "date": self.date})
    }
}

impl Books<'_> {
    /// Whether there is such a time, and both have it free.
    async fn can_take_place(&mut self, lesson: &Lesson) -> ToolResult<()> {
        let end = lesson.start + lesson.duration_minutes;
        if lesson.date < self.today() || end > 24 * 60 {
            return Err(refused(
                "no_such_time",
                "A lesson begins today or later, and ends before midnight. Mend the time.",
            ));
        }
        self.active(&lesson.student_id, Role::Student).await?;
        self.active(&lesson.teacher_id, Role::Teacher).await?;
        let taken = self
            .number(
                "SELECT COUNT(*) FROM bookings b
                 WHERE b.tenant_id = $1 AND b.day = $2 AND b.status = 'booked'
                    AND (b.student_id = $3 OR b.teacher_id = $4)
                    AND b.starts_at_minute < $5 AND b.starts_at_minute + b.duration_minutes > $6",
                values![
                    lesson.date,
                    &lesson.student_id,
                    &lesson.teacher_id,
                    end,
                    lesson.start
                ],
            )
            .await?;
        if taken == 0 {
            return Ok(());
        }
        Err(refused(
            "schedule_conflict",
            "Student or teacher has another lesson at that time. Choose another.",
        ))
    }

    async fn add_lesson(
        &mut self,
        lesson: &Lesson,
        subject: Option<String>,
        notes: Option<String>,
    ) -> ToolResult<String> {
        let (id, now) = (self.new_id(), self.millis());
        self.run(
            "INSERT INTO bookings (tenant_id, id, student_id, teacher_id, day, starts_at_minute,
                duration_minutes, subject, notes, status, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'booked', $10, $10)",
            values![
                &id,
                &lesson.student_id,
                &lesson.teacher_id,
                lesson.date,
                lesson.start,
                lesson.duration_minutes,
                subject,
                notes,
                now
            ],
        )
        .await?;
        Ok(id)
    }
}
