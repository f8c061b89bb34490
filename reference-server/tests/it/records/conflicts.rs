//! 412 for a version that is no longer there, 409 for every other conflict, and sessions that come
//! and go with a call.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{Office, done, note, refused, tools_over, uid_of};

#[tokio::test]
async fn s3_004_t10_an_expected_version_that_is_gone_is_412() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let uid = uid_of(&note(&ada, "one").await);
    let update =
        |version: u64| json!({"uid": uid, "title": "two", "content": "c", "if_match": version});
    let second = done(&ada, "update_note", update(1)).await;
    assert_eq!(second["version"], 2);
    let late = refused(&ada, "update_note", update(1)).await;
    assert_eq!(late["code"], "version_mismatch");
    assert_eq!(late["status"], 412);
    assert_eq!(late["version"], 2, "so that one need not ask");
    assert!(late["correlation_id"].is_string(), "{late}");
    let kept = done(&ada, "get_note", json!({"uid": uid})).await;
    assert_eq!(kept["version"], 2, "nothing was done");
    // Without an expectation the last one wins.
    let third = json!({"uid": uid, "title": "three", "content": "c"});
    assert_eq!(done(&ada, "update_note", third).await["version"], 3);
}

#[tokio::test]
async fn if_match_is_a_number_with_or_without_quotes() {
    let office = Office::new().await;
    let created = office
        .synced("POST", "/v1/notes", json!({"title": "t", "content": "c"}))
        .await;
    assert_eq!(created.status, 201);
    let path = format!("/v1/notes/{}", uid_of(&created.body));
    for (nth, (value, status)) in [
        ("1", 200),
        ("\"2\"", 200),
        ("2", 412),
        ("\"x\"", 400),
        ("", 400),
    ]
    .into_iter()
    .enumerate()
    {
        let (session, epoch) = office.session("ada", "org_a").await;
        let headers = [
            ("x-sync-session", &*session),
            ("x-sync-epoch", &*epoch),
            ("if-match", value),
        ];
        let body = json!({"title": format!("t{nth}"), "content": "c"});
        let answer = office.ask("PUT", &path, &headers, body).await;
        assert_eq!(answer.status, status, "{value:?}: {}", answer.body);
    }
}

/// Remembers what the API is asked, and answers instead of it while there is something to say.
async fn listen(
    office: &Office,
    instead: impl Fn(&str, usize) -> Option<Response> + Clone + Send + Sync + 'static,
) -> (mcp_runtime::testing::TestServer, Arc<Mutex<Vec<String>>>) {
    let journal = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&journal);
    let layer = from_fn(move |request: Request, next: Next| {
        let (journal, instead) = (Arc::clone(&kept), instead.clone());
        async move {
            let line = format!("{} {}", request.method(), request.uri().path());
            let nth = {
                let mut journal = journal.lock().expect("unpoisoned");
                journal.push(line.clone());
                journal.iter().filter(|other| **other == line).count()
            };
            match instead(&line, nth) {
                Some(answer) => answer,
                None => next.run(request).await,
            }
        }
    });
    let router = office.router.clone().layer(layer);
    (
        tools_over(router, &office.clock, Default::default()),
        journal,
    )
}

fn answer(status: u16, body: &Value) -> Response {
    let status = http::StatusCode::from_u16(status).expect("a status");
    (status, Body::from(body.to_string())).into_response()
}

#[tokio::test]
async fn s3_049_every_call_opens_a_session_and_closes_it() {
    let office = Office::new().await;
    let (server, journal) = listen(&office, |_, _| None).await;
    let ada = server.as_user("ada").tenant("org_a");
    let ada = ada.scopes(["records:read", "records:write"]);
    done(&ada, "list_notes", json!({})).await;
    refused(&ada, "get_note", json!({"uid": super::NOBODY})).await;
    let journal = journal.lock().expect("unpoisoned").clone();
    let short: Vec<&str> = journal
        .iter()
        .map(|line| &line[..line.len().min(23)])
        .collect();
    assert_eq!(
        short,
        [
            "POST /v1/sync/sessions",
            "GET /v1/notes",
            "DELETE /v1/sync/session",
            "POST /v1/sync/sessions",
            &format!("GET /v1/notes/{}", super::NOBODY)[..23],
            "DELETE /v1/sync/session",
        ]
    );
    for line in journal.iter().filter(|line| line.starts_with("DELETE")) {
        let id = line.rsplit('/').next().expect("an id");
        let path = format!("/v1/sync/sessions/{id}");
        let gone = office.ask("GET", &path, &[], Value::Null).await;
        assert_eq!(gone.status, 404, "{line}");
    }
}

#[tokio::test]
async fn s3_050_a_session_that_ran_out_is_replaced_once() {
    let office = Office::new().await;
    for (status, error) in [(428, "session_required"), (409, "epoch_mismatch")] {
        let body = json!({"error": error, "message": "as if", "epoch": 2});
        let (server, _) = listen(&office, move |line, nth| {
            (line == "GET /v1/notes" && nth == 1).then(|| answer(status, &body))
        })
        .await;
        let ada = server
            .as_user("ada")
            .tenant("org_a")
            .scopes(["records:read"]);
        done(&ada, "list_notes", json!({})).await;
    }
    let body = json!({"error": "session_required", "message": "as if"});
    let (server, journal) = listen(&office, move |line, _| {
        (line == "GET /v1/notes").then(|| answer(428, &body))
    })
    .await;
    let ada = server
        .as_user("ada")
        .tenant("org_a")
        .scopes(["records:read"]);
    assert_eq!(refused(&ada, "list_notes", json!({})).await["status"], 428);
    assert_eq!(
        journal.lock().expect("unpoisoned").len(),
        6,
        "twice, and no more"
    );
}

#[tokio::test]
async fn t10_every_other_conflict_is_409_and_an_answer_of_no_use_is_an_error() {
    let office = Office::new().await;
    let rows = [
        (
            409,
            json!({"error": "version_conflict", "message": "too late"}),
            "version_conflict",
        ),
        (
            401,
            json!({"error": "unauthorized", "message": "x"}),
            "backend_auth_failed",
        ),
        (
            500,
            json!({"error": "internal_error", "message": "secret"}),
            "backend_error_500",
        ),
        (502, json!("<html>"), "backend_error_502"),
        (200, json!({"uid": 1}), "backend_invalid_reply"),
    ];
    for (status, body, code) in rows {
        let (server, _) = listen(&office, move |line, _| {
            line.starts_with("PATCH").then(|| answer(status, &body))
        })
        .await;
        let ada = server
            .as_user("ada")
            .tenant("org_a")
            .scopes(["records:write"]);
        let arguments = json!({"uid": super::NOBODY, "updates": {"a": 1}});
        let refused = refused(&ada, "patch_note", arguments).await;
        assert_eq!(refused["code"], code);
        if status != 200 {
            assert_eq!(refused["status"], status, "{code}");
        }
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }
}
