//! What one does after the other.

use serde_json::{Value, json};

use super::{NOBODY, Office, done, long_notes, note, refused, uid_of};

#[tokio::test]
async fn s3_089_create_comment_list_archive_and_delete_to_a_tombstone() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let written = done(
        &ada,
        "create_note",
        json!({"title": "Chairs", "content": "Twelve.", "tags": ["office"],
            "additional_fields": {"colour": "red", "title": "is not this"}}),
    )
    .await;
    assert_eq!(written["version"], 1);
    assert_eq!(written["updatedAt"], "2026-06-01T12:00:00Z");
    let payload = &written["payload"];
    assert_eq!(payload["title"], "Chairs");
    assert_eq!(payload["colour"], "red");
    assert_eq!(payload["uid"], written["uid"]);
    let sync = json!({"version": 1, "isDeleted": false, "deletedAt": null});
    assert_eq!(payload["sync"], sync);

    let uid = uid_of(&written);
    let on =
        json!({"content": "Or ten?", "parent_type": "note", "parent_uid": uid, "author": "Ann"});
    let comment = done(&ada, "create_comment", on).await;
    assert_eq!(comment["payload"]["parentUid"], json!(uid));

    let listed = done(&ada, "list_comments", json!({})).await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(listed["items"][0], comment);

    let archived = done(&ada, "archive_note", json!({"uid": uid})).await;
    assert_eq!(archived["payload"]["status"], "archived");
    assert_eq!(archived["version"], 2);
    assert_eq!(archived["payload"]["colour"], "red");

    let gone = done(&ada, "delete_note", json!({"uid": uid})).await;
    assert_eq!(gone["version"], 3);
    assert!(gone.get("payload").is_none(), "{gone}");
    for tool in ["get_note", "delete_note", "archive_note"] {
        let again = refused(&ada, tool, json!({"uid": uid})).await;
        assert_eq!(
            (&again["code"], &again["status"]),
            (&json!("gone"), &json!(410)),
            "{tool}"
        );
        assert_eq!(again["deletedAt"], gone["deletedAt"], "{tool}");
    }
    let listed = done(&ada, "list_notes", json!({})).await;
    assert_eq!(listed["items"], json!([]));
    let listed = done(&ada, "list_notes", json!({"include_deleted": true})).await;
    assert_eq!(listed["items"][0]["payload"]["sync"]["isDeleted"], true);
    let found = done(
        &ada,
        "get_note",
        json!({"uid": uid, "include_deleted": true}),
    )
    .await;
    assert_eq!(found["deletedAt"], gone["deletedAt"]);

    // The comment stays, and can be changed; there is no new one on what is gone.
    let kept = done(
        &ada,
        "process_comment",
        json!({"uid": comment["uid"], "action": "resolve"}),
    );
    assert_eq!(kept.await["payload"]["status"], "resolved");
    let on = json!({"content": "Late.", "parent_type": "note", "parent_uid": uid});
    let late = refused(&ada, "create_comment", on).await;
    assert_eq!(
        (&late["code"], &late["status"]),
        (&json!("parent_not_found"), &json!(422))
    );
}

#[tokio::test]
async fn s3_020_s3_036_replacing_keeps_what_it_belongs_to_and_drops_the_rest() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let task = done(
        &ada,
        "create_task",
        json!({"title": "Order", "tags": ["a"]}),
    )
    .await;
    let on = json!({"content": "Soon.", "parent_type": "task", "parent_uid": task["uid"],
        "author": "Ann"});
    let comment = done(&ada, "create_comment", on).await;
    let replaced = json!({"uid": comment["uid"], "content": "Now."});
    let replaced = done(&ada, "update_comment", replaced).await;
    assert_eq!(replaced["payload"]["parentUid"], task["uid"]);
    assert_eq!(replaced["payload"]["parentType"], "task");
    assert!(replaced["payload"].get("author").is_none(), "{replaced}");

    let chat = done(&ada, "create_chat", json!({"title": "Desk"})).await;
    assert_eq!(chat["payload"]["archived"], false);
    let said = json!({"chat_uid": chat["uid"], "content": "Hello", "message_type": "text"});
    let said = done(&ada, "create_chat_message", said).await;
    let replaced = json!({"uid": said["uid"], "content": "Good morning"});
    let replaced = done(&ada, "update_chat_message", replaced).await;
    assert_eq!(replaced["payload"]["chatUid"], chat["uid"]);

    // A patch may move it, to what is there only.
    let moved = json!({"uid": said["uid"], "updates": {"chatUid": NOBODY}});
    assert_eq!(
        refused(&ada, "patch_chat_message", moved).await["code"],
        "parent_not_found"
    );
    let patched = json!({"uid": task["uid"], "updates": {"uid": NOBODY, "sync": 1, "tags": ["b"]}});
    let patched = done(&ada, "patch_task", patched).await;
    assert_eq!(patched["uid"], task["uid"]);
    assert_eq!(patched["payload"]["sync"]["version"], 2);
    assert_eq!(patched["payload"]["tags"], json!(["b"]));
    assert_eq!(patched["payload"]["title"], "Order");
    let emptied = json!({"uid": task["uid"], "updates": {"title": ""}});
    let emptied = refused(&ada, "patch_task", emptied).await;
    assert_eq!(
        (&emptied["code"], &emptied["status"]),
        (&json!("invalid_payload"), &json!(400))
    );
}

#[tokio::test]
async fn s3_016_both_vocabularies_of_tasks_end_in_one() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    for (said, kept) in [
        ("open", "todo"),
        ("todo", "todo"),
        ("in_progress", "in_progress"),
        ("completed", "done"),
        ("done", "done"),
    ] {
        let task = done(&ada, "create_task", json!({"title": "T", "status": said})).await;
        assert_eq!(task["payload"]["status"], kept, "{said}");
    }
    let task = done(&ada, "create_task", json!({"title": "T"})).await;
    for (action, kept) in [
        ("start", "in_progress"),
        ("complete", "done"),
        ("reopen", "todo"),
    ] {
        let task = json!({"uid": task["uid"], "action": action});
        let task = done(&ada, "process_task", task).await;
        assert_eq!(task["payload"]["status"], kept, "{action}");
    }
}

#[tokio::test]
async fn process_does_what_the_contract_says() {
    let office = Office::with(|settings| settings.demo_data = true).await;
    let admin = office.demo("admin");
    let rows: [(&str, &str, &str, &str, Value); 10] = [
        ("note", "notes", "pin", "pinned", json!(true)),
        ("note", "notes", "unpin", "pinned", json!(false)),
        ("note", "notes", "archive", "status", json!("archived")),
        ("note", "notes", "unarchive", "status", json!("active")),
        (
            "comment",
            "comments",
            "resolve",
            "status",
            json!("resolved"),
        ),
        ("comment", "comments", "reopen", "status", json!("open")),
        ("chat", "chats", "resolve", "status", json!("resolved")),
        ("chat", "chats", "reopen", "status", json!("active")),
        (
            "chat_message",
            "chat_messages",
            "mark_read",
            "read",
            json!(true),
        ),
        (
            "chat_message",
            "chat_messages",
            "mark_delivered",
            "delivered",
            json!(true),
        ),
    ];
    for (one, many, action, member, value) in rows {
        let listed = done(&admin, &format!("list_{many}"), json!({})).await;
        let arguments = json!({"uid": listed["items"][0]["uid"], "action": action});
        let record = done(&admin, &format!("process_{one}"), arguments).await;
        assert_eq!(record["payload"][member], value, "{one}: {action}");
    }
    for (one, many) in [("chat", "chats"), ("chat_message", "chat_messages")] {
        let listed = done(&admin, &format!("list_{many}"), json!({})).await;
        let uid = json!({"uid": listed["items"][0]["uid"]});
        let record = done(&admin, &format!("archive_{one}"), uid).await;
        assert_eq!(record["payload"]["archived"], true, "{one}");
    }
}

#[tokio::test]
async fn s3_001_pages_follow_each_other_without_a_gap() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let mut written = Vec::new();
    for nth in 0..7 {
        written.push(uid_of(&note(&ada, &format!("note {nth}")).await));
    }
    // The clock stands: the order of changes does not depend on it.
    let first = written.remove(0);
    let change = json!({"uid": first, "updates": {"colour": "red"}});
    done(&ada, "patch_note", change).await;
    written.push(first);
    let (mut seen, mut arguments) = (Vec::new(), json!({"limit": 3}));
    loop {
        let page = done(&ada, "list_notes", arguments).await;
        let items = page["items"].as_array().expect("items");
        seen.extend(items.iter().map(uid_of));
        match page.get("nextCursor") {
            Some(cursor) => arguments = json!({"limit": 3, "cursor": cursor}),
            None => {
                assert!(items.is_empty(), "every page that has any names the next");
                break;
            }
        }
    }
    assert_eq!(seen, written);
    let start = done(
        &ada,
        "list_notes",
        json!({"cursor": "no cursor", "limit": 1}),
    )
    .await;
    assert_eq!(
        start["items"][0]["uid"],
        json!(written[0]),
        "a bad cursor is the start"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_078_many_at_once_get_no_error_and_lose_no_change() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let shared = uid_of(&note(&ada, "shared").await);
    let mut at_work = tokio::task::JoinSet::new();
    for nth in 0..24 {
        let own = office.user(&format!("user-{nth}"), "org_a");
        let (ada, shared) = (office.user("ada", "org_a"), shared.clone());
        at_work.spawn(async move {
            let uid = uid_of(&note(&own, "own").await);
            let member = json!({"uid": shared, "updates": {format!("by-{nth}"): true}});
            done(&ada, "patch_note", member).await;
            done(&own, "get_note", json!({"uid": uid})).await;
            done(&own, "delete_note", json!({"uid": uid})).await;
        });
    }
    while let Some(worked) = at_work.join_next().await {
        worked.expect("no error");
    }
    let shared = done(&ada, "get_note", json!({"uid": shared})).await;
    assert_eq!(shared["version"], 25);
    for nth in 0..24 {
        assert_eq!(shared["payload"][format!("by-{nth}")], true, "{nth}");
    }
}

#[tokio::test]
async fn pages_end_early_where_records_are_long_and_follow_each_other() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let written = long_notes(&ada, 45).await;
    let (mut seen, mut pages, mut arguments) = (Vec::new(), 0, json!({}));
    loop {
        let page = done(&ada, "list_notes", arguments).await;
        seen.extend(page["items"].as_array().expect("items").iter().map(uid_of));
        pages += 1;
        match page.get("nextCursor") {
            Some(cursor) => arguments = json!({ "cursor": cursor }),
            None => break,
        }
        assert!(pages < 10, "pages without an end");
    }
    assert_eq!(seen, written);
    assert!(pages > 2, "all on one page");

    let owner = mcp_runtime::Caller::user("ada").tenant("org_a").owner();
    let (session, epoch) = office.session(&owner, "org_a").await;
    let headers = [
        ("x-acting-user", &*owner),
        ("x-sync-session", &*session),
        ("x-sync-epoch", &*epoch),
    ];
    for (path, member) in [("/v1/notes", "items"), ("/v1/sync/notes/pull", "upserts")] {
        let page = office.ask("GET", path, &headers, Value::Null).await;
        let records = page.body[member].as_array().expect("records").len();
        assert!((1..45).contains(&records), "{path}: {records}");
        assert!(page.body["nextCursor"].is_string(), "{path}");
    }
}

#[tokio::test]
async fn a_task_takes_no_priority_that_would_keep_it_from_going_on() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let task = uid_of(&done(&ada, "create_task", json!({"title": "T"})).await);
    let urgent = json!({"priority": "urgent"});
    for (tool, arguments) in [
        ("patch_task", json!({"uid": task, "updates": urgent})),
        (
            "create_task",
            json!({"title": "T", "additional_fields": urgent}),
        ),
        (
            "update_task",
            json!({"uid": task, "title": "T", "additional_fields": urgent}),
        ),
    ] {
        let refused = refused(&ada, tool, arguments).await;
        assert_eq!(
            (&refused["code"], &refused["status"]),
            (&json!("invalid_payload"), &json!(400)),
            "{tool}"
        );
    }
    for priority in [json!("high"), Value::Null] {
        let patch = json!({"uid": task, "updates": {"priority": priority}});
        done(&ada, "patch_task", patch).await;
    }
    let started = done(
        &ada,
        "process_task",
        json!({"uid": task, "action": "start"}),
    );
    assert_eq!(started.await["payload"]["status"], "in_progress");
}

#[tokio::test]
async fn a_bad_cursor_is_the_start_whatever_is_in_it() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let first = uid_of(&note(&ada, "first").await);
    note(&ada, "second").await;
    for cursor in [
        "x".repeat(201),
        "x".repeat(20_000),
        "a\u{1}b\u{85}".to_owned(),
    ] {
        let listed = json!({"cursor": cursor, "limit": 1});
        let listed = done(&ada, "list_notes", listed).await;
        assert_eq!(listed["items"][0]["uid"], json!(first), "{cursor}");
        let found = json!({"query": "text", "cursor": cursor, "limit": 1});
        let found = done(&ada, "search", found).await;
        assert_eq!(found["items"][0]["uid"], json!(first), "{cursor}");
    }

    let body = json!({"title": "t", "content": "c"});
    let first = office.synced("POST", "/v1/notes", body.clone()).await;
    office.synced("POST", "/v1/notes", body).await;
    let long = "x".repeat(5_000);
    for cursor in ["%00", "a%01b", "%C2%85", "%", "+", &long] {
        for (path, member) in [("/v1/notes", "items"), ("/v1/sync/notes/pull", "upserts")] {
            let path = format!("{path}?cursor={cursor}&limit=1");
            let page = office.synced("GET", &path, Value::Null).await;
            assert_eq!(page.status, 200, "{path}: {}", page.body);
            let found = page.body[member].as_array().expect("records");
            assert_eq!(found.len(), 1, "{path}");
            assert_eq!(found[0]["uid"], first.body["uid"], "{path}");
        }
    }
    // What stands beside it is read as ever.
    let wrong = "/v1/notes?cursor=%01&includeDeleted=%01";
    let wrong = office.synced("GET", wrong, Value::Null).await;
    assert_eq!(wrong.status, 400, "{}", wrong.body);
}

#[tokio::test]
async fn what_a_record_belongs_to_is_named_in_lower_case() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let uid = uid_of(&note(&ada, "N").await);
    let capitals = uid.to_ascii_uppercase();
    let on = json!({"content": "Twelve.", "parent_type": "note", "parent_uid": capitals});
    let comment = done(&ada, "create_comment", on).await;
    assert_eq!(comment["payload"]["parentUid"], json!(uid));
    let chat = uid_of(&done(&ada, "create_chat", json!({"title": "C"})).await);
    let said = json!({"content": "Hello", "chat_uid": chat.to_ascii_uppercase()});
    let said = done(&ada, "create_chat_message", said).await;
    assert_eq!(said["payload"]["chatUid"], json!(chat));

    // The same note in other letters: it need not be there any more.
    done(&ada, "delete_note", json!({"uid": uid})).await;
    let again = json!({"uid": comment["uid"], "updates": {"parentUid": capitals}});
    let again = done(&ada, "patch_comment", again).await;
    assert_eq!(again["payload"]["parentUid"], json!(uid));
    let of_it = json!({"query": "twelve", "filter": format!("parentUid:{capitals}")});
    let of_it = done(&ada, "search", of_it).await;
    assert_eq!(of_it["items"][0]["uid"], comment["uid"]);
}
