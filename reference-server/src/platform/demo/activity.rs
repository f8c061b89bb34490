//! What they do: lessons, reviews, searches and clicks.

use super::rows::{Value, int, text};
use super::tables::{SEARCHES, STUDENTS};
use super::{DAY, Market, Teacher, dice, quarter_before};

impl Market {
    pub(super) fn book_lessons(&mut self) {
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
                let starts = quarter_before(self.now + days * DAY);
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

    pub(super) fn search(&mut self) {
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
                    0 => Value::Text(None),
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
}
