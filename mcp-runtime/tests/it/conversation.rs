//! Asking in the middle of a call, progress, logging, sessions and subscriptions: the same tool
//! bodies for every revision.

use std::time::Duration;

use mcp_runtime::prelude::*;
use mcp_runtime::testing::TestServer;
use mcp_runtime::{Changes, Elicited, LogLevel, SessionMode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

/// Greet the human by name.
#[mcp_tool(public)]
async fn greet(call: &Call) -> ToolResult<String> {
    match call.elicit::<Name>("Who are you?").key("name").await? {
        Elicited::Accepted(Name { name }) => Ok(format!("Hello, {name}!")),
        Elicited::Declined => Ok("Hello, whoever you are.".into()),
        Elicited::Cancelled => Err(ToolError::new("Nobody answered.").code("cancelled")),
    }
}

/// Greet in a hurry: the tool has a fifth of a second, the human has not.
#[mcp_tool(public, timeout = "200ms")]
async fn hurry(call: &Call, then: String) -> ToolResult<String> {
    let answer = call.elicit::<Name>("Who are you?").await?;
    if then == "dawdle" {
        std::future::pending::<()>().await;
    }
    Ok(answer.accepted().map(|a| a.name).unwrap_or_default())
}

/// Ask two things, one after the other, and the arguments before both.
#[mcp_tool(public)]
async fn interview(call: &Call, topic: String) -> ToolResult<String> {
    let first = call.elicit::<Name>("First?").key("first").await?;
    let second = call.elicit::<Name>("Second?").key("second").await?;
    let name = |answer: Elicited<Name>| answer.accepted().map(|a| a.name).unwrap_or_default();
    Ok(format!("{topic}: {} {}", name(first), name(second)))
}

/// Go on in three steps, and say so.
#[mcp_tool(public)]
async fn steps(call: &Call) -> String {
    for step in 0..3 {
        call.progress(f64::from(step), Some(2.0), None);
        call.log(LogLevel::Info, "steps", format!("step {step}"));
        call.log(LogLevel::Debug, "steps", "not for everybody");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    "done".into()
}

/// Change the list of tools.
#[mcp_tool(public)]
fn change(changes: &Changes) {
    changes.tools();
}

fn server() -> Server {
    Server::new(tools![greet, hurry, interview, steps, change]).logging()
}

fn modern(capabilities: Value, extra: Value) -> Value {
    let mut params = json!({ "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    }});
    for (name, value) in extra.as_object().expect("an object") {
        if name == "_meta" {
            for (name, value) in value.as_object().expect("an object") {
                params["_meta"][name] = value.clone();
            }
        } else {
            params[name] = value.clone();
        }
    }
    params
}

/// A client at the other end of a pipe.
struct Pipe {
    input: tokio::io::DuplexStream,
    output: tokio::io::Lines<BufReader<tokio::io::DuplexStream>>,
}

impl Pipe {
    fn open() -> Self {
        let (input, theirs) = tokio::io::duplex(1 << 16);
        let (written, output) = tokio::io::duplex(1 << 16);
        let service = server().build().expect("a server");
        tokio::spawn(service.pipe(Caller::user("ada"), theirs, written));
        Self {
            input,
            output: BufReader::new(output).lines(),
        }
    }

    async fn send(&mut self, message: Value) {
        self.input
            .write_all(format!("{message}\n").as_bytes())
            .await
            .expect("a line");
    }

    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(5), self.output.next_line()).await;
        let line = line
            .expect("a line in time")
            .expect("a line")
            .expect("not the end");
        serde_json::from_str(&line).expect("JSON")
    }

    async fn modern(&mut self, id: u64, tool: &str, capabilities: Value, extra: Value) -> Value {
        let mut params = modern(capabilities, extra);
        params["name"] = json!(tool);
        self.send(json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }))
            .await;
        self.next().await
    }
}

#[tokio::test]
async fn one_body_asks_in_rounds_since_2026_07_28() {
    let mut pipe = Pipe::open();
    let can = json!({ "elicitation": {} });
    let first = pipe.modern(1, "greet", can.clone(), json!({})).await;
    let result = &first["result"];
    assert_eq!(result["resultType"], "input_required", "{first}");
    let question = &result["inputRequests"]["name"];
    assert_eq!(question["method"], "elicitation/create");
    assert_eq!(
        question["params"]["requestedSchema"]["properties"]["name"]["type"],
        "string"
    );
    let state = result["requestState"].clone();
    for (what, answer, text) in [
        (
            "accepted",
            json!({ "action": "accept", "content": { "name": "Ada" } }),
            "Hello, Ada!",
        ),
        (
            "declined",
            json!({ "action": "decline" }),
            "Hello, whoever you are.",
        ),
    ] {
        let retry =
            json!({ "inputResponses": { "name": answer, "extra": 1 }, "requestState": state });
        let reply = pipe.modern(2, "greet", can.clone(), retry).await;
        assert_eq!(
            reply["result"]["content"][0]["text"], text,
            "{what}: {reply}"
        );
        assert_eq!(reply["result"]["resultType"], "complete", "{what}");
    }
    for (what, answer) in [
        ("no answer", json!({})),
        (
            "an answer of another shape",
            json!({ "name": { "action": "accept", "content": { "name": 7 } } }),
        ),
        ("no object", json!({ "name": "Ada" })),
    ] {
        let retry = json!({ "inputResponses": answer, "requestState": state });
        let reply = pipe.modern(3, "greet", can.clone(), retry).await;
        assert_eq!(
            reply["result"]["resultType"], "input_required",
            "{what}: {reply}"
        );
    }
}

#[tokio::test]
async fn a_state_is_good_for_its_call_only() {
    let mut pipe = Pipe::open();
    let can = json!({ "elicitation": {} });
    let ask = |extra: Value| {
        let mut arguments = json!({ "arguments": { "topic": "tea" } });
        for (name, value) in extra.as_object().expect("an object") {
            arguments[name] = value.clone();
        }
        arguments
    };
    let answer = |name: &str| json!({ "action": "accept", "content": { "name": name } });
    let first = pipe
        .modern(1, "interview", can.clone(), ask(json!({})))
        .await;
    let one = first["result"]["requestState"].clone();
    let retry = ask(json!({ "inputResponses": { "first": answer("a") }, "requestState": one }));
    let second = pipe.modern(2, "interview", can.clone(), retry).await;
    let two = second["result"]["requestState"].clone();
    assert_ne!(one, two, "{second}");
    assert!(
        second["result"]["inputRequests"].get("first").is_none(),
        "asked twice: {second}"
    );
    let last = ask(json!({ "inputResponses": { "second": answer("b") }, "requestState": two }));
    let third = pipe.modern(3, "interview", can.clone(), last.clone()).await;
    assert_eq!(third["result"]["content"][0]["text"], "tea: a b");

    let text = two.as_str().expect("a state");
    let flipped = format!(
        "{}{}",
        &text[..text.len() - 2],
        if text.ends_with("AA") { "BB" } else { "AA" }
    );
    let mut other_arguments = last.clone();
    other_arguments["arguments"]["topic"] = json!("coffee");
    for (what, tool, mut retry, state) in [
        ("altered", "interview", last.clone(), flipped.as_str()),
        ("rubbish", "interview", last.clone(), "rs1.p.AAAA"),
        ("other arguments", "interview", other_arguments, text),
        ("another tool", "greet", json!({}), text),
    ] {
        retry["requestState"] = json!(state);
        let reply = pipe.modern(4, tool, can.clone(), retry).await;
        assert_eq!(reply["error"]["code"], -32602, "{what}: {reply}");
    }
}

#[tokio::test]
async fn what_a_client_did_not_declare_is_not_asked() {
    let mut pipe = Pipe::open();
    let reply = pipe
        .modern(
            1,
            "greet",
            json!({ "elicitation": { "url": {} } }),
            json!({}),
        )
        .await;
    assert_eq!(reply["error"]["code"], -32021, "{reply}");
    assert_eq!(
        reply["error"]["data"]["requiredCapabilities"],
        json!({ "elicitation": { "form": {} } })
    );

    let test = TestServer::new(server()).expect("a server");
    let reply = test
        .anonymous()
        .revision("2025-06-18")
        .call("greet", json!({}))
        .await;
    assert_eq!(
        (reply.status, reply.code()),
        (200, "missing_client_capability")
    );
}

#[tokio::test]
async fn one_body_asks_over_a_session_before() {
    let mut pipe = Pipe::open();
    pipe.send(json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": { "elicitation": {} }, "clientInfo": { "name": "t", "version": "1" } } }))
        .await;
    assert_eq!(pipe.next().await["id"], 0);
    pipe.send(
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "greet" } }),
    )
    .await;
    let question = pipe.next().await;
    assert_eq!(question["method"], "elicitation/create", "{question}");
    let answer = json!({ "action": "accept", "content": { "name": "Ada" } });
    pipe.send(json!({ "jsonrpc": "2.0", "id": question["id"], "result": answer }))
        .await;
    let reply = pipe.next().await;
    assert_eq!(
        reply["result"]["content"][0]["text"], "Hello, Ada!",
        "{reply}"
    );

    // A client that answers with an error ends the question, not the server.
    pipe.send(
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "greet" } }),
    )
    .await;
    let question = pipe.next().await;
    pipe.send(
        json!({ "jsonrpc": "2.0", "id": question["id"], "error": { "code": -1, "message": "no" } }),
    )
    .await;
    assert_eq!(pipe.next().await["result"]["isError"], true);
}

#[tokio::test]
async fn progress_and_logs_come_before_the_answer_and_only_when_asked_for() {
    let mut pipe = Pipe::open();
    let reply = pipe.modern(1, "steps", json!({}), json!({})).await;
    assert_eq!(reply["id"], 1, "nothing was asked for: {reply}");

    let asks =
        json!({ "_meta": { "progressToken": "p", "io.modelcontextprotocol/logLevel": "info" } });
    let mut seen = Vec::new();
    let mut next = pipe.modern(2, "steps", json!({}), asks).await;
    while next.get("id").is_none() {
        seen.push(next["method"].as_str().expect("a method").to_owned());
        if next["method"] == "notifications/progress" {
            assert_eq!(next["params"]["progressToken"], "p");
        } else {
            assert_eq!(next["params"]["level"], "info", "{next}");
        }
        next = pipe.next().await;
    }
    let progress = seen
        .iter()
        .filter(|method| *method == "notifications/progress")
        .count();
    assert_eq!((progress, seen.len()), (3, 6), "{seen:?}");
    assert_eq!(next["result"]["content"][0]["text"], "done");
}

#[tokio::test]
async fn a_listener_hears_what_it_asked_for_under_its_own_id() {
    let mut pipe = Pipe::open();
    let params = modern(
        json!({}),
        json!({ "notifications": { "toolsListChanged": true, "promptsListChanged": true } }),
    );
    pipe.send(
        json!({ "jsonrpc": "2.0", "id": 9, "method": "subscriptions/listen", "params": params }),
    )
    .await;
    let acknowledged = pipe.next().await;
    assert_eq!(
        acknowledged["method"],
        "notifications/subscriptions/acknowledged"
    );
    // There are no prompts, so nobody will ever hear of them.
    assert_eq!(
        acknowledged["params"]["notifications"],
        json!({ "toolsListChanged": true })
    );
    let params = modern(json!({}), json!({ "name": "change" }));
    pipe.send(json!({ "jsonrpc": "2.0", "id": 10, "method": "tools/call", "params": params }))
        .await;
    let mut heard = Vec::new();
    while !heard.iter().any(|m: &Value| {
        m["method"] == "notifications/tools/list_changed"
            && m["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == 9
    }) {
        heard.push(pipe.next().await);
        assert!(heard.len() < 5, "{heard:?}");
    }
}

#[tokio::test]
async fn sessions_are_opened_for_clients_that_can_be_asked_and_belong_to_their_caller() {
    let initialize = |capabilities: Value| json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": { "name": "t", "version": "1" } });
    for (mode, capabilities, opened) in [
        (SessionMode::Auto, json!({}), false),
        (SessionMode::Auto, json!({ "roots": {} }), true),
        (SessionMode::Auto, json!({ "elicitation": {} }), true),
        (SessionMode::Stateless, json!({ "elicitation": {} }), false),
        (SessionMode::Stateful, json!({}), true),
    ] {
        let test = TestServer::new(server().sessions(mode)).expect("a server");
        let client = test.as_user("ada").revision("2025-11-25");
        let reply = client
            .request("initialize", initialize(capabilities.clone()))
            .await;
        assert_eq!(
            reply.headers.contains_key("mcp-session-id"),
            opened,
            "{mode:?} {capabilities}"
        );
    }
    let test = TestServer::new(server()).expect("a server");
    let reply = test
        .as_user("ada")
        .revision("2025-11-25")
        .request("initialize", initialize(json!({ "roots": {} })))
        .await;
    let id = reply.headers["mcp-session-id"]
        .to_str()
        .expect("ASCII")
        .to_owned();
    assert!(id.len() >= 32 && id.bytes().all(|b| b.is_ascii_graphic()));
    let with = |session: &str, method: &str, user: &str| {
        http::Request::builder()
            .method(method)
            .uri("/mcp")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .header("mcp-session-id", session)
            .extension(std::sync::Arc::new(Caller::user(user)))
            .body(
                json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" })
                    .to_string()
                    .into_bytes(),
            )
            .expect("a request")
    };
    assert_eq!(test.send(with(&id, "POST", "ada")).await.status, 200);
    let unknown = test.send(with("made-up", "POST", "ada")).await;
    let foreign = test.send(with(&id, "POST", "bob")).await;
    assert_eq!(
        (unknown.status, &unknown.body),
        (404, &foreign.body),
        "SE-03"
    );
    assert_eq!(foreign.status, 404);
    assert_eq!(
        test.send(with(&id, "GET", "bob")).await.status,
        404,
        "SE-04"
    );
    assert_eq!(
        test.send(with(&id, "DELETE", "bob")).await.status,
        404,
        "SE-05"
    );
    assert_eq!(test.send(with(&id, "DELETE", "ada")).await.status, 204);
    assert_eq!(test.send(with(&id, "POST", "ada")).await.status, 404);
}

#[tokio::test]
async fn a_client_too_many_is_served_without_a_session() {
    let initialize = json!({ "protocolVersion": "2025-11-25", "capabilities": { "roots": {} }, "clientInfo": { "name": "t", "version": "1" } });
    let test = TestServer::new(server()).unwrap();
    let ada = test.as_user("ada").revision("2025-11-25");
    let mut ids = std::collections::HashSet::new();
    for _ in 0..100 {
        let reply = ada.request("initialize", initialize.clone()).await;
        ids.insert(reply.headers["mcp-session-id"].clone());
    }
    assert_eq!(ids.len(), 100, "SE-01: every id is new");
    let reply = ada.request("initialize", initialize.clone()).await;
    assert!(reply.status == 200 && !reply.headers.contains_key("mcp-session-id"));
    // Somebody else is not affected, and neither are those who have no name.
    for client in [test.as_user("bob"), test.anonymous()] {
        let reply = client
            .revision("2025-11-25")
            .request("initialize", initialize.clone())
            .await;
        assert!(reply.headers.contains_key("mcp-session-id"));
    }
    let test = TestServer::new(server().sessions(SessionMode::Stateful)).unwrap();
    let ada = test.as_user("ada").revision("2025-11-25");
    for _ in 0..100 {
        ada.request("initialize", initialize.clone()).await;
    }
    assert_eq!(ada.request("initialize", initialize).await.status, 429);
}

#[tokio::test]
async fn where_every_client_has_a_session_none_is_served_without() {
    let test = TestServer::new(server().sessions(SessionMode::Stateful)).unwrap();
    for (revision, method, status) in [
        ("2025-06-18", "tools/list", 400),
        ("2025-06-18", "ping", 200),
        ("2026-07-28", "tools/list", 200),
    ] {
        let reply = test
            .anonymous()
            .revision(revision)
            .request(method, json!({}))
            .await;
        assert_eq!(reply.status, status, "G2: {revision} {method}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_tool_does_not_run_while_a_human_thinks() {
    for (then, error) in [("answer", false), ("dawdle", true)] {
        let mut pipe = Pipe::open();
        pipe.send(json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": { "elicitation": {} }, "clientInfo": { "name": "t", "version": "1" } } }))
            .await;
        pipe.next().await;
        let params = json!({ "name": "hurry", "arguments": { "then": then } });
        pipe.send(json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }))
            .await;
        let question = pipe.next().await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let answer = json!({ "action": "accept", "content": { "name": "Ada" } });
        pipe.send(json!({ "jsonrpc": "2.0", "id": question["id"], "result": answer }))
            .await;
        let reply = pipe.next().await;
        assert_eq!(reply["result"]["isError"], error, "{then}: {reply}");
    }
}
