//! Twenty clients at once, on two processes that share a database: no change is lost, and none is
//! overlooked.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Office, done, note, uid_of};

const CLIENTS: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_change_of_one_record_is_a_version_of_its_own() {
    let office = Office::new().await;
    let second = office.beside().await;
    let uid = uid_of(&note(&office.user("ada", "org_a"), "one").await);
    let mut calls = JoinSet::new();
    for n in 0..CLIENTS {
        let client = office.of(n, &second);
        let arguments = json!({"uid": uid, "updates": {format!("member{n}"): n}});
        calls.spawn(async move { done(&client, "patch_note", arguments).await["version"].clone() });
    }
    let versions: BTreeSet<u64> = calls
        .join_all()
        .await
        .iter()
        .filter_map(Value::as_u64)
        .collect();
    assert_eq!(versions, (2..2 + CLIENTS).collect());
    let kept = done(
        &office.user("ada", "org_a"),
        "get_note",
        json!({"uid": uid}),
    )
    .await;
    for n in 0..CLIENTS {
        assert_eq!(kept["payload"][format!("member{n}")], n, "{kept}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_expected_version_lets_one_through() {
    let office = Office::new().await;
    let second = office.beside().await;
    let uid = uid_of(&note(&office.user("ada", "org_a"), "one").await);
    for version in 1..=3 {
        let mut calls = JoinSet::new();
        for n in 0..CLIENTS {
            let client = office.of(n, &second);
            let update = json!({"uid": uid, "title": "two", "content": "c", "if_match": version});
            calls.spawn(async move { client.call("update_note", update).await });
        }
        let mut through = 0;
        for reply in calls.join_all().await {
            match reply.result()["isError"] == true {
                true => assert_eq!(reply.code(), "version_mismatch"),
                false => through += 1,
            }
        }
        assert_eq!(through, 1, "of version {version}");
    }
}

fn numbered(n: u64) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

/// Devices push, each its own records and one that all have, while another pulls.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_many_devices_push_is_pulled_whole() {
    const OWN: u64 = 5;
    let office = std::sync::Arc::new(Office::new().await);
    let shared = numbered(999_999);
    let mut pushes = JoinSet::new();
    for n in 0..CLIENTS {
        let (office, shared) = (office.clone(), shared.clone());
        pushes.spawn(async move {
            for item in 0..OWN {
                let own = numbered(1 + n * OWN + item);
                let second = 10 + n;
                let items = json!([
                    {"uid": own, "title": "own", "content": "c", "updatedTs": "2026-06-01T10:00:00Z"},
                    {"uid": shared, "title": format!("of {n}"), "content": "c",
                        "updatedTs": format!("2026-06-01T10:00:{second}Z")},
                ]);
                let path = "/v1/sync/notes/push";
                let pushed = office.synced("POST", path, json!({"items": items})).await;
                assert_eq!(pushed.status, 200, "{}", pushed.body);
                assert_eq!(pushed.body["acks"][0]["version"], 1, "{}", pushed.body);
            }
        });
    }
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    let (mut cursor, mut pushed) = (None::<String>, false);
    loop {
        let path = match &cursor {
            Some(cursor) => format!("/v1/sync/notes/pull?limit=7&cursor={cursor}"),
            None => "/v1/sync/notes/pull?limit=7".to_owned(),
        };
        let page = office.synced("GET", &path, Value::Null).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let upserts = page.body["upserts"].as_array().expect("upserts");
        for item in upserts {
            seen.insert(uid_of(item), item["payload"]["title"].clone());
        }
        match page.body["nextCursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            // Nothing new since all devices had finished.
            None if pushed => break,
            None => {}
        }
        while let Some(device) = pushes.try_join_next() {
            device.expect("it pushed");
        }
        pushed = pushes.is_empty();
    }
    let expected: BTreeSet<String> = (1..=CLIENTS * OWN).map(numbered).collect();
    let last = seen.remove(&shared);
    assert_eq!(
        last,
        Some(json!(format!("of {}", CLIENTS - 1))),
        "the latest wins"
    );
    assert_eq!(seen.into_keys().collect::<BTreeSet<_>>(), expected);
}

/// A wipe starts an epoch: what was on its way in the old one is refused, not kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_of_an_old_epoch_outlives_its_wipe() {
    let office = std::sync::Arc::new(Office::new().await);
    let (session, epoch) = office.session("ada", "org_a").await;
    let mut pushes = JoinSet::new();
    for n in 0..CLIENTS {
        let (office, session, epoch) = (office.clone(), session.clone(), epoch.clone());
        pushes.spawn(async move {
            let headers = [("x-sync-session", &*session), ("x-sync-epoch", &*epoch)];
            let items = json!([{"uid": numbered(n), "title": "t", "content": "c",
                "updatedTs": "2026-06-01T10:00:00Z"}]);
            let path = "/v1/sync/notes/push";
            let pushed = office
                .ask("POST", path, &headers, json!({"items": items}))
                .await;
            let late = pushed.body["error"] == "epoch_mismatch"
                || pushed.body["error"] == "session_required";
            assert!(pushed.status == 200 || late, "{}", pushed.body);
        });
    }
    let wiped = office
        .ask("POST", "/v1/sync/wipe", &[], json!({"confirm": "WIPE"}))
        .await;
    assert_eq!(wiped.status, 200, "{}", wiped.body);
    pushes.join_all().await;
    let left = office.synced("GET", "/v1/notes", Value::Null).await;
    assert_eq!(left.body["items"], json!([]));
}
