//! A made-up marketplace, the same one for the same clock: 65 live instructors in six categories,
//! others on their way or paused, 30 days of searches, and half a year of bookings.
//!
//! Numbers that look random come from [`dice`], so that every start and every test sees the same.

mod activity;
mod bookings;
mod people;
mod rows;
mod tables;

use jiff::Timestamp;
use mcp_runtime::Clock;
use sqlx::{Any, Transaction};
use ulid::Ulid;

use self::rows::Table;
use super::db::{Db, millis};

const DAY: i64 = 86_400_000;

/// All of it in one transaction: a crash half-way leaves the database empty, not half full.
pub(super) async fn fill_if_empty(db: &Db, clock: &Clock) -> sqlx::Result<()> {
    let mut tx = db.begin_alone().await?;
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
    market.welcome_newcomers();
    market.book_earlier_lessons();
    market.book_today();
    market.connect_accounts();
    let now = market.now;
    market.write(&mut tx).await?;
    bookings::pay_out(&mut tx, now).await?;
    tx.commit().await
}

/// The rows to write, table by table.
struct Market {
    now: i64,
    ids: u128,
    catalog: Vec<Service>,
    students: Vec<String>,
    /// Who came lately, and when.
    newcomers: Vec<(String, i64)>,
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
    messages: Table,
    webhooks: Table,
    accounts: Table,
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
            newcomers: Vec::new(),
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
            messages: Table::new("booking_messages", "id, booking_id, sender_role, sent_at"),
            webhooks: Table::new(
                "payment_webhooks",
                "id, booking_id, event_type, status, received_at",
            ),
            accounts: Table::new("payout_accounts", "instructor_id, connected_at"),
        }
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
            self.messages,
            self.webhooks,
            self.accounts,
        ];
        for table in tables {
            table.write(tx).await?;
        }
        Ok(())
    }
}

/// Lessons begin on a quarter of an hour, whenever the demo starts.
fn quarter_before(at: i64) -> i64 {
    at - at.rem_euclid(DAY / 24 / 4)
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
