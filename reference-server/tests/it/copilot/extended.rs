//! Bookings and figures: what the contract says about each tool, and what each has to tell.

use serde_json::{Value, json};

use super::{Market, caller};

/// Every parameter, with what clients learn about it beside its description.
fn contract() -> Vec<(&'static str, &'static str, Value)> {
    let read = "read";
    let reasons = [
        "ADMIN_DISCRETION",
        "INSTRUCTOR_NO_SHOW",
        "STUDENT_NO_SHOW",
        "DUPLICATE_BOOKING",
        "TECHNICAL_ISSUE",
        "DISPUTE_RESOLUTION",
    ];
    vec![
        (
            "instainstru_bookings_recent",
            read,
            json!({
                "status": {"enum": ["PENDING", "CONFIRMED", "COMPLETED", "CANCELLED", "NO_SHOW"]},
                "limit": {"minimum": 1, "maximum": 100, "default": 20},
                "hours": {"minimum": 1, "maximum": 168, "default": 24},
            }),
        ),
        (
            "instainstru_bookings_summary",
            read,
            json!({
                "period": {"enum": ["today", "yesterday", "this_week", "last_7_days", "this_month"]},
                "start_date": {"format": "date"},
                "end_date": {"format": "date"},
            }),
        ),
        (
            "instainstru_booking_detail",
            read,
            json!({
                "booking_id": {"required": true},
                "include_messages_summary": {"default": false},
                "include_webhooks": {"default": true},
                "include_trace_links": {"default": false},
            }),
        ),
        (
            "instainstru_booking_force_cancel_preview",
            "preview",
            json!({
                "booking_id": {"required": true},
                "reason_code": {"required": true, "enum": reasons},
                "note": {"required": true, "minLength": 1, "maxLength": 2000},
                "refund_preference": {
                    "enum": ["FULL_CARD", "POLICY_BASED", "NO_REFUND"],
                    "default": "POLICY_BASED",
                },
            }),
        ),
        (
            "instainstru_booking_force_cancel_execute",
            "execute",
            json!({
                "booking_id": {"required": true},
                "confirm_token": {"required": true},
                "idempotency_key": {"required": true},
            }),
        ),
        (
            "instainstru_booking_reschedule_preview",
            "preview",
            json!({
                "booking_id": {"required": true},
                "new_date": {"required": true, "format": "date"},
                "new_start_time": {"required": true},
                "reason": {"required": true},
            }),
        ),
        (
            "instainstru_booking_reschedule_execute",
            "execute",
            json!({
                "booking_id": {"required": true},
                "confirm_token": {"required": true},
                "idempotency_key": {"required": true},
            }),
        ),
        (
            "instainstru_revenue_dashboard",
            read,
            json!({
                "period": {"enum": ["today", "yesterday", "last_7_days", "last_30_days",
                    "this_month", "last_month", "this_quarter"]},
                "compare_to": {"enum": ["previous_period", "same_period_last_month",
                    "same_period_last_year"]},
                "breakdown_by": {"enum": ["day", "week", "category"]},
            }),
        ),
        ("instainstru_payments_pipeline", read, json!({})),
        (
            "instainstru_payments_pending_payouts",
            read,
            json!({ "limit": {"minimum": 1, "maximum": 100, "default": 20} }),
        ),
        (
            "instainstru_cohort_retention",
            read,
            json!({
                "user_type": {"enum": ["student", "instructor"]},
                "cohort_period": {"enum": ["week", "month"]},
                "periods_back": {"minimum": 1, "maximum": 24, "default": 6},
                "metric": {"enum": ["active", "booking", "revenue"]},
            }),
        ),
        (
            "instainstru_student_signups",
            read,
            json!({
                "start_date": {"format": "date"},
                "end_date": {"format": "date"},
                "group_by": {"enum": ["day", "week", "month"]},
            }),
        ),
    ]
}

#[tokio::test]
async fn copilot_1_8_names_parameters_limits_and_effects_are_those_of_the_contract() {
    let market = Market::extended().await;
    let listed = market.admin().request("tools/list", json!({})).await;
    let tools = listed.result()["tools"].as_array().expect("tools");
    let contract = contract();
    let names: Vec<&Value> = tools.iter().map(|tool| &tool["name"]).collect();
    let expected: Vec<&str> = contract.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, expected);
    for (tool, (name, kind, parameters)) in tools.iter().zip(&contract) {
        let annotations = match *kind {
            "read" => json!([true, false, false, false]),
            "preview" => json!([false, false, false, false]),
            _ => json!([false, true, true, true]),
        };
        let hints = [
            "readOnlyHint",
            "destructiveHint",
            "idempotentHint",
            "openWorldHint",
        ];
        let found = hints.map(|hint| tool["annotations"][hint].clone());
        assert_eq!(json!(found), annotations, "{name}");
        assert!(tool["title"].is_string(), "{name} has no title");
        let meta = &tool["outputSchema"]["properties"]["meta"];
        assert!(meta.is_object(), "{name} has no output schema");
        check_parameters(name, &tool["inputSchema"], parameters);
    }
}

fn check_parameters(tool: &str, schema: &Value, expected: &Value) {
    let found = schema["properties"].as_object().expect("properties");
    let expected = expected.as_object().expect("parameters");
    let names = |map: &serde_json::Map<String, Value>| {
        let mut names: Vec<String> = map.keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(names(found), names(expected), "{tool}");
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, facts) in expected {
        let said = found[name].to_string();
        for (fact, value) in facts.as_object().expect("facts") {
            let fits = match fact.as_str() {
                "required" => required.contains(&json!(name)),
                "enum" => value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .all(|one| said.contains(&one.to_string())),
                _ => said.contains(&format!("\"{fact}\":{value}")),
            };
            assert!(fits, "{tool}: {name} should have {fact} {value}: {said}");
        }
        let is_required = required.contains(&json!(name));
        assert_eq!(is_required, facts["required"] == true, "{tool}: {name}");
    }
}

/// A call, and a place in its result where something other than null stands.
fn rows(booking: &str) -> Vec<(&'static str, Value, &'static str)> {
    let recent = "instainstru_bookings_recent";
    let summary = "instainstru_bookings_summary";
    let detail = "instainstru_booking_detail";
    let revenue = "instainstru_revenue_dashboard";
    let pipeline = "instainstru_payments_pipeline";
    let payouts = "instainstru_payments_pending_payouts";
    let retention = "instainstru_cohort_retention";
    let signups = "instainstru_student_signups";
    vec![
        (recent, json!({}), "/bookings/9/booking_id"),
        (
            recent,
            json!({"status": "PENDING", "hours": 168, "limit": 2}),
            "/bookings/1",
        ),
        (
            summary,
            json!({"period": "this_month"}),
            "/data/total_bookings",
        ),
        (
            summary,
            json!({"period": "last_7_days"}),
            "/data/total_value_cents",
        ),
        (
            summary,
            json!({"start_date": "2026-04-01", "end_date": "2026-05-31"}),
            "/data/by_category/5",
        ),
        (
            detail,
            json!({"booking_id": booking}),
            "/webhooks/0/event_type",
        ),
        (detail, json!({"booking_id": booking}), "/timeline/0/event"),
        (
            detail,
            json!({"booking_id": booking, "include_messages_summary": true, "include_trace_links": true}),
            "/messages/count",
        ),
        (revenue, json!({}), "/data/health/status"),
        (
            revenue,
            json!({"period": "last_month", "compare_to": "previous_period"}),
            "/data/comparison/gmv_change",
        ),
        (
            revenue,
            json!({"compare_to": "same_period_last_month"}),
            "/data/comparison/gmv_change",
        ),
        (
            revenue,
            json!({"breakdown_by": "day"}),
            "/data/breakdown/5/label",
        ),
        (
            revenue,
            json!({"breakdown_by": "week"}),
            "/data/breakdown/3/label",
        ),
        (
            revenue,
            json!({"breakdown_by": "category"}),
            "/data/breakdown/5/label",
        ),
        (pipeline, json!({}), "/data/stages/7/description"),
        (
            payouts,
            json!({"limit": 3}),
            "/payouts/2/oldest_pending_date",
        ),
        (retention, json!({}), "/data/avg_retention"),
        (
            retention,
            json!({"user_type": "instructor", "metric": "revenue"}),
            "/data/cohorts/2/retention/1",
        ),
        (
            retention,
            json!({"cohort_period": "week", "periods_back": 24, "metric": "booking"}),
            "/data/cohorts/5",
        ),
        (signups, json!({}), "/data/change"),
        (
            signups,
            json!({"group_by": "week", "start_date": "2026-04-01"}),
            "/data/series/8/count",
        ),
        (
            signups,
            json!({"group_by": "month", "start_date": "2026-01-01"}),
            "/data/series/5/bucket",
        ),
    ]
}

/// The id of a booking that was made in the last day.
async fn fresh(market: &Market) -> String {
    let arguments = json!({"status": "CONFIRMED"});
    let recent = market
        .admin()
        .call("instainstru_bookings_recent", arguments)
        .await;
    let id = recent.structured()["bookings"][0]["booking_id"].as_str();
    id.expect("a booking").to_owned()
}

#[tokio::test]
async fn every_tool_has_something_to_tell_in_the_shape_it_published() {
    let market = Market::extended().await;
    let admin = market.admin();
    let listed = admin.request("tools/list", json!({})).await;
    let listed = listed.result()["tools"].as_array().expect("tools");
    for (tool, arguments, pointer) in rows(&fresh(&market).await) {
        let reply = admin.call(tool, arguments.clone()).await;
        let found = reply.structured().pointer(pointer).unwrap_or(&Value::Null);
        assert!(
            !found.is_null(),
            "{tool} {arguments} {pointer}: {}",
            reply.structured()
        );
        let of_tool = listed
            .iter()
            .find(|listed| listed["name"] == tool)
            .expect("listed");
        let validator = jsonschema::draft202012::new(&of_tool["outputSchema"]).expect("a schema");
        let errors: Vec<String> = validator
            .iter_errors(reply.structured())
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{tool} {arguments}: {errors:?}");
    }
}

/// `(tool, arguments, code)`
#[tokio::test]
async fn what_is_wrong_is_refused_with_a_code() {
    let market = Market::extended().await;
    let unknown = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let rows = [
        (
            "instainstru_bookings_recent",
            json!({"limit": 101}),
            "invalid_arguments",
        ),
        (
            "instainstru_bookings_recent",
            json!({"hours": 169}),
            "invalid_arguments",
        ),
        (
            "instainstru_bookings_recent",
            json!({"status": "pending"}),
            "invalid_arguments",
        ),
        (
            "instainstru_bookings_summary",
            json!({"period": "today", "start_date": "2026-05-01"}),
            "period_or_dates",
        ),
        (
            "instainstru_bookings_summary",
            json!({"start_date": "2026-05-02", "end_date": "2026-05-01"}),
            "start_date_after_end_date",
        ),
        (
            "instainstru_booking_detail",
            json!({"booking_id": unknown}),
            "booking_not_found",
        ),
        (
            "instainstru_booking_detail",
            json!({"booking_id": "../x"}),
            "invalid_arguments",
        ),
        (
            "instainstru_booking_force_cancel_preview",
            json!({"booking_id": unknown, "reason_code": "ADMIN_DISCRETION", "note": "x"}),
            "booking_not_found",
        ),
        (
            "instainstru_booking_force_cancel_preview",
            json!({"booking_id": unknown, "reason_code": "BOREDOM", "note": "x"}),
            "invalid_arguments",
        ),
        (
            "instainstru_booking_reschedule_preview",
            json!({"booking_id": unknown, "new_date": "2026-06-03", "new_start_time": "25:00", "reason": "x"}),
            "invalid_arguments",
        ),
        (
            "instainstru_revenue_dashboard",
            json!({"period": "this_year"}),
            "invalid_arguments",
        ),
        (
            "instainstru_payments_pending_payouts",
            json!({"limit": 0}),
            "invalid_arguments",
        ),
        (
            "instainstru_cohort_retention",
            json!({"periods_back": 25}),
            "invalid_arguments",
        ),
        (
            "instainstru_student_signups",
            json!({"start_date": "2024-01-01", "end_date": "2026-01-01"}),
            "window_too_long",
        ),
        (
            "instainstru_payments_pipeline",
            json!({"limit": 5}),
            "invalid_arguments",
        ),
    ];
    for (tool, arguments, code) in rows {
        let reply = market.admin().call(tool, arguments.clone()).await;
        assert_eq!(reply.code(), code, "{tool} {arguments}");
    }
}

/// Whoever may read sees the tools that write, and is told which scope they need.
#[tokio::test]
async fn changes_need_the_scope_to_write() {
    let market = Market::extended().await;
    let reader = market.server.as_caller(caller("reader"));
    let limited = mcp_runtime::Caller::user("reader").scope("copilot:read");
    let limited = market.server.as_caller(limited);
    assert_eq!(limited.tools().await.len(), reader.tools().await.len());
    for tool in [
        "instainstru_booking_force_cancel_preview",
        "instainstru_booking_force_cancel_execute",
        "instainstru_booking_reschedule_preview",
        "instainstru_booking_reschedule_execute",
    ] {
        let reply = limited.call(tool, json!({})).await;
        assert_eq!(reply.status, 403, "{tool}");
    }
}

/// The figures of one period agree with each other and with those of the bookings.
#[tokio::test]
async fn money_adds_up() {
    let market = Market::extended().await;
    let admin = market.admin();
    for period in ["last_7_days", "last_30_days", "last_month", "this_quarter"] {
        let arguments = json!({"period": period, "breakdown_by": "category"});
        let reply = admin.call("instainstru_revenue_dashboard", arguments).await;
        let data = &reply.structured()["data"];
        let cents = |name: &str| data[name].as_i64().expect("cents");
        assert!(cents("gmv") > 0, "{period}");
        assert_eq!(
            cents("platform_revenue") + cents("instructor_payouts"),
            cents("gmv")
        );
        let rows = data["breakdown"].as_array().expect("rows");
        let sum: i64 = rows.iter().filter_map(|row| row["gmv"].as_i64()).sum();
        assert_eq!(sum, cents("gmv"), "{period}");
        let window = json!({
            "start_date": data["time_window"]["start"], "end_date": data["time_window"]["end"],
        });
        let reply = admin.call("instainstru_bookings_summary", window).await;
        let summary = &reply.structured()["data"];
        assert_eq!(
            summary["total_bookings"], data["total_bookings"],
            "{period}"
        );
        assert_eq!(
            summary["by_status"]["COMPLETED"], data["completed_bookings"],
            "{period}"
        );
    }
}

/// Any other day would take a loop, or an instant, to the end of the calendar.
#[tokio::test]
async fn days_are_taken_from_1900_to_2199_and_no_others() {
    let moving = |day: &str| {
        let booking = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        json!({"booking_id": booking, "new_date": day, "new_start_time": "14:30", "reason": "x"})
    };
    let signups = "instainstru_student_signups";
    let summary = "instainstru_bookings_summary";
    let move_preview = "instainstru_booking_reschedule_preview";
    let market = Market::extended().await;
    for (tool, arguments) in [
        (signups, json!({"end_date": "9999-12-31"})),
        (
            signups,
            json!({"end_date": "9999-12-31", "group_by": "week"}),
        ),
        (
            signups,
            json!({"end_date": "9999-12-31", "group_by": "month"}),
        ),
        (signups, json!({"end_date": "0000-01-01"})),
        (signups, json!({"start_date": "1899-12-31"})),
        (signups, json!({"end_date": "2200-01-01"})),
        (summary, json!({"start_date": "0000-01-01"})),
        (summary, json!({"end_date": "9999-12-31"})),
        (move_preview, moving("0000-01-01")),
        (move_preview, moving("9999-12-31")),
    ] {
        let reply = market.admin().call(tool, arguments.clone()).await;
        assert_eq!(reply.code(), "validation_failed", "{tool} {arguments}");
        let text = reply.text();
        let said = text.contains("_date") && text.contains("from 1900-01-01 to 2199-12-31");
        assert!(said, "{tool} {arguments}: {text}");
    }
    for (arguments, first, last) in [
        (
            json!({"end_date": "2199-12-31"}),
            "2199-12-02",
            "2199-12-31",
        ),
        (
            json!({"end_date": "2199-12-31", "group_by": "week"}),
            "2199-12-02",
            "2199-12-30",
        ),
        (
            json!({"end_date": "1900-01-01", "group_by": "month"}),
            "1899-12-01",
            "1900-01-01",
        ),
    ] {
        let reply = market.admin().call(signups, arguments.clone()).await;
        let series = reply.structured()["data"]["series"].as_array();
        let series = series.expect("a series");
        let ends = [series.first(), series.last()].map(|one| &one.expect("a bucket")["bucket"]);
        assert_eq!(ends, [first, last], "{arguments}");
    }
}

/// Those of the extended set are above.
#[tokio::test]
async fn days_of_the_ten_tools_have_the_same_bounds() {
    let market = Market::new().await;
    for tool in [
        "instainstru_founding_funnel_summary",
        "instainstru_search_top_queries",
        "instainstru_search_zero_results",
    ] {
        for day in ["0000-01-01", "1899-12-31", "2200-01-01", "9999-12-31"] {
            for name in ["start_date", "end_date"] {
                let arguments = json!({ name: day });
                let reply = market.admin().call(tool, arguments.clone()).await;
                assert_eq!(reply.code(), "validation_failed", "{tool} {arguments}");
                assert!(reply.text().contains(name), "{tool}: {}", reply.text());
            }
        }
    }
}

/// Every booking is in one stage, and what waits for instructors is what their list says.
#[tokio::test]
async fn the_payments_pipeline_adds_up() {
    let market = Market::extended().await;
    let admin = market.admin();
    let (pipeline, summary) = (
        "instainstru_payments_pipeline",
        "instainstru_bookings_summary",
    );
    let reply = admin.call(pipeline, json!({})).await;
    let data = &reply.structured()["data"];
    let stages = data["stages"].as_array().expect("stages");
    let sum = |name: &str| -> i64 { stages.iter().filter_map(|one| one[name].as_i64()).sum() };
    let always = json!({"start_date": "1900-01-01", "end_date": "2199-12-31"});
    let all = admin.call(summary, always).await;
    let all = &all.structured()["data"];
    assert_eq!(all["total_bookings"], sum("count"));
    assert_eq!(all["total_value_cents"], sum("amount_cents"));

    let stage = |name: &str| {
        let found = stages.iter().find(|one| one["stage"] == name);
        found.expect("a stage").clone()
    };
    for name in [
        "scheduled",
        "payment_method_required",
        "authorized",
        "manual_review",
        "pending_payout",
        "paid_out",
        "closed_without_lesson",
    ] {
        assert!(
            stage(name)["count"].as_u64() > Some(0),
            "{name}: {stages:?}"
        );
    }
    assert_eq!(stage("locked")["count"], 0);
    let cents = |name: &str| data[name].as_i64().expect("cents");
    let captured = cents("captured_cents");
    let settled = ["pending_payout", "paid_out"].map(|name| stage(name)["amount_cents"].as_i64());
    assert_eq!(settled.into_iter().flatten().sum::<i64>(), captured);
    let to_instructors = cents("pending_payout_cents") + cents("paid_out_cents");
    assert_eq!(cents("platform_fees_cents") + to_instructors, captured);
    let payouts = "instainstru_payments_pending_payouts";
    let payouts = admin.call(payouts, json!({})).await;
    assert_eq!(
        payouts.structured()["total_pending_cents"],
        data["pending_payout_cents"]
    );
}

#[tokio::test]
async fn the_payments_pipeline_shows_what_went_back() {
    let market = Market::extended().await;
    let admin = market.admin();
    let pipeline = "instainstru_payments_pipeline";
    let before = admin.call(pipeline, json!({})).await;
    let nothing = json!({"count": 0, "card_cents": 0, "credit_cents": 0});
    assert_eq!(before.structured()["data"]["refunds"], nothing);
    let booking = fresh(&market).await;
    let arguments = json!({
        "booking_id": booking, "reason_code": "ADMIN_DISCRETION", "note": "Asked by phone",
        "refund_preference": "FULL_CARD",
    });
    let preview = "instainstru_booking_force_cancel_preview";
    let preview = admin.call(preview, arguments).await;
    let preview = &preview.structured()["data"];
    let arguments = json!({
        "booking_id": booking,
        "confirm_token": preview["confirm_token"],
        "idempotency_key": preview["idempotency_key"],
    });
    let execute = "instainstru_booking_force_cancel_execute";
    admin.call(execute, arguments).await.structured();
    let after = admin.call(pipeline, json!({})).await;
    let refunds = json!({"count": 1, "card_cents": preview["refund_amount"], "credit_cents": 0});
    assert_eq!(after.structured()["data"]["refunds"], refunds);
}
