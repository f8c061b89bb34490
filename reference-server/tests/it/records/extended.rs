//! Many changes at once, searching, counting.

use serde_json::{Value, json};

use super::{NOBODY, Office, done, note, refused, uid_of};

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
