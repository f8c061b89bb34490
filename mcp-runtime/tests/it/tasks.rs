//! Tasks: what becomes one and what does not, whose it is, how it ends, and how many there may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Request;
use mcp_runtime::prelude::*;
use mcp_runtime::testing::{TestClient, TestReply, TestServer};
use mcp_runtime::{Policy, TaskLimits, Tool};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::Notify;

use crate::live::Live;

const EXTENSION: &str = "io.modelcontextprotocol/tasks";
const ANSWERS: &str = "every call of these tests ends";

/// What the tools of these tests do to the world.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) begun: AtomicUsize,
    pub(crate) dropped: AtomicUsize,
    pub(crate) go: Notify,
}

#[derive(Lend)]
pub(crate) struct App {
    world: Arc<World>,
}

/// Counts the call that it lives in when that is dropped.
struct Alive(Arc<World>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

/// Add up, by and by.
#[mcp_tool(public, task)]
async fn add(#[arg(range = 0..=100)] a: u32, b: u32) -> u32 {
    tokio::task::yield_now().await;
    a + b
}

/// Wait until it is told to go on.
#[mcp_tool(public, task)]
async fn wait(world: &Arc<World>) -> String {
    world.begun.fetch_add(1, Ordering::SeqCst);
    let _alive = Alive(Arc::clone(world));
    world.go.notified().await;
    "gone on".into()
}

/// Never, unless as a task.
#[mcp_tool(public, task = "required")]
async fn never(then: String) -> ToolResult<String> {
    match &*then {
        "panic" => panic!("on purpose"),
        "fail" => Err(ToolError::new("It did not work.").code("broken")),
        _ => std::future::pending().await,
    }
}

/// For those who may, with a guard that takes its time.
#[mcp_tool(scope = "jobs:run", task, guard = even(n))]
async fn guarded(n: u32) -> u32 {
    n
}

async fn even(n: u32) -> bool {
    tokio::task::yield_now().await;
    n.is_multiple_of(2)
}

/// Hidden from most.
#[mcp_tool(authenticated, role = "boss", task)]
async fn secret() -> u32 {
    7
}

/// Ask two people at once.
#[mcp_tool(public, task)]
async fn both(call: &Call) -> ToolResult<String> {
    let (one, two) = tokio::join!(
        call.elicit::<Name>("One?").key("one"),
        call.elicit::<Name>("Two?").key("two"),
    );
    let name = |answer: Elicited<Name>| answer.accepted().map(|a| a.name).unwrap_or_default();
    Ok(format!("{} and {}", name(one?), name(two?)))
}

/// Ask the model, and where the files are.
#[mcp_tool(public, task)]
async fn survey(call: &Call) -> ToolResult<String> {
    let said = call.sample("Well?", 10).await?.text;
    let roots = call.roots().await?;
    call.elicit_url("Pay", "https://pay.example.com").await?;
    Ok(format!("{said}, {} roots", roots.len()))
}

/// Ask before, work after; what is quick is answered at once.
#[mcp_tool(public, task = "detach")]
async fn staged(call: &Call, world: &Arc<World>, quick: bool) -> ToolResult<String> {
    let who = call.elicit::<Name>("Who?").key("who").await?.accepted();
    let who = who.map(|who| who.name).unwrap_or_default();
    world.begun.fetch_add(1, Ordering::SeqCst);
    if quick {
        return Ok(format!("{who}, quickly"));
    }
    let detached = call.detach().await?;
    assert_eq!(detached, call.is_task());
    let more = call.elicit::<Name>("And?").key("who").await?.accepted();
    Ok(format!(
        "{who} and {}, detached: {detached}",
        more.map(|more| more.name).unwrap_or_default()
    ))
}

/// Say how far it is, and stay there.
#[mcp_tool(public, task)]
async fn slow(call: &Call) -> String {
    call.log(LogLevel::Error, "slow", "nobody hears this");
    call.progress(1.0, Some(3.0), Some("one of three"));
    std::future::pending().await
}

/// Work for a minute.
#[mcp_tool(public, task)]
async fn minute() -> &'static str {
    tokio::time::sleep(Duration::from_secs(60)).await;
    "a minute later"
}

/// Work for a minute, but not longer than a second.
#[mcp_tool(public, task, timeout = "1s")]
async fn hasty() -> &'static str {
    tokio::time::sleep(Duration::from_secs(60)).await;
    "a minute later"
}

/// Leave work behind that asks when the function is long over.
#[mcp_tool(public, task)]
async fn leave(call: &Call, world: &Arc<World>) -> &'static str {
    let (call, world) = (call.clone(), Arc::clone(world));
    tokio::spawn(async move {
        call.cancelled().await;
        world.go.notified().await;
        if call.elicit::<Name>("Still there?").await.is_err() {
            world.dropped.fetch_add(1, Ordering::SeqCst);
        }
    });
    "left"
}

/// Ask on and on.
#[mcp_tool(public, task)]
async fn pester(call: &Call) -> ToolResult<u32> {
    let mut asked = 0;
    while call
        .elicit::<Name>("Now?")
        .key("now")
        .await?
        .accepted()
        .is_some()
    {
        asked += 1;
    }
    Ok(asked)
}

/// Talk a lot once it may, then end.
#[mcp_tool(public, task)]
async fn chatter(call: &Call, world: &Arc<World>) -> &'static str {
    world.go.notified().await;
    for step in 0..2000 {
        call.progress(f64::from(step), None, Some(&format!("step {step}")));
    }
    "done"
}

/// As many bytes as that.
#[mcp_tool(public, task)]
async fn fill(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// No task at all.
#[mcp_tool(public)]
fn plain() -> u32 {
    1
}

fn set() -> ToolSet<App> {
    let echo = Tool::dynamic("echo", "Say it again.", Policy::public())
        .input_schema(json!({ "type": "object" }))
        .handler(|call, arguments| async move {
            Ok::<_, ToolError>(json!({ "task": call.is_task(), "said": arguments }))
        })
        .map(Tool::task);
    tools![
        add, wait, never, guarded, secret, both, survey, staged, slow, minute, hasty, leave,
        pester, chatter, fill, plain
    ]
    .with(echo)
}

pub(crate) fn app() -> (Server<App>, Arc<World>) {
    let world = Arc::new(World::default());
    let state = App {
        world: Arc::clone(&world),
    };
    (Server::with_state(state, set()), world)
}

fn server() -> (TestServer, Arc<World>) {
    let (server, world) = app();
    (TestServer::new(server).unwrap(), world)
}

/// A client that knows tasks, and can be asked anything.
pub(crate) fn knows(server: &TestServer, user: &str) -> TestClient {
    let capabilities =
        json!({ "elicitation": { "form": {}, "url": {} }, "sampling": {}, "roots": {} });
    server.as_user(user).declares(capabilities).declares_tasks()
}

pub(crate) async fn get(client: &TestClient, created: &TestReply) -> TestReply {
    client
        .request("tasks/get", json!({ "taskId": created.task_id() }))
        .await
}

pub(crate) async fn cancel(client: &TestClient, created: &TestReply) -> TestReply {
    client
        .request("tasks/cancel", json!({ "taskId": created.task_id() }))
        .await
}

pub(crate) async fn update(client: &TestClient, created: &TestReply, answers: Value) -> TestReply {
    let params = json!({ "taskId": created.task_id(), "inputResponses": answers });
    client.request("tasks/update", params).await
}

pub(crate) fn named(name: &str) -> Value {
    json!({ "action": "accept", "content": { "name": name } })
}

pub(crate) fn asked(reply: &TestReply) -> Vec<String> {
    let asked = reply.result()["inputRequests"].as_object();
    asked
        .map(|asked| asked.keys().cloned().collect())
        .unwrap_or_default()
}

/// Waits until something is true.
async fn until(what: &str, is: impl Fn() -> bool) {
    let waiting = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), waiting).await;
    assert!(waited.is_ok(), "{what}: not within ten seconds");
}

/// What was said, apart from the id of the request.
pub(crate) fn said(reply: &TestReply) -> (u16, Value) {
    let mut body = reply.body.clone();
    body["id"] = json!(0);
    (reply.status, body)
}

pub(crate) fn is_ack(reply: &TestReply) -> bool {
    let result = reply.result().as_object().expect(ANSWERS);
    result["resultType"] == "complete"
        && result
            .keys()
            .all(|key| key == "resultType" || key == "_meta")
}

#[tokio::test]
async fn a_call_is_answered_with_a_task_that_can_be_found_at_once() {
    let (server, world) = server();
    let ada = knows(&server, "ada");
    let created = ada.call("wait", json!({})).await;
    let task = created.result();
    assert_eq!(created.status, 200);
    assert!(created.task_id().len() >= 32, "guessable: {task}");
    assert_eq!(task["status"], "working");
    assert_eq!(task["ttlMs"], 3_600_000);
    assert_eq!(task["pollIntervalMs"], 1000);
    for time in ["createdAt", "lastUpdatedAt"] {
        let time = task[time].as_str().expect("a time");
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    }
    for absent in [
        "task",
        "result",
        "error",
        "inputRequests",
        "requestState",
        "content",
    ] {
        assert!(task.get(absent).is_none(), "{absent} in {task}");
    }
    let now = get(&ada, &created).await;
    assert_eq!(now.result()["resultType"], "complete");
    assert_eq!(now.result()["status"], "working");
    assert!(now.result().get("result").is_none());

    world.go.notify_one();
    let done = ada.await_task(&created).await;
    assert_eq!(done.result()["status"], "completed");
    assert_eq!(done.result()["result"]["content"][0]["text"], "gone on");
    assert_eq!(done.result()["result"]["isError"], false);
    assert!(done.result().get("requestState").is_none());
    let ids: Vec<String> = {
        let again = ada.call("add", json!({ "a": 1, "b": 2 })).await;
        vec![again.task_id().to_owned(), created.task_id().to_owned()]
    };
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn what_cannot_run_is_no_task() {
    let (server, _) = server();
    let ada = knows(&server, "ada");
    for (what, reply, status) in [
        (
            "invalid arguments",
            ada.call("add", json!({ "a": 101, "b": 1 })).await,
            200,
        ),
        (
            "no scope",
            ada.call("guarded", json!({ "n": 2 })).await,
            403,
        ),
        (
            "nobody known",
            server
                .anonymous()
                .declares_tasks()
                .call("guarded", json!({ "n": 2 }))
                .await,
            401,
        ),
    ] {
        assert_eq!(reply.status, status, "{what}: {}", reply.body);
        assert_eq!(reply.result()["isError"], true, "{what}");
        assert_eq!(reply.result()["resultType"], "complete", "{what}");
    }
    let may = ada.clone().scopes(["jobs:run"]);
    assert_eq!(
        may.call("guarded", json!({ "n": 3 })).await.code(),
        "forbidden"
    );
    assert_eq!(
        said(&ada.call("secret", json!({})).await),
        said(&ada.call("unheard_of", json!({})).await)
    );
    let created = may.call("guarded", json!({ "n": 4 })).await;
    let done = may.await_task(&created).await;
    assert_eq!(
        done.result()["result"]["structuredContent"],
        json!({ "result": 4 })
    );
}

#[tokio::test]
async fn a_client_that_does_not_know_tasks_waits_or_is_refused() {
    let (server, _) = server();
    let bob = server.as_user("bob");
    let reply = bob.call("add", json!({ "a": 1, "b": 2 })).await;
    assert_eq!(reply.structured(), &json!({ "result": 3 }));
    assert_eq!(reply.result()["resultType"], "complete");

    let reply = bob.call("never", json!({ "then": "fail" })).await;
    assert_eq!(
        (reply.status, &reply.error()["code"]),
        (400, &json!(-32021))
    );
    let required = json!({ "extensions": { EXTENSION: {} } });
    assert_eq!(reply.error()["data"]["requiredCapabilities"], required);

    for (method, params) in [
        ("tasks/get", json!({ "taskId": "x" })),
        (
            "tasks/update",
            json!({ "taskId": "x", "inputResponses": {} }),
        ),
        ("tasks/cancel", json!({ "taskId": "x" })),
    ] {
        let reply = bob.request(method, params).await;
        assert_eq!(
            (reply.status, &reply.error()["code"]),
            (400, &json!(-32021)),
            "{method}"
        );
        assert_eq!(
            reply.error()["data"]["requiredCapabilities"],
            required,
            "{method}"
        );
    }
    // A parameter of the earlier experiment changes nothing.
    let hint = json!({ "name": "plain", "arguments": {}, "task": { "ttl": 1 } });
    let reply = knows(&server, "bob").request("tools/call", hint).await;
    assert_eq!(reply.structured(), &json!({ "result": 1 }));
}

#[tokio::test]
async fn only_the_revision_that_has_tasks_sees_them() {
    let (server, _) = server();
    let discovered = server
        .anonymous()
        .request("server/discover", json!({}))
        .await;
    let capabilities = &discovered.result()["capabilities"];
    assert_eq!(capabilities["extensions"], json!({ EXTENSION: {} }));
    assert!(capabilities.get("tasks").is_none());

    let mut pipe = Pipe::open();
    let capabilities = json!({ "extensions": { EXTENSION: {} }, "elicitation": {}, "tasks": {} });
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities,
        "clientInfo": { "name": "t", "version": "1" } });
    let reply = pipe.ask("initialize", hello).await;
    assert!(
        reply["result"]["capabilities"].get("extensions").is_none(),
        "{reply}"
    );
    let reply = pipe
        .ask(
            "tools/call",
            json!({ "name": "add", "arguments": { "a": 1, "b": 2 } }),
        )
        .await;
    assert_eq!(
        reply["result"]["structuredContent"],
        json!({ "result": 3 }),
        "{reply}"
    );
    let reply = pipe
        .ask(
            "tools/call",
            json!({ "name": "never", "arguments": { "then": "fail" } }),
        )
        .await;
    let code = &reply["result"]["structuredContent"]["code"];
    assert_eq!(code, "missing_client_capability", "{reply}");
    let reply = pipe.ask("tasks/get", json!({ "taskId": "x" })).await;
    assert_eq!(reply["error"]["code"], -32601, "{reply}");
}

#[tokio::test]
async fn what_is_not_offered_does_not_exist() {
    let without = TestServer::new(Server::new(tools![plain])).unwrap();
    let (with, _) = server();
    for (server, methods) in [
        (
            &without,
            &[
                "tasks/get",
                "tasks/update",
                "tasks/cancel",
                "tasks/result",
                "tasks/list",
            ][..],
        ),
        (&with, &["tasks/result", "tasks/list"]),
    ] {
        for method in methods {
            let params = json!({ "taskId": "x", "inputResponses": {} });
            let reply = knows(server, "ada").request(method, params).await;
            assert_eq!(
                (reply.status, &reply.error()["code"]),
                (404, &json!(-32601)),
                "{method}"
            );
        }
    }
    let discovered = without
        .anonymous()
        .request("server/discover", json!({}))
        .await;
    assert!(
        discovered.result()["capabilities"]
            .get("extensions")
            .is_none()
    );
}

#[tokio::test]
async fn a_task_is_its_owners_and_nobody_elses() {
    let (server, world) = server();
    let ada = knows(&server, "ada");
    let created = ada.call("wait", json!({})).await;
    until("it runs", || world.begun.load(Ordering::SeqCst) == 1).await;
    let id = created.task_id();
    let others = [
        ("another user", knows(&server, "bob")),
        ("nobody", server.anonymous().declares_tasks()),
        (
            "the same user of another tenant",
            knows(&server, "ada").tenant("other"),
        ),
    ];
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let params = |id: &str| json!({ "taskId": id, "inputResponses": {} });
        let unknown = ada.request(method, params(&"0".repeat(64))).await;
        assert_eq!(
            (unknown.status, &unknown.error()["code"]),
            (200, &json!(-32602)),
            "{method}"
        );
        for (who, other) in &others {
            let foreign = other.request(method, params(id)).await;
            assert_eq!(said(&foreign), said(&unknown), "{method} of {who}");
        }
        let rubbish = ada.request(method, json!({ "taskId": 7 })).await;
        assert_eq!(rubbish.error()["code"], -32602, "{method}");
    }
    assert_eq!(get(&ada, &created).await.result()["status"], "working");
    // Another token of the same principal is as good as the first.
    let again = knows(&server, "ada").scopes(["more"]);
    assert!(is_ack(&cancel(&again, &created).await));
    until("the call is dropped", || {
        world.dropped.load(Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test]
async fn a_caller_who_may_no_longer_call_may_no_longer_ask() {
    let (server, _) = server();
    let ada = knows(&server, "ada");
    let created = ada
        .clone()
        .scopes(["jobs:run"])
        .call("guarded", json!({ "n": 2 }))
        .await;
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let params = json!({ "taskId": created.task_id(), "inputResponses": {} });
        let reply = ada.request(method, params).await;
        let challenge = reply.headers["www-authenticate"].to_str().unwrap();
        assert_eq!(reply.status, 403, "{method}: {}", reply.body);
        assert!(
            challenge.contains("scope=\"jobs:run\""),
            "{method}: {challenge}"
        );
        assert!(reply.error()["code"].is_i64(), "{method}");
    }
    let created = ada.clone().roles(["boss"]).call("secret", json!({})).await;
    let unknown = ada.request("tasks/get", json!({ "taskId": "x" })).await;
    assert_eq!(said(&get(&ada, &created).await), said(&unknown));
}

#[tokio::test]
async fn a_failed_tool_completes_and_a_broken_one_fails() {
    let (server, _) = server();
    let ada = knows(&server, "ada");
    let created = ada.call("never", json!({ "then": "fail" })).await;
    let done = ada.await_task(&created).await;
    assert_eq!(done.result()["status"], "completed");
    assert_eq!(done.result()["result"]["isError"], true);
    assert_eq!(
        done.result()["result"]["structuredContent"]["code"],
        "broken"
    );

    let created = ada.call("never", json!({ "then": "panic" })).await;
    let failed = ada.await_task(&created).await;
    let task = failed.result();
    assert_eq!(task["status"], "failed");
    assert_eq!(task["error"]["code"], -32603);
    assert!(
        !failed.body.to_string().contains("on purpose"),
        "internal: {task}"
    );
    assert!(
        task.get("result").is_none() && task["statusMessage"].is_string(),
        "{task}"
    );

    // A question that this client cannot be asked is an error of the protocol as well.
    let mute = server.as_user("ada").declares_tasks();
    let created = mute.call("both", json!({})).await;
    let failed = mute.await_task(&created).await;
    assert_eq!(failed.result()["status"], "failed");
    assert_eq!(failed.result()["error"]["code"], -32021);
}

#[tokio::test]
async fn cancelling_drops_the_call() {
    let (server, world) = server();
    let ada = knows(&server, "ada");
    let created = ada.call("wait", json!({})).await;
    until("it runs", || world.begun.load(Ordering::SeqCst) == 1).await;
    assert_eq!(world.dropped.load(Ordering::SeqCst), 0);
    for time in ["the first time", "again"] {
        assert!(is_ack(&cancel(&ada, &created).await), "{time}");
        assert_eq!(
            get(&ada, &created).await.result()["status"],
            "cancelled",
            "{time}"
        );
    }
    until("the call is dropped", || {
        world.dropped.load(Ordering::SeqCst) == 1
    })
    .await;

    let created = ada.call("add", json!({ "a": 1, "b": 2 })).await;
    ada.await_task(&created).await;
    assert!(is_ack(&cancel(&ada, &created).await));
    let done = get(&ada, &created).await;
    assert_eq!(
        done.result()["status"],
        "completed",
        "what is over stays as it is"
    );
    assert!(is_ack(
        &update(&ada, &created, json!({ "one": named("x") })).await
    ));

    let created = ada.call("both", json!({})).await;
    ada.await_task(&created).await;
    cancel(&ada, &created).await;
    let cancelled = get(&ada, &created).await;
    assert_eq!(cancelled.result()["status"], "cancelled");
    assert!(cancelled.result().get("inputRequests").is_none());
}

#[tokio::test]
async fn questions_wait_in_the_task() {
    let (server, _) = server();
    let ada = knows(&server, "ada");
    let created = ada.call("both", json!({})).await;
    let waiting = ada.await_task(&created).await;
    assert_eq!(waiting.result()["status"], "input_required");
    assert_eq!(asked(&waiting), ["one", "two"]);
    let question = &waiting.result()["inputRequests"]["one"];
    assert_eq!(question["method"], "elicitation/create");
    assert_eq!(question["params"]["message"], "One?");

    // Strangers among the keys are ignored, and each answer counts by itself.
    let reply = update(
        &ada,
        &created,
        json!({ "three": named("x"), "two": named("Bob") }),
    )
    .await;
    assert!(is_ack(&reply));
    let waiting = get(&ada, &created).await;
    assert_eq!(
        (asked(&waiting), &waiting.result()["status"]),
        (vec!["one".into()], &json!("input_required"))
    );

    // One that does not fit is asked for again, under a key that was never used.
    update(
        &ada,
        &created,
        json!({ "two": named("Eve"), "one": { "action": "accept", "content": { "name": 7 } } }),
    )
    .await;
    let waiting = ada.await_task(&created).await;
    assert_eq!(asked(&waiting), ["one_2"]);
    update(
        &ada,
        &created,
        json!({ "one": named("Eve"), "one_2": named("Ada") }),
    )
    .await;
    let done = ada.await_task(&created).await;
    assert_eq!(done.result()["result"]["content"][0]["text"], "Ada and Bob");

    for answers in [json!("x"), json!(null)] {
        let reply = update(&ada, &created, answers).await;
        assert_eq!(reply.error()["code"], -32602);
    }
}

#[tokio::test]
async fn a_task_does_not_ask_for_ever() {
    let (server, _) = server();
    let ada = knows(&server, "ada");
    let created = ada.call("pester", json!({})).await;
    let mut keys = std::collections::BTreeSet::new();
    loop {
        let now = ada.await_task(&created).await;
        if now.result()["status"] == "completed" {
            let code = &now.result()["result"]["structuredContent"]["code"];
            assert_eq!((code, keys.len()), (&json!("too_many_questions"), 64));
            break;
        }
        for key in asked(&now) {
            update(&ada, &created, json!({ key.as_str(): named("Ada") })).await;
            assert!(keys.insert(key), "a key twice");
        }
    }

    let (server, world) = self::server();
    let ada = knows(&server, "ada");
    let created = ada.call("leave", json!({})).await;
    ada.await_task(&created).await;
    world.go.notify_one();
    until("a question too late", || {
        world.dropped.load(Ordering::SeqCst) == 1
    })
    .await;
    let done = get(&ada, &created).await;
    assert_eq!(done.result()["status"], "completed");
    assert!(done.result().get("inputRequests").is_none());
}

#[tokio::test]
async fn every_kind_of_question_can_be_asked_in_a_task() {
    let (server, _) = server();
    let ada = knows(&server, "ada");
    let created = ada.call("survey", json!({})).await;
    let sampled =
        json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "Well" } });
    for (method, answer) in [
        ("sampling/createMessage", sampled),
        ("roots/list", json!({ "roots": [{ "uri": "file:///a" }] })),
        ("elicitation/create", json!({ "action": "accept" })),
    ] {
        let waiting = ada.await_task(&created).await;
        let (key, question) = waiting.result()["inputRequests"]
            .as_object()
            .unwrap()
            .iter()
            .next()
            .unwrap();
        assert_eq!(question["method"], method);
        update(&ada, &created, json!({ key: answer })).await;
    }
    let done = ada.await_task(&created).await;
    assert_eq!(
        done.result()["result"]["content"][0]["text"],
        "Well, 1 roots"
    );
}

#[tokio::test]
async fn a_body_that_detaches_asks_before_and_after() {
    let (server, world) = server();
    let ada = knows(&server, "ada");
    for quick in [true, false] {
        let arguments = json!({ "quick": quick });
        let first = ada.call("staged", arguments.clone()).await;
        assert_eq!(
            first.result()["resultType"],
            "input_required",
            "{}",
            first.body
        );
        assert!(first.result().get("taskId").is_none());
        let retry = json!({ "name": "staged", "arguments": arguments,
            "requestState": first.result()["requestState"], "inputResponses": { "who": named("Ada") } });
        let second = ada.request("tools/call", retry).await;
        if quick {
            assert_eq!(second.text(), "Ada, quickly");
            continue;
        }
        assert!(second.result().get("requestState").is_none());
        let waiting = ada.await_task(&second).await;
        assert_eq!(asked(&waiting), ["who"]);
        update(&ada, &second, json!({ "who": named("Bob") })).await;
        let done = ada.await_task(&second).await;
        assert_eq!(
            done.result()["result"]["content"][0]["text"],
            "Ada and Bob, detached: true"
        );
    }
    assert_eq!(
        world.begun.load(Ordering::SeqCst),
        2,
        "what is behind the question runs once"
    );
    // For other clients the same body goes on where it is.
    let bob = server.as_user("bob").declares(json!({ "elicitation": {} }));
    let retry = json!({ "name": "staged", "arguments": { "quick": false }, "inputResponses": { "who": named("Bob") } });
    let reply = bob.request("tools/call", retry).await;
    assert_eq!(reply.text(), "Bob and Bob, detached: false");
}

#[tokio::test]
async fn there_are_only_so_many() {
    let limits = TaskLimits::default();
    type Case<'a> = (&'a str, TaskLimits, &'a str, usize, Option<&'a str>);
    let cases: [Case<'_>; 6] = [
        (
            "running, of one caller",
            limits.running_per_caller(2),
            "wait",
            2,
            Some("eve"),
        ),
        (
            "kept, of one caller",
            limits.per_caller(3),
            "add",
            3,
            Some("eve"),
        ),
        (
            "of all",
            limits.total(4).running_per_caller(4),
            "wait",
            4,
            None,
        ),
        ("ended, of all", limits.total(4), "add", 4, None),
        (
            "the requests of one caller",
            limits.bytes(800_000),
            "never",
            2,
            Some("eve"),
        ),
        (
            "the requests of all",
            limits.bytes(20_000),
            "never",
            0,
            None,
        ),
    ];
    for (what, limits, tool, room, stranger) in cases {
        let (server, _) = app();
        let server = TestServer::new(server.tasks(limits)).unwrap();
        let ada = knows(&server, "ada");
        let arguments = match tool {
            "add" => json!({ "a": 1, "b": 2 }),
            "never" => json!({ "then": "x".repeat(10_000) }),
            _ => json!({}),
        };
        let mut made = Vec::new();
        for number in 0..room {
            let created = ada.call(tool, arguments.clone()).await;
            assert_eq!(
                created.result()["resultType"],
                "task",
                "{what}: {number} of {room}: {}",
                created.body
            );
            if tool == "add" {
                ada.await_task(&created).await;
            }
            made.push(created);
        }
        let refused = ada.call(tool, arguments.clone()).await;
        assert_eq!(
            (refused.status, refused.code()),
            (200, "too_many_tasks"),
            "{what}"
        );
        if let Some(stranger) = stranger {
            let other = knows(&server, stranger).call(tool, arguments.clone()).await;
            assert_eq!(
                other.result()["resultType"],
                "task",
                "{what}: of {stranger}"
            );
        }
        if let (Some(first), "wait" | "never") = (made.first(), tool) {
            // A cancelled task counts as kept, but runs no more and holds nothing.
            cancel(&ada, first).await;
            let again = ada.call(tool, arguments).await;
            let room = what != "of all";
            assert_eq!(
                again.result()["resultType"] == "task",
                room,
                "{what}: after a cancellation"
            );
        }
    }
}

#[tokio::test]
async fn callers_without_a_token_share_a_half() {
    let (server, _) = app();
    let server = TestServer::new(server.tasks(TaskLimits::default().total(4))).unwrap();
    let anybody = server.anonymous().declares_tasks();
    for _ in 0..2 {
        assert_eq!(
            anybody.call("wait", json!({})).await.result()["resultType"],
            "task"
        );
    }
    assert_eq!(
        anybody.call("wait", json!({})).await.code(),
        "too_many_tasks"
    );
    let ada = knows(&server, "ada");
    assert_eq!(
        ada.call("wait", json!({})).await.result()["resultType"],
        "task"
    );
}

#[tokio::test]
async fn results_are_kept_as_far_as_there_is_room() {
    let (server, _) = app();
    let server = TestServer::new(server.tasks(TaskLimits::default().bytes(100_000))).unwrap();
    let ada = knows(&server, "ada");
    let mut statuses = Vec::new();
    // A result holds its text twice, and one caller has a quarter of all bytes.
    for _ in 0..2 {
        let created = ada.call("fill", json!({ "bytes": 8_000 })).await;
        let done = ada.await_task(&created).await;
        let result = &done.result()["result"];
        let code = &result["structuredContent"]["code"];
        statuses.push((result["isError"].clone(), code.clone()));
        assert_eq!(done.result()["status"], "completed");
    }
    let expected = [
        (json!(false), json!(null)),
        (json!(true), json!("too_many_tasks")),
    ];
    assert_eq!(statuses, expected);
    let bob = knows(&server, "bob");
    let created = bob.call("fill", json!({ "bytes": 8_000 })).await;
    assert_eq!(
        bob.await_task(&created).await.result()["result"]["isError"],
        false
    );
}

#[tokio::test]
async fn a_task_lives_as_long_as_it_was_promised() {
    let (server, world) = app();
    let clock = crate::clock();
    let limits = TaskLimits::default()
        .lifetime(Duration::from_secs(100))
        .keep(Duration::from_secs(30))
        .per_caller(3);
    let server = TestServer::new(server.clock(clock.clone()).tasks(limits)).unwrap();
    let ada = knows(&server, "ada");
    let late = ada.call("wait", json!({})).await;
    until("it runs", || world.begun.load(Ordering::SeqCst) == 1).await;
    let early = ada.call("add", json!({ "a": 1, "b": 2 })).await;
    ada.await_task(&early).await;
    clock.advance(Duration::from_secs(99));
    world.go.notify_one();
    let done = ada.await_task(&late).await;
    assert_eq!(done.result()["ttlMs"], 129_000, "a late result is kept");
    let stuck = ada.call("wait", json!({})).await;
    until("it runs", || world.begun.load(Ordering::SeqCst) == 2).await;
    assert_eq!(get(&ada, &early).await.result()["ttlMs"], 100_000);
    assert_eq!(ada.call("wait", json!({})).await.code(), "too_many_tasks");

    clock.advance(Duration::from_millis(999));
    assert_eq!(get(&ada, &early).await.result()["status"], "completed");
    clock.advance(Duration::from_millis(1));
    let unknown = ada.request("tasks/get", json!({ "taskId": "x" })).await;
    assert_eq!(said(&get(&ada, &early).await), said(&unknown));
    assert_eq!(get(&ada, &late).await.result()["status"], "completed");
    // What is over makes room, whether anybody asks about it or not.
    clock.advance(Duration::from_secs(100));
    assert_eq!(world.dropped.load(Ordering::SeqCst), 1);
    for _ in 0..3 {
        let created = ada.call("wait", json!({})).await;
        assert_eq!(created.result()["resultType"], "task", "{}", created.body);
    }
    until("a call whose time is over is dropped", || {
        world.dropped.load(Ordering::SeqCst) == 2
    })
    .await;
    assert_eq!(said(&get(&ada, &stuck).await), said(&unknown));
}

#[tokio::test(start_paused = true)]
async fn a_task_has_its_own_deadline() {
    let (server, _) = server();
    let ada = knows(&server, "ada");
    let waiting = server.as_user("ada").call("minute", json!({})).await;
    assert_eq!(waiting.code(), "timeout", "whoever waits, waits 30 s");
    for (tool, code) in [("minute", json!(null)), ("hasty", json!("timeout"))] {
        let created = ada.call(tool, json!({})).await;
        tokio::time::sleep(Duration::from_secs(61)).await;
        let done = get(&ada, &created).await;
        assert_eq!(done.result()["status"], "completed", "{tool}");
        assert_eq!(
            done.result()["result"]["structuredContent"]["code"],
            code,
            "{tool}"
        );
    }
    // A question may take longer than the tool, but not than the task.
    let created = ada.call("both", json!({})).await;
    tokio::time::sleep(Duration::from_secs(3_500)).await;
    assert_eq!(
        get(&ada, &created).await.result()["status"],
        "input_required"
    );
    tokio::time::sleep(Duration::from_secs(101)).await;
    assert_eq!(get(&ada, &created).await.result()["status"], "completed");
}

#[tokio::test]
async fn progress_is_what_the_status_says() {
    let (server, _) = server();
    let ada = knows(&server, "ada");
    let params = json!({ "name": "slow", "arguments": {},
        "_meta": { "progressToken": "p", "io.modelcontextprotocol/logLevel": "debug" } });
    let created = ada.request("tools/call", params).await;
    assert_eq!(
        created.notes,
        Vec::<Value>::new(),
        "a task says nothing on the stream of its request"
    );
    for _ in 0..500 {
        let now = get(&ada, &created).await;
        if now.result()["statusMessage"] == "one of three" {
            assert_eq!(now.result()["status"], "working");
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("it never said so");
}

#[tokio::test]
async fn a_tool_made_at_run_time_may_be_a_task() {
    let (server, _) = server();
    let arguments = json!({ "text": "hi" });
    let ada = knows(&server, "ada");
    let created = ada.call("echo", arguments.clone()).await;
    let done = ada.await_task(&created).await;
    let expected = json!({ "task": true, "said": arguments });
    assert_eq!(done.result()["result"]["structuredContent"], expected);
    let reply = server.call("echo", arguments.clone()).await;
    assert_eq!(
        reply.structured(),
        &json!({ "task": false, "said": arguments })
    );
}

#[tokio::test]
async fn the_name_in_the_header_is_that_of_the_task() {
    let (server, _) = server();
    let ada = knows(&server, "ada");
    let id = ada.call("wait", json!({})).await.task_id().to_owned();
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        for name in [None, Some("other")] {
            let mut request = Request::post("/mcp")
                .header("host", "localhost")
                .header("content-type", "application/json")
                .header("accept", "application/json, text/event-stream")
                .header("mcp-protocol-version", "2026-07-28")
                .header("mcp-method", method)
                .extension(Arc::new(Caller::user("ada")));
            if let Some(name) = name {
                request = request.header("mcp-name", name);
            }
            let params = json!({ "taskId": id, "inputResponses": {}, "_meta": meta() });
            let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
            let reply = server
                .send(request.body(body.to_string().into_bytes()).unwrap())
                .await;
            assert_eq!(
                (reply.status, &reply.error()["code"]),
                (400, &json!(-32020)),
                "{method} {name:?}"
            );
        }
    }
}

#[tokio::test]
async fn limits_that_allow_nothing_are_refused() {
    for limits in [
        TaskLimits::default().total(0),
        TaskLimits::default().running_per_caller(0),
        TaskLimits::default().per_caller(0),
        TaskLimits::default().bytes(0),
        TaskLimits::default().lifetime(Duration::ZERO),
        TaskLimits::default().poll_interval(Duration::from_micros(1)),
    ] {
        let (server, _) = app();
        let error = server.tasks(limits).build().err().expect("no server");
        assert!(error.to_string().contains("tasks"), "{error}");
    }
}

fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": { "elicitation": {}, "extensions": { EXTENSION: {} } },
    })
}

/// A client at the other end of a pipe, and the server behind it.
struct Pipe {
    server: TestServer,
    world: Arc<World>,
    input: tokio::io::DuplexStream,
    output: tokio::io::Lines<BufReader<tokio::io::DuplexStream>>,
    next_id: u64,
}

impl Pipe {
    fn open() -> Self {
        let (input, theirs) = tokio::io::duplex(1 << 16);
        let (written, output) = tokio::io::duplex(1 << 16);
        let (server, world) = app();
        let service = server.build().unwrap();
        tokio::spawn(service.clone().pipe(Caller::user("ada"), theirs, written));
        Self {
            server: TestServer::over(service),
            world,
            input,
            output: BufReader::new(output).lines(),
            next_id: 1,
        }
    }

    async fn send(&mut self, method: &str, params: Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let line = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.input
            .write_all(format!("{line}\n").as_bytes())
            .await
            .unwrap();
        id
    }

    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(10), self.output.next_line()).await;
        serde_json::from_str(&line.expect("in time").unwrap().expect("a line")).unwrap()
    }

    /// Sends a request and waits for its answer.
    async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params).await;
        loop {
            let next = self.next().await;
            if next["id"] == id {
                return next;
            }
        }
    }

    async fn modern(&mut self, method: &str, mut params: Value) -> Value {
        params["_meta"] = meta();
        self.ask(method, params).await
    }
}

#[tokio::test]
async fn a_task_outlives_its_request_on_a_pipe() {
    let mut pipe = Pipe::open();
    let created = pipe
        .modern("tools/call", json!({ "name": "wait", "arguments": {} }))
        .await;
    let task = created["result"]["taskId"].clone();
    // `notifications/cancelled` is for requests, and this one is answered.
    let cancelled = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": created["id"] } });
    pipe.input
        .write_all(format!("{cancelled}\n").as_bytes())
        .await
        .unwrap();
    let now = pipe.modern("tasks/get", json!({ "taskId": task })).await;
    assert_eq!(now["result"]["status"], "working", "{now}");
    pipe.world.go.notify_one();
    loop {
        let now = pipe.modern("tasks/get", json!({ "taskId": task })).await;
        if now["result"]["status"] != "working" {
            assert_eq!(
                now["result"]["result"]["content"][0]["text"], "gone on",
                "{now}"
            );
            break;
        }
    }
    let reply = pipe.modern("tasks/list", json!({})).await;
    assert_eq!(reply["error"]["code"], -32601);
}

#[tokio::test]
async fn whoever_listens_hears_how_their_tasks_are() {
    let mut pipe = Pipe::open();
    let mine = pipe
        .modern("tools/call", json!({ "name": "both", "arguments": {} }))
        .await;
    let mine = mine["result"]["taskId"].clone();
    let bob = knows(&pipe.server, "bob");
    let foreign = bob.call("wait", json!({})).await.task_id().to_owned();
    // So that what was told before anybody listened is known to be over.
    loop {
        let now = pipe.modern("tasks/get", json!({ "taskId": mine })).await;
        if now["result"]["inputRequests"]
            .as_object()
            .is_some_and(|asked| asked.len() == 2)
        {
            break;
        }
    }
    let wanted = json!({ "notifications": { "taskIds": [mine, foreign, "x"] }, "_meta": meta() });
    let tag = pipe.send("subscriptions/listen", wanted).await;
    let acknowledged = pipe.next().await;
    assert_eq!(
        acknowledged["method"],
        "notifications/subscriptions/acknowledged"
    );
    assert_eq!(
        acknowledged["params"]["notifications"],
        json!({ "taskIds": [mine] })
    );
    let first = pipe.next().await;
    assert_eq!(
        first["params"]["status"], "input_required",
        "how it is now: {first}"
    );

    let answers =
        json!({ "taskId": mine, "inputResponses": { "one": named("Ada"), "two": named("Bob") } });
    let mut params = answers.clone();
    params["_meta"] = meta();
    pipe.send("tasks/update", params).await;
    bob.request("tasks/cancel", json!({ "taskId": foreign }))
        .await;
    let mut statuses = Vec::new();
    while statuses.last().is_none_or(|status| status != "completed") {
        let note = pipe.next().await;
        if note.get("id").is_some() {
            continue;
        }
        assert_eq!(note["method"], "notifications/tasks", "{note}");
        assert_eq!(note["params"]["taskId"], mine, "{note}");
        assert_eq!(
            note["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"],
            tag
        );
        assert!(note["params"]["ttlMs"].is_u64() && note["params"].get("resultType").is_none());
        statuses.push(note["params"]["status"].as_str().unwrap().to_owned());
        if statuses.last().is_some_and(|status| status == "completed") {
            assert_eq!(
                note["params"]["result"]["content"][0]["text"],
                "Ada and Bob"
            );
        }
    }
    assert_eq!(statuses, ["working", "completed"]);
}

#[tokio::test]
async fn a_tool_that_talks_a_lot_does_not_drown_its_end() {
    let mut pipe = Pipe::open();
    let chatter = json!({ "name": "chatter", "arguments": {} });
    let created = pipe.modern("tools/call", chatter).await;
    let wanted =
        json!({ "notifications": { "taskIds": [created["result"]["taskId"]] }, "_meta": meta() });
    pipe.send("subscriptions/listen", wanted).await;
    pipe.next().await;
    pipe.world.go.notify_one();
    let mut notes = 0;
    while pipe.next().await["params"]["status"] != "completed" {
        notes += 1;
    }
    assert!((1..100).contains(&notes), "{notes} notes");
}

#[tokio::test]
async fn a_listener_that_does_not_know_tasks_is_told() {
    let (server, _) = server();
    let listen = json!({ "notifications": { "taskIds": ["x"] } });
    let reply = server
        .as_user("ada")
        .request("subscriptions/listen", listen)
        .await;
    assert_eq!(
        (reply.status, &reply.error()["code"]),
        (400, &json!(-32021))
    );
    let many: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    let listen = json!({ "notifications": { "taskIds": many } });
    let reply = knows(&server, "ada")
        .request("subscriptions/listen", listen)
        .await;
    assert_eq!(reply.error()["code"], -32602);
}

#[tokio::test]
async fn the_end_of_a_pipe_ends_its_subscriptions_and_no_task() {
    let mut pipe = Pipe::open();
    let created = pipe
        .modern("tools/call", json!({ "name": "wait", "arguments": {} }))
        .await;
    let id = created["result"]["taskId"].clone();
    until("it runs", || pipe.world.begun.load(Ordering::SeqCst) == 1).await;
    let listen = json!({ "notifications": { "taskIds": [id] }, "_meta": meta() });
    pipe.send("subscriptions/listen", listen).await;
    assert_eq!(
        pipe.next().await["method"],
        "notifications/subscriptions/acknowledged"
    );
    assert_eq!(pipe.next().await["params"]["status"], "working");
    pipe.input.shutdown().await.unwrap();
    let last = pipe.next().await;
    assert_eq!(last["result"]["resultType"], "complete", "{last}");
    // Another connection of its owner may ask about it.
    assert_eq!(pipe.world.dropped.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_listener_that_stops_ends_the_tasks_of_its_server() {
    let (server, world) = app();
    let service = server.build().unwrap();
    let live = Live::start(service.clone()).await;
    let ada = knows(&TestServer::over(service), "ada");
    let created = ada.call("wait", json!({})).await;
    until("it runs", || world.begun.load(Ordering::SeqCst) == 1).await;
    live.stop().await;
    assert_eq!(get(&ada, &created).await.result()["status"], "failed");
    until("the call is dropped", || {
        world.dropped.load(Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_gone_leaves_nothing_running() {
    let (server, world) = server();
    knows(&server, "ada").call("wait", json!({})).await;
    until("it runs", || world.begun.load(Ordering::SeqCst) == 1).await;
    drop(server);
    until("the call is dropped", || {
        world.dropped.load(Ordering::SeqCst) == 1
    })
    .await;
}
