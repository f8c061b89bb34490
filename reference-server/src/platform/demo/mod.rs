//! A made-up marketplace, the same one for the same clock: 65 live instructors in six categories,
//! others on their way or paused, and 30 days of searches and bookings.
//!
//! Numbers that look random come from [`dice`], so that every start and every test sees the same.

mod tables;

use jiff::Timestamp;
use mcp_runtime::Clock;
use sqlx::{Any, AssertSqlSafe, Transaction};
use ulid::Ulid;

use self::tables::{CATEGORIES, FIRST_NAMES, GROUPS, Group, LAST_NAMES, SEARCHES, STUDENTS};
use super::db::{Db, millis};
use super::funnel::STAGES;

const DAY: i64 = 86_400_000;

/// All of it in one transaction: a crash half-way leaves the database empty, not half full.
pub(super) async fn fill_if_empty(db: &Db, clock: &Clock) -> sqlx::Result<()> {
    let mut tx = db.begin_write().await?;
    let (profiles,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM instructor_profiles")
        .fetch_one(&mut *tx)
        .await?;
    if profiles > 0 {
        return tx.rollback().await;
    }
    let mut market = Market::new(clock.now());
    market.open_catalog();
    market.enrol_students();
    market.enrol_instructors();
    market.book_lessons();
    market.search();
    market.write(&mut tx).await?;
    tx.commit().await
}

/// The rows to write, table by table.
struct Market {
    now: i64,
    ids: u128,
    catalog: Vec<Service>,
    students: Vec<String>,
    live: Vec<Teacher>,
    users: Table,
    profiles: Table,
    events: Table,
    categories: Table,
    services: Table,
    offers: Table,
    bookings: Table,
    reviews: Table,
    queries: Table,
    clicks: Table,
}

struct Service {
    id: String,
    category: &'static str,
    slug: String,
}

/// Someone who can be booked.
struct Teacher {
    user_id: String,
    /// Offer, catalog entry and hourly rate.
    offers: Vec<(String, String, i64)>,
}

impl Market {
    fn new(now: Timestamp) -> Self {
        Self {
            now: millis(now),
            ids: 0,
            catalog: Vec::new(),
            students: Vec::new(),
            live: Vec::new(),
            users: Table::new(
                "users",
                "id, first_name, last_name, name_folded, email, phone, role, created_at",
            ),
            profiles: Table::new(
                "instructor_profiles",
                "id, user_id, skills_configured, identity_verified_at,
                 background_check_uploaded_at, bgc_status, bgc_invited_at, bgc_completed_at,
                 bgc_valid_until, onboarding_completed_at, is_live, response_rate,
                 created_at, updated_at",
            ),
            events: Table::new(
                "lifecycle_events",
                "id, user_id, event_type, occurred_at, created_at",
            ),
            categories: Table::new("service_categories", "id, name, slug"),
            services: Table::new("service_catalog", "id, category_id, name, slug"),
            offers: Table::new(
                "instructor_services",
                "id, profile_id, catalog_id, hourly_rate_cents, is_active",
            ),
            bookings: Table::new(
                "bookings",
                "id, instructor_id, student_id, service_id, status, payment_status, total_cents,
                 starts_at, created_at",
            ),
            reviews: Table::new(
                "reviews",
                "id, booking_id, instructor_id, rating, created_at",
            ),
            queries: Table::new(
                "search_queries",
                "id, original_query, normalized_query, parsing_mode, result_count, user_id,
                 session_id, parsing_latency_ms, total_latency_ms, cache_hit, degraded,
                 created_at",
            ),
            clicks: Table::new(
                "search_clicks",
                "id, search_query_id, service_id, instructor_id, position, action, created_at",
            ),
        }
    }

    fn open_catalog(&mut self) {
        for (category, _, names) in CATEGORIES {
            let category_id = self.id(self.now - 400 * DAY);
            self.categories
                .row([text(&category_id), text(category), text(&slug(category))]);
            for name in names {
                let id = self.id(self.now - 400 * DAY);
                let slug = slug(name);
                self.services
                    .row([text(&id), text(&category_id), text(name), text(&slug)]);
                self.catalog.push(Service { id, category, slug });
            }
        }
    }

    fn enrol_students(&mut self) {
        for n in 0..STUDENTS {
            let created = self.now - (30 + dice(n, 1, 300)) * DAY;
            let student = self.enrol(1_000 + n, "student", created);
            self.students.push(student);
        }
    }

    fn enrol_instructors(&mut self) {
        let mut person = 0;
        for (category, live, _) in CATEGORIES {
            for _ in 0..live {
                let offers = 1 + dice(person, 2, 3);
                let age = 40 + dice(person, 3, 160);
                self.enrol_instructor(person, &Group::LIVE, age, category, offers);
                person += 1;
            }
        }
        for group in GROUPS {
            for idle_days in group.idle_days {
                let (category, ..) = CATEGORIES[(person % 6) as usize];
                let offers = if group.reached >= 3 {
                    1 + dice(person, 2, 2)
                } else {
                    0
                };
                self.enrol_instructor(person, group, *idle_days, category, offers);
                person += 1;
            }
        }
    }

    /// `idle_days`: how long ago the last stage was reached. The stages before lie one to six days
    /// apart.
    fn enrol_instructor(
        &mut self,
        person: i64,
        group: &Group,
        idle_days: i64,
        category: &str,
        offers: i64,
    ) {
        let mut at = self.now - idle_days * DAY - dice(person, 4, 20) * DAY / 24;
        let mut reached = [None; STAGES.len()];
        for stage in (0..group.reached).rev() {
            reached[stage] = Some(at);
            at -= (1 + dice(person * 7 + stage as i64, 5, 6)) * DAY;
        }
        let [registered, _, configured, invited, cleared, verified, live] = reached;
        let created = registered.unwrap_or(at);
        let user = self.enrol(person, "instructor", created);

        for ((stage, _), at) in STAGES.iter().zip(reached) {
            if let Some(at) = at {
                self.event(&user, stage, at);
            }
        }
        if let (true, Some(live)) = (group.paused, live) {
            self.event(&user, "paused", live + (self.now - live) / 2);
        } else if live.is_some() && person % 22 == 7 {
            self.event(&user, "paused", self.now - 30 * DAY);
            self.event(&user, "reactivated", self.now - 12 * DAY);
        }

        let profile = self.id(created);
        let bgc_status = match (invited, cleared) {
            (_, Some(_)) => text("passed"),
            (Some(_), None) => text("pending"),
            _ => Value::Null,
        };
        let updated = reached.iter().flatten().max().copied();
        self.profiles.row([
            text(&profile),
            text(&user),
            int(i64::from(configured.is_some())),
            maybe(verified),
            maybe(invited.map(|at| at + DAY / 4)),
            bgc_status,
            maybe(invited),
            maybe(cleared),
            maybe(cleared.map(|at| at + 365 * DAY)),
            maybe(live),
            int(i64::from(live.is_some() && !group.paused)),
            live.map_or(Value::Null, |_| {
                Value::Real(0.8 + dice(person, 6, 20) as f64 / 100.0)
            }),
            int(created),
            int(updated.unwrap_or(created)),
        ]);
        let teacher = Teacher {
            offers: self.offer(person, &profile, category, offers, created),
            user_id: user,
        };
        if live.is_some() {
            self.live.push(teacher);
        }
    }

    fn offer(
        &mut self,
        person: i64,
        profile: &str,
        category: &str,
        count: i64,
        at: i64,
    ) -> Vec<(String, String, i64)> {
        let services: Vec<String> = self
            .catalog
            .iter()
            .filter(|service| service.category == category)
            .map(|service| service.id.clone())
            .collect();
        let mut offers = Vec::new();
        for n in 0..count {
            let service = &services[((person + n) % services.len() as i64) as usize];
            let rate = (45 + 5 * dice(person * 3 + n, 7, 14)) * 100;
            let id = self.id(at);
            self.offers
                .row([text(&id), text(profile), text(service), int(rate), int(1)]);
            offers.push((id, service.clone(), rate));
        }
        offers
    }

    fn book_lessons(&mut self) {
        let teachers = std::mem::take(&mut self.live);
        for (t, teacher) in (0..).zip(&teachers) {
            for n in 0..2 + dice(t, 10, 12) {
                let key = t * 100 + n;
                let (offer, _, rate) = &teacher.offers[(n % teacher.offers.len() as i64) as usize];
                let (status, payment, days) = match dice(key, 11, 20) {
                    0 | 1 => ("CANCELLED", "settled", -(1 + dice(key, 12, 90))),
                    2 => ("NO_SHOW", "manual_review", -(1 + dice(key, 12, 90))),
                    3 => ("CONFIRMED", "authorized", 1 + dice(key, 12, 10)),
                    4 => ("PENDING", "scheduled", 2 + dice(key, 12, 12)),
                    _ => ("COMPLETED", "settled", -(1 + dice(key, 12, 90))),
                };
                let starts = self.now + days * DAY;
                let created = starts.min(self.now) - (1 + dice(key, 13, 5)) * DAY;
                let student = self.students[dice(key, 14, STUDENTS) as usize].clone();
                let id = self.id(created);
                self.bookings.row([
                    text(&id),
                    text(&teacher.user_id),
                    text(&student),
                    text(offer),
                    text(status),
                    text(payment),
                    int(*rate),
                    int(starts),
                    int(created),
                ]);
                if status == "COMPLETED" && dice(key, 15, 3) > 0 {
                    let stars = [5, 5, 4, 5, 3, 4, 5, 5][dice(key, 16, 8) as usize];
                    let reviewed = (starts + DAY).min(self.now);
                    let review = self.id(reviewed);
                    self.reviews.row([
                        text(&review),
                        text(&id),
                        text(&teacher.user_id),
                        int(stars),
                        int(reviewed),
                    ]);
                }
            }
        }
        self.live = teachers;
    }

    fn search(&mut self) {
        for (s, &(query, count, results, booked_of_ten)) in (0..).zip(SEARCHES) {
            for n in 0..count {
                let key = s * 1_000 + n;
                // Two of thirteen lie before the last 30 days, so that a window cuts something off.
                let age = if n % 13 > 10 {
                    35 + dice(key, 20, 20)
                } else {
                    dice(key, 20, 29)
                };
                let at = self.now - age * DAY - dice(key, 21, 600) * 1_000;
                let id = self.id(at);
                let original = if n % 4 == 1 {
                    query.to_uppercase()
                } else {
                    query.to_owned()
                };
                let parsing = 3 + dice(key, 22, 40);
                let found = if results == 0 {
                    0
                } else {
                    results + dice(key, 23, 3)
                };
                let user = match dice(key, 24, 2) {
                    0 => Value::Null,
                    _ => text(&self.students[dice(key, 25, STUDENTS) as usize]),
                };
                self.queries.row([
                    text(&id),
                    text(&original),
                    text(query),
                    text(["regex", "hybrid", "llm"][(key % 3) as usize]),
                    int(found),
                    user,
                    text(&format!("session-{key:05}")),
                    int(parsing),
                    int(parsing + 20 + dice(key, 26, 180)),
                    int(i64::from(key % 5 == 0)),
                    int(i64::from(key % 41 == 0)),
                    int(at),
                ]);
                if found > 0 && dice(key, 27, 10) < booked_of_ten {
                    self.click(key, &id, query, "book", at);
                } else if found > 0 && n % 2 == 0 {
                    let action = ["view", "message", "favorite"][dice(key, 28, 3) as usize];
                    self.click(key, &id, query, action, at);
                }
            }
        }
    }

    /// On an instructor who offers what was searched for, if one does.
    fn click(&mut self, key: i64, query_id: &str, query: &str, action: &str, at: i64) {
        let wanted = self
            .catalog
            .iter()
            .find(|service| query.contains(&service.slug))
            .map(|service| service.id.clone());
        let fits = |teacher: &&Teacher| {
            let mut offers = teacher.offers.iter();
            wanted.is_none() || offers.any(|(_, catalog, _)| Some(catalog) == wanted.as_ref())
        };
        let fitting: Vec<&Teacher> = self.live.iter().filter(fits).collect();
        let teachers = if fitting.is_empty() {
            self.live.iter().collect()
        } else {
            fitting
        };
        let teacher = teachers[dice(key, 29, teachers.len() as i64) as usize];
        let instructor = text(&teacher.user_id);
        let service = text(wanted.as_ref().unwrap_or(&teacher.offers[0].1));
        let clicked = (at + 30_000).min(self.now);
        let id = self.id(clicked);
        self.clicks.row([
            text(&id),
            text(query_id),
            service,
            instructor,
            int(1 + dice(key, 30, 5)),
            text(action),
            int(clicked),
        ]);
    }

    fn enrol(&mut self, person: i64, role: &str, created: i64) -> String {
        let id = self.id(created);
        let (first, last) = name(person);
        let domain = ["com", "org", "net"][(person % 3) as usize];
        let email = format!("{first}.{last}@example.{domain}").to_lowercase();
        let phone = match person % 4 {
            3 => Value::Null,
            _ => text(&format!("+1-212-555-01{:02}", person % 100)),
        };
        self.users.row([
            text(&id),
            text(first),
            text(last),
            text(&format!("{first} {last}").to_lowercase()),
            text(&email),
            phone,
            text(role),
            int(created),
        ]);
        id
    }

    fn event(&mut self, user: &str, event_type: &str, at: i64) {
        let id = self.id(at);
        self.events
            .row([text(&id), text(user), text(event_type), int(at), int(at)]);
    }

    /// A ULID of that instant; the running number stands in for randomness.
    fn id(&mut self, at: i64) -> String {
        self.ids += 1;
        // Spread over all 80 bits, so that ids look like ids.
        let random = self.ids.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39d) & ((1 << 80) - 1);
        Ulid::from_parts(u64::try_from(at).unwrap_or(0), random).to_string()
    }

    async fn write(self, tx: &mut Transaction<'static, Any>) -> sqlx::Result<()> {
        // Referenced tables first.
        let tables = [
            self.users,
            self.categories,
            self.services,
            self.profiles,
            self.events,
            self.offers,
            self.bookings,
            self.reviews,
            self.queries,
            self.clicks,
        ];
        for table in tables {
            table.write(tx).await?;
        }
        Ok(())
    }
}

struct Table {
    name: &'static str,
    columns: &'static str,
    rows: Vec<Vec<Value>>,
}

enum Value {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
}

impl Table {
    fn new(name: &'static str, columns: &'static str) -> Self {
        Self {
            name,
            columns,
            rows: Vec::new(),
        }
    }

    fn row<const N: usize>(&mut self, values: [Value; N]) {
        self.rows.push(values.into());
    }

    /// Forty rows a statement: thousands of single inserts would make every start wait.
    async fn write(self, tx: &mut Transaction<'static, Any>) -> sqlx::Result<()> {
        let width = self.columns.split(',').count();
        let mut rows = self.rows.into_iter();
        loop {
            let batch: Vec<_> = rows.by_ref().take(40).collect();
            if batch.is_empty() {
                return Ok(());
            }
            let places: Vec<String> = (0..batch.len())
                .map(|row| {
                    let row: Vec<_> = (1..=width)
                        .map(|n| format!("${}", row * width + n))
                        .collect();
                    format!("({})", row.join(", "))
                })
                .collect();
            let sql = format!(
                "INSERT INTO {} ({}) VALUES {}",
                self.name,
                self.columns,
                places.join(", ")
            );
            // Names come from this file, values are bound.
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for value in batch.into_iter().flatten() {
                query = match value {
                    Value::Null => query.bind(None::<i64>),
                    Value::Int(n) => query.bind(n),
                    Value::Real(x) => query.bind(x),
                    Value::Text(text) => query.bind(text),
                };
            }
            query.execute(&mut **tx).await?;
        }
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn int(n: i64) -> Value {
    Value::Int(n)
}

fn maybe(n: Option<i64>) -> Value {
    n.map_or(Value::Null, Value::Int)
}

/// Every person has a name of their own as long as the two lengths have no common divisor.
fn name(person: i64) -> (&'static str, &'static str) {
    let n = person as usize;
    (
        FIRST_NAMES[n % FIRST_NAMES.len()],
        LAST_NAMES[n % LAST_NAMES.len()],
    )
}

fn slug(name: &str) -> String {
    let words: Vec<String> = name
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.join("-")
}

/// A number from `0..sides` that looks random: splitmix64 over who throws and what for.
fn dice(who: i64, what_for: i64, sides: i64) -> i64 {
    let mut x = (who as u64)
        .wrapping_mul(1_000)
        .wrapping_add(what_for as u64)
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    (x % sides as u64) as i64
}
