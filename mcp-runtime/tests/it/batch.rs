//! Several messages in one array: 2025-03-26 has that, and nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mcp_runtime::SessionMode;
use mcp_runtime::prelude::*;
use mcp_runtime::testing::{TestReply, TestServer};
use serde_json::{Value, json};

use crate::ask::{Ask, MODERN, header, meta};
use crate::live::within;

/// How often a tool ran.
#[derive(Lend)]
struct State {
    runs: Arc<AtomicUsize>,
}

/// Say it again.
#[mcp_tool(public)]
fn echo(runs: &Arc<AtomicUsize>, message: String) -> String {
    runs.fetch_add(1, Ordering::SeqCst);
    message
}

/// Takes a moment.
#[mcp_tool(public)]
async fn nap(#[arg(range = 0..=1000)] ms: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    ms
}

/// A megabyte of text.
#[mcp_tool(public)]
fn large() -> String {
    "x".repeat(1 << 20)
}

/// Says how it goes on.
#[mcp_tool(public)]
async fn steps(call: &Call) -> u8 {
    call.progress(1.0, Some(2.0), None);
    tokio::time::sleep(Duration::from_millis(5)).await;
    1
}

/// For a scope.
#[mcp_tool(scope = "a:read")]
fn scoped() -> u8 {
    1
}

struct Fixture {
    server: TestServer,
    runs: Arc<AtomicUsize>,
}

fn fixture() -> Fixture {
    of(SessionMode::Auto)
}

fn of(sessions: SessionMode) -> Fixture {
    let runs = Arc::new(AtomicUsize::new(0));
    let state = State { runs: runs.clone() };
    let tools = tools![echo, nap, large, steps, scoped];
    let server = Server::with_state(state, tools)
        .sessions(sessions)
        .answer_shutdown();
    Fixture {
        server: TestServer::new(server).unwrap(),
        runs,
    }
}

fn batch(messages: Value) -> Ask {
    Ask::raw(messages.to_string()).header("mcp-protocol-version", "2025-03-26")
}

fn request(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn say(id: u64, message: &str) -> Value {
    request(
        id,
        "tools/call",
        json!({ "name": "echo", "arguments": { "message": message } }),
    )
}

fn note() -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })
}

/// The answer to the request of this id.
fn answer(reply: &TestReply, id: u64) -> &Value {
    let answers = reply.body.as_array();
    let answers =
        answers.unwrap_or_else(|| panic!("no array, but {}: {}", reply.status, reply.body));
    let found = answers.iter().find(|answer| answer["id"] == id);
    found.unwrap_or_else(|| panic!("no answer to {id}: {}", reply.body))
}

/// G8
#[tokio::test]
async fn g8_a_batch_is_answered_message_by_message() {
    let f = fixture();
    let messages = json!([
        say(1, "a"),
        note(),
        request(2, "ping", json!({})),
        say(3, "c"),
        request(4, "admin/secret", json!({})),
        { "jsonrpc": "2.0", "id": null, "method": "ping" },
        [say(5, "nested")],
        7,
    ]);
    for ask in [
        batch(messages.clone()),
        batch(messages.clone()).header("accept", "application/json"),
        batch(messages.clone()).header("accept", "text/event-stream"),
        // G6: without the header, which is younger than the revision, it is assumed.
        batch(messages.clone()).without("mcp-protocol-version"),
    ] {
        f.runs.store(0, Ordering::SeqCst);
        let reply = ask.send(&f.server).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(answer(&reply, 1)["result"]["content"][0]["text"], "a");
        assert_eq!(answer(&reply, 2)["result"], json!({}));
        assert_eq!(answer(&reply, 3)["result"]["content"][0]["text"], "c");
        assert_eq!(answer(&reply, 4)["error"]["code"], -32601);
        let nameless = reply.body.as_array().unwrap().iter();
        let nameless: Vec<_> = nameless
            .filter(|answer| answer.get("id").is_none())
            .map(|answer| answer["error"]["code"].as_i64())
            .collect();
        assert_eq!(
            nameless,
            [Some(-32600); 3],
            "what is no message is answered without an id: {}",
            reply.body
        );
        assert_eq!(reply.body.as_array().unwrap().len(), 7);
        assert_eq!(
            f.runs.load(Ordering::SeqCst),
            2,
            "a batch in a batch is not run"
        );
    }
}

#[tokio::test]
async fn notifications_alone_are_accepted() {
    let f = fixture();
    let reply = batch(json!([note(), note()])).send(&f.server).await;
    assert_eq!((reply.status, &reply.body), (202, &Value::Null));
}

/// TR-19: sent as any other request of 2026-07-28 it is refused and nothing runs; so it is
/// wherever the client says, or has agreed on, another revision.
#[tokio::test]
async fn tr_19_a_batch_is_refused_at_every_other_revision() {
    let f = fixture();
    let two = json!([request(1, "tools/list", json!({})), say(2, "x")]);
    let with = |version: &str| batch(two.clone()).header("mcp-protocol-version", version);
    let bare = || batch(two.clone()).without("mcp-protocol-version");
    let mut in_body = say(2, "x");
    in_body["params"]["_meta"] = meta();
    for (what, ask) in [
        ("2026-07-28", with(MODERN)),
        (
            "2026-07-28 with its headers",
            with(MODERN)
                .header("mcp-method", "tools/call")
                .header("mcp-name", "echo"),
        ),
        ("2025-11-25", with("2025-11-25")),
        ("2025-06-18", with("2025-06-18")),
        ("2024-11-05", with("2024-11-05")),
        ("an unknown revision", with("1999-01-01")),
        (
            "two headers",
            with("2025-03-26").also("mcp-protocol-version", "2025-03-26"),
        ),
        (
            "routed, without a revision",
            bare().header("mcp-name", "echo"),
        ),
        (
            "routed, without a revision",
            bare().header("mcp-method", "tools/list"),
        ),
        (
            "routed, without a revision",
            bare().header("mcp-param-region", "eu"),
        ),
        (
            "routed, 2026-07-28 missing",
            bare().header("mcp-name", "echo"),
        ),
    ] {
        let reply = ask.send(&f.server).await;
        assert_eq!(
            (
                reply.status,
                reply.error()["code"].as_i64(),
                reply.body.get("id")
            ),
            (400, Some(-32600), None),
            "TR-19 {what}: {}",
            reply.body
        );
        assert_eq!(
            f.runs.load(Ordering::SeqCst),
            0,
            "TR-19 {what}: nothing runs"
        );
    }
    // A message of 2026-07-28 inside does not run either.
    for ask in [
        batch(json!([in_body])),
        batch(json!([in_body])).without("mcp-protocol-version"),
    ] {
        let reply = ask.send(&f.server).await;
        assert!(answer(&reply, 2).get("error").is_some(), "{}", reply.body);
        assert_eq!(f.runs.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn what_a_session_agreed_on_counts() {
    for (agreed, status) in [
        ("2025-03-26", 200),
        ("2025-11-25", 400),
        ("2024-11-05", 400),
    ] {
        let f = of(SessionMode::Stateful);
        let initialize = json!({ "protocolVersion": agreed, "capabilities": {} });
        let reply = Ask::legacy(agreed, "initialize", initialize)
            .send(&f.server)
            .await;
        let id = header(&reply, "mcp-session-id").unwrap().to_owned();
        for ask in [
            batch(json!([say(1, "a")])),
            batch(json!([say(1, "a")])).without("mcp-protocol-version"),
        ] {
            let reply = ask.header("mcp-session-id", &id).send(&f.server).await;
            assert_eq!(reply.status, status, "{agreed}: {}", reply.body);
        }
        let other = batch(json!([say(1, "a")]))
            .header("mcp-protocol-version", "2025-06-18")
            .header("mcp-session-id", &id);
        assert_eq!(other.send(&f.server).await.status, 400, "{agreed}");
    }
}

#[tokio::test]
async fn batches_have_bounds() {
    let f = fixture();
    let many = |count: u64| batch((0..count).map(|id| say(id, "x")).collect());
    let reply = many(50).send(&f.server).await;
    assert_eq!(reply.body.as_array().map(Vec::len), Some(50));
    assert_eq!(
        f.runs.load(Ordering::SeqCst),
        50,
        "each message counts by itself"
    );
    for (what, ask, code) in [
        ("one too many", many(51), -32600),
        (
            "half a million numbers",
            batch(Value::Null).with_body(format!("[{}1]", "1,".repeat(500_000))),
            -32600,
        ),
        ("none", batch(json!([])), -32600),
        (
            "not ended",
            batch(Value::Null).with_body("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}"),
            -32700,
        ),
        ("two arrays", batch(Value::Null).with_body("[1][1]"), -32700),
        (
            "not UTF-8",
            batch(Value::Null).with_body(b"[\"\xff\"]".to_vec()),
            -32700,
        ),
        (
            "brackets",
            batch(Value::Null).with_body("[".repeat(100_000)),
            -32700,
        ),
    ] {
        let since = Instant::now();
        let reply = ask.send(&f.server).await;
        assert_eq!(
            (reply.status, &reply.error()["code"]),
            (400, &json!(code)),
            "{what}: {}",
            reply.body
        );
        assert!(
            since.elapsed() < Duration::from_secs(2),
            "{what}: {:?}",
            since.elapsed()
        );
    }
    assert_eq!(f.runs.load(Ordering::SeqCst), 50, "nothing else ran");
    let large = |id| request(id, "tools/call", json!({ "name": "large" }));
    let reply = batch((0..20).map(large).collect()).send(&f.server).await;
    let answers = reply.body.as_array().unwrap();
    assert_eq!(answers.len(), 20, "every request is answered");
    let fit = answers
        .iter()
        .filter(|answer| answer.get("result").is_some())
        .count();
    assert!((3..8).contains(&fit), "8 MiB hold {fit} answers of two MiB");
    assert!(reply.body.to_string().len() < 10 << 20);
}

#[tokio::test]
async fn what_changes_the_session_is_sent_alone() {
    let f = fixture();
    let initialize = json!({ "protocolVersion": "2025-03-26", "capabilities": { "roots": {} } });
    let messages = json!([
        request(1, "initialize", initialize),
        request(2, "shutdown", json!({})),
        say(3, "x")
    ]);
    let reply = batch(messages).send(&f.server).await;
    assert_eq!(answer(&reply, 1)["error"]["code"], -32600);
    assert_eq!(answer(&reply, 2)["error"]["code"], -32600);
    assert_eq!(answer(&reply, 3)["result"]["content"][0]["text"], "x");
    assert_eq!(header(&reply, "mcp-session-id"), None);
}

#[tokio::test(start_paused = true)]
async fn the_messages_of_a_batch_run_side_by_side() {
    let f = fixture();
    let nap = |id| {
        request(
            id,
            "tools/call",
            json!({ "name": "nap", "arguments": { "ms": 500 } }),
        )
    };
    let since = tokio::time::Instant::now();
    let reply = batch((0..50).map(nap).collect()).send(&f.server).await;
    assert_eq!(reply.body.as_array().map(Vec::len), Some(50));
    assert!(
        since.elapsed() < Duration::from_secs(1),
        "{:?}",
        since.elapsed()
    );
}

#[tokio::test]
async fn what_a_batch_says_before_its_answer_comes_before_it() {
    let f = fixture();
    let params = json!({ "name": "steps", "_meta": { "progressToken": "p" } });
    let messages = json!([request(1, "tools/call", params), say(2, "x")]);
    let reply = batch(messages)
        .header("accept", "text/event-stream")
        .send(&f.server)
        .await;
    assert_eq!(reply.notes.len(), 1, "{:?}", reply.notes);
    assert_eq!(reply.notes[0]["params"]["progressToken"], "p");
    assert!(answer(&reply, 1).get("result").is_some() && answer(&reply, 2).get("result").is_some());
}

/// A batch of which every message needs a token asks for one; otherwise those that ran have run.
#[tokio::test]
async fn refusals_of_a_batch() {
    let f = fixture();
    let scoped = |id| request(id, "tools/call", json!({ "name": "scoped" }));
    let reply = batch(json!([scoped(1), scoped(2)])).send(&f.server).await;
    assert_eq!(reply.status, 401);
    assert!(
        header(&reply, "www-authenticate")
            .unwrap()
            .contains("a:read")
    );
    let reply = batch(json!([scoped(1), say(2, "x")])).send(&f.server).await;
    assert_eq!(
        (reply.status, header(&reply, "www-authenticate")),
        (200, None)
    );
    assert_eq!(
        answer(&reply, 1)["result"]["structuredContent"]["code"],
        "unauthenticated"
    );
    let reply = batch(json!([say(2, "x")]))
        .header("authorization", "Bearer bad")
        .send(&f.server)
        .await;
    assert_eq!(
        reply.status, 401,
        "a bad token is refused before anything runs"
    );
    assert_eq!(f.runs.load(Ordering::SeqCst), 1);
}

/// ST-09: on a pipe only a client that agreed on 2025-03-26 sends batches.
#[tokio::test]
async fn st_09_batches_on_a_pipe() {
    for (agreed, legal) in [
        (None, false),
        (Some("2024-11-05"), false),
        (Some("2025-03-26"), true),
        (Some("2025-06-18"), false),
        (Some("2025-11-25"), false),
    ] {
        let runs = Arc::new(AtomicUsize::new(0));
        let state = State { runs: runs.clone() };
        let service = Server::with_state(state, tools![echo]).build().unwrap();
        let mut pipe = crate::rows::Pipe::open(service, Caller::anonymous());
        if let Some(agreed) = agreed {
            let params = json!({ "protocolVersion": agreed, "capabilities": {} });
            pipe.ask(request(0, "initialize", params)).await;
        }
        let answer = within(pipe.ask(json!([say(1, "a"), note(), say(2, "b")]))).await;
        if legal {
            assert_eq!(
                answer.as_array().map(Vec::len),
                Some(2),
                "{agreed:?}: {answer}"
            );
            assert_eq!(runs.load(Ordering::SeqCst), 2);
        } else {
            assert_eq!(
                answer["error"]["code"], -32600,
                "ST-09 {agreed:?}: {answer}"
            );
            assert_eq!(runs.load(Ordering::SeqCst), 0, "ST-09: nothing runs");
        }
    }
}
