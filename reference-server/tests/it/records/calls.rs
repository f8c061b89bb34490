//! Every tool once with good input and once with bad, on the demo data: each answer is what its
//! output schema says, each refusal has a code.

use std::collections::BTreeMap;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::{NOBODY, Office, done};

/// Deleting a record does not wait for what belongs to it: so that comes first.
const KINDS: [(&str, &str); 5] = [
    ("comment", "comments"),
    ("chat_message", "chat_messages"),
    ("note", "notes"),
    ("task", "tasks"),
    ("chat", "chats"),
];

/// A uid of the demo data of `admin`.
fn demo(nth: usize) -> String {
    format!("00000000-0000-4000-8000-000000{nth:06}")
}

/// Arguments that work, for a record of this kind.
fn good(operation: &str, kind: &str, uid: &str) -> Value {
    let mut members = match kind {
        "note" => json!({"title": "A", "content": "B"}),
        "task" => json!({"title": "A"}),
        "chat" => json!({"title": "A"}),
        "comment" if operation == "create" => {
            json!({"content": "B", "parent_type": "note", "parent_uid": demo(1)})
        }
        "chat_message" if operation == "create" => json!({"content": "B", "chat_uid": demo(6)}),
        _ => json!({"content": "B"}),
    };
    match operation {
        "list" => json!({"limit": 5}),
        "create" => members,
        "update" => {
            members["uid"] = json!(uid);
            members
        }
        "patch" => json!({"uid": uid, "updates": {"colour": "red"}}),
        "process" => {
            let action = match kind {
                "note" => "pin",
                "task" => "complete",
                "chat_message" => "mark_read",
                _ => "resolve",
            };
            json!({"uid": uid, "action": action, "metadata": {"why": "a test"}})
        }
        _ => json!({"uid": uid}),
    }
}

#[tokio::test]
async fn s3_098_every_tool_answers_as_its_schema_says_and_refuses_what_is_wrong() {
    let office = Office::with(|settings| settings.demo_data = true).await;
    let admin = office.demo("admin");
    let mut schemas: BTreeMap<String, Validator> = BTreeMap::new();
    let mut params = json!({});
    loop {
        let reply = admin.request("tools/list", params).await;
        for tool in reply.result()["tools"].as_array().expect("tools") {
            let schema = jsonschema::draft202012::new(&tool["outputSchema"]).expect("a schema");
            let name = tool["name"].as_str().expect("a name").to_owned();
            schemas.insert(name, schema);
        }
        match reply.result().get("nextCursor") {
            Some(cursor) => params = json!({ "cursor": cursor }),
            None => break,
        }
    }
    let mut called = 0;
    for (one, many) in KINDS {
        // Deleting comes last.
        for operation in [
            "list", "get", "create", "update", "patch", "archive", "process", "delete",
        ] {
            let of = if operation == "list" { many } else { one };
            let name = format!("{operation}_{of}");
            let listed = done(&admin, &format!("list_{many}"), json!({})).await;
            let uid = listed["items"][0]["uid"]
                .as_str()
                .expect("a record")
                .to_owned();

            let answer = done(&admin, &name, good(operation, one, &uid)).await;
            let schema = &schemas[&name];
            let problems: Vec<_> = schema.iter_errors(&answer).map(|e| e.to_string()).collect();
            assert!(problems.is_empty(), "{name}: {problems:?} in {answer}");
            if operation != "list" {
                assert!(answer["version"].is_u64(), "{name}: {answer}");
            }

            let mut bad = good(operation, one, &uid);
            let expected = match operation {
                "list" => {
                    bad["limit"] = json!(1001);
                    "invalid_arguments"
                }
                "create" => {
                    bad["tenant_id"] = json!("org_b");
                    "invalid_arguments"
                }
                _ => {
                    bad["uid"] = json!(NOBODY);
                    "not_found"
                }
            };
            let reply = admin.call(&name, bad).await;
            assert_eq!(reply.code(), expected, "{name}");
            if expected == "not_found" {
                assert_eq!(
                    reply.result()["structuredContent"]["status"],
                    json!(404),
                    "{name}"
                );
            }
            called += 1;
        }
    }
    assert_eq!(called, 40);
}
