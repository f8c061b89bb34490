//! Nobody sees the records of another tenant, nor those of another user.

use std::collections::BTreeMap;

use mcp_runtime::testing::TestClient;
use serde_json::{Value, json};

use super::{NOBODY, Office, done, note, refused, uid_of};
use crate::databases::model_steps;

/// Everything a tool can be told about a record by its uid.
fn with_uid(uid: &str) -> Vec<(String, Value)> {
    let mut calls = Vec::new();
    for (kind, main) in [
        ("note", json!({"title": "x", "content": "x"})),
        ("task", json!({"title": "x"})),
        ("comment", json!({"content": "x"})),
        ("chat", json!({"title": "x"})),
        ("chat_message", json!({"content": "x"})),
    ] {
        let action = match kind {
            "note" => "pin",
            "task" => "start",
            "chat_message" => "mark_read",
            _ => "resolve",
        };
        let mut update = main;
        update["uid"] = json!(uid);
        calls.push((format!("update_{kind}"), update));
        let patch = json!({"uid": uid, "updates": {"x": 1}});
        calls.push((format!("patch_{kind}"), patch));
        let process = json!({"uid": uid, "action": action});
        calls.push((format!("process_{kind}"), process));
        let get = json!({"uid": uid, "include_deleted": true});
        calls.push((format!("get_{kind}"), get));
        for tool in ["get", "archive", "delete"] {
            calls.push((format!("{tool}_{kind}"), json!({"uid": uid})));
        }
    }
    calls
}

async fn told(client: &TestClient, tool: &str, arguments: Value) -> Value {
    let mut told = refused(client, tool, arguments).await;
    told.as_object_mut()
        .expect("an object")
        .remove("correlation_id");
    told
}

#[tokio::test]
async fn tn_12_s3_047_a_foreign_record_is_answered_like_none() {
    let office = Office::with(|settings| settings.demo_data = true).await;
    let (admin, bob) = (office.demo("admin"), office.demo("bob"));
    let reader = office.user("reader", "org_a");
    let mut foreign = Vec::new();
    for many in ["notes", "tasks", "comments", "chats", "chat_messages"] {
        let listed = done(&admin, &format!("list_{many}"), json!({})).await;
        foreign.push(uid_of(&listed["items"][0]));
        let own = done(&bob, &format!("list_{many}"), json!({})).await;
        assert!(
            !own["items"].as_array().expect("items").is_empty(),
            "{many}"
        );
        assert!(!own.to_string().contains("org_a"), "{own}");
    }
    for stranger in [&bob, &reader] {
        let found = done(stranger, "search", json!({"query": "org_a OR chairs"})).await;
        let found = found["items"].as_array().expect("items").clone();
        assert!(
            found.iter().all(|item| !foreign.contains(&uid_of(item))),
            "{found:?}"
        );
        let operations: Vec<Value> = ["update", "patch", "delete", "archive"]
            .iter()
            .map(|op| {
                json!({"op": op, "entity": "notes", "uid": foreign[0],
                "payload": {"title": "x", "content": "x"}})
            })
            .collect();
        let batch = json!({"operations": operations, "atomic": false});
        let batch = done(stranger, "batch", batch).await;
        for result in batch["results"].as_array().expect("results") {
            assert_eq!(result["error"], "not_found", "{batch}");
        }
    }
    let before = everything(&admin).await;
    for uid in &foreign {
        for ((tool, arguments), (_, unknown)) in with_uid(uid).into_iter().zip(with_uid(NOBODY)) {
            for stranger in [&bob, &reader] {
                let of_another = told(stranger, &tool, arguments.clone()).await;
                let of_nobody = told(stranger, &tool, unknown.clone()).await;
                assert_eq!(of_another, of_nobody, "{tool}");
                assert_eq!(of_another["code"], "not_found", "{tool}");
            }
        }
    }
    let on = json!({"content": "x", "parent_type": "note", "parent_uid": foreign[0]});
    assert_eq!(
        refused(&bob, "create_comment", on).await["code"],
        "parent_not_found"
    );
    let within = json!({"content": "x", "chat_uid": foreign[3]});
    assert_eq!(
        refused(&bob, "create_chat_message", within).await["code"],
        "parent_not_found"
    );
    assert_eq!(everything(&admin).await, before, "nothing has changed");

    for extra in ["tenant_id", "tenant", "owner_id", "x_tb_tenant_id"] {
        let arguments = json!({"uid": foreign[0], extra: "org_a"});
        assert_eq!(
            told(&bob, "get_note", arguments).await["code"],
            "invalid_arguments",
            "{extra}"
        );
        let own = note(&bob, "mine").await;
        let smuggled = json!({"uid": own["uid"], "updates": {extra: "org_a", "owner": "admin"}});
        done(&bob, "patch_note", smuggled).await;
    }
    assert_eq!(everything(&admin).await, before, "nothing has changed");
}

#[tokio::test]
async fn tn_14_what_is_no_uid_goes_nowhere() {
    let office = Office::with(|settings| settings.demo_data = true).await;
    let bob = office.demo("bob");
    for uid in [
        "../../admin/users",
        "..%2f..%2fadmin",
        "x?admin=1",
        "x#y",
        "x/../..",
        "%2e%2e",
        "//evil",
        "..",
        "",
        "00000000-0000-4000-8000-000000000001/archive",
        "00000000-0000-4000-8000-000000000001\n",
    ] {
        for tool in ["get_note", "delete_task", "archive_chat"] {
            let code = &told(&bob, tool, json!({ "uid": uid })).await["code"];
            assert_eq!(code, "invalid_arguments", "{tool} {uid:?}");
        }
    }
}

/// The statements of the records API, as its source has them.
fn statements() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/platform/records");
    let mut statements = Vec::new();
    for file in std::fs::read_dir(folder).expect("the source") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
        for call in text.split("sqlx::query").skip(1) {
            let (_, rest) = call.split_once('"').expect("a statement");
            let (statement, _) = rest.split_once('"').expect("its end");
            statements.push(statement.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    statements
}

#[test]
fn every_statement_names_tenant_and_owner() {
    let statements = statements();
    assert!(
        statements.len() >= 10,
        "only {} were found",
        statements.len()
    );
    for statement in statements {
        // The one question whether anybody was ever here, before demo data is made.
        if statement == "SELECT COUNT(*) FROM record_owners" {
            continue;
        }
        let named = if statement.starts_with("INSERT") {
            statement.contains("(tenant_id, owner_id,")
        } else {
            let (_, condition) = statement.split_once("WHERE").expect("a condition");
            condition.contains("tenant_id = $") && condition.contains("owner_id = $")
        };
        assert!(named, "{statement}");
    }
}

async fn everything(client: &TestClient) -> Vec<Value> {
    let mut all = Vec::new();
    for many in ["notes", "tasks", "comments", "chats", "chat_messages"] {
        let arguments = json!({"include_deleted": true, "limit": 1000});
        all.push(done(client, &format!("list_{many}"), arguments).await);
    }
    all
}

/// A generator of numbers that look random, the same ones in every run.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % sides
    }
}

/// What one caller should see: title and version by uid, `None` for a deleted one.
type Model = BTreeMap<String, Option<(String, u64)>>;

#[tokio::test]
async fn s3_082_no_sequence_of_calls_lets_one_see_what_is_anothers() {
    // So that the records of one caller fit on a page.
    const ROUND: usize = 5_000;
    let steps = model_steps();
    for round in 0..steps.div_ceil(ROUND) {
        let left = steps - round * ROUND;
        some_calls(left.min(ROUND), 20_260_601 + round as u64).await;
    }
}

async fn some_calls(steps: usize, seed: u64) {
    let office = Office::new().await;
    // Of one tenant, of another, and the same name in both.
    let callers = [
        office.user("ada", "org_a"),
        office.user("bob", "org_a"),
        office.user("ada", "org_b"),
        office.user("eve", "org_c"),
    ];
    let mut models = vec![Model::new(); callers.len()];
    let mut known: Vec<String> = vec![NOBODY.to_owned()];
    let mut dice = Dice(seed);
    for step in 0..steps {
        let at = dice.throw(callers.len());
        let (caller, model) = (&callers[at], &mut models[at]);
        let uid = known[dice.throw(known.len())].clone();
        let title = format!("{at}-{step}");
        let own = model.get(&uid).cloned();
        match dice.throw(6) {
            0 => {
                let uid = uid_of(&note(caller, &title).await);
                assert!(!known.contains(&uid), "uids are never used twice");
                known.push(uid.clone());
                model.insert(uid, Some((title, 1)));
            }
            1 => {
                let arguments = json!({"uid": uid, "updates": {"title": title}});
                let reply = caller.call("patch_note", arguments).await;
                match own {
                    Some(Some((_, version))) => {
                        assert_eq!(reply.structured()["version"], version + 1);
                        model.insert(uid, Some((title, version + 1)));
                    }
                    Some(None) => assert_eq!(reply.code(), "gone"),
                    None => assert_eq!(reply.code(), "not_found"),
                }
            }
            2 => {
                let reply = caller.call("delete_note", json!({ "uid": uid })).await;
                match own {
                    Some(Some(_)) => {
                        reply.structured();
                        model.insert(uid, None);
                    }
                    Some(None) => assert_eq!(reply.code(), "gone"),
                    None => assert_eq!(reply.code(), "not_found"),
                }
            }
            3 => {
                let reply = caller.call("get_note", json!({ "uid": uid })).await;
                match own {
                    Some(Some((title, version))) => {
                        assert_eq!(reply.structured()["payload"]["title"], json!(title));
                        assert_eq!(reply.structured()["version"], version);
                    }
                    Some(None) => assert_eq!(reply.code(), "gone"),
                    None => assert_eq!(reply.code(), "not_found"),
                }
            }
            4 => {
                // Each note has this in it, whosever it is.
                let asked = json!({"query": "text", "limit": 100});
                let found = done(caller, "search", asked).await;
                for item in found["items"].as_array().expect("items") {
                    let own = model.get(&uid_of(item)).cloned().flatten();
                    let own = own.expect("one of ours that is not deleted");
                    assert_eq!(item["payload"]["title"], json!(own.0), "step {step}");
                }
            }
            _ => {
                let listed = done(caller, "list_notes", json!({"limit": 1000})).await;
                let items = listed["items"].as_array().expect("items");
                let mut seen: Vec<String> = items.iter().map(uid_of).collect();
                seen.sort();
                let alive = model.iter().filter(|(_, state)| state.is_some());
                let alive: Vec<String> = alive.map(|(uid, _)| uid.clone()).collect();
                assert_eq!(seen, alive, "step {step}");
            }
        }
    }
    assert!(
        known.len() > steps / 10,
        "the dice wrote {} notes",
        known.len()
    );
}
