//! The forty tools as the contract has them: names, parameters, limits, effects, scopes.

use std::collections::BTreeMap;

use reference_server::records;
use serde_json::{Value, json};

use super::Office;

/// Kind in the singular and in the plural, and the parameters of create and of update; `*` marks
/// those that are required.
const KINDS: [[&str; 4]; 5] = [
    [
        "note",
        "notes",
        "title* content* tags additional_fields",
        "uid* title* content* if_match additional_fields",
    ],
    [
        "task",
        "tasks",
        "title* description status priority due_date tags additional_fields",
        "uid* title* description status if_match additional_fields",
    ],
    [
        "comment",
        "comments",
        "content* parent_type* parent_uid* author tags additional_fields",
        "uid* content* if_match additional_fields",
    ],
    [
        "chat",
        "chats",
        "title* description participants archived tags additional_fields",
        "uid* title* description if_match additional_fields",
    ],
    [
        "chat_message",
        "chat_messages",
        "chat_uid* content* sender message_type tags additional_fields",
        "uid* content* if_match additional_fields",
    ],
];

/// Operation, parameters where they are the same for all kinds, R, W or X.
const OPERATIONS: [[&str; 3]; 8] = [
    ["list", "limit cursor include_deleted", "R"],
    ["get", "uid* include_deleted", "R"],
    ["create", "", "W"],
    ["update", "", "W"],
    ["patch", "uid* updates*", "W"],
    ["delete", "uid*", "X"],
    ["archive", "uid*", "W"],
    ["process", "uid* action* metadata", "W"],
];

async fn listed() -> BTreeMap<String, Value> {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let mut tools = BTreeMap::new();
    let mut params = json!({});
    loop {
        let reply = ada.request("tools/list", params).await;
        for tool in reply.result()["tools"].as_array().expect("tools") {
            let name = tool["name"].as_str().expect("a name").to_owned();
            tools.insert(name, tool.clone());
        }
        match reply.result().get("nextCursor") {
            Some(cursor) => params = json!({ "cursor": cursor }),
            None => return tools,
        }
    }
}

fn parameters(tool: &Value) -> Vec<String> {
    let schema = &tool["inputSchema"];
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let mut names: Vec<String> = properties
        .map(|(name, _)| match required.contains(&json!(name)) {
            true => format!("{name}*"),
            false => name.clone(),
        })
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn s3_001_to_s3_041_names_parameters_and_effects_are_those_of_the_contract() {
    let tools = listed().await;
    assert_eq!(records::tools().iter().count(), 40);
    let mut id = 0;
    for [one, many, create, update] in KINDS {
        for [operation, same, effect] in OPERATIONS {
            id += 1;
            let of = if operation == "list" { many } else { one };
            let name = format!("{operation}_{of}");
            let row = format!("S3-{id:03} {name}");
            let tool = tools
                .get(&name)
                .unwrap_or_else(|| panic!("{row} is missing"));
            let expected = match operation {
                "create" => create,
                "update" => update,
                _ => same,
            };
            let mut expected: Vec<&str> = expected.split(' ').collect();
            expected.sort_unstable();
            assert_eq!(parameters(tool), expected, "{row}");
            let hints = &tool["annotations"];
            assert_eq!(hints["readOnlyHint"], json!(effect == "R"), "{row}");
            assert_eq!(hints["destructiveHint"], json!(effect == "X"), "{row}");
            assert_eq!(hints["openWorldHint"], json!(false), "{row}");
            assert!(tool["title"].is_string(), "{row}");
            assert!(tool["outputSchema"].is_object(), "{row}");
            let about = tool["description"].as_str().unwrap_or_default();
            assert!((60..=1024).contains(&about.len()), "{row}: {about}");
            for (name, schema) in tool["inputSchema"]["properties"].as_object().expect("some") {
                assert!(schema["description"].is_string(), "{row}: {name}");
            }
        }
    }
}

#[tokio::test]
async fn s3_041_limits_defaults_and_words_are_those_of_the_contract() {
    let tools = listed().await;
    let parameter = |tool: &str, name: &str| tools[tool]["inputSchema"]["properties"][name].clone();
    for [one, many, ..] in KINDS {
        let limit = parameter(&format!("list_{many}"), "limit");
        let found = [&limit["minimum"], &limit["maximum"], &limit["default"]];
        assert_eq!(found, [&json!(1), &json!(1000), &json!(100)], "{many}");
        let deleted = parameter(&format!("list_{many}"), "include_deleted");
        assert_eq!(deleted["default"], json!(false), "{many}");
        let deleted = parameter(&format!("get_{one}"), "include_deleted");
        assert_eq!(deleted["default"], json!(false), "{many}");
    }
    assert_eq!(
        parameter("create_chat", "archived")["default"],
        json!(false)
    );
    let words = [
        (
            "create_task",
            "status",
            "todo in_progress done open completed",
        ),
        ("create_task", "priority", "low medium high"),
        ("create_comment", "parent_type", "note task"),
        ("process_note", "action", "pin unpin archive unarchive"),
        ("process_task", "action", "start complete reopen"),
        ("process_comment", "action", "resolve reopen"),
        ("process_chat", "action", "resolve reopen"),
        ("process_chat_message", "action", "mark_read mark_delivered"),
    ];
    for (tool, name, expected) in words {
        let schema = parameter(tool, name).to_string();
        for word in expected.split(' ') {
            assert!(
                schema.contains(&format!("\"{word}\"")),
                "{tool}: {word} in {schema}"
            );
        }
    }
}

#[tokio::test]
async fn s3_042_reading_and_writing_take_their_scope_and_all_a_tenant() {
    for tool in records::tools().iter() {
        let reads = tool.name().starts_with("list_") || tool.name().starts_with("get_");
        let scope = if reads {
            "records:read"
        } else {
            "records:write"
        };
        assert_eq!(
            tool.policy_ref().needed_scopes(),
            [scope],
            "{}",
            tool.name()
        );
        assert!(tool.policy_ref().needs_tenant(), "{}", tool.name());
        assert_eq!(tool.timeout().as_secs(), 30, "{}", tool.name());
    }
    let office = Office::new().await;
    let reader = office.server.as_user("ada").tenant("org_a");
    let reader = reader.scopes(["records:read"]);
    reader.call("list_notes", json!({})).await.structured();
    let write = json!({"title": "t", "content": "c"});
    let refused = reader.call("create_note", write.clone()).await;
    assert!(
        refused.body.to_string().contains("insufficient_scope"),
        "{}",
        refused.body
    );

    let without = office.server.as_user("ada");
    let without = without.scopes(["records:read", "records:write"]);
    assert!(without.tools().await.is_empty());
    for (tool, arguments) in [("list_notes", json!({})), ("create_note", write)] {
        let hidden = without.call(tool, arguments.clone()).await;
        let unknown = without.call("list_nothings", arguments).await;
        assert_eq!(hidden.status, unknown.status);
        let said = |body: &Value| body["error"]["message"].as_str().map(str::to_owned);
        let unknown = said(&unknown.body).map(|text| text.replace("list_nothings", tool));
        assert!(unknown.is_some());
        assert_eq!(said(&hidden.body), unknown);
    }
}
