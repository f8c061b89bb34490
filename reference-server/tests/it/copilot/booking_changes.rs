//! Cancelling and moving bookings, as a model does it: a preview, then what it showed, once.

use std::time::Duration;

use jiff::Timestamp;
use mcp_runtime::testing::TestReply;
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection};

use super::Market;

const CANCEL_PREVIEW: &str = "instainstru_booking_force_cancel_preview";
const CANCEL: &str = "instainstru_booking_force_cancel_execute";
const MOVE_PREVIEW: &str = "instainstru_booking_reschedule_preview";
const MOVE: &str = "instainstru_booking_reschedule_execute";
const DETAIL: &str = "instainstru_booking_detail";

impl Market {
    /// Bookings of the last week with this status.
    async fn bookings(&self, status: &str) -> Vec<Value> {
        let arguments = json!({"status": status, "hours": 168, "limit": 100});
        let reply = self
            .admin()
            .call("instainstru_bookings_recent", arguments)
            .await;
        reply.structured()["bookings"]
            .as_array()
            .expect("bookings")
            .clone()
    }

    async fn booking(&self, status: &str) -> String {
        id(&self.bookings(status).await[0])
    }

    /// One that can be cancelled, and whose money stands there.
    async fn booking_with_payment(&self, payment: &str) -> String {
        let mut open = self.bookings("CONFIRMED").await;
        open.extend(self.bookings("PENDING").await);
        for booking in open.iter().map(id) {
            if self.detail(&booking).await["payment"]["status"] == payment {
                return booking;
            }
        }
        panic!("no booking is {payment}");
    }

    async fn cancel_preview(&self, booking: &str, more: Value) -> Value {
        let mut arguments = json!({
            "booking_id": booking, "reason_code": "ADMIN_DISCRETION", "note": "Asked by phone",
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            arguments[name] = value.clone();
        }
        let reply = self.admin().call(CANCEL_PREVIEW, arguments).await;
        reply.structured()["data"].clone()
    }

    async fn move_preview(&self, booking: &str, date: &str, time: &str) -> Value {
        let arguments = json!({
            "booking_id": booking, "new_date": date, "new_start_time": time, "reason": "Ill",
        });
        let reply = self.admin().call(MOVE_PREVIEW, arguments).await;
        reply.structured()["data"].clone()
    }

    /// Does what a preview showed, under its own key.
    async fn execute(&self, tool: &str, booking: &str, preview: &Value) -> TestReply {
        let key = preview["idempotency_key"].clone();
        self.execute_as(tool, booking, preview, key).await
    }

    async fn execute_as(
        &self,
        tool: &str,
        booking: &str,
        preview: &Value,
        key: Value,
    ) -> TestReply {
        let arguments = json!({
            "booking_id": booking,
            "confirm_token": preview["confirm_token"],
            "idempotency_key": key,
        });
        self.admin().call(tool, arguments).await
    }

    async fn detail(&self, booking: &str) -> Value {
        let arguments = json!({"booking_id": booking, "include_trace_links": true});
        let reply = self.admin().call(DETAIL, arguments).await;
        reply.structured().clone()
    }

    /// Behind the platform's back.
    async fn sql(&self, statement: &'static str, value: &str) -> u64 {
        sqlx::any::install_default_drivers();
        let (_, url) = self.database.as_ref().expect("a file");
        let mut db = AnyConnection::connect(url).await.expect("the database");
        let query = sqlx::query(statement).bind(value.to_owned());
        query
            .execute(&mut db)
            .await
            .expect("executed")
            .rows_affected()
    }
}

fn id(booking: &Value) -> String {
    booking["booking_id"].as_str().expect("an id").to_owned()
}

fn begins(booking: &Value) -> Timestamp {
    let begins = format!(
        "{}T{}:00Z",
        booking["booking_date"].as_str().expect("a date"),
        booking["start_time"].as_str().expect("a time")
    );
    begins.parse().expect("an instant")
}

/// Two lessons of one instructor.
fn pair(open: &[Value]) -> (String, String) {
    let pair = open.iter().enumerate().find_map(|(n, one)| {
        let same = |other: &&Value| other["instructor_name"] == one["instructor_name"];
        Some((id(one), id(open[n + 1..].iter().find(same)?)))
    });
    pair.expect("an instructor with two lessons")
}

#[tokio::test]
async fn a_cancellation_happens_once_and_a_replay_tells_the_same() {
    let market = Market::extended().await;
    let booking = market.booking("CONFIRMED").await;
    let preview = market.cancel_preview(&booking, json!({})).await;
    assert_eq!(preview["eligible"], true, "{preview}");
    assert_eq!(preview["confirm_expires_at"], "2026-06-01T12:05:00Z");
    assert_eq!(
        market.detail(&booking).await["booking"]["status"],
        "CONFIRMED"
    );
    assert_eq!(market.letters(), 0, "a preview tells nobody");

    let first = market.execute(CANCEL, &booking, &preview).await;
    let done = &first.structured()["data"];
    assert_eq!(done["success"], true);
    assert_eq!(done["previous_status"], "CONFIRMED");
    assert_eq!(done["new_status"], "CANCELLED");
    assert_eq!(done["refund_amount"], preview["refund_amount"]);
    assert_eq!(done["notifications_sent"].as_array().map(Vec::len), Some(2));
    assert_eq!(market.letters(), 2);

    let again = market.execute(CANCEL, &booking, &preview).await;
    assert_eq!(&again.structured()["data"], done);
    assert_eq!(market.letters(), 2);
    let other = market
        .execute_as(CANCEL, &booking, &preview, json!("another-key"))
        .await;
    assert_eq!(other.code(), "MCP_TOKEN_ALREADY_USED");

    let detail = market.detail(&booking).await;
    assert_eq!(detail["booking"]["status"], "CANCELLED");
    assert_eq!(
        detail["payment"]["refunded_cents"],
        preview["refund_amount"]
    );
    assert_eq!(
        detail["admin_notes"][0]["note"],
        "ADMIN_DISCRETION: Asked by phone"
    );
    // Preview and execution at one instant: in any order.
    let traces = detail["traces"].to_string();
    assert!(traces.contains("\"bookings.force_cancel\""), "{traces}");
    let after = market.cancel_preview(&booking, json!({})).await;
    assert_eq!(after["eligible"], false);
    assert_eq!(after["confirm_token"], Value::Null);
    assert!(after["ineligible_reason"].is_string());
}

/// `(status, arguments, method)`. The first lessons are more than a day away.
#[tokio::test]
async fn who_gets_what_back() {
    let market = Market::extended().await;
    let rows = [
        ("CONFIRMED", json!({}), "card"),
        (
            "CONFIRMED",
            json!({"reason_code": "STUDENT_NO_SHOW"}),
            "none",
        ),
        (
            "CONFIRMED",
            json!({"reason_code": "STUDENT_NO_SHOW", "refund_preference": "FULL_CARD"}),
            "card",
        ),
        (
            "CONFIRMED",
            json!({"refund_preference": "NO_REFUND"}),
            "none",
        ),
        ("PENDING", json!({"refund_preference": "FULL_CARD"}), "none"),
    ];
    for (status, more, method) in rows {
        let booking = market.booking(status).await;
        let preview = market.cancel_preview(&booking, more.clone()).await;
        assert_eq!(preview["refund_method"], method, "{status} {more}");
        let cents = match method {
            "none" => json!(0),
            _ => preview["current_state"]["total_cents"].clone(),
        };
        assert_eq!(preview["refund_amount"], cents, "{status} {more}");
    }
}

#[tokio::test]
async fn by_policy_money_comes_back_as_credit_on_the_day_before_and_not_at_all_later() {
    let market = Market::extended().await;
    let bookings = market.bookings("CONFIRMED").await;
    let soonest = bookings.iter().min_by_key(|one| begins(one));
    let soonest = soonest.expect("a booking");
    let begins = begins(soonest);
    for (hours, method) in [(24, "card"), (23, "credit"), (12, "credit"), (11, "none")] {
        let left = market.clock.now().duration_until(begins);
        let wait = left - jiff::SignedDuration::from_hours(hours);
        market.clock.advance(wait.try_into().expect("forward"));
        let preview = market.cancel_preview(&id(soonest), json!({})).await;
        assert_eq!(preview["refund_method"], method, "{hours} h before");
    }
}

#[tokio::test]
async fn a_token_serves_one_admin_one_booking_and_five_minutes() {
    let market = Market::extended().await;
    let open = market.bookings("CONFIRMED").await;
    let (booking, other) = (id(&open[0]), id(&open[1]));
    let preview = market.cancel_preview(&booking, json!({})).await;
    let elsewhere = market.execute(CANCEL, &other, &preview).await;
    assert_eq!(elsewhere.code(), "booking_mismatch");
    let moved = market.execute(MOVE, &booking, &preview).await;
    assert_eq!(moved.code(), "MCP_TOKEN_INVALID_SIGNATURE");
    let arguments = json!({
        "booking_id": booking, "confirm_token": preview["confirm_token"], "idempotency_key": "bob",
    });
    let foreign = market.demo("bob").call(CANCEL, arguments).await;
    assert_eq!(foreign.code(), "MCP_TOKEN_ACTOR_MISMATCH");
    market.clock.advance(Duration::from_secs(5 * 60));
    let late = market.execute(CANCEL, &booking, &preview).await;
    assert_eq!(late.code(), "MCP_TOKEN_EXPIRED");
    assert_eq!(
        market.detail(&booking).await["booking"]["status"],
        "CONFIRMED"
    );
    assert_eq!(market.letters(), 0);
}

#[tokio::test]
async fn what_changed_since_the_preview_is_not_changed_again() {
    let market = Market::extended().await;
    let booking = market.booking("CONFIRMED").await;
    let cancel = market.cancel_preview(&booking, json!({})).await;
    let to_night = market.move_preview(&booking, "2026-07-20", "03:00").await;
    let moved = market.execute(MOVE, &booking, &to_night).await;
    assert_eq!(
        moved.structured()["data"]["new_slot"]["start_time"],
        "03:00"
    );
    let refused = market.execute(CANCEL, &booking, &cancel).await;
    assert_eq!(refused.code(), "booking_changed");
    assert_eq!(
        market.detail(&booking).await["booking"]["status"],
        "CONFIRMED"
    );

    let cancel = market.cancel_preview(&booking, json!({})).await;
    let to_noon = market.move_preview(&booking, "2026-07-21", "03:00").await;
    market.execute(CANCEL, &booking, &cancel).await.structured();
    let refused = market.execute(MOVE, &booking, &to_noon).await;
    assert_eq!(refused.code(), "booking_changed");
}

#[tokio::test]
async fn only_what_lies_ahead_can_be_moved_and_only_there() {
    let market = Market::extended().await;
    let booking = market.booking("CONFIRMED").await;
    let past = market.move_preview(&booking, "2026-05-01", "10:00").await;
    assert_eq!(past["eligible"], false, "{past}");
    let soon = market.move_preview(&booking, "2026-06-02", "03:00").await;
    assert_eq!(soon["eligible"], true, "{soon}");
    assert_eq!(soon["notice_window_ok"], false);
    let cancel = market.cancel_preview(&booking, json!({})).await;
    market.execute(CANCEL, &booking, &cancel).await.structured();
    let cancelled = market.move_preview(&booking, "2026-07-20", "03:00").await;
    assert_eq!(cancelled["eligible"], false, "{cancelled}");
    assert_eq!(cancelled["confirm_token"], Value::Null);
}

/// Two lessons of one instructor, and one free slot: whoever comes second is told.
#[tokio::test]
async fn a_slot_is_taken_once() {
    let market = Market::extended().await;
    let mut open = market.bookings("CONFIRMED").await;
    open.extend(market.bookings("PENDING").await);
    let (first, second) = pair(&open);
    let previews = [
        market.move_preview(&first, "2026-07-20", "03:00").await,
        market.move_preview(&second, "2026-07-20", "03:30").await,
    ];
    let (one, other) = tokio::join!(
        market.execute(MOVE, &first, &previews[0]),
        market.execute(MOVE, &second, &previews[1]),
    );
    let refused: Vec<&TestReply> = [&one, &other]
        .into_iter()
        .filter(|reply| reply.result()["isError"] == true)
        .collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].code(), "slot_taken");
    assert_eq!(market.letters(), 2);
    let blocked = market.move_preview(&second, "2026-07-20", "03:15").await;
    let blocked_too = market.move_preview(&first, "2026-07-20", "03:15").await;
    let found = [&blocked, &blocked_too].iter().any(|preview| {
        preview["eligible"] == false && preview["conflicts"][0]["who"] == "instructor"
    });
    assert!(found, "{blocked} {blocked_too}");
}

#[tokio::test]
async fn a_booking_that_somebody_is_changing_waits() {
    let market = Market::extended().await;
    let booking = market.booking("CONFIRMED").await;
    let preview = market.cancel_preview(&booking, json!({})).await;
    // As a process leaves it that died in the middle of a change.
    let until = "INSERT INTO booking_locks (booking_id, holder, expires_at)
        SELECT id, 'somebody else', 1780315320000 FROM bookings WHERE id = $1";
    assert_eq!(market.sql(until, &booking).await, 1);
    let to_night = market.move_preview(&booking, "2026-07-20", "03:00").await;
    for (tool, preview) in [(CANCEL, &preview), (MOVE, &to_night)] {
        let held = market.execute(tool, &booking, preview).await;
        assert_eq!(held.code(), "booking_locked", "{tool}");
        let details = &held.result()["structuredContent"]["details"];
        assert_eq!(details["retry_after_s"], 120, "{tool}");
    }
    market.clock.advance(Duration::from_secs(120));
    let done = market.execute(CANCEL, &booking, &preview).await;
    assert_eq!(done.structured()["data"]["new_status"], "CANCELLED");
}

#[tokio::test]
async fn a_slot_that_has_come_since_the_preview_is_not_moved_to() {
    let market = Market::extended().await;
    let booking = market.booking("CONFIRMED").await;
    let before = market.detail(&booking).await["booking"]["start_time"].clone();
    let soon = market.move_preview(&booking, "2026-06-01", "12:04").await;
    assert_eq!(soon["eligible"], true, "{soon}");
    market.clock.advance(Duration::from_secs(4 * 60));
    let late = market.execute(MOVE, &booking, &soon).await;
    assert_eq!(late.code(), "slot_past");
    let after = market.detail(&booking).await["booking"]["start_time"].clone();
    assert_eq!(after, before);
    assert_eq!(market.letters(), 0);
}

#[tokio::test]
async fn a_lesson_that_has_begun_since_the_preview_is_not_moved() {
    let market = Market::extended().await;
    let bookings = market.bookings("CONFIRMED").await;
    let soonest = bookings.iter().min_by_key(|one| begins(one));
    let soonest = soonest.expect("a booking");
    let left = market.clock.now().duration_until(begins(soonest));
    let wait = left - jiff::SignedDuration::from_mins(2);
    market.clock.advance(wait.try_into().expect("forward"));
    let booking = id(soonest);
    let to_night = market.move_preview(&booking, "2026-07-20", "03:00").await;
    assert_eq!(to_night["eligible"], true, "{to_night}");
    market.clock.advance(Duration::from_secs(2 * 60));
    let late = market.execute(MOVE, &booking, &to_night).await;
    assert_eq!(late.code(), "lesson_begun");
    let again = market.move_preview(&booking, "2026-07-20", "03:00").await;
    assert_eq!(again["eligible"], false, "{again}");
    assert_eq!(market.letters(), 0);
    // Whoever did not come is known only now: such a lesson can still be cancelled.
    let absent = json!({"reason_code": "INSTRUCTOR_NO_SHOW"});
    let cancel = market.cancel_preview(&booking, absent).await;
    let cancelled = market.execute(CANCEL, &booking, &cancel).await;
    assert_eq!(cancelled.structured()["data"]["success"], true);
}

#[tokio::test]
async fn demo_lessons_begin_on_a_quarter_of_an_hour() {
    let market = Market::extended_at("2026-06-01T12:07:31.123Z").await;
    let open = market.bookings("CONFIRMED").await;
    assert!(!open.is_empty());
    for booking in &open {
        let begins = booking["start_time"].as_str().expect("a time");
        let quarter = ["00", "15", "30", "45"].contains(&&begins[3..]);
        assert!(quarter, "{booking}");
    }
    let odd = "UPDATE bookings SET starts_at = starts_at
        WHERE starts_at % 900000 <> 0 AND id <> $1";
    assert_eq!(market.sql(odd, "").await, 0);
}

/// Lessons may begin at any second in the database; what people see is minutes.
#[tokio::test]
async fn slots_are_compared_by_the_minute() {
    let market = Market::extended().await;
    let mut open = market.bookings("CONFIRMED").await;
    open.extend(market.bookings("PENDING").await);
    let (first, second) = pair(&open);
    let to_night = market.move_preview(&second, "2026-07-20", "03:00").await;
    let moved = market.execute(MOVE, &second, &to_night).await;
    assert_eq!(moved.structured()["data"]["success"], true);
    let odd = "UPDATE bookings SET starts_at = starts_at + 37123 WHERE id = $1";
    assert_eq!(market.sql(odd, &second).await, 1);

    let same = market.move_preview(&second, "2026-07-20", "03:00").await;
    assert_eq!(same["eligible"], false, "{same}");
    let why = "The booking is at that time already.";
    assert_eq!(same["ineligible_reason"], why);
    // `(time, whether it is free)`
    for (time, free) in [
        ("02:00", true),
        ("02:01", false),
        ("03:59", false),
        ("04:00", true),
    ] {
        let preview = market.move_preview(&first, "2026-07-20", time).await;
        assert_eq!(preview["eligible"], free, "{time}: {preview}");
        let conflicts = preview["conflicts"].as_array().map(Vec::len);
        assert_eq!(conflicts, Some(usize::from(!free)), "{time}: {preview}");
    }
}

/// `(payment status, preference, what is said)`
#[tokio::test]
async fn a_warning_says_whether_the_student_has_paid() {
    let market = Market::extended().await;
    let (nothing, paid) = (
        "Nothing was charged yet, so there is nothing to refund.",
        "The student has paid and would get nothing back.",
    );
    for (payment, preference, said) in [
        ("scheduled", "NO_REFUND", json!([nothing])),
        ("scheduled", "FULL_CARD", json!([nothing])),
        ("payment_method_required", "NO_REFUND", json!([nothing])),
        ("payment_method_required", "POLICY_BASED", json!([nothing])),
        ("authorized", "NO_REFUND", json!([paid])),
        ("authorized", "FULL_CARD", json!([])),
    ] {
        let booking = market.booking_with_payment(payment).await;
        let asked = json!({"refund_preference": preference});
        let preview = market.cancel_preview(&booking, asked).await;
        assert_eq!(preview["warnings"], said, "{payment} {preference}");
    }
}
