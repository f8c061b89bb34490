//! Who is there: the catalogue of services, students, and instructors at every stage.

use super::rows::{Value, int, maybe, text};
use super::tables::{CATEGORIES, FIRST_NAMES, GROUPS, Group, LAST_NAMES, STUDENTS};
use super::{DAY, Market, Service, Teacher, dice};
use crate::platform::funnel::STAGES;

impl Market {
    pub(super) fn open_catalog(&mut self) {
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

    pub(super) fn enrol_students(&mut self) {
        for n in 0..STUDENTS {
            let created = self.now - (30 + dice(n, 1, 300)) * DAY;
            let student = self.enrol(1_000 + n, "student", created);
            self.students.push(student);
        }
    }

    pub(super) fn enrol_instructors(&mut self) {
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
            _ => Value::Text(None),
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
            Value::Real(live.map(|_| (80 + dice(person, 6, 20)) as f64 / 100.0)),
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

    pub(super) fn enrol(&mut self, person: i64, role: &str, created: i64) -> String {
        let id = self.id(created);
        let (first, last) = name(person);
        let domain = ["com", "org", "net"][(person % 3) as usize];
        let email = format!("{first}.{last}@example.{domain}").to_lowercase();
        let phone = match person % 4 {
            3 => Value::Text(None),
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
