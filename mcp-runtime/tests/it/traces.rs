//! Traces and the fields of logs.

use mcp_runtime::TraceContext;
use mcp_runtime::prelude::*;
use mcp_runtime::testing::TestServer;
use serde_json::{Value, json};

use crate::ask::{Ask, LEGACY, MODERN, call, meta};
use crate::events::Events;
use crate::live::Live;
use crate::run::Logged;
use crate::streams::{In, initialize};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn traceparent() -> String {
    format!("00-{TRACE}-{SPAN}-01")
}

#[derive(Serialize, JsonSchema)]
struct Seen {
    trace: String,
    parent: Option<String>,
    same: bool,
}

/// What a tool sees of its trace, before and after it waits.
#[mcp_tool(public, read_only)]
async fn see(call: &Call) -> Seen {
    let before = TraceContext::current();
    tokio::task::yield_now().await;
    let trace = call.trace();
    tracing::info!("inside of the tool");
    Seen {
        trace: trace.trace_id().to_string(),
        parent: trace.parent_id().map(|id| id.to_string()),
        same: before == Some(trace) && TraceContext::current() == before,
    }
}

fn server() -> TestServer {
    TestServer::new(Server::new(tools![see])).unwrap()
}

/// A call with a member of `_meta`.
fn with_meta(name: &str, value: &str) -> Ask {
    let mut meta = meta();
    meta[name] = json!(value);
    let params = json!({ "name": "see", "arguments": {}, "_meta": meta });
    Ask::modern("tools/call", params)
}

#[tokio::test]
async fn au_09_s3_100_a_call_is_in_the_trace_that_its_client_names() {
    let server = server();
    let other = traceparent().replace(TRACE, &"1".repeat(32));
    let plain = || call(MODERN, "see", json!({}));
    for (ask, named) in [
        (plain().header("traceparent", &traceparent()), true),
        (with_meta("traceparent", &traceparent()), true),
        // What stands in the message is from the client itself.
        (
            with_meta("traceparent", &traceparent()).header("traceparent", &other),
            true,
        ),
        (
            with_meta("traceparent", "nonsense").header("traceparent", &traceparent()),
            true,
        ),
        (plain(), false),
        (plain().header("traceparent", "00-nonsense"), false),
        (
            plain()
                .header("traceparent", &traceparent())
                .also("traceparent", traceparent()),
            false,
        ),
        (plain().header("traceparent", &"0".repeat(8 << 10)), false),
        (with_meta("traceparent", &"0".repeat(64 << 10)), false),
    ] {
        let reply = ask.send(&server).await;
        let seen = reply.structured();
        assert_eq!(seen["trace"] == TRACE, named, "{seen}");
        assert_eq!(
            seen["parent"],
            if named { json!(SPAN) } else { json!(null) }
        );
        assert_eq!(seen["same"], true, "the trace of a call is one, all along");
        assert_eq!(seen["trace"].as_str().unwrap().len(), 32);
    }
    for revision in LEGACY {
        let ask = call(revision, "see", json!({})).header("traceparent", &traceparent());
        let text = ask.send(&server).await.text().to_owned();
        assert!(text.contains(TRACE), "{revision}: {text}");
    }
    assert_eq!(
        TraceContext::current(),
        None,
        "outside of calls there is none"
    );
}

#[tokio::test]
async fn au_09_baggage_and_state_are_not_taken() {
    let (logged, _guard) = Logged::listen();
    let ask = with_meta("baggage", &"CNRY-BAGGAGE".repeat(5000))
        .header("traceparent", &traceparent())
        .header("tracestate", "vendor=CNRY-STATE")
        .header("baggage", &"CNRY-BAGGAGE=1,".repeat(1000));
    let reply = ask.send(&server()).await;
    assert_eq!(reply.structured()["trace"], TRACE);
    assert!(!logged.text().contains("CNRY"), "{}", logged.text());
}

fn lines(logged: &Logged) -> Vec<Value> {
    let text = logged.text();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect()
}

fn of<'a>(lines: &'a [Value], target: &str, message: &str) -> Vec<&'a Value> {
    let fits = |line: &&Value| line["target"] == target && line["fields"]["message"] == message;
    lines.iter().filter(fits).collect()
}

#[tokio::test]
async fn what_a_tool_logs_is_in_the_span_of_its_call() {
    let (logged, _guard) = Logged::listen();
    let ask = call(MODERN, "see", json!({})).header("traceparent", &traceparent());
    ask.send(&server()).await;
    let lines = lines(&logged);
    let inside = lines
        .iter()
        .find(|line| line["fields"]["message"] == "inside of the tool")
        .unwrap();
    let called = of(&lines, "mcp::call", "call")[0];
    let span = &inside["span"];
    assert_eq!(
        (&span["name"], &span["tool"]),
        (&json!("call"), &json!("see"))
    );
    assert_eq!(
        (&span["trace_id"], &span["parent_span_id"]),
        (&json!(TRACE), &json!(SPAN))
    );
    assert_eq!(span["request_id"], called["fields"]["request_id"]);
    assert_eq!(called["fields"]["trace_id"], TRACE);
    assert_eq!(called["fields"]["event"], "mcp_tool_called");
    assert_eq!(called["fields"]["outcome"], "ok");
}

#[tokio::test]
async fn s2_027_029_031_a_request_is_logged_with_who_asks() {
    let (logged, _guard) = Logged::listen();
    let server = server();
    let agent = format!("agent/1.0 {}", "x".repeat(1000));
    for (id, adopted) in [
        ("req-1_A", true),
        ("a\tb", false),
        ("${jndi:x}", false),
        (&*"x".repeat(65), false),
    ] {
        let ask = call(MODERN, "see", json!({}))
            .header("traceparent", &traceparent())
            .header("x-request-id", id)
            .header("user-agent", &agent);
        ask.send(&server).await;
        let lines = lines(&logged);
        let line = of(&lines, "mcp::request", "request").pop().unwrap().clone();
        let (fields, span) = (&line["fields"], &line["span"]);
        assert_eq!(fields["method"], "tools/call");
        assert_eq!(fields["revision"], MODERN);
        assert_eq!(fields["trace_id"], TRACE);
        assert_eq!(fields["status"], 200);
        assert!(fields["response_size"].as_u64().unwrap() > 50, "{line}");
        assert!(fields["duration_us"].is_u64(), "{line}");
        assert_eq!(span["user_agent"].as_str().unwrap().len(), 200);
        let expected = if adopted { json!(id) } else { json!(null) };
        assert_eq!(span["x_request_id"], expected, "AU-04: {id}");
    }
    // A method that a client makes up is one line, and not a long one.
    let method = format!("made\nup\u{1b}[2J{}", "x".repeat(5000));
    Ask::legacy("2025-06-18", &method, json!({}))
        .send(&server)
        .await;
    let lines = lines(&logged);
    let line = of(&lines, "mcp::request", "request").pop().unwrap();
    assert_eq!(line["fields"]["error"], -32601);
    assert!(
        line["fields"]["method"].as_str().unwrap().len() <= 70,
        "{line}"
    );
    assert_eq!(
        line["fields"]["trace_id"].as_str().unwrap().len(),
        32,
        "one of our own"
    );
}

#[tokio::test]
async fn s2_030_a_list_is_logged_with_its_names() {
    let (logged, _guard) = Logged::listen();
    Ask::legacy("2025-06-18", "tools/list", json!({}))
        .send(&server())
        .await;
    let lines = lines(&logged);
    let list = &of(&lines, "mcp::list", "list")[0]["fields"];
    assert_eq!(
        (&list["tools_count"], &list["tool_names"]),
        (&json!(1), &json!("see"))
    );
    assert!(list["response_size"].as_u64().unwrap() > 100);
    let full = of(&lines, "mcp::list", "list in full")[0];
    assert_eq!(full["level"], "TRACE");
    assert!(
        full["fields"]["reply"]
            .as_str()
            .unwrap()
            .contains("inputSchema")
    );
}

#[tokio::test]
async fn s2_028_032_037_sessions_streams_and_servers_say_when_they_begin_and_end() {
    let (logged, _guard) = Logged::listen();
    let (server, _) = crate::streams::server();
    let live = Live::start(server.build().unwrap()).await;
    let id = crate::streams::session(&live, "2025-11-25").await;
    let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let ask = initialize("2025-11-25", json!({}))
        .with_body(initialized.to_string())
        .header("mcp-protocol-version", "2025-11-25")
        .within(&id);
    live.exchange(&ask.bytes()).await;
    let ask = call("2025-11-25", "note", json!({})).within(&id);
    Events::open(&live, &ask).await.rest().await;
    let end = Ask::legacy("2025-11-25", "-", json!({})).method("DELETE");
    live.exchange(&end.within(&id).bytes()).await;
    live.stop().await;
    let lines = lines(&logged);
    let events: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["fields"]["event"].as_str())
        .collect();
    assert_eq!(
        events,
        [
            "mcp_server_started",
            "mcp_session_created",
            "mcp_session_initialized",
            "mcp_tool_called",
            "mcp_session_ended",
            "mcp_server_stopped",
        ]
    );
    let fields = |event: &str| {
        let line = lines.iter().find(|line| line["fields"]["event"] == event);
        &line.unwrap()["fields"]
    };
    let started = fields("mcp_server_started");
    assert_eq!(
        (&started["tools_count"], &started["status"]),
        (&json!(5), &json!("serving"))
    );
    assert_eq!(fields("mcp_session_created")["session_id"], &id[..8]);
    assert_eq!(fields("mcp_session_ended")["reason"], "closed");
    assert!(
        !logged.text().contains(&id),
        "the id of a session opens it: only its beginning is logged"
    );
    let stream = &of(&lines, "mcp::stream", "stream ended")[0]["fields"];
    assert!(
        stream["stream_id"].as_str().unwrap().starts_with("sse_"),
        "{stream}"
    );
    assert_eq!(stream["disconnect_reason"], "completed");
    assert!(stream["bytes_sent"].as_u64().unwrap() > 100, "{stream}");
    // The comment that opens it, what the tool said, its answer; and where to go on after them.
    assert_eq!(stream["chunks_sent"], 4, "{stream}");
    assert!(stream["duration_ms"].is_u64(), "{stream}");
}

#[tokio::test]
async fn s2_038_a_stream_that_ends_badly_says_so() {
    let (logged, _guard) = Logged::listen();
    let live = Live::start(Server::new(tools![see]).build().unwrap()).await;
    let ask = call("2025-06-18", "nothing", json!({})).header("accept", "text/event-stream");
    Events::open(&live, &ask).await.rest().await;
    live.stop().await;
    let lines = lines(&logged);
    let stream = of(&lines, "mcp::stream", "stream ended")[0];
    assert_eq!(stream["fields"]["disconnect_reason"], "error");
    assert_eq!(stream["level"], "WARN");
}
