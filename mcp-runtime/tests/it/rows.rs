//! The rows of protocol.md 4.1 (what other servers get wrong) and of its appendix A (the table of
//! answers), each a test that is named after it, over HTTP and over a pipe.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mcp_runtime::prelude::*;
use mcp_runtime::testing::TestServer;
use mcp_runtime::{Policy, Service, SessionMode, Tool};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines};

use crate::ask::{Ask, LEGACY, MODERN, call, header, meta};
use crate::gated::{Gate, Leaves, Name, State};
use crate::live::{Live, within};

/// A client at the other end of a pipe.
pub(crate) struct Pipe {
    input: DuplexStream,
    output: Lines<BufReader<DuplexStream>>,
}

impl Pipe {
    pub(crate) fn open(service: Service, caller: Caller) -> Self {
        let (input, theirs) = tokio::io::duplex(1 << 16);
        let (written, output) = tokio::io::duplex(1 << 16);
        tokio::spawn(service.pipe(caller, theirs, written));
        Self {
            input,
            output: BufReader::new(output).lines(),
        }
    }

    pub(crate) async fn send(&mut self, message: Value) {
        self.line(&message.to_string()).await;
    }

    pub(crate) async fn line(&mut self, line: &str) {
        within(self.input.write_all(format!("{line}\n").as_bytes()))
            .await
            .unwrap();
    }

    pub(crate) async fn next(&mut self) -> Value {
        let line = within(self.output.next_line()).await.unwrap();
        serde_json::from_str(&line.expect("the server is done")).unwrap()
    }

    /// Sends a message and waits for the next one.
    pub(crate) async fn ask(&mut self, message: Value) -> Value {
        self.send(message).await;
        self.next().await
    }

    /// A client that has agreed on this revision.
    async fn speaking(service: Service, caller: Caller, revision: &str) -> Self {
        let mut pipe = Self::open(service, caller);
        if revision != MODERN {
            pipe.ask(request(0, "initialize", hello(revision, json!({}))))
                .await;
        }
        pipe
    }

    /// A ping is answered, and nothing else is waiting.
    async fn alive(&mut self, what: &str) {
        let reply = self
            .ask(json!({ "jsonrpc": "2.0", "id": "alive", "method": "ping" }))
            .await;
        assert_eq!(reply["id"], "alive", "{what}: {reply}");
    }

    /// All that is still said, until the server is done. Nothing more is sent, but the input stays
    /// open.
    pub(crate) async fn end(mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Ok(Some(line)) = self.output.next_line().await {
            lines.push(line);
        }
        lines
    }
}

pub(crate) fn request(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn hello(revision: &str, capabilities: Value) -> Value {
    json!({ "protocolVersion": revision, "capabilities": capabilities, "clientInfo": { "name": "t", "version": "1" } })
}

/// Say it again.
#[mcp_tool(public)]
fn echo(message: String) -> String {
    message
}

/// Always fails.
#[mcp_tool(public)]
fn fail() -> ToolResult<String> {
    Err(ToolError::new("Nothing is left.").code("sold_out"))
}

/// Panics.
#[mcp_tool(public)]
fn boom() -> String {
    panic!("boom-secret-xyz")
}

/// Takes too long.
#[mcp_tool(public, timeout = "20ms")]
async fn slow() -> String {
    std::future::pending().await
}

/// Never ends by itself.
#[mcp_tool(public)]
async fn hang(call: &Call, gate: &Arc<Gate>) -> String {
    let _leaves = Leaves(gate);
    call.progress(1.0, None, None);
    gate.entered.add_permits(1);
    std::future::pending().await
}

/// Greet the human by name.
#[mcp_tool(public)]
async fn greet(call: &Call) -> ToolResult<String> {
    let name = call.elicit::<Name>("Who are you?").await?.accepted();
    Ok(name.map(|name| name.name).unwrap_or_default())
}

/// Change the list of tools.
#[mcp_tool(public)]
fn change(call: &Call, changes: &Changes) {
    call.progress(1.0, None, None);
    changes.tools();
}

/// For a scope.
#[mcp_tool(scope = "a:read")]
fn scoped() -> u8 {
    1
}

/// A note.
#[mcp_resource("notes://milk", public)]
fn milk() -> &'static str {
    "milk"
}

/// Ask for a summary.
#[mcp_prompt(public)]
fn summary() -> &'static str {
    "Summarize."
}

fn builder(gate: &Arc<Gate>) -> Server<State> {
    let state = State { gate: gate.clone() };
    let seven = Tool::dynamic("seven", "Seven.", Policy::public())
        .output_schema(json!({ "type": "integer" }))
        .handler(|_, _| async { Ok(7) });
    let tools = tools![echo, fail, boom, slow, hang, greet, change, scoped].with(seven);
    let tokens = StaticTokens::new().token("token-of-ada-0123456789", Caller::user("ada"));
    Server::with_state(state, tools)
        .identity("rows", "1.2.3")
        .auth(tokens)
        .allow_origin("https://app.example.test")
        .max_body(64 << 10)
}

/// Tools alone.
fn plain() -> Service {
    builder(&Gate::new()).build().unwrap()
}

/// Everything there is.
fn full() -> Service {
    let server = builder(&Gate::new()).logging();
    let server = server
        .resources(resources![milk])
        .prompts(prompts![summary]);
    server.build().unwrap()
}

fn revisions() -> impl Iterator<Item = (&'static str, bool)> {
    LEGACY
        .into_iter()
        .map(|revision| (revision, false))
        .chain([(MODERN, true)])
}

/// The code of an error, 0 of a result.
fn code(body: &Value) -> i64 {
    match body.get("result") {
        Some(_) => 0,
        None => body["error"]["code"].as_i64().unwrap_or(i64::MIN),
    }
}

/// One request at every revision, over HTTP and over a pipe. `(status, code)` at 2026-07-28, and
/// before; what came back is `checked`.
async fn everywhere(
    row: &str,
    service: Service,
    method: &str,
    params: Value,
    modern: (u16, i64),
    legacy: (u16, i64),
    checked: impl Fn(&str, bool, &Value),
) {
    let http = TestServer::over(service.clone());
    for (revision, is_modern) in revisions() {
        let (status, expected) = if is_modern { modern } else { legacy };
        let reply = Ask::of(revision, method, params.clone()).send(&http).await;
        assert_eq!(
            (reply.status, code(&reply.body)),
            (status, expected),
            "{row} over HTTP at {revision}: {}",
            reply.body
        );
        checked(
            &format!("{row} over HTTP at {revision}"),
            is_modern,
            &reply.body,
        );
        let mut pipe = Pipe::speaking(service.clone(), Caller::anonymous(), revision).await;
        let mut params = params.clone();
        if is_modern && params.get("_meta").is_none() {
            params["_meta"] = meta();
        }
        let since = Instant::now();
        let body = pipe.ask(request(7, method, params)).await;
        assert_eq!(
            code(&body),
            expected,
            "{row} on a pipe at {revision}: {body}"
        );
        assert!(
            since.elapsed() < Duration::from_secs(1),
            "{row} at {revision}: {:?}",
            since.elapsed()
        );
        checked(&format!("{row} on a pipe at {revision}"), is_modern, &body);
        let text = reply.body.to_string() + &body.to_string();
        for leak in ["panicked", "src/", "boom-secret", "serde"] {
            assert!(
                !text.contains(leak),
                "{row} at {revision}: shows internals: {text}"
            );
        }
    }
}

fn any(_: &str, _: bool, _: &Value) {}

fn failed(row: &str, _: bool, body: &Value) {
    assert_eq!(body["result"]["isError"], true, "{row}: {body}");
}

fn tool(name: &str) -> Value {
    json!({ "name": name, "arguments": {} })
}

/// What is wrong with the message itself is told apart over HTTP and on a pipe alike.
async fn malformed(row: &str, rows: &[(&str, &str, i64)]) {
    let http = TestServer::over(plain());
    for (revision, _) in revisions() {
        let mut pipe = Pipe::speaking(plain(), Caller::anonymous(), revision).await;
        for (what, text, expected) in rows {
            if *what == "a batch" && revision == "2025-03-26" {
                continue;
            }
            let ask = Ask::raw(*text).header("mcp-protocol-version", revision);
            let reply = ask.send(&http).await;
            assert_eq!(
                (reply.status, code(&reply.body), reply.body.get("id")),
                (400, *expected, None),
                "{row} {what} over HTTP at {revision}: {}",
                reply.body
            );
            pipe.line(text).await;
            let body = pipe.next().await;
            assert_eq!(
                (code(&body), body.get("id")),
                (*expected, None),
                "{row} {what} on a pipe at {revision}: {body}"
            );
        }
        pipe.alive(row).await;
    }
}

/// Every ask over HTTP at every revision, with its status.
async fn over_http(row: &str, status: u16, change: impl Fn(Ask) -> Ask) {
    let http = TestServer::over(plain());
    for (revision, _) in revisions() {
        let ask = change(call(revision, "echo", json!({ "message": "hi" })));
        let reply = ask.send(&http).await;
        assert_eq!(reply.status, status, "{row} at {revision}: {}", reply.body);
    }
}

#[tokio::test]
async fn protocol_4_1_01_a_foreign_origin_with_a_loopback_host() {
    over_http("4.1-1", 403, |ask| {
        ask.header("origin", "http://evil.example")
    })
    .await;
    over_http("4.1-1", 200, |ask| {
        ask.header("origin", "http://localhost:6274")
    })
    .await;
}

#[tokio::test]
async fn protocol_4_1_02_what_is_no_message() {
    malformed(
        "4.1-2",
        &[
            ("not JSON", "{bad", -32700),
            (
                "a batch",
                r#"[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]"#,
                -32600,
            ),
            (
                "id null",
                r#"{"jsonrpc":"2.0","id":null,"method":"tools/list"}"#,
                -32600,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn protocol_4_1_03_params_that_do_not_fit() {
    for params in [
        json!({ "arguments": {} }),
        json!({ "name": 7 }),
        json!({ "name": "echo", "arguments": [1] }),
        json!({ "name": "echo", "arguments": "x" }),
    ] {
        let told = |row: &str, _: bool, body: &Value| {
            assert_ne!(body["error"]["message"], "tools/call", "{row}");
        };
        everywhere(
            "4.1-3",
            plain(),
            "tools/call",
            params,
            (200, -32602),
            (200, -32602),
            told,
        )
        .await;
    }
    let cursor = json!({ "cursor": 7 });
    everywhere(
        "4.1-3",
        plain(),
        "tools/list",
        cursor,
        (200, -32602),
        (200, -32602),
        any,
    )
    .await;
}

#[tokio::test]
async fn protocol_4_1_04_an_unknown_method_is_told_so() {
    let told = |row: &str, _: bool, body: &Value| {
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("not found"), "{row}: {message}");
    };
    everywhere(
        "4.1-4",
        plain(),
        "admin/secret",
        json!({}),
        (404, -32601),
        (200, -32601),
        told,
    )
    .await;
}

#[tokio::test]
async fn protocol_4_1_05_what_was_removed_is_gone() {
    let level = json!({ "level": "info" });
    everywhere(
        "4.1-5",
        full(),
        "logging/setLevel",
        level,
        (404, -32601),
        (200, 0),
        any,
    )
    .await;
    everywhere(
        "4.1-5",
        full(),
        "ping",
        json!({}),
        (404, -32601),
        (200, 0),
        any,
    )
    .await;
    let uri = json!({ "uri": "notes://milk" });
    for method in ["resources/subscribe", "resources/unsubscribe"] {
        everywhere(
            "4.1-5",
            full(),
            method,
            uri.clone(),
            (404, -32601),
            (200, 0),
            any,
        )
        .await;
    }
}

#[tokio::test]
async fn protocol_4_1_06_a_panic_is_answered() {
    everywhere(
        "4.1-6",
        plain(),
        "tools/call",
        tool("boom"),
        (200, -32603),
        (200, -32603),
        any,
    )
    .await;
}

#[tokio::test]
async fn protocol_4_1_07_a_notification_may_come_first_over_http_too() {
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
    let http = TestServer::over(plain());
    for (revision, _) in revisions() {
        let ask = Ask::raw(note.to_string()).header("mcp-protocol-version", revision);
        let reply = ask.send(&http).await;
        assert_eq!(
            (reply.status, &reply.body),
            (202, &Value::Null),
            "4.1-7 at {revision}"
        );
    }
    let mut pipe = Pipe::open(plain(), Caller::anonymous());
    pipe.send(note).await;
    pipe.alive("4.1-7").await;
}

#[tokio::test]
async fn protocol_4_1_08_what_nobody_serves_is_unknown() {
    for method in [
        "prompts/list",
        "prompts/get",
        "resources/list",
        "resources/read",
        "resources/templates/list",
        "completion/complete",
        "logging/setLevel",
    ] {
        everywhere(
            "4.1-8",
            plain(),
            method,
            json!({}),
            (404, -32601),
            (200, -32601),
            any,
        )
        .await;
    }
}

#[tokio::test]
async fn protocol_4_1_09_output_that_is_no_object_is_for_those_who_know_it() {
    let hidden = |row: &str, modern: bool, body: &Value| {
        let structured = body["result"].get("structuredContent");
        assert_eq!(structured, modern.then_some(&json!(7)), "{row}: {body}");
    };
    everywhere(
        "4.1-9",
        plain(),
        "tools/call",
        tool("seven"),
        (200, 0),
        (200, 0),
        hidden,
    )
    .await;
    let unsaid = |row: &str, modern: bool, body: &Value| {
        let tools = body["result"]["tools"].as_array().unwrap();
        let seven = tools.iter().find(|tool| tool["name"] == "seven").unwrap();
        assert_eq!(seven.get("outputSchema").is_some(), modern, "{row}");
    };
    everywhere(
        "4.1-9",
        plain(),
        "tools/list",
        json!({}),
        (200, 0),
        (200, 0),
        unsaid,
    )
    .await;
}

#[tokio::test]
async fn protocol_4_1_10_sessions_know_no_tasks() {
    let capabilities =
        json!({ "roots": {}, "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let echo = json!({ "name": "echo", "arguments": { "message": "x" } });
    for revision in LEGACY {
        let http = TestServer::over(plain());
        let hello = hello(revision, capabilities.clone());
        let reply = Ask::legacy(revision, "initialize", hello.clone())
            .send(&http)
            .await;
        let id = header(&reply, "mcp-session-id").unwrap().to_owned();
        let ask = Ask::legacy(revision, "tools/call", echo.clone());
        let reply = ask.header("mcp-session-id", &id).send(&http).await;
        let mut pipe = Pipe::open(plain(), Caller::anonymous());
        pipe.ask(request(0, "initialize", hello)).await;
        let body = pipe.ask(request(1, "tools/call", echo.clone())).await;
        for body in [reply.body, body] {
            assert_eq!(
                body["result"].get("resultType"),
                None,
                "4.1-10 {revision}: {body}"
            );
            assert_eq!(
                body["result"]["content"][0]["text"], "x",
                "4.1-10 {revision}"
            );
        }
    }
}

#[tokio::test]
async fn protocol_4_1_11_every_result_says_whose_it_is() {
    let info = |row: &str, modern: bool, body: &Value| {
        let info = &body["result"]["_meta"]["io.modelcontextprotocol/serverInfo"];
        let expected = if modern {
            json!({ "name": "rows", "version": "1.2.3" })
        } else {
            Value::Null
        };
        assert_eq!(info, &expected, "{row}: {body}");
    };
    for (method, params) in [
        ("tools/list", json!({})),
        (
            "tools/call",
            json!({ "name": "echo", "arguments": { "message": "x" } }),
        ),
        ("tools/call", tool("fail")),
        ("resources/list", json!({})),
        ("prompts/get", json!({ "name": "summary" })),
    ] {
        everywhere("4.1-11", full(), method, params, (200, 0), (200, 0), info).await;
    }
}

#[tokio::test]
async fn protocol_4_1_12_unknown_levels_and_cursors() {
    let mut loud = meta();
    loud["io.modelcontextprotocol/logLevel"] = json!("loud");
    let params = json!({ "name": "echo", "arguments": { "message": "x" }, "_meta": loud });
    // Before 2026-07-28 the member means nothing.
    let http = TestServer::over(full());
    let reply = Ask::modern("tools/call", params.clone()).send(&http).await;
    assert_eq!(
        (reply.status, code(&reply.body)),
        (400, -32602),
        "4.1-12: {}",
        reply.body
    );
    let mut pipe = Pipe::open(full(), Caller::anonymous());
    let body = pipe.ask(request(1, "tools/call", params)).await;
    assert_eq!(code(&body), -32602, "4.1-12: {body}");
    for method in [
        "tools/list",
        "resources/list",
        "prompts/list",
        "resources/templates/list",
    ] {
        let cursor = json!({ "cursor": "abc" });
        everywhere(
            "4.1-12",
            full(),
            method,
            cursor,
            (200, -32602),
            (200, -32602),
            any,
        )
        .await;
    }
    for revision in LEGACY {
        let ask = Ask::legacy(revision, "logging/setLevel", json!({ "level": "loud" }));
        assert_eq!(
            code(&ask.send(&http).await.body),
            -32602,
            "4.1-12 {revision}"
        );
    }
}

#[tokio::test]
async fn protocol_4_1_13_a_session_is_its_callers() {
    let http = TestServer::over(plain());
    let ada = "Bearer token-of-ada-0123456789";
    let open = Ask::legacy(
        "2025-11-25",
        "initialize",
        hello("2025-11-25", json!({ "roots": {} })),
    );
    let reply = open.header("authorization", ada).send(&http).await;
    let id = header(&reply, "mcp-session-id").unwrap().to_owned();
    let ping = |id: &str| Ask::legacy("2025-11-25", "ping", json!({})).header("mcp-session-id", id);
    for (what, ask, status) in [
        ("its owner", ping(&id).header("authorization", ada), 200),
        ("somebody else", ping(&id), 404),
        (
            "a made-up id",
            ping("made-up").header("authorization", ada),
            404,
        ),
        ("a foreign end", ping(&id).method("DELETE"), 404),
        (
            "the end of none",
            ping("made-up")
                .header("authorization", ada)
                .method("DELETE"),
            404,
        ),
    ] {
        assert_eq!(ask.send(&http).await.status, status, "4.1-13 {what}");
    }
}

#[tokio::test]
async fn protocol_4_1_14_any_form_will_do_and_pages_may_ask() {
    over_http("4.1-14", 200, |ask| ask.header("accept", "*/*")).await;
    over_http("4.1-14", 200, |ask| ask.without("accept")).await;
    over_http("4.1-14", 204, |ask| ask.method("OPTIONS")).await;
}

#[tokio::test]
async fn protocol_4_1_15_an_id_in_flight_twice_over_http() {
    let http = TestServer::over(plain());
    for (revision, _) in revisions() {
        let asks: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .map(|text| (text, call(revision, "echo", json!({ "message": text }))))
            .collect();
        for (text, ask) in &asks {
            let (reply, other) = tokio::join!(ask.send(&http), asks[0].1.send(&http));
            assert_eq!(
                reply.result()["content"][0]["text"],
                *text,
                "4.1-15 at {revision}"
            );
            assert_eq!(
                other.result()["content"][0]["text"],
                "a",
                "4.1-15 at {revision}"
            );
        }
    }
}

fn listen() -> Value {
    json!({ "notifications": { "toolsListChanged": true }, "_meta": meta() })
}

#[tokio::test]
async fn protocol_4_1_17_a_server_that_stops_answers_who_listens() {
    let mut live = Live::start(plain()).await;
    let mut stream = live.connect().await;
    let ask = Ask::modern("subscriptions/listen", listen());
    stream.write_all(&ask.bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("acknowledged") {
        let read = tokio::io::AsyncReadExt::read_buf(&mut stream, &mut seen);
        assert_ne!(within(read).await.unwrap(), 0, "4.1-17");
    }
    live.tell_to_stop();
    let rest = crate::live::rest(&mut stream).await;
    assert!(
        rest.contains(r#""id":7"#) && rest.contains(r#""resultType":"complete""#),
        "4.1-17: {rest}"
    );
    live.stop().await;

    let mut pipe = Pipe::open(plain(), Caller::anonymous());
    let acknowledged = pipe.ask(request(7, "subscriptions/listen", listen())).await;
    assert_eq!(
        acknowledged["method"],
        "notifications/subscriptions/acknowledged"
    );
    pipe.input.shutdown().await.unwrap();
    let end = pipe.next().await;
    assert_eq!(
        (&end["id"], &end["result"]["resultType"]),
        (&json!(7), &json!("complete")),
        "4.1-17: {end}"
    );
    assert!(within(pipe.end()).await.is_empty());
}

/// What is acknowledged is what will be heard: nothing that nobody here can tell.
#[tokio::test]
async fn protocol_4_1_16_what_is_not_accepted_is_not_acknowledged() {
    let mut listen = listen();
    listen["notifications"]["promptsListChanged"] = json!(true);
    listen["notifications"]["resourceSubscriptions"] = json!(["notes://milk"]);
    let mut pipe = Pipe::open(plain(), Caller::anonymous());
    let acknowledged = pipe
        .ask(request(7, "subscriptions/listen", listen.clone()))
        .await;
    let accepted = &acknowledged["params"]["notifications"];
    assert_eq!(accepted, &json!({ "toolsListChanged": true }), "4.1-16");
    let mut pipe = Pipe::open(full(), Caller::anonymous());
    let acknowledged = pipe
        .ask(request(7, "subscriptions/listen", listen.clone()))
        .await;
    let accepted = &acknowledged["params"]["notifications"];
    assert_eq!(accepted, &listen["notifications"], "4.1-16");
}

#[tokio::test]
async fn protocol_4_1_18_parameters_in_headers() {
    let tool = |header: &str| {
        Tool::dynamic("top", "The first ones.", Policy::public())
            .input_schema(json!({
                "type": "object",
                "properties": { "limit": { "type": "integer", "x-mcp-header": header } },
            }))
            .handler(|_, _| async { Ok(1) })
    };
    let error = Server::new(ToolSet::new().with(tool("bad name"))).build();
    let error = error
        .err()
        .expect("an annotation that no client can follow");
    assert!(
        error.to_string().contains("x-mcp-header"),
        "4.1-18: {error}"
    );
    let service = Server::new(ToolSet::new().with(tool("Limit")))
        .build()
        .unwrap();
    let http = TestServer::over(service.clone());
    let good = || call(MODERN, "top", json!({ "limit": 42 }));
    for (what, ask, expected) in [
        ("the same", good().header("mcp-param-limit", "42"), (200, 0)),
        (
            "the same number",
            good().header("mcp-param-limit", "42.0"),
            (200, 0),
        ),
        (
            "another",
            good().header("mcp-param-limit", "43"),
            (400, -32020),
        ),
        ("none", good(), (400, -32020)),
    ] {
        let reply = ask.send(&http).await;
        let got = (reply.status, code(&reply.body));
        assert_eq!(got, expected, "4.1-18 {what}: {}", reply.body);
    }
    // A pipe has no headers, so there is nothing to repeat.
    let mut pipe = Pipe::open(service, Caller::anonymous());
    let params = json!({ "name": "top", "arguments": { "limit": 42 }, "_meta": meta() });
    assert_eq!(code(&pipe.ask(request(1, "tools/call", params)).await), 0);
}

/// The end of one connection is not that of the server.
#[tokio::test]
async fn protocol_4_1_17_who_listens_elsewhere_goes_on() {
    let service = plain();
    let mut one = Pipe::open(service.clone(), Caller::anonymous());
    let mut other = Pipe::open(service.clone(), Caller::anonymous());
    for pipe in [&mut one, &mut other] {
        pipe.ask(request(7, "subscriptions/listen", listen())).await;
    }
    one.input.shutdown().await.unwrap();
    assert_eq!(one.next().await["id"], 7);
    within(one.end()).await;
    service.changes().tools();
    let note = other.next().await;
    assert_eq!(note["method"], "notifications/tools/list_changed", "{note}");
}

#[tokio::test]
async fn protocol_4_1_19_changes_are_told_to_those_who_listen() {
    let mut params = json!({ "name": "change", "_meta": meta() });
    params["_meta"]["progressToken"] = json!("p");
    let http = TestServer::over(plain());
    let ask = Ask::modern("tools/call", params.clone()).header("accept", "text/event-stream");
    let reply = ask.send(&http).await;
    let methods: Vec<_> = reply
        .notes
        .iter()
        .map(|note| note["method"].clone())
        .collect();
    assert_eq!(
        methods,
        ["notifications/progress"],
        "4.1-19: {:?}",
        reply.notes
    );
    let mut pipe = Pipe::open(plain(), Caller::anonymous());
    pipe.send(request(1, "tools/call", params)).await;
    assert_eq!(
        pipe.next().await["method"],
        "notifications/progress",
        "4.1-19"
    );
    assert_eq!(pipe.next().await["id"], 1, "4.1-19");
    pipe.alive("4.1-19: who has not listened hears nothing")
        .await;
}

#[tokio::test]
async fn protocol_4_1_20_a_client_that_hangs_up_ends_its_call() {
    let gate = Gate::new();
    let live = Live::start(builder(&gate).build().unwrap()).await;
    let mut params = json!({ "name": "hang", "_meta": meta() });
    params["_meta"]["progressToken"] = json!("p");
    let mut stream = live.connect().await;
    stream
        .write_all(&Ask::modern("tools/call", params).bytes())
        .await
        .unwrap();
    within(gate.entered.acquire()).await.unwrap().forget();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("notifications/progress") {
        let read = tokio::io::AsyncReadExt::read_buf(&mut stream, &mut seen);
        assert_ne!(within(read).await.unwrap(), 0, "4.1-20");
    }
    drop(stream);
    within(gate.left.acquire()).await.unwrap().forget();
    live.stop().await;
    let http = TestServer::over(plain());
    let ask = Ask::modern("tools/list", json!({}))
        .method("GET")
        .header("last-event-id", "1");
    assert_eq!(
        ask.send(&http).await.status,
        405,
        "4.1-20: nobody fetches the rest"
    );
}

#[tokio::test]
async fn appendix_a_01_origin_not_allowed() {
    over_http("A-1", 403, |ask| {
        ask.header("origin", "https://evil.example")
    })
    .await;
    over_http("A-1", 200, |ask| {
        ask.header("origin", "https://app.example.test")
    })
    .await;
}

#[tokio::test]
async fn appendix_a_02_host_not_allowed() {
    over_http("A-2", 403, |ask| ask.header("host", "evil.example")).await;
}

#[tokio::test]
async fn appendix_a_03_no_token_or_a_bad_one() {
    let http = TestServer::over(plain());
    for (revision, _) in revisions() {
        for ask in [
            call(revision, "scoped", json!({})),
            call(revision, "echo", json!({ "message": "x" })).header("authorization", "Bearer bad"),
        ] {
            let reply = ask.send(&http).await;
            let challenge = header(&reply, "www-authenticate").unwrap_or_default();
            assert!(
                reply.status == 401 && challenge.starts_with("Bearer "),
                "A-3 {revision}: {challenge}"
            );
        }
        let mut pipe = Pipe::speaking(plain(), Caller::anonymous(), revision).await;
        let mut params = tool("scoped");
        if revision == MODERN {
            params["_meta"] = meta();
        }
        let body = pipe.ask(request(1, "tools/call", params)).await;
        assert_eq!(
            body["result"]["structuredContent"]["code"], "unauthenticated",
            "A-3 {revision}"
        );
    }
}

#[tokio::test]
async fn appendix_a_04_a_scope_is_missing() {
    let http = TestServer::over(plain());
    for (revision, _) in revisions() {
        let ask = call(revision, "scoped", json!({}));
        let reply = ask
            .header("authorization", "Bearer token-of-ada-0123456789")
            .send(&http)
            .await;
        let challenge = header(&reply, "www-authenticate").unwrap_or_default();
        assert_eq!(reply.status, 403, "A-4 {revision}");
        assert!(
            challenge.contains("insufficient_scope") && challenge.contains("a:read"),
            "A-4: {challenge}"
        );
        let mut pipe = Pipe::speaking(plain(), Caller::user("ada"), revision).await;
        let mut params = tool("scoped");
        if revision == MODERN {
            params["_meta"] = meta();
        }
        let body = pipe.ask(request(1, "tools/call", params)).await;
        assert_eq!(
            body["result"]["structuredContent"]["code"], "insufficient_scope",
            "A-4 {revision}"
        );
    }
}

#[tokio::test]
async fn appendix_a_05_the_body_is_not_json() {
    malformed(
        "A-5",
        &[("a word", "word", -32700), ("half", "{\"jsonrpc\"", -32700)],
    )
    .await;
}

#[tokio::test]
async fn appendix_a_06_json_but_no_message() {
    malformed(
        "A-6",
        &[
            ("a number", "7", -32600),
            ("an object", "{}", -32600),
            (
                "a batch",
                r#"[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]"#,
                -32600,
            ),
            ("no messages", "[]", -32600),
            (
                "id null",
                r#"{"jsonrpc":"2.0","id":null,"method":"tools/list"}"#,
                -32600,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn appendix_a_07_the_content_type_is_not_json() {
    over_http("A-7", 415, |ask| ask.header("content-type", "text/plain")).await;
    over_http("A-7", 415, |ask| ask.without("content-type")).await;
}

#[tokio::test]
async fn appendix_a_08_no_form_is_accepted() {
    over_http("A-8", 406, |ask| ask.header("accept", "text/html")).await;
    over_http("A-8", 200, |ask| ask.header("accept", "*/*")).await;
}

#[tokio::test]
async fn appendix_a_09_too_large() {
    over_http("A-9", 413, |ask| ask.with_body("x".repeat((64 << 10) + 1))).await;
}

#[tokio::test]
async fn appendix_a_10_headers_that_do_not_repeat_the_body() {
    let http = TestServer::over(plain());
    let good = || call(MODERN, "echo", json!({ "message": "hi" }));
    for name in ["mcp-protocol-version", "mcp-method", "mcp-name"] {
        for ask in [
            good().without(name),
            good().header(name, "other"),
            good().also(name, "other"),
        ] {
            let reply = ask.send(&http).await;
            assert_eq!(
                (reply.status, code(&reply.body)),
                (400, -32020),
                "A-10 {name}: {}",
                reply.body
            );
            if !reply.body["id"].is_null() {
                assert_eq!(reply.body["id"], 7, "A-10 {name}: the id is echoed");
            }
        }
    }
    for revision in LEGACY {
        let ask = call(revision, "echo", json!({ "message": "hi" }));
        assert_eq!(
            ask.send(&http).await.status,
            200,
            "A-10: there were none at {revision}"
        );
    }
}

#[tokio::test]
async fn appendix_a_11_meta_is_incomplete() {
    let http = TestServer::over(plain());
    let mut pipe = Pipe::open(plain(), Caller::anonymous());
    let mut lacking = meta();
    lacking
        .as_object_mut()
        .unwrap()
        .remove("io.modelcontextprotocol/clientCapabilities");
    let mut odd = meta();
    odd["io.modelcontextprotocol/clientCapabilities"] = json!(7);
    for meta in [lacking, odd] {
        let params = json!({ "name": "echo", "arguments": { "message": "x" }, "_meta": meta });
        let reply = Ask::modern("tools/call", params.clone()).send(&http).await;
        assert_eq!(
            (reply.status, code(&reply.body)),
            (400, -32602),
            "A-11: {}",
            reply.body
        );
        let body = pipe.ask(request(1, "tools/call", params)).await;
        assert_eq!(code(&body), -32602, "A-11: {body}");
    }
}

#[tokio::test]
async fn appendix_a_12_the_version_is_not_supported() {
    let http = TestServer::over(plain());
    let mut old = meta();
    old["io.modelcontextprotocol/protocolVersion"] = json!("1999-01-01");
    let params = json!({ "_meta": old });
    let ask =
        Ask::modern("tools/list", params.clone()).header("mcp-protocol-version", "1999-01-01");
    let reply = ask.send(&http).await;
    assert_eq!(reply.status, 400, "A-12");
    let mut pipe = Pipe::open(plain(), Caller::anonymous());
    for body in [reply.body, pipe.ask(request(1, "tools/list", params)).await] {
        assert_eq!(code(&body), -32022, "A-12: {body}");
        assert_eq!(body["error"]["data"]["requested"], "1999-01-01", "A-12");
        assert_eq!(
            body["error"]["data"]["supported"].as_array().map(Vec::len),
            Some(5),
            "A-12"
        );
    }
    for revision in LEGACY {
        let ask = Ask::legacy(revision, "tools/list", json!({}));
        let reply = ask
            .header("mcp-protocol-version", "1999-01-01")
            .send(&http)
            .await;
        assert_eq!(reply.status, 400, "A-12 at {revision}");
    }
}

#[tokio::test]
async fn appendix_a_13_a_capability_is_missing() {
    let lacks = |row: &str, modern: bool, body: &Value| {
        if modern {
            let required = &body["error"]["data"]["requiredCapabilities"];
            assert!(required.get("elicitation").is_some(), "{row}: {body}");
        } else {
            assert_eq!(body["result"]["isError"], true, "{row}: {body}");
        }
    };
    everywhere(
        "A-13",
        plain(),
        "tools/call",
        tool("greet"),
        (400, -32021),
        (200, 0),
        lacks,
    )
    .await;
}

#[tokio::test]
async fn appendix_a_14_the_method_is_unknown_removed_or_undeclared() {
    for method in [
        "admin/secret",
        "prompts/list",
        "logging/setLevel",
        "tasks/list",
    ] {
        everywhere(
            "A-14",
            plain(),
            method,
            json!({}),
            (404, -32601),
            (200, -32601),
            any,
        )
        .await;
    }
    let http = TestServer::over(plain());
    for revision in LEGACY {
        let reply = Ask::legacy(revision, "server/discover", json!({}))
            .send(&http)
            .await;
        assert_eq!(
            (reply.status, code(&reply.body)),
            (200, -32601),
            "A-14 at {revision}"
        );
    }
}

#[tokio::test]
async fn appendix_a_15_the_params_are_malformed() {
    for (method, params) in [
        ("tools/call", json!({ "name": 7 })),
        ("prompts/get", json!({})),
        ("resources/read", json!({ "uri": 7 })),
        ("completion/complete", json!({ "ref": 7 })),
    ] {
        let service = full();
        let expected = if method == "completion/complete" {
            ((404, -32601), (200, -32601))
        } else {
            ((200, -32602), (200, -32602))
        };
        everywhere("A-15", service, method, params, expected.0, expected.1, any).await;
    }
    // across T12: absent params are empty ones.
    let mut pipe = Pipe::open(plain(), Caller::anonymous());
    let body = pipe
        .ask(json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }))
        .await;
    assert_eq!(code(&body), 0, "T12: {body}");
    let body = pipe
        .ask(json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": [] }))
        .await;
    assert_eq!(code(&body), -32602, "T12: {body}");
}

#[tokio::test]
async fn appendix_a_16_the_name_is_unknown() {
    let unknown = (200, -32602);
    everywhere(
        "A-16",
        full(),
        "tools/call",
        tool("nobody"),
        unknown,
        unknown,
        any,
    )
    .await;
    everywhere(
        "A-16",
        full(),
        "prompts/get",
        json!({ "name": "nobody" }),
        unknown,
        unknown,
        any,
    )
    .await;
}

#[tokio::test]
async fn appendix_a_16_the_resource_is_unknown() {
    let http = TestServer::over(full());
    let params = json!({ "uri": "notes://nobody" });
    for (revision, modern) in revisions() {
        let expected = if modern { -32602 } else { -32002 };
        let mut ask = Ask::of(revision, "resources/read", params.clone());
        if modern {
            ask = ask.header("mcp-name", "notes://nobody");
        }
        let reply = ask.send(&http).await;
        let mut pipe = Pipe::speaking(full(), Caller::anonymous(), revision).await;
        let mut params = params.clone();
        if modern {
            params["_meta"] = meta();
        }
        let body = pipe.ask(request(7, "resources/read", params)).await;
        assert_eq!(reply.status, 200, "A-16 at {revision}");
        for body in [reply.body, body] {
            assert_eq!(code(&body), expected, "A-16 at {revision}: {body}");
            assert_eq!(
                body["error"]["data"]["uri"], "notes://nobody",
                "A-16 at {revision}"
            );
        }
    }
}

#[tokio::test]
async fn appendix_a_17_the_input_is_invalid_or_the_tool_failed() {
    let bad = json!({ "name": "echo", "arguments": { "message": 7 } });
    everywhere(
        "A-17",
        plain(),
        "tools/call",
        bad,
        (200, 0),
        (200, 0),
        failed,
    )
    .await;
    everywhere(
        "A-17",
        plain(),
        "tools/call",
        tool("fail"),
        (200, 0),
        (200, 0),
        failed,
    )
    .await;
}

#[tokio::test]
async fn appendix_a_18_the_handler_panicked_or_took_too_long() {
    everywhere(
        "A-18",
        plain(),
        "tools/call",
        tool("boom"),
        (200, -32603),
        (200, -32603),
        any,
    )
    .await;
    everywhere(
        "A-18",
        plain(),
        "tools/call",
        tool("slow"),
        (200, 0),
        (200, 0),
        failed,
    )
    .await;
}

#[tokio::test]
async fn appendix_a_19_a_notification_is_accepted() {
    let http = TestServer::over(plain());
    for (revision, _) in revisions() {
        for method in ["notifications/initialized", "notifications/unheard/of"] {
            let note = json!({ "jsonrpc": "2.0", "method": method });
            let ask = Ask::raw(note.to_string()).header("mcp-protocol-version", revision);
            let reply = ask.send(&http).await;
            assert_eq!(
                (reply.status, &reply.body),
                (202, &Value::Null),
                "A-19 at {revision}"
            );
            let mut pipe = Pipe::speaking(plain(), Caller::anonymous(), revision).await;
            pipe.send(note).await;
            pipe.alive("A-19: there is nothing to say").await;
        }
    }
}

#[tokio::test]
async fn appendix_a_20_a_client_posts_a_response() {
    let response = json!({ "jsonrpc": "2.0", "id": 1, "result": {} });
    let http = TestServer::over(plain());
    for (revision, _) in revisions() {
        let ask = Ask::raw(response.to_string()).header("mcp-protocol-version", revision);
        let reply = ask.send(&http).await;
        assert_eq!(
            (reply.status, code(&reply.body)),
            (400, -32600),
            "A-20 at {revision}"
        );
    }
    for revision in LEGACY {
        let open = Ask::legacy(
            revision,
            "initialize",
            hello(revision, json!({ "roots": {} })),
        );
        let reply = open.send(&http).await;
        let id = header(&reply, "mcp-session-id").unwrap().to_owned();
        let ask = Ask::raw(response.to_string()).header("mcp-protocol-version", revision);
        let reply = ask.header("mcp-session-id", &id).send(&http).await;
        assert_eq!(
            (reply.status, &reply.body),
            (202, &Value::Null),
            "A-20 in a session at {revision}"
        );
        let mut pipe = Pipe::speaking(plain(), Caller::anonymous(), revision).await;
        pipe.send(response.clone()).await;
        pipe.alive("A-20: an answer that nobody waits for is overlooked")
            .await;
    }
}

#[tokio::test]
async fn appendix_a_21_get_and_delete() {
    let http = TestServer::over(plain());
    for method in ["GET", "DELETE"] {
        let reply = Ask::modern("tools/list", json!({}))
            .method(method)
            .send(&http)
            .await;
        let allow = header(&reply, "allow").unwrap_or_default();
        assert!(
            reply.status == 405 && allow.contains("POST"),
            "A-21 {method}: {} {allow}",
            reply.status
        );
    }
    let stateless = builder(&Gate::new()).sessions(SessionMode::Stateless);
    let stateless = TestServer::new(stateless).unwrap();
    for revision in LEGACY {
        for method in ["GET", "DELETE", "PUT", "PATCH"] {
            let ask = Ask::legacy(revision, "ping", json!({})).method(method);
            assert_eq!(
                ask.send(&stateless).await.status,
                405,
                "A-21 {method} at {revision}"
            );
        }
        let open = Ask::legacy(
            revision,
            "initialize",
            hello(revision, json!({ "roots": {} })),
        );
        let reply = open.send(&http).await;
        let id = header(&reply, "mcp-session-id").unwrap().to_owned();
        let end = Ask::legacy(revision, "ping", json!({})).method("DELETE");
        let reply = end.header("mcp-session-id", &id).send(&http).await;
        assert_eq!(reply.status, 204, "A-21 DELETE of a session at {revision}");
    }
}

#[tokio::test]
async fn appendix_a_22_options() {
    over_http("A-22", 204, |ask| ask.method("OPTIONS")).await;
}
