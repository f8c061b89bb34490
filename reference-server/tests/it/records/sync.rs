//! Devices that keep a copy.

use serde_json::{Value, json};

use super::{Office, done, uid_of};

const NOTE: &str = "11111111-1111-4111-8111-111111111111";
const OTHER: &str = "22222222-2222-4222-8222-222222222222";

fn note(uid: &str, title: &str, at: &str) -> Value {
    json!({"uid": uid, "title": title, "content": "c", "updatedTs": at})
}

#[tokio::test]
async fn the_later_change_wins_and_is_pulled_in_order() {
    let office = Office::new().await;
    let push = |items: Value| office.synced("POST", "/v1/sync/notes/push", json!({"items": items}));
    let first = push(json!([
        note(NOTE, "one", "2026-06-01T10:00:00Z"),
        note(OTHER, "other", "2026-06-01T09:00:00Z"),
        {"uid": "nothing", "title": "t"},
        {"uid": "33333333-3333-4333-8333-333333333333", "content": "c", "updatedTs": 1},
        note("44444444-4444-4444-8444-444444444444", "early", "2026-06-02T00:00:00Z"),
    ]))
    .await;
    assert_eq!(first.status, 200, "{}", first.body);
    let acks = &first.body["acks"];
    assert_eq!(
        acks[0],
        json!({"uid": NOTE, "version": 1, "updatedAt": "2026-06-01T10:00:00Z"})
    );
    let errors: Vec<&Value> = (0..5).map(|nth| &acks[nth]["error"]).collect();
    let expected = ["", "", "invalid_uid", "invalid_payload", "invalid_time"];
    for (error, expected) in errors.iter().zip(expected) {
        assert_eq!(error.as_str().unwrap_or_default(), expected, "{acks}");
    }

    // Not later: what there is. Later: the next version. A deletion needs no payload.
    let again = push(json!([
        note(NOTE, "late", "2026-06-01T10:00:00Z"),
        note(NOTE, "two", "2026-06-01T11:00:00Z"),
        {"uid": OTHER, "updatedTs": "2026-06-01T11:00:00Z",
            "sync": {"isDeleted": true, "deletedAt": "2026-06-01T10:59:00Z"}},
    ]))
    .await;
    let versions: Vec<&Value> = (0..3)
        .map(|nth| &again.body["acks"][nth]["version"])
        .collect();
    assert_eq!(versions, [1, 2, 2], "{}", again.body);

    let page = office
        .synced("GET", "/v1/sync/notes/pull?limit=1", Value::Null)
        .await;
    assert_eq!(page.body["upserts"][0]["payload"]["title"], "two");
    let cursor = page.body["nextCursor"].as_str().expect("a cursor");
    let rest = format!("/v1/sync/notes/pull?cursor={cursor}");
    let rest = office.synced("GET", &rest, Value::Null).await;
    assert_eq!(rest.body["upserts"], json!([]));
    let deleted = json!([{"uid": OTHER, "deletedAt": "2026-06-01T10:59:00Z"}]);
    assert_eq!(rest.body["deletes"], deleted);
    let cursor = rest.body["nextCursor"].as_str().expect("a cursor");
    let end = format!("/v1/sync/notes/pull?cursor={cursor}");
    let end = office.synced("GET", &end, Value::Null).await;
    assert_eq!(end.body, json!({"upserts": [], "deletes": []}));
}

#[tokio::test]
async fn what_comes_late_from_a_device_is_still_pulled_by_the_others() {
    let office = Office::new().await;
    let body = json!({"title": "t", "content": "c"});
    office.synced("POST", "/v1/notes", body).await;
    let page = office
        .synced("GET", "/v1/sync/notes/pull", Value::Null)
        .await;
    let cursor = page.body["nextCursor"]
        .as_str()
        .expect("a cursor")
        .to_owned();
    // Changed long before what was pulled already, and sent only now.
    let late = json!({"items": [note(NOTE, "late", "2026-05-01T00:00:00Z")]});
    office.synced("POST", "/v1/sync/notes/push", late).await;
    let page = format!("/v1/sync/notes/pull?cursor={cursor}");
    let page = office.synced("GET", &page, Value::Null).await;
    assert_eq!(page.body["upserts"][0]["uid"], NOTE, "{}", page.body);
}

#[tokio::test]
async fn a_wipe_takes_everything_of_one_user_and_starts_an_epoch() {
    let office = Office::new().await;
    let body = json!({"title": "t", "content": "c"});
    let kept = office.user("bob", "org_a");
    let kept_uid = uid_of(&super::note(&kept, "kept").await);
    office.synced("POST", "/v1/notes", body.clone()).await;
    let (session, epoch) = office.session("ada", "org_a").await;
    let old = [("x-sync-session", &*session), ("x-sync-epoch", &*epoch)];
    let path = "/v1/sync/wipe";
    let unsure = office
        .ask("POST", path, &[], json!({"confirm": "yes"}))
        .await;
    assert_eq!(
        (unsure.status, &unsure.body["error"]),
        (400, &json!("not_confirmed"))
    );
    let wiped = office
        .ask("POST", path, &[], json!({"confirm": "WIPE"}))
        .await;
    assert_eq!((wiped.status, &wiped.body["epoch"]), (200, &json!(2)));
    assert_eq!(wiped.body["deleted"], 1);

    for method in ["GET", "POST"] {
        let refused = office.ask(method, "/v1/notes", &old, body.clone()).await;
        assert_eq!(refused.status, 409);
        assert_eq!(refused.body["error"], "epoch_mismatch");
        assert_eq!(refused.body["epoch"], 2);
        assert!(refused.body["correlation_id"].is_string());
    }
    let gone = [("x-sync-session", &*session), ("x-sync-epoch", "2")];
    assert_eq!(
        office
            .ask("GET", "/v1/notes", &gone, Value::Null)
            .await
            .status,
        428
    );
    let state = office.ask("GET", "/v1/sync/state", &[], Value::Null).await;
    assert_eq!(
        state.body,
        json!({"epoch": 2, "lastWipeAt": "2026-06-01T12:00:00Z",
        "lastWipeBy": "ada"})
    );
    let listed = office
        .synced("GET", "/v1/notes?includeDeleted=true", Value::Null)
        .await;
    assert_eq!(listed.body, json!({"items": []}));
    done(&kept, "get_note", json!({"uid": kept_uid})).await;
}

/// So many lists within each other.
fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

#[tokio::test]
async fn a_record_is_nested_no_deeper_than_it_can_be_read_whichever_way_it_comes() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let owner = mcp_runtime::Caller::user("ada").tenant("org_a").owner();
    let (session, epoch) = office.session(&owner, "org_a").await;
    let headers = [
        ("x-acting-user", &*owner),
        ("x-sync-session", &*session),
        ("x-sync-epoch", &*epoch),
    ];
    let mut deep = note(NOTE, "deep", "2026-06-01T10:00:00Z");
    deep["deep"] = nested(124);
    let items = json!({"items": [deep, note(OTHER, "flat", "2026-06-01T10:00:00Z")]});
    let pushed = office
        .ask("POST", "/v1/sync/notes/push", &headers, items)
        .await;
    let acks = &pushed.body["acks"];
    assert_eq!(acks[0]["error"], "invalid_payload", "{}", pushed.body);
    assert_eq!(acks[1]["version"], 1, "{}", pushed.body);

    // The record is the first of its levels.
    let path = format!("/v1/notes/{OTHER}");
    let deepest = json!({"title": "t", "content": "c", "deep": nested(63)});
    let kept = office.ask("PUT", &path, &headers, deepest.clone()).await;
    assert_eq!(kept.status, 200, "{}", kept.body);
    for (method, path) in [("POST", "/v1/notes"), ("PUT", &*path), ("PATCH", &*path)] {
        for (levels, error) in [(64, "invalid_payload"), (200, "invalid_body")] {
            let body = json!({"title": "t", "content": "c", "deep": nested(levels)});
            let refused = office.ask(method, path, &headers, body).await;
            assert_eq!(
                (refused.status, &refused.body["error"]),
                (400, &json!(error)),
                "{method} {levels}"
            );
            let message = refused.body["message"].as_str().unwrap_or_default();
            assert!(message.contains("64"), "{message}");
        }
    }
    let operations = json!([
        {"op": "create", "entity": "notes",
            "payload": {"title": "t", "content": "c", "deep": nested(100)}},
        {"op": "patch", "entity": "notes", "uid": OTHER, "payload": {"deep": nested(64)}},
    ]);
    let batch = json!({"operations": operations, "atomic": false});
    let batch = office.ask("POST", "/v1/batch", &headers, batch).await;
    for nth in 0..2 {
        let error = &batch.body["results"][nth]["error"];
        assert_eq!(error, "invalid_payload", "{}", batch.body);
    }

    let listed = done(&ada, "list_notes", json!({})).await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(listed["items"][0]["payload"]["deep"], deepest["deep"]);
    done(&ada, "get_note", json!({"uid": OTHER})).await;
}
