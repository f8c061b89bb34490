//! Students who came lately, lessons of the last half year, and the bookings of today.

use sqlx::{Any, Transaction};

use super::rows::{int, text};
use super::tables::STUDENTS;
use super::{DAY, Market, dice, quarter_before};

const HOUR: i64 = DAY / 24;
/// Students who signed up in the last two months.
const NEWCOMERS: i64 = 30;
/// Lessons that lie longer back than those of the last three months.
const EARLIER: i64 = 120;
/// Bookings that were made in the last day.
const FRESH: i64 = 14;

impl Market {
    pub(super) fn welcome_newcomers(&mut self) {
        for n in 0..NEWCOMERS {
            // More of them in the last month than in the one before.
            let days = dice(n, 40, if n % 3 == 0 { 60 } else { 30 });
            let created = self.now - days * DAY - dice(n, 41, 12) * HOUR;
            let student = self.enrol(1_000 + STUDENTS + n, "student", created);
            self.newcomers.push((student, created));
        }
    }

    pub(super) fn book_earlier_lessons(&mut self) {
        for n in 0..EARLIER {
            let starts = self.now - (91 + dice(n, 42, 90)) * DAY;
            let student = self.students[dice(n, 43, STUDENTS) as usize].clone();
            let status = if dice(n, 44, 9) == 0 {
                "CANCELLED"
            } else {
                "COMPLETED"
            };
            self.lesson(n, &student, status, "settled", starts, starts - 3 * DAY);
        }
        let newcomers = std::mem::take(&mut self.newcomers);
        for (n, (student, created)) in (0..).zip(&newcomers) {
            let starts = created + (2 + dice(n, 45, 6)) * DAY;
            if starts < self.now && dice(n, 46, 3) > 0 {
                let booked = created + HOUR;
                self.lesson(n + EARLIER, student, "COMPLETED", "settled", starts, booked);
            }
        }
        self.newcomers = newcomers;
    }

    /// What was booked since yesterday, with all that an admin may want to look into.
    pub(super) fn book_today(&mut self) {
        for n in 0..FRESH {
            let booked = self.now - (1 + dice(n, 47, 22)) * HOUR;
            let starts = self.now + (1 + n / 4) * DAY + (n % 4) * 2 * HOUR + HOUR;
            let (status, payment) = match n % 5 {
                0 => ("PENDING", "scheduled"),
                1 => ("PENDING", "payment_method_required"),
                _ => ("CONFIRMED", "authorized"),
            };
            let student = self.newcomers[n as usize].0.clone();
            let id = self.lesson(n + 500, &student, status, payment, starts, booked);
            self.talk_about(n, &id, booked, payment);
        }
    }

    fn lesson(
        &mut self,
        key: i64,
        student: &str,
        status: &str,
        payment: &str,
        starts: i64,
        booked: i64,
    ) -> String {
        let teacher = &self.live[(key % self.live.len() as i64) as usize];
        let (offer, _, rate) = &teacher.offers[(key % teacher.offers.len() as i64) as usize];
        let (teacher, offer, rate) = (text(&teacher.user_id), text(offer), *rate);
        let id = self.id(booked);
        self.bookings.row([
            text(&id),
            teacher,
            text(student),
            offer,
            text(status),
            text(payment),
            int(rate),
            int(quarter_before(starts)),
            int(booked),
        ]);
        id
    }

    fn talk_about(&mut self, n: i64, booking: &str, booked: i64, payment: &str) {
        for m in 0..dice(n, 48, 4) {
            let (at, role) = (
                booked + m * HOUR / 4,
                ["student", "instructor"][(m % 2) as usize],
            );
            let id = self.id(at);
            self.messages
                .row([text(&id), text(booking), text(role), int(at)]);
        }
        let (event, outcome) = match payment {
            "authorized" => ("payment_intent.amount_capturable_updated", "processed"),
            "payment_method_required" => ("payment_intent.payment_failed", "failed"),
            _ => ("setup_intent.created", "processed"),
        };
        let id = self.id(booked);
        self.webhooks.row([
            text(&id),
            text(booking),
            text(event),
            text(outcome),
            int(booked),
        ]);
    }

    /// Most instructors can be paid.
    pub(super) fn connect_accounts(&mut self) {
        for (n, teacher) in (0..).zip(&self.live) {
            if dice(n, 49, 6) > 0 {
                self.accounts
                    .row([text(&teacher.user_id), int(self.now - 30 * DAY)]);
            }
        }
    }
}

/// Who can be paid has been, up to two weeks ago; some lessons are given online.
pub(super) async fn pay_out(tx: &mut Transaction<'static, Any>, now: i64) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE bookings SET paid_out_at = starts_at + 604800000
         WHERE status = 'COMPLETED' AND starts_at < $1
            AND instructor_id IN (SELECT instructor_id FROM payout_accounts)",
    )
    .bind(now - 14 * DAY)
    .execute(&mut **tx)
    .await?;
    sqlx::query("UPDATE bookings SET location_type = 'online' WHERE total_cents % 1000 = 0")
        .execute(&mut **tx)
        .await
        .map(drop)
}
