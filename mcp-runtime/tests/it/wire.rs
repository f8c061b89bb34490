//! What a client sees on the wire, at every revision: the table of answers.

use std::fmt::Write as _;

use mcp_runtime::prelude::*;
use mcp_runtime::testing::{TestReply, TestServer};
use mcp_runtime::{Policy, Tool};
use serde_json::{Value, json};

use crate::ask::{Ask, LEGACY, MODERN, call, header, meta};

#[derive(Serialize, JsonSchema)]
struct Sum {
    sum: i64,
}

/// Add two numbers.
#[mcp_tool(public, read_only)]
fn add(
    /// Left operand
    a: i64,
    /// Right operand
    b: i64,
) -> Sum {
    Sum { sum: a + b }
}

/// Count to a number.
#[mcp_tool(public, read_only, title = "Count")]
fn count(#[arg(range = 0..=10, default = 3)] to: u8) -> u8 {
    to
}

/// Say it again.
#[mcp_tool(public)]
fn echo(#[arg(len = 0..=10_000)] message: String) -> String {
    message
}

/// Always fails.
#[mcp_tool(public)]
fn fail() -> ToolResult<String> {
    Err(
        ToolError::new("Nothing is left in stock. Order more first.")
            .code("sold_out")
            .data(json!({ "stock": 0 })),
    )
}

/// Panics.
#[mcp_tool(public)]
fn boom() -> String {
    panic!("boom-secret-xyz")
}

fn builder() -> Server {
    Server::new(tools![add, count, echo, fail, boom])
        .identity("wire", "1.2.3")
        .allow_origin("https://app.example.test")
        .allow_host("mcp.example.test")
}

fn server() -> TestServer {
    TestServer::new(builder()).unwrap()
}

/// `id`, the request, the status, and the code of the error (0: there is a result; 1: no body;
/// 2: a text).
type Row<'a> = (&'a str, Ask, u16, i64);
const RESULT: i64 = 0;
const EMPTY: i64 = 1;
const TEXT: i64 = 2;

async fn check(server: &TestServer, rows: Vec<Row<'_>>) {
    let mut wrong = String::new();
    for (id, ask, status, code) in rows {
        let reply = ask.send(server).await;
        let got = match &reply.body {
            Value::Null => EMPTY,
            Value::String(_) => TEXT,
            body if body.get("result").is_some() => RESULT,
            body => body["error"]["code"].as_i64().unwrap_or(i64::MIN),
        };
        if (reply.status, got) != (status, code) {
            let sent = String::from_utf8_lossy(&ask.body);
            let _ = writeln!(
                wrong,
                "{id}: expected {status} with {code}, got {} with {got}\n  sent {:.200}\n  got  {:.300}",
                reply.status,
                sent,
                reply.body.to_string()
            );
        }
        sane(id, &reply);
    }
    assert!(
        wrong.is_empty(),
        "the table of answers (protocol.md, appendix A) says otherwise:\n{wrong}"
    );
}

/// What holds for every answer.
fn sane(id: &str, reply: &TestReply) {
    let text = reply.body.to_string();
    for leak in ["serde", "panicked", "src/", ".rs:", "line 1", "boom-secret"] {
        assert!(
            !text.contains(leak),
            "{id}: an answer shows internals ({leak}): {text}"
        );
    }
    if reply.body.is_object() {
        assert_eq!(reply.body["jsonrpc"], "2.0", "{id}: not JSON-RPC: {text}");
        assert_eq!(
            header(reply, "content-type"),
            Some("application/json"),
            "{id}"
        );
        // TR-46
        assert_eq!(header(reply, "cache-control"), Some("no-store"), "{id}");
        assert_eq!(
            header(reply, "x-content-type-options"),
            Some("nosniff"),
            "{id}"
        );
    }
    assert_eq!(
        header(reply, "server"),
        None,
        "{id}: the server tells what it is"
    );
    if let Some(location) = header(reply, "location") {
        panic!("{id}: nothing here redirects, but to {location}");
    }
}

#[tokio::test]
async fn malformed_messages_are_told_apart() {
    let deep = |n| "[".repeat(n);
    let nested = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{{"message":{}{}}}}}}}"#,
        deep(5000),
        "]".repeat(5000)
    );
    let raw = |bytes: Vec<u8>| Ask::raw(bytes);
    let text = |text: &str| raw(text.as_bytes().to_vec());
    let id = |id: &str| {
        text(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#
        ))
    };
    let long_id = format!("\"{}\"", "x".repeat(10_240));
    let keys = (0..60_000)
        .map(|n| format!("\"k{n}\":1"))
        .collect::<Vec<_>>()
        .join(",");
    let many = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"add","arguments":{{{keys}}}}}}}"#
    );
    let rows = vec![
        ("TR-15 brackets", text(&deep(100_000)), 400, -32700),
        ("TR-16 depth", text(&nested), 400, -32700),
        ("TR-17 many keys", text(&many), 200, RESULT),
        ("TR-18 bad JSON (protocol-4.1-2)", text("{bad"), 400, -32700),
        ("empty body", text(""), 400, -32700),
        ("two messages", text(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":2,"method":"ping"}"#), 400, -32700),
        ("TR-19 batch (protocol-4.1-2)", text(r#"[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]"#).header("mcp-protocol-version", MODERN), 400, -32600),
        ("empty batch", text("[]"), 400, -32600),
        ("a number", text("7"), 400, -32600),
        ("a string", text(r#""tools/list""#), 400, -32600),
        ("null", text("null"), 400, -32600),
        ("TR-21 METHOD", text(r#"{"jsonrpc":"2.0","id":1,"METHOD":"tools/list"}"#), 400, -32600),
        ("TR-21 paramſ", text("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"param\u{17f}\":{}}"), 200, RESULT),
        ("duplicate method", text(r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}"#), 400, -32600),
        ("duplicate argument", text(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":"a","message":"b"}}}"#), 400, -32600),
        ("duplicate by escape", text(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","n\u0061me":"boom"}}"#), 400, -32600),
        ("TR-22 id null (protocol-4.1-2)", id("null"), 400, -32600),
        ("TR-22 id 1.5", id("1.5"), 400, -32600),
        ("TR-22 id {}", id("{}"), 400, -32600),
        ("TR-22 id []", id("[]"), 400, -32600),
        ("TR-22 id true", id("true"), 400, -32600),
        ("TR-22 id 1e400", id("1e400"), 400, -32700),
        ("TR-22 id 10^30", id(&format!("1{}", "0".repeat(30))), 400, -32600),
        ("TR-22 id of 10 KiB", id(&long_id), 400, -32600),
        ("id -1", id("-1"), 200, RESULT),
        ("id 0", id("0"), 200, RESULT),
        ("id u64::MAX", id("18446744073709551615"), 200, RESULT),
        ("id empty", id("\"\""), 200, RESULT),
        ("TR-23 jsonrpc 1.0", text(r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#), 400, -32600),
        ("TR-23 jsonrpc missing", text(r#"{"id":1,"method":"ping"}"#), 400, -32600),
        ("TR-23 jsonrpc 2.0 as a number", text(r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#), 400, -32600),
        ("TR-24 not UTF-8", raw([&br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":""#[..], b"\xff\xfe", br#""}}}"#].concat()), 400, -32700),
        ("TR-24 not UTF-8 in a name", raw([&br#"{"jsonrpc":"2.0","id":1,"method":"ping",""#[..], b"\xff", br#"":1}"#].concat()), 400, -32700),
        ("TR-25 lone surrogate", text(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":"\ud800"}}}"#), 400, -32700),
        ("TR-25 NUL", text(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":"\u0000"}}}"#), 200, RESULT),
        ("TR-45 a response", text(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), 400, -32600),
        ("TR-45 result and error", text(r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"x"}}"#), 400, -32600),
        ("params []", text(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[]}"#), 200, -32602),
        ("params 7", text(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":7}"#), 200, -32602),
        ("notification", text(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#), 202, EMPTY),
        ("unknown notification", text(r#"{"jsonrpc":"2.0","method":"notifications/unheard/of","params":{"x":1}}"#), 202, EMPTY),
        ("a call without an id is not run", text(r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"boom"}}"#), 202, EMPTY),
    ];
    let server = server();
    for (id, ask, _, code) in &rows {
        let since = std::time::Instant::now();
        let reply = ask.send(&server).await;
        assert!(
            since.elapsed().as_secs() < 3,
            "{id}: took {:?}",
            since.elapsed()
        );
        if *code == -32700 {
            assert_eq!(
                reply.body.get("id"),
                None,
                "{id}: an unread message has no id to answer to"
            );
        }
    }
    check(&server, rows).await;
}

#[tokio::test]
async fn ids_come_back_as_they_came() {
    let server = server();
    for id in [
        "1",
        "-7",
        "18446744073709551615",
        "\"a\"",
        "\"\\u00fc \\\"q\\\" \\n\"",
        "\"\"",
    ] {
        let reply = Ask::raw(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#))
            .send(&server)
            .await;
        let sent: Value = serde_json::from_str(id).unwrap();
        assert_eq!(
            reply.body["id"], sent,
            "the id of the request must be that of the answer"
        );
    }
}

#[tokio::test]
async fn the_table_of_answers_at_2026_07_28() {
    let good = || call(MODERN, "echo", json!({ "message": "hi" }));
    let without = |key: &str| {
        let mut meta = meta();
        meta.as_object_mut()
            .unwrap()
            .remove(&format!("io.modelcontextprotocol/{key}"));
        Ask::modern(
            "tools/call",
            json!({ "name": "echo", "arguments": { "message": "hi" }, "_meta": meta }),
        )
    };
    let with = |key: &str, value: Value| {
        let mut meta = meta();
        meta[format!("io.modelcontextprotocol/{key}")] = value;
        Ask::modern(
            "tools/call",
            json!({ "name": "echo", "arguments": { "message": "hi" }, "_meta": meta }),
        )
    };
    let params = |params: Value| Ask::modern("tools/call", params);
    let mut rows = vec![
        ("a good call", good(), 200, RESULT),
        ("server/discover", Ask::modern("server/discover", json!({})), 200, RESULT),
        ("tools/list", Ask::modern("tools/list", json!({})), 200, RESULT),
        ("TR-39 Mcp-Name of another tool", good().header("mcp-name", "boom"), 400, -32020),
        ("TR-39 two Mcp-Name", good().also("mcp-name", "echo"), 400, -32020),
        ("TR-39 Mcp-Name missing", good().without("mcp-name"), 400, -32020),
        ("Mcp-Name in capitals", good().header("mcp-name", "Echo"), 400, -32020),
        ("Mcp-Method missing", good().without("mcp-method"), 400, -32020),
        ("Mcp-Method of another", good().header("mcp-method", "tools/list"), 400, -32020),
        ("two Mcp-Method", good().also("mcp-method", "tools/call"), 400, -32020),
        ("Mcp-Method not ASCII", good().without("mcp-method").also("mcp-method", b"tools/\xe4"), 400, -32020),
        ("version header missing", good().without("mcp-protocol-version"), 400, -32020),
        ("version header of another revision", good().header("mcp-protocol-version", "2025-11-25"), 400, -32020),
        ("two version headers", good().also("mcp-protocol-version", MODERN), 400, -32020),
        ("Mcp-Name in base64", good().header("mcp-name", "=?base64?ZWNobw==?="), 200, RESULT),
        ("Mcp-Name in bad base64", good().header("mcp-name", "=?base64?%%%?="), 400, -32020),
        ("Mcp-Name in base64 of another", good().header("mcp-name", "=?base64?Ym9vbQ==?="), 400, -32020),
        ("header names in capitals, values with spaces", good().without("mcp-name").also("MCP-NAME", "  echo "), 200, RESULT),
        ("TR-42 unknown version", with("protocolVersion", json!("1999-01-01")).header("mcp-protocol-version", "1999-01-01"), 400, -32022),
        ("version not a string", with("protocolVersion", json!(7)), 400, -32602),
        ("version missing in the body", without("protocolVersion"), 400, -32602),
        ("TR-43 capabilities missing", without("clientCapabilities"), 400, -32602),
        ("capabilities not an object", with("clientCapabilities", json!([])), 400, -32602),
        ("protocol-4.1-12 unknown log level", with("logLevel", json!("loud")), 400, -32602),
        ("log level", with("logLevel", json!("warning")), 200, RESULT),
        ("_meta not an object", Ask::modern("tools/list", json!({ "_meta": 7 })), 400, -32602),
        ("TR-44 unknown method", Ask::modern("admin/secret", json!({})), 404, -32601),
        ("protocol-4.1-3 no name", params(json!({ "arguments": {} })), 200, -32602),
        ("protocol-4.1-3 name not a string", params(json!({ "name": 7 })), 200, -32602),
        ("protocol-4.1-3 arguments a list", params(json!({ "name": "echo", "arguments": [1] })), 200, -32602),
        ("protocol-4.1-3 arguments a text", params(json!({ "name": "echo", "arguments": "x" })), 200, -32602),
        ("unknown tool", params(json!({ "name": "nobody" })), 200, -32602),
        ("TM-14 no name at all", params(json!({ "name": "" })), 200, -32602),
        ("arguments missing", params(json!({ "name": "count" })), 200, RESULT),
        ("arguments null", params(json!({ "name": "count", "arguments": null })), 200, RESULT),
        ("input invalid", call(MODERN, "echo", json!({ "message": 7 })), 200, RESULT),
        ("tool failed", call(MODERN, "fail", json!({})), 200, RESULT),
        ("protocol-4.1-6 panic", call(MODERN, "boom", json!({})), 200, -32603),
        ("protocol-4.1-12 bad cursor", Ask::modern("tools/list", json!({ "cursor": "abc" })), 200, -32602),
        ("cursor beyond the end", Ask::modern("tools/list", json!({ "cursor": "9-0000000000000000" })), 200, -32602),
        ("cursor not a string", Ask::modern("tools/list", json!({ "cursor": 1 })), 200, -32602),
        ("cursor empty", Ask::modern("tools/list", json!({ "cursor": "" })), 200, RESULT),
        ("notification", Ask::raw(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } }).to_string()).header("mcp-protocol-version", MODERN), 202, EMPTY),
        ("a session id is overlooked", good().header("mcp-session-id", "made-up"), 200, RESULT),
        ("Last-Event-ID is overlooked", good().header("last-event-id", "7"), 200, RESULT),
    ];
    // L9, L10, protocol-4.1-5 and -8: removed or never declared.
    for method in [
        "ping",
        "initialize",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "prompts/list",
        "prompts/get",
        "resources/list",
        "resources/read",
        "resources/templates/list",
        "completion/complete",
        "tasks/get",
        "tools/List",
        "",
    ] {
        rows.push((
            "removed or undeclared",
            Ask::modern(method, json!({})),
            404,
            -32601,
        ));
    }
    check(&server(), rows).await;
}

#[tokio::test]
async fn the_table_of_answers_of_the_earlier_revisions() {
    for revision in LEGACY {
        let ask = |method: &str, params: Value| Ask::legacy(revision, method, params);
        let mut rows = vec![
            (
                "initialize",
                ask(
                    "initialize",
                    json!({ "protocolVersion": revision, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } }),
                ),
                200,
                RESULT,
            ),
            (
                "initialize without a version",
                ask("initialize", json!({})),
                200,
                -32602,
            ),
            (
                "initialize with a number",
                ask("initialize", json!({ "protocolVersion": 1 })),
                200,
                -32602,
            ),
            ("ping", ask("ping", json!({})), 200, RESULT),
            ("tools/list", ask("tools/list", json!({})), 200, RESULT),
            (
                "no version header",
                call(revision, "echo", json!({ "message": "x" })).without("mcp-protocol-version"),
                200,
                RESULT,
            ),
            (
                "no Mcp-Method needed",
                call(revision, "echo", json!({ "message": "x" })),
                200,
                RESULT,
            ),
            (
                "G6 unknown version",
                call(revision, "echo", json!({ "message": "x" }))
                    .header("mcp-protocol-version", "1999-01-01"),
                400,
                -32022,
            ),
            (
                "two version headers",
                call(revision, "echo", json!({ "message": "x" }))
                    .also("mcp-protocol-version", revision),
                400,
                -32020,
            ),
            (
                "protocol-4.1-3 no name",
                ask("tools/call", json!({ "arguments": {} })),
                200,
                -32602,
            ),
            (
                "protocol-4.1-3 arguments a list",
                ask("tools/call", json!({ "name": "echo", "arguments": [1] })),
                200,
                -32602,
            ),
            (
                "unknown tool",
                ask("tools/call", json!({ "name": "nobody" })),
                200,
                -32602,
            ),
            (
                "input invalid",
                call(revision, "echo", json!({})),
                200,
                RESULT,
            ),
            (
                "protocol-4.1-6 panic",
                call(revision, "boom", json!({})),
                200,
                -32603,
            ),
            (
                "bad cursor",
                ask("tools/list", json!({ "cursor": "abc" })),
                200,
                -32602,
            ),
            (
                "server/discover needs 2026-07-28",
                ask("server/discover", json!({})),
                200,
                -32601,
            ),
            (
                "notification",
                Ask::raw(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
                    .header("mcp-protocol-version", revision),
                202,
                EMPTY,
            ),
        ];
        for method in [
            "prompts/list",
            "resources/list",
            "resources/templates/list",
            "completion/complete",
            "logging/setLevel",
            "tasks/list",
            "admin/secret",
        ] {
            rows.push((
                "protocol-4.1-8 undeclared",
                ask(method, json!({})),
                200,
                -32601,
            ));
        }
        check(&server(), rows).await;
    }
}

#[tokio::test]
async fn initialize_agrees_on_a_version() {
    let server = server();
    for (asked, agreed) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
        ("", "2025-11-25"),
    ] {
        let reply = Ask::legacy(asked, "initialize", json!({ "protocolVersion": asked }))
            .send(&server)
            .await;
        assert_eq!(
            reply.result()["protocolVersion"],
            agreed,
            "L8: asked for {asked:?}"
        );
        assert_eq!(
            header(&reply, "mcp-session-id"),
            None,
            "there are no sessions"
        );
    }
}

/// L7: `serverInfo`; L6: `resultType`; U9 and protocol-4.1-9: structured output is an object.
#[tokio::test]
async fn results_are_those_of_their_revision() {
    let server = server();
    for revision in LEGACY.into_iter().chain([MODERN]) {
        for (tool, arguments, structured, text) in [
            (
                "add",
                json!({ "a": 1, "b": 2 }),
                json!({ "sum": 3 }),
                r#"{"sum":3}"#,
            ),
            (
                "count",
                json!({}),
                json!({ "result": 3 }),
                r#"{"result":3}"#,
            ),
            (
                "echo",
                json!({ "message": "a \"b\"\n" }),
                json!({ "result": "a \"b\"\n" }),
                "a \"b\"\n",
            ),
        ] {
            let reply = call(revision, tool, arguments).send(&server).await;
            assert_eq!(reply.structured(), &structured, "{revision} {tool}");
            assert_eq!(
                reply.text(),
                text,
                "{revision} {tool}: the mirror says the same"
            );
            let modern = revision == MODERN;
            assert_eq!(
                reply.result().get("resultType").is_some(),
                modern,
                "L6 at {revision}"
            );
            assert_eq!(
                reply.result().get("_meta").is_some(),
                modern,
                "L7 at {revision}"
            );
        }
        let list = Ask::of(revision, "tools/list", json!({}))
            .send(&server)
            .await;
        for tool in list.result()["tools"].as_array().unwrap() {
            assert_eq!(tool["inputSchema"]["type"], "object", "U5");
            assert_eq!(tool["inputSchema"]["additionalProperties"], false, "U5");
            assert!(!tool["description"].as_str().unwrap().is_empty(), "U4");
            if let Some(output) = tool.get("outputSchema") {
                assert_eq!(output["type"], "object", "U9 at {revision}: {tool}");
            }
        }
        for member in ["resultType", "ttlMs", "cacheScope"] {
            assert_eq!(
                list.result().get(member).is_some(),
                revision == MODERN,
                "{member} at {revision}"
            );
        }
    }
}

/// protocol-4.1-9: a raw output schema may be anything since 2026-07-28 and must be hidden before.
#[tokio::test]
async fn values_of_dynamic_tools_that_are_no_objects_stay_away_from_earlier_revisions() {
    let seven = Tool::dynamic("seven", "Seven.", Policy::public())
        .output_schema(json!({ "type": "integer" }))
        .handler(|_, _| async { Ok(7) });
    let word = Tool::dynamic("word", "A word.", Policy::public())
        .handler(|_, _| async { Ok("word".to_owned()) });
    let nothing =
        Tool::dynamic("nothing", "Nothing.", Policy::public()).handler(|_, _| async { Ok(()) });
    let object = Tool::dynamic("object", "An object.", Policy::public())
        .handler(|_, _| async { Ok(json!({ "a": 1 })) });
    let tools = ToolSet::new()
        .with(seven)
        .with(word)
        .with(nothing)
        .with(object);
    let server = TestServer::new(Server::new(tools)).unwrap();
    for revision in LEGACY.into_iter().chain([MODERN]) {
        let modern = revision == MODERN;
        let list = Ask::of(revision, "tools/list", json!({}))
            .send(&server)
            .await;
        assert_eq!(
            list.result()["tools"][0].get("outputSchema").is_some(),
            modern,
            "at {revision}"
        );
        for (tool, structured, text) in [
            ("seven", modern.then(|| json!(7)), Some("7")),
            ("word", modern.then(|| json!("word")), Some("word")),
            ("nothing", None, None),
            ("object", Some(json!({ "a": 1 })), Some(r#"{"a":1}"#)),
        ] {
            let reply = call(revision, tool, json!({})).send(&server).await;
            let result = reply.result();
            assert_eq!(
                result.get("structuredContent"),
                structured.as_ref(),
                "{tool} at {revision}"
            );
            assert_eq!(
                result["content"][0]["text"].as_str(),
                text,
                "{tool} at {revision}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_advertised_is_what_is_served() {
    let empty = TestServer::new(Server::new(ToolSet::new())).unwrap();
    let discover = Ask::modern("server/discover", json!({})).send(&empty).await;
    assert_eq!(
        discover.result()["capabilities"],
        json!({}),
        "L11: without tools there is no capability"
    );
    check(
        &empty,
        vec![
            (
                "L10 tools/list of no tools",
                Ask::modern("tools/list", json!({})),
                404,
                -32601,
            ),
            (
                "L10 tools/call of no tools",
                call(MODERN, "echo", json!({})),
                404,
                -32601,
            ),
            (
                "L10 tools/list of no tools, earlier",
                Ask::legacy("2025-06-18", "tools/list", json!({})),
                200,
                -32601,
            ),
        ],
    )
    .await;
    let discover = Ask::modern("server/discover", json!({}))
        .send(&server())
        .await;
    let result = discover.result();
    assert_eq!(result["supportedVersions"][0], MODERN);
    assert_eq!(result["supportedVersions"].as_array().unwrap().len(), 5);
    assert_eq!(result["cacheScope"], "public", "L1");
    assert!(result["ttlMs"].as_u64().is_some(), "L1");
}

/// L12: both eras on one endpoint, one after the other.
#[tokio::test]
async fn both_eras_interleave() {
    let server = server();
    for _ in 0..2 {
        for revision in [MODERN, "2024-11-05", "2025-11-25", MODERN] {
            assert_eq!(
                call(revision, "count", json!({}))
                    .send(&server)
                    .await
                    .structured(),
                &json!({ "result": 3 })
            );
        }
    }
}

#[tokio::test]
async fn unsupported_versions_are_told_what_is_supported() {
    let ask = Ask::legacy("1999-01-01", "ping", json!({}));
    let reply = ask.send(&server()).await;
    assert_eq!(reply.error()["data"]["requested"], "1999-01-01");
    assert_eq!(
        reply.error()["data"]["supported"],
        json!([
            "2026-07-28",
            "2025-11-25",
            "2025-06-18",
            "2025-03-26",
            "2024-11-05"
        ])
    );
    assert_eq!(reply.body["id"], 7);
}

#[tokio::test]
async fn methods_and_paths() {
    let good = || call(MODERN, "echo", json!({ "message": "hi" }));
    let mut rows = vec![
        ("TR-36 a slash at the end", good().uri("/mcp/"), 200, RESULT),
        ("a query", good().uri("/mcp?x=1"), 200, RESULT),
        (
            "HI-03 a query is no path",
            good().uri("/mcp?x=/api/v1/health"),
            200,
            RESULT,
        ),
        ("/mcp/mcp", good().uri("/mcp/mcp"), 404, TEXT),
        ("/mcpx", good().uri("/mcpx"), 404, TEXT),
        ("/mcp//", good().uri("/mcp//"), 404, TEXT),
        ("//mcp", good().uri("//mcp"), 404, TEXT),
        ("/MCP", good().uri("/MCP"), 404, TEXT),
        ("/", good().uri("/"), 404, TEXT),
        (
            "HI-03 dots",
            good().uri("/api/v1/health/../../mcp"),
            404,
            TEXT,
        ),
        (
            "HI-03 encoded dots",
            good().uri("/api/v1/health%2f..%2f..%2fmcp"),
            404,
            TEXT,
        ),
        ("an encoded letter", good().uri("/%6dcp"), 404, TEXT),
        (
            "TR-38 override",
            good().header("x-http-method-override", "DELETE"),
            200,
            RESULT,
        ),
        (
            "TR-38 original method",
            good().header("x-original-method", "GET"),
            200,
            RESULT,
        ),
    ];
    for method in ["GET", "DELETE", "PUT", "PATCH", "TRACE", "PROPFIND", "HEAD"] {
        for path in ["/mcp", "/mcp/"] {
            rows.push(("TR-35 method", good().method(method).uri(path), 405, TEXT));
        }
    }
    let server = server();
    for method in ["GET", "DELETE", "PUT", "PATCH", "TRACE", "PROPFIND"] {
        let reply = good()
            .method(method)
            .header("x-canary", "CNRY-TRACE")
            .send(&server)
            .await;
        assert_eq!(
            header(&reply, "allow"),
            Some("POST, OPTIONS"),
            "TR-35 {method}: 405 says what is allowed"
        );
        assert!(
            !reply.body.to_string().contains("CNRY"),
            "TR-35 {method}: the request is not echoed"
        );
    }
    check(&server, rows).await;
}

#[tokio::test]
async fn media_types() {
    let good = || call(MODERN, "count", json!({}));
    let kind = |kind: &str| good().header("content-type", kind);
    let accept = |accept: &str| good().header("accept", accept);
    check(
        &server(),
        vec![
            ("TR-08 text", kind("text/plain"), 415, TEXT),
            (
                "TR-08 form",
                kind("application/x-www-form-urlencoded"),
                415,
                TEXT,
            ),
            ("TR-08 none", good().without("content-type"), 415, TEXT),
            (
                "TR-09 charset",
                kind("application/json; charset=utf-8"),
                200,
                RESULT,
            ),
            ("TR-09 capitals", kind("Application/JSON"), 200, RESULT),
            ("TR-09 jsonx", kind("application/jsonx"), 415, TEXT),
            ("TR-09 text/json", kind("text/json"), 415, TEXT),
            (
                "TR-09 two in one",
                kind("application/json, text/plain"),
                415,
                TEXT,
            ),
            (
                "TR-09 two headers",
                good().also("content-type", "text/plain"),
                415,
                TEXT,
            ),
            ("TR-10 JSON alone", accept("application/json"), 200, RESULT),
            (
                "TR-10 anything (protocol-4.1-14)",
                accept("*/*"),
                200,
                RESULT,
            ),
            ("TR-10 nothing said", good().without("accept"), 200, RESULT),
            ("TR-10 neither", accept("text/html"), 406, TEXT),
            (
                "TR-10 JSON refused",
                accept("application/json;q=0"),
                406,
                TEXT,
            ),
        ],
    )
    .await;
    let server = server();
    for accept in [
        "application/json;q=0, text/event-stream",
        "text/event-stream",
        "application/json;q=0.0, */*",
    ] {
        let reply = good().header("accept", accept).send(&server).await;
        assert_eq!(
            header(&reply, "content-type"),
            Some("text/event-stream; charset=utf-8"),
            "TR-10: {accept} takes no JSON"
        );
        assert_eq!(header(&reply, "x-accel-buffering"), Some("no"), "TR-46");
        assert_eq!(
            reply.body["result"]["structuredContent"],
            json!({ "result": 3 })
        );
    }
}

#[tokio::test]
async fn hosts_and_origins() {
    let good = || Ask::modern("tools/list", json!({}));
    let host = |host: &str| good().header("host", host);
    let origin = |origin: &str| good().header("origin", origin);
    let garbage = |origin: &str| Ask::raw("{garbage").header("origin", origin);
    let mut rows = vec![
        ("TR-01 a foreign host", host("evil.example"), 403, 403),
        ("an allowed host", host("mcp.example.test"), 200, RESULT),
        (
            "an allowed host with a port",
            host("mcp.example.test:8443"),
            200,
            RESULT,
        ),
        ("loopback", host("127.0.0.1:8000"), 200, RESULT),
        ("no host", good().without("host"), 400, 403),
        (
            "TR-29 two hosts",
            good().also("host", "evil.example"),
            400,
            403,
        ),
        (
            "TR-30 another host in the request line",
            good().uri("http://evil.example/mcp"),
            403,
            403,
        ),
        (
            "the same host in the request line",
            good().uri("http://localhost/mcp"),
            200,
            RESULT,
        ),
        (
            "TR-02 a foreign origin (protocol-4.1-1)",
            origin("https://evil.example"),
            403,
            403,
        ),
        (
            "TR-02 before the body",
            garbage("https://evil.example"),
            403,
            403,
        ),
        (
            "TR-02 before the method",
            good()
                .method("GET")
                .header("origin", "https://evil.example"),
            403,
            403,
        ),
        (
            "TR-02 before the token",
            origin("https://evil.example").header("authorization", "Bearer bad"),
            403,
            403,
        ),
        ("TR-04 null", origin("null"), 403, 403),
        (
            "two origins",
            origin("http://localhost").also("origin", "https://evil.example"),
            403,
            403,
        ),
        (
            "TR-03 an allowed origin",
            origin("https://app.example.test"),
            200,
            RESULT,
        ),
        (
            "an allowed origin by another scheme",
            origin("http://app.example.test"),
            403,
            403,
        ),
        (
            "an allowed origin at another port",
            origin("https://app.example.test:8443"),
            403,
            403,
        ),
        ("a local page", origin("http://localhost:6274"), 200, RESULT),
        (
            "a local page at IPv6",
            origin("http://[::1]:3000"),
            200,
            RESULT,
        ),
        (
            "HI-02 forwarded URI",
            good().header("x-forwarded-uri", "/api/v1/health"),
            200,
            RESULT,
        ),
        (
            "a forwarded host does not count",
            good().header("x-forwarded-host", "evil.example"),
            200,
            RESULT,
        ),
    ];
    for bad in [
        "127.0.0.1.evil.tld",
        "localhost.",
        "[::ffff:127.0.0.1]:80",
        "127.1",
        "2130706433",
        "mcp.example.test:99999",
        "a@localhost",
    ] {
        rows.push(("TR-06", host(bad), 403, 403));
    }
    let server = server();
    check(&server, rows).await;
    let reply = host("evil.example").send(&server).await;
    assert!(
        !reply.body.to_string().contains("evil"),
        "TR-01: the host is not echoed: {}",
        reply.body
    );
}

#[tokio::test]
async fn pages_elsewhere() {
    let server = server();
    let page = "https://app.example.test";
    for ask in [
        Ask::modern("tools/list", json!({})),
        Ask::raw("{bad"),
        Ask::raw("").method("PUT"),
    ] {
        let reply = ask.header("origin", page).send(&server).await;
        assert_eq!(
            header(&reply, "access-control-allow-origin"),
            Some(page),
            "TR-03: a page may read errors too"
        );
        assert_eq!(header(&reply, "vary"), Some("origin"), "TR-03");
        assert_eq!(header(&reply, "access-control-allow-credentials"), None);
    }
    let preflight = |origin: &str| {
        Ask::raw("")
            .method("OPTIONS")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
    };
    let reply = preflight(page).send(&server).await;
    assert_eq!(
        (reply.status, header(&reply, "access-control-allow-origin")),
        (204, Some(page))
    );
    assert_eq!(
        header(&reply, "access-control-allow-methods"),
        Some("GET, POST, DELETE"),
        "H16: streams and the end of a session, too"
    );
    let allowed = header(&reply, "access-control-allow-headers").unwrap();
    for name in [
        "authorization",
        "content-type",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "mcp-session-id",
        "last-event-id",
    ] {
        assert!(
            allowed.split(", ").any(|a| a == name),
            "H16: a page cannot send `{name}`: {allowed}"
        );
    }
    for origin in ["https://evil.example", "null"] {
        let reply = preflight(origin).send(&server).await;
        assert_eq!(reply.status, 403, "TR-47 {origin}");
        let shared: Vec<_> = reply
            .headers
            .keys()
            .filter(|name| name.as_str().starts_with("access-control"))
            .collect();
        assert!(shared.is_empty(), "TR-47 {origin}: {shared:?}");
    }
    let reply = Ask::raw("").method("OPTIONS").send(&server).await;
    assert_eq!(
        (reply.status, header(&reply, "allow")),
        (204, Some("GET, POST, DELETE, OPTIONS")),
        "protocol-4.1-14"
    );
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let server = TestServer::new(builder().max_body(1000)).unwrap();
    let of = |length: usize| {
        let frame = call(MODERN, "echo", json!({ "message": "" })).body.len();
        let ask = call(
            MODERN,
            "echo",
            json!({ "message": "x".repeat(length - frame) }),
        );
        assert_eq!(ask.body.len(), length);
        ask
    };
    check(
        &server,
        vec![
            ("as large as allowed", of(1000), 200, RESULT),
            ("TR-11 one byte more", of(1001), 413, -32600),
            (
                "TR-13 a declared length is believed",
                of(500).header("content-length", "1099511627776"),
                413,
                -32600,
            ),
        ],
    )
    .await;
    let reply = of(1001).send(&server).await;
    assert_eq!(
        header(&reply, "connection"),
        Some("close"),
        "TR-11: the rest is not read"
    );
}

#[tokio::test]
async fn health_and_readiness() {
    let server = server();
    for path in ["/api/v1/health", "/api/v1/ready"] {
        let reply = Ask::raw("")
            .method("GET")
            .uri(path)
            .header("host", "10.0.0.7:80")
            .send(&server)
            .await;
        assert_eq!(
            (reply.status, &reply.body["status"]),
            (200, &json!("ok")),
            "{path}: whoever watches knows no name"
        );
        assert_eq!(reply.body["service"], "wire");
        let reply = Ask::raw("").method("HEAD").uri(path).send(&server).await;
        assert_eq!((reply.status, &reply.body), (200, &Value::Null), "{path}");
        let reply = Ask::raw("").uri(path).send(&server).await;
        assert_eq!(
            (reply.status, header(&reply, "allow")),
            (405, Some("GET, HEAD")),
            "{path}"
        );
    }
}

/// N1: pages in order, without gaps; U2: in the order of registration, always the same bytes.
#[tokio::test]
async fn lists_come_in_pages() {
    let server = TestServer::new(builder().page_size(2)).unwrap();
    for revision in LEGACY.into_iter().chain([MODERN]) {
        let mut names = Vec::new();
        let mut params = json!({});
        let mut pages = 0;
        loop {
            let reply = Ask::of(revision, "tools/list", params.clone())
                .send(&server)
                .await;
            let again = Ask::of(revision, "tools/list", params).send(&server).await;
            assert_eq!(reply.body, again.body, "U2");
            let result = reply.result();
            names.extend(
                result["tools"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|tool| tool["name"].as_str().unwrap().to_owned()),
            );
            pages += 1;
            match result.get("nextCursor") {
                Some(cursor) => params = json!({ "cursor": cursor }),
                None => break,
            }
        }
        assert_eq!(
            (pages, names.join(" ").as_str()),
            (3, "add count echo fail boom"),
            "{revision}"
        );
    }
}

/// TR-48: what depends on who asks is not shared.
#[tokio::test]
async fn lists_that_depend_on_the_caller_are_private() {
    let hidden = Tool::dynamic("hidden", "Hidden.", Policy::authenticated().roles(["r"]))
        .handler(|_, _| async { Ok(1) });
    let mixed = TestServer::new(Server::new(tools![echo].with(hidden)).page_size(1)).unwrap();
    for client in [
        mixed.anonymous(),
        mixed.as_user("ada"),
        mixed.as_user("bob").roles(["r"]),
    ] {
        let reply = client.request("tools/list", json!({})).await;
        assert_eq!(reply.result()["cacheScope"], "private", "TR-48");
    }
    assert_eq!(mixed.as_user("ada").tools().await, ["echo"]);
    assert_eq!(
        mixed.as_user("bob").roles(["r"]).tools().await,
        ["echo", "hidden"]
    );
    let page = mixed
        .as_user("bob")
        .roles(["r"])
        .request("tools/list", json!({}))
        .await;
    let cursor = &page.result()["nextCursor"];
    let next = mixed
        .as_user("bob")
        .roles(["r"])
        .request("tools/list", json!({ "cursor": cursor }))
        .await;
    assert_eq!(
        next.result()["cacheScope"],
        "private",
        "N1: the same on every page"
    );
    let foreign = mixed
        .as_user("ada")
        .request("tools/list", json!({ "cursor": cursor }))
        .await;
    assert_eq!(
        foreign.error()["code"],
        -32602,
        "a cursor is good for the list it came from"
    );
    let reply = server()
        .as_user("ada")
        .request("tools/list", json!({}))
        .await;
    assert_eq!(
        reply.result()["cacheScope"],
        "public",
        "a list that is the same for everybody may be shared"
    );
}

#[tokio::test]
async fn messages_as_they_are_on_the_wire() {
    let server = TestServer::new(builder().title("The Wire").instructions("Count first.")).unwrap();
    for revision in LEGACY.into_iter().chain([MODERN]) {
        let first = if revision == MODERN {
            "server/discover"
        } else {
            "initialize"
        };
        let mut text = String::new();
        for (title, ask) in [
            (
                "hello",
                Ask::of(revision, first, json!({ "protocolVersion": revision })),
            ),
            ("tools/list", Ask::of(revision, "tools/list", json!({}))),
            ("a call", call(revision, "add", json!({ "a": 1, "b": 2 }))),
            ("a text", call(revision, "echo", json!({ "message": "hi" }))),
            (
                "a call with bad arguments",
                call(revision, "add", json!({ "a": "1", "c": 2 })),
            ),
            ("a call that fails", call(revision, "fail", json!({}))),
            ("an unknown tool", call(revision, "nobody", json!({}))),
            (
                "an unknown method",
                Ask::of(revision, "prompts/list", json!({})),
            ),
        ] {
            let reply = ask.send(&server).await;
            let body = serde_json::to_string_pretty(&reply.body).unwrap();
            let _ = writeln!(text, "== {title}: {}\n{body}", reply.status);
        }
        insta::assert_snapshot!(format!("wire_{revision}"), text);
    }
}
