//! What one does after the other.

use serde_json::{Value, json};

use super::{NOBODY, Office, done, note, refused, uid_of};

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
