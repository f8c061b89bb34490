//! The eight endpoints that only read.

use serde_json::{Value, json};

use super::Stage;

/// `(path, snapshot name)`: one good answer of each, whole.
const GOOD: &[(&str, &str)] = &[
    ("/founding/funnel", "funnel"),
    ("/founding/stuck?stuck_days=30&limit=3", "stuck"),
    ("/instructors?category_slug=music&limit=2", "instructors"),
    ("/instructors/coverage", "coverage"),
    (
        "/instructors/coverage?group_by=service&top=3&status=onboarding",
        "coverage_by_service",
    ),
    ("/instructors/maya.chen@example.com", "detail"),
    ("/instructors/novak", "ambiguous"),
    ("/search/top-queries?limit=3", "top_queries"),
    ("/search/zero-results?limit=3", "zero_results"),
    ("/metrics/search.conversion", "metric"),
];

#[tokio::test]
async fn every_endpoint_has_something_to_tell() {
    let stage = Stage::new().await;
    for (path, name) in GOOD {
        let mut body = stage.get(path).await.ok();
        // The service account gets a fresh id in each database.
        body["meta"]["actor"]["id"] = json!("[id]");
        insta::assert_json_snapshot!(*name, body);
    }
}

/// `(path, status, code, text that the answer must contain)`
const REFUSED: &[(&str, u16, &str, &str)] = &[
    ("/instructors/%ff", 422, "validation_failed", "identifier"),
    ("/instructors/a%00b", 422, "validation_failed", "control"),
    ("/instructors/%20", 422, "validation_failed", "1 to 254"),
    (
        "/instructors?service_slug=a%00b",
        422,
        "validation_failed",
        "control",
    ),
    (
        "/instructors?%3Cscript%3E=1",
        422,
        "validation_failed",
        "unknown name",
    ),
    ("/metrics/%ff", 422, "validation_failed", "metric_name"),
    (
        "/founding/funnel?start_date=2026-13-01",
        422,
        "validation_failed",
        "start_date",
    ),
    (
        "/founding/funnel?start_date=20260101",
        422,
        "validation_failed",
        "such as 2026-01-31",
    ),
    (
        "/founding/funnel?from=2026-01-01",
        422,
        "validation_failed",
        "`from` is unknown",
    ),
    (
        "/founding/funnel?start_date=2026-02-01&end_date=2026-01-01",
        400,
        "start_date_after_end_date",
        "start_date",
    ),
    (
        "/founding/stuck?stuck_days=0",
        422,
        "validation_failed",
        "from 1 to 90",
    ),
    (
        "/founding/stuck?stuck_days=91",
        422,
        "validation_failed",
        "from 1 to 90",
    ),
    (
        "/founding/stuck?limit=201&stuck_days=x",
        422,
        "validation_failed",
        "from 1 to 200",
    ),
    (
        "/founding/stuck?stage=daydreaming",
        422,
        "validation_failed",
        "bgc_initiated",
    ),
    (
        "/instructors?status=retired",
        422,
        "validation_failed",
        "registered, onboarding, live",
    ),
    (
        "/instructors?is_founding=maybe",
        422,
        "validation_failed",
        "true or false",
    ),
    (
        "/instructors?limit=0",
        422,
        "validation_failed",
        "from 1 to 200",
    ),
    (
        "/instructors?limit=5&limit=6",
        422,
        "validation_failed",
        "given twice",
    ),
    (
        "/instructors?cursor=%21%21",
        400,
        "invalid_cursor",
        "Invalid cursor",
    ),
    (
        "/instructors?cursor=YWJj",
        400,
        "invalid_cursor",
        "Invalid cursor",
    ),
    (
        "/instructors/coverage?group_by=city",
        422,
        "validation_failed",
        "category, service",
    ),
    (
        "/instructors/coverage?top=201",
        422,
        "validation_failed",
        "from 1 to 200",
    ),
    (
        "/instructors/nobody",
        404,
        "instructor_not_found",
        "Instructor not found",
    ),
    (
        "/instructors/nobody@example.com",
        404,
        "instructor_not_found",
        "Instructor not found",
    ),
    (
        "/instructors/01ARZ3NDEKTSV4RRFFQ69G5FAV",
        404,
        "instructor_not_found",
        "not found",
    ),
    (
        "/instructors/%25",
        404,
        "instructor_not_found",
        "Instructor not found",
    ),
    (
        "/search/top-queries?min_count=1001",
        422,
        "validation_failed",
        "from 1 to 1000",
    ),
    (
        "/search/top-queries?start_date=2026-06-02",
        400,
        "start_date_after_end_date",
        "start_date",
    ),
    (
        "/search/zero-results?start_date=2026-02-01&end_date=2026-01-31",
        400,
        "start_date_after_end_date",
        "start_date",
    ),
    (
        "/search/zero-results?limit=-1",
        422,
        "validation_failed",
        "from 1 to 200",
    ),
    (
        "/metrics/happiness",
        404,
        "metric_not_found",
        "instructor.registered",
    ),
    ("/nothing/here", 404, "path_not_found", "no such path"),
];

#[tokio::test]
async fn every_mistake_is_named() {
    let stage = Stage::new().await;
    for (path, status, code, text) in REFUSED {
        let body = stage.get(path).await.refused(*status, code);
        assert!(
            body.to_string().contains(text),
            "{path}: {text} not in {body}"
        );
    }
}

#[tokio::test]
async fn all_problems_of_a_request_come_at_once() {
    let stage = Stage::new().await;
    let path = "/founding/stuck?limit=201&stuck_days=x&stage=daydreaming";
    let body = stage.get(path).await.refused(422, "validation_failed");
    let problems = body["detail"]["details"]["problems"].as_array();
    assert_eq!(problems.map(Vec::len), Some(3), "{body}");
    assert!(
        !body.to_string().contains("daydreaming"),
        "the value is repeated: {body}"
    );
}

#[tokio::test]
async fn the_fixture_has_65_live_instructors_and_100_free_founding_slots() {
    let stage = Stage::new().await;
    let coverage = stage.get("/instructors/coverage").await.ok();
    let data = &coverage["data"];
    assert_eq!(data["values"], json!([12, 11, 11, 11, 10, 10]));
    assert_eq!(data["total_instructors"], 65);
    let cap = stage.get("/founding/funnel").await.ok()["founding_cap"].clone();
    assert_eq!(
        cap,
        json!({"cap": 100, "used": 0, "remaining": 100, "reserved": 0, "is_founding_phase": true})
    );
}

#[tokio::test]
async fn the_funnel_declines_and_honours_its_window() {
    let stage = Stage::new().await;
    let counts = |body: &Value| -> Vec<i64> {
        let stages = body["stages"].as_array().expect("stages");
        stages
            .iter()
            .filter_map(|stage| stage["count"].as_i64())
            .collect()
    };
    let all = counts(&stage.get("/founding/funnel").await.ok());
    assert_eq!(all.len(), 7);
    assert!(all.is_sorted_by(|a, b| a > b), "{all:?}");
    let path = "/founding/funnel?start_date=2026-05-01&end_date=2026-05-31";
    let may = counts(&stage.get(path).await.ok());
    assert!(may[0] > 0 && may[0] < all[0], "{may:?}");
    let none = stage.get("/founding/funnel?end_date=2001-01-01").await.ok();
    assert_eq!(counts(&none), [0; 7]);
    assert_eq!(none["conversion_rates"][0]["rate"], 0.0);
    assert_eq!(
        none["time_window"],
        json!({"start": null, "end": "2001-01-01"})
    );
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_overlap() {
    let stage = Stage::new().await;
    let mut seen: Vec<String> = Vec::new();
    let mut path = "/instructors?limit=50".to_owned();
    loop {
        let page = stage.get(&path).await.ok();
        let items = page["items"].as_array().expect("items");
        seen.extend(
            items
                .iter()
                .filter_map(|item| item["user_id"].as_str())
                .map(str::to_owned),
        );
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/instructors?limit=50&cursor={cursor}");
    }
    assert_eq!(seen.len(), 65 + 58 + 6);
    assert!(seen.is_sorted_by(|a, b| a < b), "ascending, no id twice");
}

/// `(query, number of instructors)`
const FILTERS: &[(&str, usize)] = &[
    ("status=live", 65),
    ("status=paused", 6),
    ("status=onboarding", 31),
    ("status=registered", 27),
    ("is_founding=true", 0),
    ("is_founding=false&status=live", 65),
    ("status=live&category_slug=sports-fitness", 10),
    ("category_slug=unheard-of", 0),
];

#[tokio::test]
async fn filters_narrow_the_list() {
    let stage = Stage::new().await;
    for (query, expected) in FILTERS {
        let page = stage
            .get(&format!("/instructors?limit=200&{query}"))
            .await
            .ok();
        assert_eq!(
            page["items"].as_array().map(Vec::len),
            Some(*expected),
            "{query}"
        );
    }
    let piano = stage.get("/instructors?service_slug=piano").await.ok();
    for item in piano["items"].as_array().expect("items") {
        let services = item["services"].as_array().expect("services");
        assert!(services.contains(&json!("Piano")), "{item}");
    }
}

#[tokio::test]
async fn an_instructor_is_found_by_every_kind_of_identifier() {
    let stage = Stage::new().await;
    let maya = stage.get("/instructors/MAYA.CHEN@example.com").await.ok();
    let user = maya["user_id"].as_str().expect("an id").to_owned();
    let profile = maya["admin_url"]
        .as_str()
        .and_then(|url| url.rsplit('/').next());
    let profile = profile.expect("a profile id");
    for identifier in [
        user.as_str(),
        &user.to_lowercase(),
        profile,
        "maya%20chen",
        "Maya%20%20CHEN",
        "maya.chen%40example.com",
    ] {
        let found = stage.get(&format!("/instructors/{identifier}")).await.ok();
        assert_eq!(found["user_id"], user, "{identifier}");
    }
}

#[tokio::test]
async fn several_matches_are_shown_not_guessed() {
    let stage = Stage::new().await;
    let found = stage.get("/instructors/a").await.ok();
    assert_eq!(found["ambiguous"], true);
    assert_eq!(found["candidates"].as_array().map(Vec::len), Some(10));
    assert!(found.get("user_id").is_none());
}

#[tokio::test]
async fn stuck_instructors_come_oldest_first_and_none_who_arrived() {
    let stage = Stage::new().await;
    let body = stage.get("/founding/stuck?limit=200").await.ok();
    let instructors = body["instructors"].as_array().expect("instructors");
    assert_eq!(body["total_stuck"], instructors.len());
    let days: Vec<i64> = instructors
        .iter()
        .filter_map(|one| one["days_in_stage"].as_i64())
        .collect();
    assert!(
        days.is_sorted_by(|a, b| a >= b) && days.iter().all(|days| *days >= 7),
        "{days:?}"
    );
    let arrived = stage.get("/founding/stuck?stage=went_live").await.ok();
    assert_eq!(arrived["total_stuck"], 0);
    let invited = stage.get("/founding/stuck?stage=bgc_initiated").await.ok();
    assert!(invited["total_stuck"].as_i64() > Some(0));
    assert_eq!(invited["summary"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn the_default_search_window_is_30_days_up_to_its_end() {
    let stage = Stage::new().await;
    let body = stage.get("/search/top-queries").await.ok();
    assert_eq!(
        body["data"]["time_window"],
        json!({"start": "2026-05-03", "end": "2026-06-01"})
    );
    let body = stage
        .get("/search/zero-results?end_date=2026-04-30")
        .await
        .ok();
    assert_eq!(
        body["data"]["time_window"],
        json!({"start": "2026-04-01", "end": "2026-04-30"})
    );
}

#[tokio::test]
async fn days_from_1900_to_2199_are_dates_and_no_others() {
    let stage = Stage::new().await;
    for path in [
        "/founding/funnel",
        "/search/top-queries",
        "/search/zero-results",
        "/ops/bookings/summary",
    ] {
        for window in [
            "start_date=1900-01-01&end_date=2199-12-31",
            "end_date=1900-01-01",
            "start_date=2199-12-31&end_date=2199-12-31",
        ] {
            stage.get(&format!("{path}?{window}")).await.ok();
        }
        for window in [
            "start_date=0000-01-01&end_date=9999-12-31",
            "end_date=0000-01-01",
            "start_date=1899-12-31",
            "end_date=2200-01-01",
            "start_date=9999-12-31&end_date=9999-12-31",
        ] {
            let answer = stage.get(&format!("{path}?{window}")).await;
            let body = answer.refused(422, "validation_failed").to_string();
            let said = body.contains("must be a date from 1900-01-01 to 2199-12-31");
            assert!(said, "{path}?{window}: {body}");
        }
    }
}

#[tokio::test]
async fn rates_have_four_decimals_whatever_the_database_holds() {
    let stage = Stage::new().await;
    let maya = "/instructors/maya.chen@example.com";
    for (kept, shown) in [
        ("0.9600000000000001", json!(0.96)),
        ("0.91666666666", json!(0.9167)),
        ("NULL", Value::Null),
    ] {
        // Numbers are put together here, never what a caller sent.
        let sql = format!(
            "UPDATE instructor_profiles SET response_rate = {kept} WHERE user_id =
                (SELECT id FROM users WHERE email = 'maya.chen@example.com')"
        );
        let mut db = stage.database.connect().await;
        let updated = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut db).await;
        assert_eq!(updated.expect("executed").rows_affected(), 1);
        let detail = stage.get(maya).await.ok();
        assert_eq!(detail["stats"]["response_rate"], shown, "{kept}");
    }
}
