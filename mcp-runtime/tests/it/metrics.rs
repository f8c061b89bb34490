//! Figures: what is counted, under which labels, and who reads them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use jiff::Timestamp;
use mcp_runtime::prelude::*;
use mcp_runtime::store::{MemoryStore, Store};
use mcp_runtime::testing::TestServer;
use mcp_runtime::{AuthMode, Clock, Limits, Metrics, SessionLimits, SessionMode};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::ask::{Ask, LEGACY, MODERN, call, header};
use crate::events::Events;
use crate::live::{Live, rest, status, within};
use crate::streams::{In, get, initialize, passed, session};

/// Say it again.
#[mcp_tool(public, read_only)]
fn echo(#[arg(len = 1..=100)] message: String) -> String {
    message
}

/// Fail.
#[mcp_tool(public)]
fn fails() -> ToolResult<u8> {
    Err(ToolError::new("Nothing is left in stock. Order more first.").code("sold_out"))
}

/// Fail inside.
#[mcp_tool(public)]
fn breaks() -> ToolResult<u8> {
    Ok("x".parse::<u8>()?)
}

/// Panic.
#[mcp_tool(public)]
fn panics() -> u8 {
    panic!("on purpose")
}

/// Take too long.
#[mcp_tool(public, timeout = "50ms")]
async fn hangs() -> u8 {
    std::future::pending().await
}

/// For those who may.
#[mcp_tool(scope = "things:write")]
fn scoped() -> u8 {
    1
}

/// For admins.
#[mcp_tool(authenticated, role = "admin")]
fn hidden() -> u8 {
    1
}

/// Once a minute.
#[mcp_tool(public, rate = "1/min")]
fn rare() -> u8 {
    1
}

/// A page.
#[mcp_resource("pages://{id}", public)]
fn page(id: u32) -> String {
    id.to_string()
}

/// A greeting.
#[mcp_prompt(public)]
fn greeting() -> String {
    "Hello".into()
}

fn builder() -> Server {
    Server::new(tools![
        echo, fails, breaks, panics, hangs, scoped, hidden, rare
    ])
    .resources(resources![page])
    .prompts(prompts![greeting])
}

/// The series by name and labels.
pub(crate) fn series(text: &str) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
        let twice = all.insert(name.to_owned(), value);
        assert_eq!(twice, None, "one line for each series: {line}");
    }
    all
}

fn value(metrics: &Metrics, name: &str) -> f64 {
    let all = series(&metrics.render());
    all.get(name).copied().unwrap_or(0.0)
}

/// Waits until a series has this value: what is dropped is counted where it is dropped.
async fn reaches(metrics: &Metrics, name: &str, expected: f64) {
    let reached = async {
        while value(metrics, name) != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), reached).await;
    assert!(
        waited.is_ok(),
        "{name} is not {expected}:\n{}",
        metrics.render()
    );
}

fn counted() -> (TestServer, Metrics) {
    let metrics = Metrics::new();
    let server = TestServer::new(builder().metrics(&metrics)).unwrap();
    (server, metrics)
}

/// `(tool, arguments, outcome)`: how each way to end is counted.
const CALLS: &[(&str, &str, &str)] = &[
    ("echo", r#"{"message":"hi"}"#, "ok"),
    ("echo", r#"{"message":""}"#, "invalid_arguments"),
    ("fails", "{}", "failed"),
    ("breaks", "{}", "internal"),
    ("panics", "{}", "panic"),
    ("hangs", "{}", "timeout"),
    ("scoped", "{}", "insufficient_scope"),
    ("hidden", "{}", "unknown"),
    ("rare", "{}", "ok"),
    ("rare", "{}", "rate_limited"),
];

#[tokio::test]
async fn s0_081_s2_044_046_every_call_is_counted_once_by_how_it_ended() {
    let (server, metrics) = counted();
    let ada = server.as_user("ada");
    let mut expected = BTreeMap::new();
    for (tool, arguments, outcome) in CALLS {
        let arguments: Value = serde_json::from_str(arguments).unwrap();
        within(ada.call(tool, arguments)).await;
        let name = format!("mcp_tool_calls_total{{tool=\"{tool}\",outcome=\"{outcome}\"}}");
        *expected.entry(name).or_insert(0.0) += 1.0;
        *expected
            .entry(format!(
                "mcp_tool_duration_seconds_count{{tool=\"{tool}\"}}"
            ))
            .or_insert(0.0) += 1.0;
    }
    assert_eq!(server.call("scoped", json!({})).await.status, 401);
    *expected
        .entry("mcp_tool_calls_total{tool=\"scoped\",outcome=\"unauthenticated\"}".into())
        .or_insert(0.0) += 1.0;
    *expected
        .entry("mcp_tool_duration_seconds_count{tool=\"scoped\"}".into())
        .or_insert(0.0) += 1.0;
    ada.read("pages://7").await;
    ada.read("pages://x").await;
    ada.prompt("greeting", json!({})).await;
    for name in [
        "mcp_resource_reads_total{resource=\"pages://{id}\",outcome=\"ok\"}",
        "mcp_resource_reads_total{resource=\"pages://{id}\",outcome=\"invalid_arguments\"}",
        "mcp_prompt_gets_total{prompt=\"greeting\",outcome=\"ok\"}",
        "mcp_rate_limited_total{limit=\"tool_rate\"}",
    ] {
        expected.insert(name.into(), 1.0);
    }
    let found = series(&metrics.render());
    for (name, count) in &expected {
        assert_eq!(found.get(name), Some(count), "{name}");
    }
    // And nothing else: no call is counted twice, or under another word.
    let of_calls = |name: &&String| {
        [
            "mcp_tool_calls_total",
            "mcp_resource_reads_total",
            "mcp_prompt_gets_total",
        ]
        .iter()
        .any(|family| name.starts_with(family))
    };
    for name in found
        .keys()
        .filter(of_calls)
        .filter(|name| found[*name] > 0.0)
    {
        assert!(expected.contains_key(name), "{name} was not asked for");
    }
    // The slow one is in the buckets from 50 ms on, and in their sum.
    let bucket = |bound| {
        found[&format!("mcp_tool_duration_seconds_bucket{{tool=\"hangs\",le=\"{bound}\"}}")]
    };
    assert_eq!(
        (bucket("0.025"), bucket("60"), bucket("+Inf")),
        (0.0, 1.0, 1.0)
    );
    let sum = found["mcp_tool_duration_seconds_sum{tool=\"hangs\"}"];
    assert!((0.05..10.0).contains(&sum), "{sum}");
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled() {
    let (inner, gate) = crate::streams::server();
    let metrics = Metrics::new();
    let live = Live::start(inner.metrics(&metrics).build().unwrap()).await;
    let ask = call(MODERN, "talk", json!({})).header("accept", "text/event-stream");
    let stream = Events::open(&live, &ask).await;
    passed(&gate.entered).await;
    assert_eq!(value(&metrics, "mcp_requests_in_flight"), 1.0);
    assert_eq!(value(&metrics, "mcp_connections_open"), 1.0);
    drop(stream);
    let cancelled = "mcp_tool_calls_total{tool=\"talk\",outcome=\"cancelled\"}";
    reaches(&metrics, cancelled, 1.0).await;
    reaches(&metrics, "mcp_requests_in_flight", 0.0).await;
    reaches(&metrics, "mcp_connections_open", 0.0).await;
    live.stop().await;
}

#[tokio::test]
async fn no_name_of_a_client_becomes_a_label() {
    let (server, metrics) = counted();
    let ada = server.as_user("ada");
    let ask = async |at: usize| {
        ada.call(&format!("made_up_{at}"), json!({})).await;
        ada.read(&format!("made-up://{at}")).await;
        ada.prompt(&format!("made_up_{at}"), json!({})).await;
        ada.request(&format!("made/up/{at}"), json!({})).await;
        let ask = Ask::modern("ping", json!({}))
            .header("mcp-protocol-version", &format!("2026-{at}"))
            .header(
                "traceparent",
                &format!("00-{:032x}-{:016x}-01", at + 1, at + 1),
            )
            .header("user-agent", &format!("made-up/{at}"));
        ask.send(&server).await;
    };
    ask(0).await;
    let before = series(&metrics.render());
    for at in 1..2000 {
        ask(at).await;
    }
    let after = series(&metrics.render());
    // Latencies fall into more buckets, and none of them is a new series.
    let names = |all: &BTreeMap<String, f64>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&after), names(&before));
    for (name, count) in [
        ("mcp_unknown_names_total{kind=\"tool\"}", 2000.0),
        ("mcp_unknown_names_total{kind=\"resource\"}", 2000.0),
        ("mcp_unknown_names_total{kind=\"prompt\"}", 2000.0),
        (
            "mcp_requests_total{method=\"other\",revision=\"2026-07-28\"}",
            2000.0,
        ),
    ] {
        assert_eq!(after.get(name), Some(&count), "{name}");
    }
    assert!(!metrics.render().contains("made"));
}

#[tokio::test]
async fn ten_thousand_unknown_tools_are_one_series() {
    let (server, metrics) = counted();
    let ada = server.as_user("ada");
    ada.call("first", json!({})).await;
    let before = series(&metrics.render()).len();
    for at in 0..10_000 {
        ada.call(&format!("t{at}"), json!({})).await;
    }
    assert_eq!(series(&metrics.render()).len(), before);
    assert_eq!(
        value(&metrics, "mcp_unknown_names_total{kind=\"tool\"}"),
        10_001.0
    );
}

#[tokio::test]
async fn s2_043_046_requests_are_counted_by_method_and_revision_and_errors_by_code() {
    let (server, metrics) = counted();
    for revision in LEGACY {
        Ask::legacy(revision, "tools/list", json!({}))
            .send(&server)
            .await;
    }
    call(MODERN, "echo", json!({ "message": "hi" }))
        .send(&server)
        .await;
    Ask::legacy("2025-06-18", "no/such", json!({}))
        .send(&server)
        .await;
    Ask::raw("{").send(&server).await;
    Ask::raw("{}")
        .header("host", "evil.example")
        .send(&server)
        .await;
    let found = series(&metrics.render());
    for revision in LEGACY {
        let name = format!("mcp_requests_total{{method=\"tools/list\",revision=\"{revision}\"}}");
        assert_eq!(found.get(&name), Some(&1.0), "{name}");
    }
    for (name, count) in [
        (
            "mcp_requests_total{method=\"tools/call\",revision=\"2026-07-28\"}",
            1.0,
        ),
        (
            "mcp_requests_total{method=\"other\",revision=\"2025-06-18\"}",
            1.0,
        ),
        (
            "mcp_request_duration_seconds_count{method=\"tools/list\"}",
            4.0,
        ),
        ("mcp_errors_total{code=\"-32601\"}", 1.0),
        ("mcp_errors_total{code=\"-32700\"}", 1.0),
        ("mcp_http_responses_total{class=\"2xx\"}", 6.0),
        ("mcp_http_responses_total{class=\"4xx\"}", 2.0),
        ("mcp_requests_in_flight", 0.0),
    ] {
        assert_eq!(
            found.get(name),
            Some(&count),
            "{name}\n{}",
            metrics.render()
        );
    }
}

/// Tokens by their kind, and what comes of them.
#[tokio::test]
async fn who_calls_is_counted_by_kind_and_outcome() {
    let metrics = Metrics::new();
    let tokens = StaticTokens::new().token("a-token-of-16-characters", Caller::user("batch"));
    let builder = || builder().metrics(&metrics);
    let server = TestServer::new(
        builder()
            .auth(tokens)
            .limits(Limits::none().failed_authentications("2/min".parse().unwrap())),
    )
    .unwrap();
    let ask = |token: &str| {
        call(MODERN, "echo", json!({ "message": "hi" }))
            .header("authorization", &format!("Bearer {token}"))
    };
    let from = async |ask: Ask| {
        let address: std::net::SocketAddr = "192.0.2.1:1".parse().unwrap();
        let mut request: Request<Vec<u8>> = ask.request(Caller::anonymous());
        request.extensions_mut().clear();
        request
            .extensions_mut()
            .insert(axum::extract::ConnectInfo(address));
        server.send(request).await.status
    };
    assert_eq!(from(ask("a-token-of-16-characters")).await, 200);
    assert_eq!(from(ask("ey.made.up")).await, 401);
    assert_eq!(from(ask("made-up")).await, 401);
    assert_eq!(from(ask("made-up")).await, 429);
    assert_eq!(
        from(call(MODERN, "echo", json!({ "message": "hi" }))).await,
        200
    );
    server
        .as_user("ada")
        .call("echo", json!({ "message": "hi" }))
        .await;
    let closed = TestServer::new(
        builder()
            .auth(StaticTokens::new().token("another-of-16-characters", Caller::user("batch")))
            .auth_mode(AuthMode::Required),
    )
    .unwrap();
    assert_eq!(
        call(MODERN, "echo", json!({})).send(&closed).await.status,
        401
    );
    let found = series(&metrics.render());
    for (labels, count) in [
        ("kind=\"opaque\",outcome=\"ok\"", 1.0),
        ("kind=\"jwt\",outcome=\"invalid\"", 1.0),
        ("kind=\"opaque\",outcome=\"invalid\"", 1.0),
        ("kind=\"opaque\",outcome=\"too_many\"", 1.0),
        ("kind=\"none\",outcome=\"ok\"", 1.0),
        ("kind=\"none\",outcome=\"missing\"", 1.0),
        ("kind=\"process\",outcome=\"ok\"", 1.0),
    ] {
        let name = format!("mcp_auth_total{{{labels}}}");
        assert_eq!(found.get(&name), Some(&count), "{name}");
    }
    assert_eq!(
        found["mcp_rate_limited_total{limit=\"failed_authentications\"}"],
        1.0
    );
    assert!(!metrics.render().contains("made-up"), "a token is no label");
}

#[tokio::test]
async fn s2_045_049_sessions_are_counted_from_their_beginning_to_their_end() {
    let metrics = Metrics::new();
    let clock = Clock::manual("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap());
    let limits = SessionLimits::default()
        .total(8)
        .idle(Duration::from_secs(60));
    let server = TestServer::new(
        builder()
            .metrics(&metrics)
            .clock(clock.clone())
            .sessions(SessionMode::Stateful)
            .session_limits(limits),
    )
    .unwrap();
    let open = || async {
        let reply = initialize("2025-11-25", json!({})).send(&server).await;
        header(&reply, "mcp-session-id").unwrap().to_owned()
    };
    let (closed, expired) = (open().await, open().await);
    assert_eq!(value(&metrics, "mcp_sessions_open"), 2.0);
    clock.advance(Duration::from_secs(10));
    let end = Ask::legacy("2025-11-25", "-", json!({}))
        .method("DELETE")
        .within(&closed);
    assert_eq!(end.send(&server).await.status, 204);
    clock.advance(Duration::from_secs(120));
    let late = Ask::legacy("2025-11-25", "ping", json!({})).within(&expired);
    assert_eq!(late.send(&server).await.status, 404);
    let found = series(&metrics.render());
    for (name, count) in [
        ("mcp_sessions_open", 0.0),
        ("mcp_sessions_opened_total", 2.0),
        ("mcp_sessions_ended_total{reason=\"closed\"}", 1.0),
        ("mcp_sessions_ended_total{reason=\"expired\"}", 1.0),
        ("mcp_session_duration_seconds_sum", 10.0 + 130.0),
        ("mcp_session_duration_seconds_bucket{le=\"15\"}", 1.0),
    ] {
        assert_eq!(found.get(name), Some(&count), "{name}");
    }
}

#[tokio::test]
async fn s2_039_042_streams_are_counted_by_how_they_ended() {
    let (inner, gate) = crate::streams::server();
    let metrics = Metrics::new();
    let mut live = Live::start(inner.metrics(&metrics).build().unwrap()).await;
    // One that is read to its end.
    let ask =
        call(MODERN, "echo", json!({ "message": "hi" })).header("accept", "text/event-stream");
    let mut whole = Events::open(&live, &ask).await;
    assert_eq!(whole.rest().await.len(), 1);
    reaches(
        &metrics,
        "mcp_streams_ended_total{reason=\"completed\"}",
        1.0,
    )
    .await;
    let sent = value(&metrics, "mcp_stream_bytes_sum");
    assert!((50.0..1000.0).contains(&sent), "{sent}");
    // One whose client goes away.
    let ask = call(MODERN, "talk", json!({})).header("accept", "text/event-stream");
    let left = Events::open(&live, &ask).await;
    passed(&gate.entered).await;
    drop(left);
    reaches(
        &metrics,
        "mcp_streams_ended_total{reason=\"client_closed\"}",
        1.0,
    )
    .await;
    // One that ends with an error of the protocol.
    let ask = call("2025-06-18", "no_such_tool", json!({})).header("accept", "text/event-stream");
    Events::open(&live, &ask).await.rest().await;
    reaches(&metrics, "mcp_streams_ended_total{reason=\"error\"}", 1.0).await;
    // One whose session is ended.
    let id = session(&live, "2025-11-25").await;
    let mut ended = Events::open(&live, &get("2025-11-25", &id)).await;
    let end = Ask::legacy("2025-11-25", "-", json!({})).method("DELETE");
    live.exchange(&end.within(&id).bytes()).await;
    ended.rest().await;
    reaches(
        &metrics,
        "mcp_streams_ended_total{reason=\"session_expired\"}",
        1.0,
    )
    .await;
    // And one that is open when the server stops.
    let id = session(&live, "2025-11-25").await;
    let mut open = Events::open(&live, &get("2025-11-25", &id)).await;
    assert_eq!(value(&metrics, "mcp_streams_open"), 1.0);
    live.tell_to_stop();
    open.rest().await;
    live.stop().await;
    reaches(
        &metrics,
        "mcp_streams_ended_total{reason=\"server_shutdown\"}",
        1.0,
    )
    .await;
    let found = series(&metrics.render());
    assert_eq!(
        (found["mcp_streams_open"], found["mcp_streams_opened_total"]),
        (0.0, 5.0)
    );
    assert_eq!(found["mcp_stream_duration_seconds_count"], 5.0);
    assert_eq!(
        found["mcp_sessions_ended_total{reason=\"server_shutdown\"}"],
        1.0
    );
}

#[tokio::test]
async fn operations_of_the_store_are_counted_and_timed() {
    let metrics = Metrics::new();
    let clock = crate::clock();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(clock.clone(), 2));
    let measured = metrics.over_store(store);
    let until = clock.now() + jiff::SignedDuration::from_secs(60);
    measured.put("a", b"1", until).await.unwrap();
    measured.put("b", b"2", until).await.unwrap();
    measured.put("c", b"3", until).await.unwrap_err();
    assert_eq!(measured.get("a").await.unwrap(), Some(b"1".to_vec()));
    let long = "k".repeat(2000);
    measured.put(&long, b"1", until).await.unwrap_err();
    let found = series(&metrics.render());
    for (labels, count) in [
        ("operation=\"put\",outcome=\"ok\"", 2.0),
        ("operation=\"put\",outcome=\"full\"", 1.0),
        ("operation=\"get\",outcome=\"ok\"", 1.0),
        ("operation=\"put\",outcome=\"too_large\"", 1.0),
    ] {
        let name = format!("mcp_store_operations_total{{{labels}}}");
        assert_eq!(found.get(&name), Some(&count), "{name}");
    }
    assert_eq!(
        found["mcp_store_duration_seconds_count{operation=\"put\"}"],
        4.0
    );
    // The store of a server is counted without further ado.
    let metrics = Metrics::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(clock, 100));
    let server = builder()
        .store(store)
        .sessions(SessionMode::Stateful)
        .metrics(&metrics);
    let server = TestServer::new(server).unwrap();
    assert_eq!(
        initialize("2025-11-25", json!({}))
            .send(&server)
            .await
            .status,
        200
    );
    assert!(
        metrics
            .render()
            .contains("mcp_store_operations_total{operation=")
    );
}

#[tokio::test]
async fn a_server_that_is_not_told_to_counts_nothing() {
    let server = TestServer::new(builder()).unwrap();
    server.call("echo", json!({ "message": "hi" })).await;
    let live = Live::start(builder().build().unwrap()).await;
    let ask = Ask::raw("").method("GET").uri("/metrics");
    assert_eq!(status(&live.exchange(&ask.bytes()).await), 404);
    live.stop().await;
}

/// Several servers of one process are one set of figures.
#[tokio::test]
async fn servers_may_share_their_figures() {
    let metrics = Metrics::new();
    for _ in 0..3 {
        let server = TestServer::new(builder().metrics(&metrics)).unwrap();
        server.call("echo", json!({ "message": "hi" })).await;
    }
    assert_eq!(
        value(
            &metrics,
            "mcp_tool_calls_total{tool=\"echo\",outcome=\"ok\"}"
        ),
        3.0
    );
}

async fn ask_for(address: std::net::SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    rest(&mut stream).await
}

#[tokio::test]
async fn figures_are_read_on_a_listener_of_their_own_and_by_its_name() {
    let (server, metrics) = counted();
    server.call("echo", json!({ "message": "hi" })).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn({
        let metrics = metrics.clone();
        async move {
            let stop = async {
                let _ = stopped.await;
            };
            metrics
                .serve_with(listener, &["figures.example.com".into()], stop)
                .await
        }
    });
    for (line, host, extra, expected) in [
        ("GET /metrics", "localhost", "", 200),
        ("GET /metrics", "figures.example.com", "", 200),
        ("GET /metrics?x=1", "127.0.0.1", "", 200),
        ("HEAD /metrics", "localhost", "", 200),
        ("POST /metrics", "localhost", "content-length: 0\r\n", 405),
        ("GET /mcp", "localhost", "", 404),
        // A page that had its name rebound to this machine.
        ("GET /metrics", "evil.example", "", 403),
        (
            "GET /metrics",
            "localhost",
            "origin: https://evil.example\r\n",
            403,
        ),
        ("GET /metrics", "localhost", "host: localhost\r\n", 403),
    ] {
        let head = format!("{line} HTTP/1.1\r\nhost: {host}\r\n{extra}connection: close\r\n\r\n");
        let answer = ask_for(address, &head).await;
        assert_eq!(status(&answer), expected, "{line} {host} {extra}: {answer}");
        let shows = answer.contains("mcp_tool_calls_total{tool=\"echo\",outcome=\"ok\"} 1\n");
        assert_eq!(
            shows,
            expected == 200 && line.starts_with("GET"),
            "{answer}"
        );
        if expected == 200 {
            assert!(
                answer.contains("content-type: text/plain; version=0.0.4"),
                "{answer}"
            );
        }
    }
    stop.send(()).unwrap();
    within(served).await.unwrap().unwrap();
    // Where others could reach it, somebody has to say by which name.
    let open = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = metrics.serve_with(open, &[], std::future::pending()).await;
    assert!(refused.unwrap_err().to_string().contains("name the hosts"));
}

#[tokio::test]
async fn figures_may_be_a_route_of_the_server() {
    let metrics = Metrics::new();
    let server = builder()
        .metrics(&metrics)
        .routes(metrics.router("/internal/metrics"));
    let server = TestServer::new(server).unwrap();
    let ask = Ask::raw("").method("GET").uri("/internal/metrics");
    let reply = ask.send(&server).await;
    assert_eq!(header(&reply, "content-type"), Some(Metrics::CONTENT_TYPE));
    assert!(
        reply
            .body
            .as_str()
            .unwrap()
            .contains("mcp_tool_calls_total")
    );
    let rebound = ask.header("host", "evil.example").send(&server).await;
    assert_eq!(rebound.status, 403);
}

#[test]
fn the_text_is_what_prometheus_reads() {
    let metrics = Metrics::new();
    let help = "Has a \\ and\na second line.";
    metrics
        .counter("things total", help, &[("na me", "a\"b\\c\nd\u{1b}")])
        .add(2);
    metrics.counter("1st", help, &[]);
    metrics.gauge("things_open", "Things.", &[]).set(-3);
    metrics.gauge_of("things_ratio", "Share.", &[], || 0.25);
    metrics.gauge_of("things_unknown", "Not known.", &[("a", "b")], || f64::NAN);
    let seconds = metrics.histogram("things_seconds", "Time.", &[("kind", "x")], &[0.5, 1.0]);
    for value in [0.1, 0.5, 0.7, 9.0] {
        seconds.observe(value);
    }
    // A name stands for one kind of figure: the second is kept out of the text.
    metrics.gauge("things_seconds", "Not this.", &[]).set(7);
    let expected = "\
# HELP _st Has a \\\\ and\\na second line.
# TYPE _st counter
_st 0
# HELP things_open Things.
# TYPE things_open gauge
things_open -3
# HELP things_ratio Share.
# TYPE things_ratio gauge
things_ratio 0.25
# HELP things_seconds Time.
# TYPE things_seconds histogram
things_seconds_bucket{kind=\"x\",le=\"0.5\"} 2
things_seconds_bucket{kind=\"x\",le=\"1\"} 3
things_seconds_bucket{kind=\"x\",le=\"+Inf\"} 4
things_seconds_sum{kind=\"x\"} 10.3
things_seconds_count{kind=\"x\"} 4
# HELP things_total Has a \\\\ and\\na second line.
# TYPE things_total counter
things_total{na_me=\"a\\\"b\\\\c\\nd\u{fffd}\"} 2
# HELP things_unknown Not known.
# TYPE things_unknown gauge
";
    assert_eq!(metrics.render(), expected);
}
