//! Many changes at once, searching, counting.

use serde_json::{Value, json};

use super::{NOBODY, Office, done, long_notes, note, refused, uid_of};

async fn titles(client: &mcp_runtime::testing::TestClient, arguments: Value) -> Vec<String> {
    let found = done(client, "search", arguments).await;
    let items = found["items"].as_array().expect("items").iter();
    let title = |item: &Value| item["payload"]["title"].as_str().map(str::to_owned);
    items.filter_map(title).collect()
}

#[tokio::test]
async fn s3_114_to_s3_118_a_batch_happens_whole_or_not_at_all() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let first = uid_of(&note(&ada, "first").await);
    let second = uid_of(&note(&ada, "second").await);
    let operations = json!([
        {"op": "create", "entity": "tasks", "payload": {"title": "T", "status": "open"}},
        {"op": "patch", "entity": "notes", "uid": first, "payload": {"title": "1st"}},
        {"op": "delete", "entity": "notes", "uid": second, "if_match": 7},
    ]);
    let failed = json!({"operations": operations});
    let failed = done(&ada, "batch", failed).await;
    assert_eq!(failed["committed"], false);
    assert_eq!(failed["results"].as_array().map(Vec::len), Some(1));
    let result = &failed["results"][0];
    assert_eq!(
        (&result["index"], &result["status"]),
        (&json!(2), &json!(412))
    );
    assert_eq!(result["error"], "version_mismatch");
    assert_eq!(
        done(&ada, "list_tasks", json!({})).await["items"],
        json!([])
    );
    let kept = done(&ada, "get_note", json!({"uid": first})).await;
    assert_eq!(
        (&kept["version"], &kept["payload"]["title"]),
        (&json!(1), &json!("first"))
    );

    let each = json!({"operations": operations, "atomic": false});
    let each = done(&ada, "batch", each).await;
    assert_eq!(each["committed"], true);
    let statuses: Vec<&Value> = (0..3).map(|nth| &each["results"][nth]["status"]).collect();
    assert_eq!(statuses, [201, 200, 412]);
    assert_eq!(each["results"][0]["item"]["payload"]["status"], "todo");
    let listed = done(&ada, "list_notes", json!({})).await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2));

    let across = json!({"operations": [
        {"op": "update", "entity": "notes", "uid": first, "payload": {"title": "a", "content": "b"}},
        {"op": "create", "entity": "comments", "payload":
            {"content": "c", "parentType": "note", "parentUid": first}},
        {"op": "archive", "entity": "notes", "uid": first, "if_match": 3},
        {"op": "delete", "entity": "notes", "uid": second, "if_match": 1},
    ]});
    let across = done(&ada, "batch", across).await;
    assert_eq!(across["committed"], true, "{across}");
    assert_eq!(across["results"][2]["item"]["version"], 4);
    assert!(across["results"][3]["item"]["deletedAt"].is_string());

    for (operation, error) in [
        (
            json!({"op": "create", "entity": "notes"}),
            "invalid_payload",
        ),
        (
            json!({"op": "patch", "entity": "notes", "payload": {"a": 1}}),
            "invalid_uid",
        ),
        (
            json!({"op": "delete", "entity": "notes", "uid": NOBODY}),
            "not_found",
        ),
        (
            json!({"op": "delete", "entity": "notes", "uid": second}),
            "gone",
        ),
    ] {
        let failed = done(&ada, "batch", json!({"operations": [operation]})).await;
        assert_eq!(failed["results"][0]["error"], error);
    }
    let unknown = json!({"operations": [{"op": "create", "entity": "users", "payload": {}}]});
    assert_eq!(
        refused(&ada, "batch", unknown).await["code"],
        "invalid_arguments"
    );
}

#[tokio::test]
async fn s3_119_s3_120_words_and_or_and_not_find_records_of_all_kinds() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    for (title, status, tags) in [
        ("Order chairs", "todo", json!(["office"])),
        ("Paint chairs", "done", json!(["office", "red"])),
        ("Order tables", "todo", json!([])),
    ] {
        let task = json!({"title": title, "status": status, "tags": tags});
        done(&ada, "create_task", task).await;
    }
    note(&ada, "Chairs and tables").await;
    for (arguments, expected) in [
        (
            json!({"query": "CHAIRS"}),
            vec!["Chairs and tables", "Order chairs", "Paint chairs"],
        ),
        (json!({"query": "chairs order"}), vec!["Order chairs"]),
        (
            json!({"query": "chairs", "entities": ["tasks"]}),
            vec!["Order chairs", "Paint chairs"],
        ),
        (
            json!({"query": "chairs NOT status:done", "entities": ["tasks"]}),
            vec!["Order chairs"],
        ),
        (
            json!({"query": "order", "filter": "tags:office OR title:\"order tables\""}),
            vec!["Order chairs", "Order tables"],
        ),
        (
            json!({"query": "\"order tables\" OR tags:red"}),
            vec!["Paint chairs", "Order tables"],
        ),
        (json!({"query": "benches"}), vec![]),
    ] {
        assert_eq!(
            titles(&ada, arguments.clone()).await,
            expected,
            "{arguments}"
        );
    }
    let (mut seen, mut arguments) = (Vec::new(), json!({"query": "chairs OR tables", "limit": 1}));
    loop {
        let page = done(&ada, "search", arguments.clone()).await;
        seen.extend(page["items"].as_array().expect("items").iter().map(uid_of));
        match page.get("nextCursor") {
            Some(cursor) => arguments["cursor"] = cursor.clone(),
            None => break,
        }
        assert!(seen.len() <= 4, "pages without an end");
    }
    seen.dedup();
    assert_eq!(seen.len(), 4);
    let wrong = refused(&ada, "search", json!({"query": "(chairs"})).await;
    assert_eq!(
        (&wrong["code"], &wrong["status"]),
        (&json!("invalid_expression"), &json!(400))
    );
}

#[tokio::test]
async fn s3_121_records_are_summed_up_by_the_values_of_a_member() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    for (status, tags) in [
        ("todo", json!(["a", "b"])),
        ("done", json!(["a"])),
        ("open", json!([])),
    ] {
        let task = json!({"title": "T", "status": status, "tags": tags});
        done(&ada, "create_task", task).await;
        office.clock.advance(std::time::Duration::from_secs(60));
    }
    let by = |member: &str, metric: &str| json!({"entity": "tasks", "group_by": member, "metric": metric});
    let status = done(&ada, "aggregate", by("status", "count")).await;
    let expected = json!([{"value": "done", "count": 1}, {"value": "todo", "count": 2}]);
    assert_eq!(status, json!({"groups": expected, "complete": true}));
    let tags = done(&ada, "aggregate", by("tags", "max")).await;
    let expected = json!([{"value": "a", "at": "2026-06-01T12:01:00Z"},
        {"value": "b", "at": "2026-06-01T12:00:00Z"}]);
    assert_eq!(tags["groups"], expected);
    let mut since = by("status", "count");
    since["since"] = json!("2026-06-01T12:02:00Z");
    let since = done(&ada, "aggregate", since).await;
    assert_eq!(since["groups"], json!([{"value": "todo", "count": 1}]));
    let bob = office.user("bob", "org_a");
    let nothing = done(&bob, "aggregate", by("status", "count")).await;
    assert_eq!(nothing, json!({"groups": [], "complete": true}));
}

#[tokio::test]
async fn a_committed_batch_is_told_as_committed_however_long_its_records_are() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let uids = long_notes(&ada, 90).await;
    let patch = |uid: &String| json!({"op": "patch", "entity": "notes", "uid": uid, "payload": {"colour": "red"}});
    let operations: Vec<Value> = uids.iter().map(patch).collect();
    let batch = done(&ada, "batch", json!({"operations": operations})).await;
    assert_eq!(batch["committed"], true);
    let results = batch["results"].as_array().expect("results");
    assert_eq!(results.len(), uids.len());
    let (mut shown, mut omitted) = (0, 0);
    for (result, uid) in results.iter().zip(&uids) {
        let item = &result["item"];
        assert_eq!(
            (&item["uid"], &item["version"]),
            (&json!(uid), &json!(2)),
            "{}",
            result["index"]
        );
        assert!(item["updatedAt"].is_string(), "{}", result["index"]);
        if result.get("payload_omitted") == Some(&json!(true)) {
            assert!(item.get("payload").is_none(), "{}", result["index"]);
            omitted += 1;
        } else {
            assert_eq!(item["payload"]["colour"], "red", "{}", result["index"]);
            shown += 1;
        }
    }
    assert!(shown > 0 && omitted > 0, "{shown} and {omitted}");
    let kept = done(&ada, "get_note", json!({"uid": uids[89]})).await;
    assert_eq!(kept["payload"]["colour"], "red");
}

#[tokio::test]
async fn nothing_is_committed_of_a_batch_in_which_everything_was_refused() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let operations = json!([
        {"op": "delete", "entity": "notes", "uid": NOBODY},
        {"op": "create", "entity": "notes", "payload": {"title": "without content"}},
    ]);
    let batch = json!({"operations": operations, "atomic": false});
    let batch = done(&ada, "batch", batch).await;
    assert_eq!(batch["committed"], false);
    assert_eq!(batch["results"][0]["error"], "not_found");
    assert_eq!(batch["results"][1]["error"], "invalid_payload");
}

#[tokio::test]
async fn an_if_match_that_is_no_version_is_refused_with_its_operation_alone() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let first = uid_of(&note(&ada, "first").await);
    let second = uid_of(&note(&ada, "second").await);
    let mut batch = json!({"operations": [
        {"op": "delete", "entity": "notes", "uid": first, "if_match": u64::MAX},
        {"op": "patch", "entity": "notes", "uid": second, "payload": {"title": "2nd"}, "if_match": 1},
    ]});
    let whole = done(&ada, "batch", batch.clone()).await;
    assert_eq!(whole["committed"], false);
    assert_eq!(whole["results"][0]["error"], "invalid_if_match");
    batch["atomic"] = json!(false);
    let each = done(&ada, "batch", batch).await;
    assert_eq!(each["committed"], true);
    let statuses: Vec<&Value> = (0..2).map(|nth| &each["results"][nth]["status"]).collect();
    assert_eq!(statuses, [400, 200]);
    assert_eq!(each["results"][0]["error"], "invalid_if_match");
    done(&ada, "get_note", json!({"uid": first})).await;

    let half = json!({"op": "delete", "entity": "notes", "uid": NOBODY, "if_match": 1.5});
    let half = json!({"operations": [half], "atomic": false});
    let half = office.synced("POST", "/v1/batch", half).await;
    assert_eq!(half.status, 200, "{}", half.body);
    assert_eq!(half.body["results"][0]["error"], "invalid_if_match");
}

/// Also where a page ends between two kinds.
#[tokio::test]
async fn a_search_ends_its_pages_early_where_records_are_long_and_overlooks_none() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let mut written = long_notes(&ada, 26).await;
    for nth in 0..3 {
        let long = json!({"title": format!("Long {nth}"), "description": "x".repeat(99_000)});
        written.push(uid_of(&done(&ada, "create_task", long).await));
    }
    let (mut seen, mut pages) = (Vec::new(), 0);
    let mut arguments = json!({"query": "long", "limit": 100});
    loop {
        let page = done(&ada, "search", arguments.clone()).await;
        seen.extend(page["items"].as_array().expect("items").iter().map(uid_of));
        pages += 1;
        match page.get("nextCursor") {
            Some(cursor) => arguments["cursor"] = cursor.clone(),
            None => break,
        }
        assert!(pages < 10, "pages without an end");
    }
    assert_eq!(seen, written);
    assert!(pages > 1, "all on one page");
}

#[tokio::test]
async fn words_with_a_colon_in_them_are_found_without_quotes() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let at = json!({"title": "At 10:30", "content": "See http://x.example/a, status:done.",
        "additional_fields": {"colour": "red"}});
    done(&ada, "create_note", at).await;
    note(&ada, "At 11:30").await;
    for (query, expected) in [
        ("10:30", vec!["At 10:30"]),
        ("at:30", vec![]),
        ("HTTP://x.example/a", vec!["At 10:30"]),
        ("http://x.example/b", vec![]),
        ("text NOT 10:30", vec!["At 11:30"]),
        // Of a member that somebody chose, and of one that there is: not of the text.
        ("colour:red", vec!["At 10:30"]),
        ("status:done", vec![]),
    ] {
        assert_eq!(
            titles(&ada, json!({"query": query})).await,
            expected,
            "{query}"
        );
    }
}
