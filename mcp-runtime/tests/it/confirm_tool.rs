//! `confirm = "…"`: nothing runs that nobody agreed to, and one yes is one run.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_runtime::prelude::*;
use mcp_runtime::store::MemoryStore;
use mcp_runtime::testing::{TestClient, TestReply, TestServer};
use mcp_runtime::{Policy, Tool};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::ask::MODERN;
use crate::clock;
use crate::confirm::Broken;
use crate::live::within;

/// What was done, in order.
#[derive(Default)]
struct Done(Mutex<Vec<String>>);

impl Done {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[derive(Lend)]
struct App {
    done: Arc<Done>,
}

/// Delete a host.
#[mcp_tool(
    authenticated,
    destructive,
    guard = hostname != "router",
    confirm = "Delete {hostname} (force: {force})?"
)]
async fn delete_host(
    done: &Done,
    #[arg(len = 1..=40)] hostname: String,
    #[arg(default = false)] force: bool,
    note: Option<String>,
    #[arg(secret)] password: Option<String>,
) -> String {
    let _ = (note, password);
    done.note(format!("{hostname} {force}"));
    format!("{hostname} is gone")
}

/// Delete a proxy, on a thread where that may block.
#[mcp_tool(public, blocking, confirm = "Delete the proxy {hostname}?")]
fn delete_proxy(done: &Done, hostname: String) -> String {
    done.note(&hostname);
    hostname
}

#[derive(Deserialize, JsonSchema)]
struct Reason {
    reason: String,
}

/// Close an account, and say why.
#[mcp_tool(authenticated, confirm = "Close {account}?")]
async fn close_account(done: &Done, call: &Call, account: String) -> ToolResult<String> {
    let why = call.elicit::<Reason>("Why?").key("why").await?;
    let why = why.accepted().map(|why| why.reason).unwrap_or_default();
    done.note(format!("{account}: {why}"));
    Ok(why)
}

/// Close an account, with a reason that the model writes.
#[mcp_tool(authenticated, confirm = "Close {account}?")]
async fn close_politely(done: &Done, call: &Call, account: String) -> ToolResult<String> {
    let why = call.sample("Why?", 10).key("why").await?.text;
    done.note(format!("{account}: {why}"));
    Ok(why)
}

struct World {
    server: TestServer,
    done: Arc<Done>,
    clock: Clock,
}

impl World {
    fn new() -> Self {
        Self::with(|server| server)
    }

    fn with(change: impl FnOnce(Server<App>) -> Server<App>) -> Self {
        let (done, clock) = (Arc::new(Done::default()), clock());
        let app = App {
            done: Arc::clone(&done),
        };
        let noted = Arc::clone(&done);
        let restart = Tool::dynamic("restart", "Restart it.", Policy::authenticated())
            .input_schema(json!({
                "type": "object",
                "properties": { "host": { "type": "string" }, "wait": { "type": "integer", "default": 5 } },
                "required": ["host"],
                "additionalProperties": false,
            }))
            .confirm("Restart {host} after {wait} s?")
            .handler(move |_call, arguments| {
                noted.note(arguments.to_string());
                async move { Ok::<_, ToolError>(arguments) }
            });
        let tools = tools![delete_host, delete_proxy, close_account, close_politely].with(restart);
        let server = change(Server::with_state(app, tools).clock(clock.clone()));
        Self {
            server: TestServer::new(server).expect("a server"),
            done,
            clock,
        }
    }

    /// Somebody whose client cannot ask.
    fn ada(&self) -> TestClient {
        self.server.as_user("ada")
    }

    /// Somebody whose client can.
    fn ada_who_can_be_asked(&self) -> TestClient {
        self.ada().declares(json!({ "elicitation": {} }))
    }
}

/// The token that a call without one is answered with.
async fn token(client: &TestClient, tool: &str, arguments: Value) -> String {
    let reply = client.call(tool, arguments).await;
    assert_eq!(reply.code(), "confirmation_required");
    reply.result()["structuredContent"]["confirm_token"]
        .as_str()
        .expect("a token")
        .to_owned()
}

fn with(arguments: &Value, token: &str) -> Value {
    let mut arguments = arguments.clone();
    arguments["confirm_token"] = json!(token);
    arguments
}

fn web() -> Value {
    json!({ "hostname": "web-1" })
}

/// The next round of a call, with an answer.
async fn again(
    client: &TestClient,
    tool: &str,
    arguments: &Value,
    before: &TestReply,
    answers: Value,
) -> TestReply {
    let state = before.result()["requestState"].clone();
    assert!(state.is_string(), "no state: {}", before.body);
    let params = json!({ "name": tool, "arguments": arguments, "requestState": state, "inputResponses": answers });
    client.request("tools/call", params).await
}

fn yes() -> Value {
    json!({ "mcp.confirm": { "action": "accept", "content": { "confirm": true } } })
}

#[tokio::test]
async fn pc_02_pc_03_a_client_that_cannot_ask_gets_a_token_for_one_run() {
    for revision in ["2024-11-05", "2025-06-18", "2025-11-25", MODERN] {
        let world = World::new();
        let ada = world.ada().revision(revision);
        let first = ada.call("delete_host", web()).await;
        assert_eq!(first.code(), "confirmation_required", "{revision}");
        let said = &first.result()["structuredContent"];
        assert_eq!(said["preview"], "Delete web-1 (force: false)?");
        assert_eq!(said["expires_at"], "2026-01-01T00:05:00Z");
        let token = said["confirm_token"].as_str().expect("a token");
        for needed in ["Delete web-1 (force: false)?", "confirm_token", token] {
            assert!(first.text().contains(needed), "{needed}: {}", first.text());
        }
        assert!(world.done.all().is_empty(), "previewed only");

        let second = ada.call("delete_host", with(&web(), token)).await;
        assert_eq!(second.text(), "web-1 is gone", "{revision}");
        let third = ada.call("delete_host", with(&web(), token)).await;
        assert_eq!(third.code(), "confirm_token_used", "{revision}");
        assert_eq!(world.done.all(), ["web-1 false"], "{revision}");
    }
}

#[tokio::test]
async fn pc_01_what_is_no_token_confirms_nothing() {
    let world = World::new();
    for (no_token, code) in [
        (json!(""), "confirm_token_invalid"),
        (json!("ctok_"), "confirm_token_invalid"),
        (json!("made up"), "confirm_token_invalid"),
        (json!("x".repeat(100_000)), "confirm_token_invalid"),
        (json!(true), "invalid_arguments"),
        (json!({ "confirm": true }), "invalid_arguments"),
        (Value::Null, "confirmation_required"),
    ] {
        let mut arguments = web();
        arguments["confirm_token"] = no_token.clone();
        let reply = world.ada().call("delete_host", arguments).await;
        assert_eq!(reply.code(), code, "{no_token}");
    }
    assert!(world.done.all().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pc_04_of_many_calls_with_one_token_one_runs() {
    let world = World::new();
    let token = token(&world.ada(), "delete_proxy", web()).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (ada, arguments) = (world.ada(), with(&web(), &token));
        calls.spawn(async move { ada.call("delete_proxy", arguments).await });
    }
    let replies = calls.join_all().await;
    let ran = |reply: &&TestReply| reply.result()["isError"] == false;
    assert_eq!(replies.iter().filter(ran).count(), 1);
    assert_eq!(world.done.all().len(), 1);
    for reply in replies.iter().filter(|reply| !ran(reply)) {
        assert_eq!(reply.code(), "confirm_token_used");
    }
}

#[tokio::test]
async fn pc_05_a_token_of_somebody_else_is_like_one_that_never_was() {
    let world = World::new();
    let hers = token(&world.ada(), "delete_host", web()).await;
    for bob in [
        world.server.as_user("bob"),
        world.ada().tenant("org_b"), // TN-19
        world
            .server
            .as_caller(Caller::user("ada").issuer("https://as.example.com")),
    ] {
        let foreign = bob.call("delete_host", with(&web(), &hers)).await;
        let unknown = bob.call("delete_host", with(&web(), "made up")).await;
        assert_eq!(foreign.result(), unknown.result());
    }
    assert!(world.done.all().is_empty());
    let reply = world.ada().call("delete_host", with(&web(), &hers)).await;
    assert_eq!(reply.text(), "web-1 is gone", "still good for its owner");
}

#[tokio::test]
async fn pc_06_a_token_is_good_for_exactly_its_arguments() {
    let world = World::new();
    let arguments = json!({ "hostname": "web-1", "force": false, "password": "s3cr3t" });
    let good = token(&world.ada(), "delete_host", arguments.clone()).await;
    for changed in [
        json!({ "hostname": "web-2", "force": false, "password": "s3cr3t" }),
        json!({ "hostname": "web-1", "force": true, "password": "s3cr3t" }),
        json!({ "hostname": "web-1", "force": false, "password": "other" }),
        json!({ "hostname": "web-1", "force": false }),
        json!({ "hostname": "web-1", "force": false, "password": "s3cr3t", "note": "x" }),
    ] {
        let reply = world.ada().call("delete_host", with(&changed, &good)).await;
        assert_eq!(reply.code(), "confirm_token_invalid", "{changed}");
    }
    assert!(world.done.all().is_empty());
    // The same in another order, and an absent member sent as `null`.
    let same = json!({ "password": "s3cr3t", "note": null, "force": false, "hostname": "web-1" });
    let reply = world.ada().call("delete_host", with(&same, &good)).await;
    assert_eq!(reply.text(), "web-1 is gone");
}

#[tokio::test]
async fn pc_07_a_token_expires() {
    for (after, expired) in [(0, false), (299, false), (300, true), (301, true)] {
        let world = World::new();
        let token = token(&world.ada(), "delete_host", web()).await;
        world.clock.advance(Duration::from_secs(after));
        let reply = world.ada().call("delete_host", with(&web(), &token)).await;
        if expired {
            assert_eq!(reply.code(), "confirm_token_expired", "{after} s");
        }
        assert_eq!(world.done.all().is_empty(), expired, "{after} s");
    }
    let world = World::with(|server| server.confirm_within(Duration::from_secs(2)));
    let token = token(&world.ada(), "delete_host", web()).await;
    world.clock.advance(Duration::from_secs(3));
    let reply = world.ada().call("delete_host", with(&web(), &token)).await;
    assert_eq!(reply.code(), "confirm_token_expired");
}

#[tokio::test]
async fn pc_08_no_other_token_will_do() {
    let world = World::new();
    let good = token(&world.ada(), "delete_host", web()).await;
    let of_another_tool = token(&world.ada(), "delete_proxy", web()).await;
    let mut bad = vec![of_another_tool];
    bad.extend((0..good.len()).step_by(7).map(|end| good[..end].to_owned()));
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        bad.push(String::from_utf8(bytes).expect("ASCII"));
    }
    for token in bad {
        let reply = world.ada().call("delete_host", with(&web(), &token)).await;
        assert_eq!(reply.code(), "confirm_token_invalid", "{token}");
    }
    assert!(world.done.all().is_empty());
}

#[tokio::test]
async fn pc_12_previews_take_no_room() {
    let store = Arc::new(MemoryStore::new(clock(), 1));
    let world = World::with(|server| server.store(store));
    let mut tokens = std::collections::HashSet::new();
    for _ in 0..2_000 {
        tokens.insert(token(&world.ada(), "delete_host", web()).await);
    }
    assert_eq!(tokens.len(), 2_000, "every preview has a token of its own");
    let mut replies = Vec::new();
    for token in tokens.iter().take(2) {
        let reply = world.ada().call("delete_host", with(&web(), token)).await;
        replies.push(reply.result()["isError"].clone());
    }
    // There is room for one used token: the other cannot be used up, and so it is not good.
    assert_eq!(replies, [json!(false), json!(true)]);
    assert_eq!(world.done.all().len(), 1);
}

#[tokio::test]
async fn pc_13_a_state_that_is_not_good_here_confirms_nothing() {
    let world = World::new();
    let ada = world.ada_who_can_be_asked();
    let can = json!({ "elicitation": {} });
    let asked = ada.call("delete_host", web()).await;
    let state = asked.result()["requestState"].as_str().expect("a state");
    let mut tampered = state.to_owned();
    tampered.replace_range(40..41, if &state[40..41] == "A" { "B" } else { "A" });
    let bob = world.server.as_user("bob").declares(can);
    let other = json!({ "hostname": "web-2" });
    for (what, client, tool, arguments, state) in [
        ("tampered", &ada, "delete_host", web(), tampered.as_str()),
        ("of another user", &bob, "delete_host", web(), state),
        ("for another tool", &ada, "delete_proxy", web(), state),
        ("for other arguments", &ada, "delete_host", other, state),
    ] {
        let params = json!({ "name": tool, "arguments": arguments, "requestState": state, "inputResponses": yes() });
        let reply = client.request("tools/call", params).await;
        assert_eq!(reply.error()["code"], -32602, "{what}");
    }
    world.clock.advance(Duration::from_secs(15 * 60));
    let late = again(&ada, "delete_host", &web(), &asked, yes()).await;
    assert_eq!(late.error()["code"], -32602, "after its time");
    assert!(world.done.all().is_empty());
}

#[tokio::test]
async fn who_can_be_asked_is_asked_in_rounds() {
    let world = World::new();
    let ada = world.ada_who_can_be_asked();
    let no = |action: &str| json!({ "mcp.confirm": { "action": action } });
    let unticked =
        json!({ "mcp.confirm": { "action": "accept", "content": { "confirm": false } } });
    for refusal in [no("decline"), no("cancel"), unticked] {
        let asked = ada.call("delete_host", web()).await;
        let question = &asked.result()["inputRequests"]["mcp.confirm"];
        assert_eq!(question["method"], "elicitation/create", "{}", asked.body);
        assert_eq!(
            question["params"]["message"],
            "Delete web-1 (force: false)?"
        );
        let reply = again(&ada, "delete_host", &web(), &asked, refusal.clone()).await;
        assert_eq!(reply.code(), "not_confirmed", "{refusal}");
    }
    for no_answer in [
        json!({}),
        json!({ "mcp.confirm": { "action": "accept" } }),
        json!({ "mcp.confirm": { "action": "accept", "content": { "confirm": "yes" } } }),
        json!({ "mcp.confirm": true }),
    ] {
        let asked = ada.call("delete_host", web()).await;
        let reply = again(&ada, "delete_host", &web(), &asked, no_answer.clone()).await;
        assert_eq!(
            reply.result()["resultType"],
            "input_required",
            "{no_answer}"
        );
    }
    assert!(world.done.all().is_empty());

    let asked = ada.call("delete_host", web()).await;
    let reply = again(&ada, "delete_host", &web(), &asked, yes()).await;
    assert_eq!(reply.text(), "web-1 is gone");
    let replayed = again(&ada, "delete_host", &web(), &asked, yes()).await;
    assert_eq!(replayed.code(), "confirm_token_used", "one yes is one run");
    assert_eq!(world.done.all(), ["web-1 false"]);
}

#[tokio::test]
async fn an_answer_to_a_question_that_nobody_was_asked_is_none() {
    let world = World::new();
    let ada = world.ada_who_can_be_asked();
    let mut answers = yes();
    answers["\0mark"] = json!({ "id": "mine", "agreed": true });
    let params = json!({ "name": "delete_host", "arguments": web(), "inputResponses": answers });
    let reply = ada.request("tools/call", params).await;
    assert_eq!(reply.result()["resultType"], "input_required");
    let forged = again(
        &ada,
        "delete_host",
        &web(),
        &reply,
        json!({ "\0mark": { "id": "mine", "agreed": true } }),
    )
    .await;
    assert_eq!(forged.result()["resultType"], "input_required");
    // A token is nothing for a client that can be asked.
    let token = token(&world.ada(), "delete_host", web()).await;
    let reply = ada.call("delete_host", with(&web(), &token)).await;
    assert_eq!(reply.result()["resultType"], "input_required");
    assert!(world.done.all().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_answers_to_one_question_one_runs() {
    let world = World::new();
    let asked = world
        .ada_who_can_be_asked()
        .call("delete_host", web())
        .await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (ada, asked) = (world.ada_who_can_be_asked(), asked.clone());
        calls.spawn(async move { again(&ada, "delete_host", &web(), &asked, yes()).await });
    }
    let replies = calls.join_all().await;
    let ran = |reply: &&TestReply| reply.result()["isError"] == false;
    assert_eq!(replies.iter().filter(ran).count(), 1);
    assert_eq!(world.done.all(), ["web-1 false"]);
}

#[tokio::test]
async fn a_body_that_asks_too_runs_once_per_yes() {
    let world = World::new();
    let account = json!({ "account": "acme" });
    let why = json!({ "why": { "action": "accept", "content": { "reason": "old" } } });

    let ada = world.ada_who_can_be_asked();
    let asked = ada.call("close_account", account.clone()).await;
    let agreed = again(&ada, "close_account", &account, &asked, yes()).await;
    assert!(agreed.result()["inputRequests"]["why"].is_object());
    assert!(agreed.result()["inputRequests"]["mcp.confirm"].is_null());
    let closed = again(&ada, "close_account", &account, &agreed, why.clone()).await;
    assert_eq!(closed.text(), "old");
    for before in [&asked, &agreed] {
        let mut both = yes();
        both["why"] = why["why"].clone();
        let replayed = again(&ada, "close_account", &account, before, both).await;
        assert_eq!(replayed.code(), "confirm_token_used");
    }

    // The same with a token, for a client that has a model but nobody to ask.
    let model =
        json!({ "why": { "role": "assistant", "content": { "type": "text", "text": "new" } } });
    let ada = world.ada().declares(json!({ "sampling": {} }));
    let token = token(&ada, "close_politely", account.clone()).await;
    let account = with(&account, &token);
    let asked = ada.call("close_politely", account.clone()).await;
    let closed = again(&ada, "close_politely", &account, &asked, model.clone()).await;
    assert_eq!(closed.text(), "new");
    let replayed = again(&ada, "close_politely", &account, &asked, model).await;
    assert_eq!(replayed.code(), "confirm_token_used");
    let replayed = ada.call("close_politely", account.clone()).await;
    assert_eq!(replayed.code(), "confirm_token_used");
    assert_eq!(world.done.all(), ["acme: old", "acme: new"]);
}

#[tokio::test]
async fn who_can_be_asked_is_asked_over_a_session() {
    for (answer, ran) in [
        (
            json!({ "result": { "action": "accept", "content": { "confirm": true } } }),
            true,
        ),
        (
            json!({ "result": { "action": "accept", "content": { "confirm": false } } }),
            false,
        ),
        (json!({ "result": { "action": "decline" } }), false),
        (json!({ "result": { "action": "cancel" } }), false),
        (json!({ "error": { "code": -1, "message": "no" } }), false),
    ] {
        let done = Arc::new(Done::default());
        let app = App {
            done: Arc::clone(&done),
        };
        let service = Server::with_state(app, tools![delete_host])
            .build()
            .unwrap();
        let (mut input, theirs) = tokio::io::duplex(1 << 16);
        let (written, output) = tokio::io::duplex(1 << 16);
        let served = tokio::spawn(service.pipe(Caller::user("ada"), theirs, written));
        let mut output = BufReader::new(output).lines();
        let mut said = Vec::new();
        for message in [
            json!({ "id": 0, "method": "initialize", "params": {
                "protocolVersion": "2025-06-18", "capabilities": { "elicitation": {} }, "clientInfo": { "name": "t", "version": "1" } } }),
            json!({ "id": 1, "method": "tools/call", "params": { "name": "delete_host", "arguments": web() } }),
            answer.clone(),
        ] {
            let mut message = message;
            message["jsonrpc"] = json!("2.0");
            if message.get("method").is_none() {
                let question: &Value = said.last().expect("a question");
                assert_eq!(question["method"], "elicitation/create", "{question}");
                assert_eq!(
                    question["params"]["message"],
                    "Delete web-1 (force: false)?"
                );
                assert!(done.all().is_empty(), "nobody has answered yet");
                message["id"] = question["id"].clone();
            }
            input
                .write_all(format!("{message}\n").as_bytes())
                .await
                .unwrap();
            let line = within(output.next_line()).await.unwrap().expect("a line");
            said.push(serde_json::from_str(&line).expect("JSON"));
        }
        let last = said.last().expect("an answer");
        assert_eq!(last["result"]["isError"], !ran, "{answer}: {last}");
        assert_eq!(done.all().len(), usize::from(ran), "{answer}");
        drop(input);
        within(served).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn nobody_is_asked_about_a_call_that_would_not_run() {
    let world = World::new();
    let router = json!({ "hostname": "router" });
    for client in [world.ada(), world.ada_who_can_be_asked()] {
        for (arguments, code) in [
            (router.clone(), "forbidden"),
            (json!({ "hostname": "" }), "invalid_arguments"),
            (
                json!({ "hostname": "web-1", "confirm": true }),
                "invalid_arguments",
            ),
        ] {
            let reply = client.call("delete_host", arguments.clone()).await;
            assert_eq!(reply.code(), code, "{arguments}");
        }
    }
    let reply = world.server.call("delete_host", web()).await;
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn where_a_use_cannot_be_remembered_nothing_runs() {
    let world = World::with(|server| server.store(Arc::new(Broken)));
    let token = token(&world.ada(), "delete_host", web()).await;
    let reply = world.ada().call("delete_host", with(&web(), &token)).await;
    assert_eq!(reply.code(), "confirmation_unavailable");
    assert!(
        !reply.body.to_string().contains("connection refused"),
        "{}",
        reply.body
    );

    let ada = world.ada_who_can_be_asked();
    let asked = ada.call("delete_host", web()).await;
    let reply = again(&ada, "delete_host", &web(), &asked, yes()).await;
    assert_eq!(reply.code(), "confirmation_unavailable");
    assert!(world.done.all().is_empty());
}

#[tokio::test]
async fn the_schema_says_how_to_confirm() {
    /// Delete nothing.
    #[mcp_tool(public, destructive)]
    fn keep_host(hostname: String) -> String {
        hostname
    }
    let done = Arc::new(Done::default());
    let server = Server::with_state(App { done }, tools![delete_host, keep_host]);
    let server = TestServer::new(server).unwrap();
    let listed = server.as_user("ada").request("tools/list", json!({})).await;
    let tools = &listed.result()["tools"];
    let token = &tools[0]["inputSchema"]["properties"]["confirm_token"];
    assert_eq!(token["type"], "string", "{tools}");
    assert!(
        token["description"]
            .as_str()
            .is_some_and(|text| text.contains("user"))
    );
    assert_eq!(tools[0]["inputSchema"]["required"], json!(["hostname"]));
    assert!(tools[1]["inputSchema"]["properties"]["confirm_token"].is_null());
    assert_eq!(tools[0]["annotations"], tools[1]["annotations"]);
    let reply = server
        .call(
            "keep_host",
            json!({ "hostname": "a", "confirm_token": "b" }),
        )
        .await;
    assert_eq!(
        reply.code(),
        "invalid_arguments",
        "of no use to other tools"
    );
}

#[tokio::test]
async fn rp_05_a_tool_made_at_run_time_asks_too() {
    let world = World::new();
    let host = json!({ "host": "db" });
    let reply = world.ada().call("restart", host.clone()).await;
    assert_eq!(
        reply.result()["structuredContent"]["preview"],
        "Restart db after 5 s?"
    );
    assert!(world.done.all().is_empty());
    let token = token(&world.ada(), "restart", host.clone()).await;
    let reply = world.ada().call("restart", with(&host, &token)).await;
    assert_eq!(reply.structured(), &host, "the token stays with us");
    let reply = world.ada().call("restart", with(&host, &token)).await;
    assert_eq!(reply.code(), "confirm_token_used");
    let ada = world.ada_who_can_be_asked();
    let asked = ada.call("restart", host.clone()).await;
    let reply = again(&ada, "restart", &host, &asked, yes()).await;
    assert_eq!(reply.structured(), &host);
    assert_eq!(world.done.all(), [r#"{"host":"db"}"#, r#"{"host":"db"}"#]);
}

#[test]
fn a_question_that_makes_no_sense_is_refused_when_the_server_is_built() {
    let schema = json!({ "type": "object", "properties": {
        "host": { "type": "string" }, "key": { "type": "string", "writeOnly": true } } });
    let taken =
        json!({ "type": "object", "properties": { "confirm_token": { "type": "string" } } });
    for (question, schema, read_only, said) in [
        ("Delete {hots}?", &schema, false, "`{hots}`"),
        ("Use {key}?", &schema, false, "secret"),
        ("Delete {host?", &schema, false, "brace"),
        (" ", &schema, false, "asks nothing"),
        ("Delete it?", &taken, false, "`confirm_token`"),
        ("Look at {host}?", &schema, true, "read-only"),
    ] {
        let tool = Tool::dynamic("wipe", "Wipe.", Policy::public())
            .input_schema(schema.clone())
            .confirm(question)
            .map(|tool| if read_only { tool.read_only() } else { tool })
            .handler(|_, _| async { Ok::<_, ToolError>(json!({})) });
        let error = Server::new(ToolSet::new().with(tool))
            .build()
            .err()
            .expect(question);
        assert_eq!(error.problems().len(), 1, "{question}: {error}");
        assert!(error.to_string().contains(said), "{question}: {error}");
    }
    let error = Server::new(tools![])
        .confirm_within(Duration::ZERO)
        .build()
        .err();
    assert!(error.expect("zero").to_string().contains("confirm_within"));
}
