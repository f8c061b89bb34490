//! Who may ask the API, in which session, and how often.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use mcp_runtime::tenant_signature::{Signer, SigningKey};
use reference_server::platform::RateLimits;
use serde_json::{Value, json};

use super::{Office, TOKEN, send, signing_key};

#[tokio::test]
async fn s3_042_service_token_user_and_signed_tenant_are_all_needed() {
    let office = Office::new().await;
    let token = format!("Bearer {TOKEN}");
    let wrong = SigningKey::new("another secret of thirty-two bytes").expect("long enough");
    type Row<'a> = (
        &'a str,
        Option<&'a str>,
        Option<&'a str>,
        Option<SigningKey>,
        u16,
    );
    let rows: [Row<'_>; 6] = [
        ("all", Some(&token), Some("ada"), Some(signing_key()), 201),
        ("no token", None, Some("ada"), Some(signing_key()), 401),
        (
            "a wrong token",
            Some("Bearer x"),
            Some("ada"),
            Some(signing_key()),
            401,
        ),
        ("no user", Some(&token), None, Some(signing_key()), 400),
        ("no signature", Some(&token), Some("ada"), None, 401),
        (
            "a wrong signature",
            Some(&token),
            Some("ada"),
            Some(wrong),
            401,
        ),
    ];
    for (what, token, user, key, status) in rows {
        let mut request = Request::post("/v1/sync/sessions");
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        if let Some(user) = user {
            request = request.header("x-acting-user", user);
        }
        let mut request = request.body(Body::empty()).expect("a request");
        let signed = key.is_some();
        if let Some(key) = key {
            let signer = Signer::new(key, office.clock.clone());
            signer.sign(&"org_a".parse().expect("a tenant"), &mut request, b"");
        }
        let answer = send(&office.router, request).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        if what == "no signature" || what == "a wrong signature" {
            assert_eq!(
                answer.body, "Unauthorized: invalid tenant headers",
                "{signed}"
            );
        }
    }
}

#[tokio::test]
async fn without_a_key_for_signatures_there_is_no_api() {
    let office = Office::with(|settings| settings.record_signatures = None).await;
    let answer = office
        .ask("POST", "/v1/sync/sessions", &[], Value::Null)
        .await;
    assert_eq!(answer.status, 404);
    let ada = office.user("ada", "org_a");
    let refused = super::refused(&ada, "list_notes", json!({})).await;
    assert_eq!(refused["status"], 404);
}

#[tokio::test]
async fn s3_056_health_and_info_are_open() {
    let office = Office::new().await;
    let get = |path: &str| Request::get(path).body(Body::empty()).expect("a request");
    assert_eq!(send(&office.router, get("/healthz")).await.body, "ok");
    let info = send(&office.router, get("/v1/sync/info")).await;
    assert_eq!(info.status, 200);
    assert_eq!(info.body["apiVersion"], "1.1");
    assert_eq!(
        info.body["limits"]["chat_messages"],
        json!({"push": 1000, "pull": 1000})
    );
    assert_eq!(
        info.body["hints"],
        json!({"batchSize": 500, "backoffMs": 1500})
    );
}

#[tokio::test]
async fn sessions_are_of_one_user_and_last_half_an_hour() {
    let office = Office::new().await;
    let created = office
        .ask("POST", "/v1/sync/sessions", &[], Value::Null)
        .await;
    assert_eq!(created.status, 201);
    assert_eq!(created.headers["x-sync-epoch"], "1");
    assert_eq!(created.body["userId"], "ada");
    assert_eq!(created.body["createdAt"], "2026-06-01T12:00:00Z");
    assert_eq!(created.body["expiresAt"], "2026-06-01T12:30:00Z");
    let id = created.body["id"].as_str().expect("an id");
    let path = format!("/v1/sync/sessions/{id}");
    let bob = [("x-acting-user", "bob")];
    let elsewhere = [("tenant", "org_b")];
    assert_eq!(
        office.ask("GET", &path, &[], Value::Null).await.body,
        created.body
    );
    for (headers, status) in [(&bob[..], 403), (&elsewhere[..], 404)] {
        for method in ["GET", "DELETE"] {
            let answer = office.ask(method, &path, headers, Value::Null).await;
            assert_eq!(answer.status, status, "{method} {headers:?}");
        }
    }
    let epoch = ("x-sync-epoch", "1");
    type Row<'a> = (&'a [(&'a str, &'a str)], u16, &'a str);
    let rows: [Row<'_>; 6] = [
        (&[], 428, "session_required"),
        (&[epoch], 428, "session_required"),
        (&[("x-sync-session", id)], 428, "session_required"),
        (
            &[epoch, ("x-sync-session", "nothing")],
            428,
            "session_required",
        ),
        (
            &[epoch, ("x-sync-session", id), ("x-acting-user", "bob")],
            403,
            "foreign_session",
        ),
        (
            &[epoch, ("x-sync-session", id), ("tenant", "org_b")],
            428,
            "session_required",
        ),
    ];
    for (headers, status, error) in rows {
        let answer = office.ask("GET", "/v1/notes", headers, Value::Null).await;
        assert_eq!(
            (answer.status, answer.body["error"].as_str()),
            (status, Some(error)),
            "{headers:?}"
        );
    }
    let own = [epoch, ("x-sync-session", id)];
    assert_eq!(
        office
            .ask("GET", "/v1/notes", &own, Value::Null)
            .await
            .status,
        200
    );
    office.clock.advance(Duration::from_secs(30 * 60 - 1));
    assert_eq!(
        office
            .ask("GET", "/v1/notes", &own, Value::Null)
            .await
            .status,
        200
    );
    office.clock.advance(Duration::from_secs(1));
    assert_eq!(
        office
            .ask("GET", "/v1/notes", &own, Value::Null)
            .await
            .status,
        428
    );
    assert_eq!(
        office.ask("DELETE", &path, &[], Value::Null).await.status,
        404
    );
    let (id, _) = office.session("ada", "org_a").await;
    let path = format!("/v1/sync/sessions/{id}");
    assert_eq!(
        office.ask("DELETE", &path, &[], Value::Null).await.status,
        204
    );
    assert_eq!(office.ask("GET", &path, &[], Value::Null).await.status, 404);
}

#[tokio::test]
async fn every_answer_has_a_correlation_id() {
    let office = Office::new().await;
    let sent = [("x-correlation-id", "trace-1:a.b")];
    let answer = office.ask("GET", "/v1/notes", &sent, Value::Null).await;
    assert_eq!(answer.headers["x-correlation-id"], "trace-1:a.b");
    assert_eq!(answer.body["correlation_id"], "trace-1:a.b");
    for made in [&[("x-correlation-id", "two words")][..], &[]] {
        let answer = office.ask("GET", "/v1/nothing", made, Value::Null).await;
        assert_eq!(answer.status, 404);
        let id = answer.headers["x-correlation-id"].to_str().expect("text");
        assert_eq!(id.len(), 36, "{id}");
        assert_eq!(answer.body["correlation_id"], id);
    }
    let wrong = office.ask("PUT", "/v1/sync/info", &[], Value::Null).await;
    assert_eq!(
        (wrong.status, &wrong.body["error"]),
        (405, &json!("method_not_allowed"))
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_400() {
    let office = Office::new().await;
    let rows = [
        ("GET", "/v1/notes/not-a-uid", Value::Null, "invalid_uid"),
        ("GET", "/v1/notes?limit=0", Value::Null, "validation_failed"),
        (
            "GET",
            "/v1/notes?include_deleted=1",
            Value::Null,
            "validation_failed",
        ),
        ("POST", "/v1/notes", json!([1]), "invalid_body"),
        (
            "POST",
            "/v1/notes",
            json!({"title": "t"}),
            "invalid_payload",
        ),
        (
            "POST",
            "/v1/tasks",
            json!({"title": "t", "status": "later"}),
            "invalid_payload",
        ),
        (
            "POST",
            "/v1/comments",
            json!({"content": "c", "parentType": "chat",
            "parentUid": super::NOBODY}),
            "invalid_payload",
        ),
        (
            "POST",
            "/v1/chat_messages",
            json!({"content": "c"}),
            "invalid_payload",
        ),
    ];
    for (method, path, body, error) in rows {
        let answer = office.synced(method, path, body).await;
        assert_eq!(
            (answer.status, &answer.body["error"]),
            (400, &json!(error)),
            "{method} {path}"
        );
    }
    let note = json!({"title": "t", "content": "c"});
    let note = office.synced("POST", "/v1/notes", note).await;
    let path = format!("/v1/notes/{}/process", super::uid_of(&note.body));
    let answer = office.synced("POST", &path, json!({"action": "fly"})).await;
    assert_eq!(
        (answer.status, &answer.body["error"]),
        (400, &json!("invalid_action"))
    );
    assert!(
        answer.body["message"]
            .as_str()
            .is_some_and(|m| m.contains("fly") && m.contains("pin"))
    );
    let large = json!({"title": "t", "content": "c".repeat(200_000)});
    assert_eq!(office.synced("POST", "/v1/notes", large).await.status, 413);
    let capped = office
        .synced("GET", "/v1/notes?limit=5000", Value::Null)
        .await;
    assert_eq!(capped.status, 200, "{}", capped.body);
}

#[tokio::test]
async fn six_hundred_a_minute_for_each_user_of_each_tenant() {
    let office = Office::with(|settings| settings.rate_limits = RateLimits::On).await;
    let state = |headers: &'static [(&'static str, &'static str)]| {
        office.ask("GET", "/v1/sync/state", headers, Value::Null)
    };
    let first = state(&[]).await;
    assert_eq!(first.headers["x-ratelimit-limit"], "600");
    assert_eq!(first.headers["x-ratelimit-burst"], "120");
    assert_eq!(first.headers["x-ratelimit-remaining"], "119");
    assert!(first.headers.contains_key("x-ratelimit-reset"));
    let mut refused = None;
    for _ in 0..1_000 {
        let answer = state(&[]).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a limit");
    assert_eq!(refused.body["error"], "rate_limited");
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(state(&[("x-acting-user", "bob")]).await.status, 200);
    assert_eq!(state(&[("tenant", "org_b")]).await.status, 200);
}
