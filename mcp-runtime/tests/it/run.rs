//! One call, from its start to its end: whatever the tool does, there is an answer.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mcp_runtime::prelude::*;
use mcp_runtime::testing::TestServer;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tracing_subscriber::fmt::MakeWriter;

use crate::ask::{MODERN, call};
use crate::live::{Live, within};

const SECRET: &str = "CNRY-PRIVATE-7d1";

trait Greeter: Send + Sync {
    fn greet(&self, name: &str) -> String;
}

struct Polite;

impl Greeter for Polite {
    fn greet(&self, name: &str) -> String {
        format!("Good day, {name}")
    }
}

/// What a test and its tools tell each other.
struct Gate {
    entered: Semaphore,
    left: Semaphore,
}

#[derive(Lend)]
struct State {
    gate: Arc<Gate>,
    greeter: Arc<dyn Greeter>,
    number: u64,
}

struct Leaves<'a>(&'a Gate);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.left.add_permits(1);
    }
}

/// Never ends by itself.
#[mcp_tool(public)]
async fn hang(gate: &Arc<Gate>) -> String {
    let _leaves = Leaves(gate);
    gate.entered.add_permits(1);
    std::future::pending().await
}

/// Never ends, and says how long it may.
#[mcp_tool(public, timeout = "2s")]
async fn hang_briefly() -> String {
    std::future::pending().await
}

/// Keeps a thread busy until nobody waits any more.
#[mcp_tool(public, blocking, timeout = "200ms")]
fn spin(gate: &Arc<Gate>, call: &Call) -> String {
    let _leaves = Leaves(gate);
    gate.entered.add_permits(1);
    while !call.is_cancelled() {
        std::hint::spin_loop();
    }
    "late".into()
}

/// Starts work elsewhere that asks whether it is still wanted.
#[mcp_tool(public)]
async fn delegate(gate: &Arc<Gate>, call: &Call) -> String {
    let (gate, call) = (Arc::clone(gate), call.clone());
    tokio::spawn(async move {
        gate.entered.add_permits(1);
        call.cancelled().await;
        gate.left.add_permits(1);
    });
    std::future::pending().await
}

/// Add two numbers.
#[mcp_tool(public)]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

/// Panics at once.
#[mcp_tool(public)]
fn panic_sync() -> String {
    panic!("{SECRET}")
}

/// Panics after an await.
#[mcp_tool(public)]
async fn panic_async() -> String {
    tokio::task::yield_now().await;
    panic!("{SECRET}")
}

/// Panics on another thread.
#[mcp_tool(public, blocking)]
fn panic_blocking() -> String {
    panic!("{SECRET}")
}

#[derive(JsonSchema)]
#[schemars(transparent)]
struct PanicsWhenRead(#[expect(dead_code, reason = "nobody gets that far")] String);

impl<'de> Deserialize<'de> for PanicsWhenRead {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // Absence is asked about when the server is built.
        String::deserialize(from).map(|_| panic!("{SECRET}"))
    }
}

/// Panics while its argument is read.
#[mcp_tool(public)]
fn panic_in_read(value: PanicsWhenRead) -> String {
    let _ = value;
    "read".into()
}

#[derive(JsonSchema)]
#[schemars(transparent)]
struct PanicsWhenWritten(#[expect(dead_code, reason = "for its schema")] String);

impl Serialize for PanicsWhenWritten {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("{SECRET}")
    }
}

/// Panics while its result is written.
#[mcp_tool(public)]
fn panic_in_write() -> PanicsWhenWritten {
    PanicsWhenWritten(String::new())
}

/// Panics in its guard.
#[mcp_tool(public, guard = n != 0 || panic!("{SECRET}"))]
fn panic_in_guard(n: u8) -> u8 {
    n
}

#[derive(JsonSchema)]
#[schemars(transparent)]
struct Unwritable(#[expect(dead_code, reason = "for its schema")] String);

impl Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom(SECRET))
    }
}

/// Does not serialize.
#[mcp_tool(public)]
fn unwritable() -> Unwritable {
    Unwritable(String::new())
}

/// Large, as a value.
#[mcp_tool(public)]
fn big(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// Large, as content.
#[mcp_tool(public)]
fn big_content(bytes: usize) -> Content {
    Content::text("x".repeat(bytes))
}

/// Large, as a structured reply.
#[mcp_tool(public)]
fn big_reply(bytes: usize) -> Reply {
    Reply::new().structured(json!({ "x": "x".repeat(bytes) }))
}

#[derive(Debug)]
struct Private;

impl fmt::Display for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SECRET)
    }
}

impl std::error::Error for Private {}

/// Fails in one of four ways.
#[mcp_tool(public)]
fn fail(how: u8) -> ToolResult<String> {
    match how {
        0 => Err(Private)?,
        1 => Err(ToolError::new("Sold out.")
            .code("sold_out")
            .data(json!({ "stock": 0 }))
            .caused_by(Private)),
        2 => Err(Private).tell("Try another day."),
        _ => None.tell("Nothing here."),
    }
}

/// Fails with its own words in a guard, or says no.
#[mcp_tool(public, guard = judge(&word).await)]
async fn guarded(word: String) -> String {
    word
}

async fn judge(word: &str) -> ToolResult<bool> {
    tokio::task::yield_now().await;
    match word {
        "err" => Err(ToolError::new("Ask the owner first.").code("not_owner")),
        "private" => Err(ToolError::internal(Private)),
        word => Ok(word == "yes"),
    }
}

/// Borrows all that there is.
#[mcp_tool(authenticated)]
fn lent(
    number: &u64,
    greeter: &Arc<dyn Greeter>,
    caller: &Caller,
    call: &Call,
    clock: &Clock,
) -> Value {
    json!({
        "number": number,
        "greeting": greeter.greet(caller.subject().unwrap_or("nobody")),
        "now": clock.now().to_string(),
        "client": call.client().map(|(name, version)| format!("{name} {version}")),
        "same": call.caller() == caller,
        "request": call.request_id().len(),
    })
}

/// What Rust makes of the call.
#[mcp_tool(public)]
fn nothing() {}

fn state() -> State {
    State {
        gate: Arc::new(Gate {
            entered: Semaphore::new(0),
            left: Semaphore::new(0),
        }),
        greeter: Arc::new(Polite),
        number: 42,
    }
}

fn builder(state: State) -> Server<State> {
    let tools = tools![
        hang,
        hang_briefly,
        spin,
        delegate,
        add,
        panic_sync,
        panic_async,
        panic_blocking,
        panic_in_read,
        panic_in_write
    ] + tools![
        panic_in_guard,
        unwritable,
        big,
        big_content,
        big_reply,
        fail,
        guarded,
        lent,
        nothing
    ];
    Server::with_state(state, tools).clock(crate::clock())
}

fn server() -> TestServer {
    TestServer::new(builder(state())).unwrap()
}

/// What is logged on this thread while it lives.
#[derive(Clone, Default)]
pub(crate) struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    pub(crate) fn listen() -> (Self, tracing::subscriber::DefaultGuard) {
        let logged = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(logged.clone())
            .finish();
        (logged, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logged {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// TM-18, RE-22, protocol-4.1-6
#[tokio::test]
async fn tm_18_panics_cost_one_call() {
    let (logged, _guard) = Logged::listen();
    let server = server();
    for (tool, arguments) in [
        ("panic_sync", json!({})),
        ("panic_async", json!({})),
        ("panic_blocking", json!({})),
        ("panic_in_read", json!({ "value": "x" })),
        ("panic_in_write", json!({})),
        ("panic_in_guard", json!({ "n": 0 })),
    ] {
        let reply = within(server.call(tool, arguments)).await;
        assert_eq!(
            (reply.status, &reply.error()["code"]),
            (200, &json!(-32603)),
            "TM-18 {tool}"
        );
        assert!(
            !reply.body.to_string().contains("CNRY"),
            "TM-18 {tool}: {}",
            reply.body
        );
        let message = reply.error()["message"].as_str().unwrap();
        let id = message.rsplit(' ').next().unwrap();
        assert!(
            id.len() == 26 && logged.text().contains(id),
            "TM-18 {tool}: the log does not know {message}"
        );
        assert_eq!(
            server
                .call("add", json!({ "a": 1, "b": 2 }))
                .await
                .structured(),
            &json!({ "result": 3 })
        );
    }
    assert_eq!(
        logged.text().matches("\"outcome\":\"panic\"").count(),
        6,
        "one line per call: {}",
        logged.text()
    );
}

/// RE-23: the time is that of the runtime, which does not wait in this test.
#[tokio::test(start_paused = true)]
async fn calls_end_at_their_deadline() {
    let server = server();
    for (tool, seconds) in [("hang", 30), ("hang_briefly", 2)] {
        let since = tokio::time::Instant::now();
        let reply = server.call(tool, json!({})).await;
        assert_eq!(since.elapsed().as_secs(), seconds, "RE-23 {tool}");
        assert_eq!(
            (reply.status, reply.code()),
            (200, "timeout"),
            "RE-23 {tool}"
        );
        assert!(
            reply.text().contains(&format!("within {seconds} s")),
            "{}",
            reply.text()
        );
    }
}

/// RE-23: a thread cannot be stopped, but nobody waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocking_loop_is_answered_at_its_deadline_while_others_go_on() {
    let state = state();
    let gate = state.gate.clone();
    let server = TestServer::new(builder(state)).unwrap();
    let since = Instant::now();
    let spinning = tokio::spawn({
        let server = server.clone();
        async move { server.call("spin", json!({})).await }
    });
    within(gate.entered.acquire()).await.unwrap().forget();
    let mut others = 0;
    while !spinning.is_finished() {
        assert_eq!(
            server
                .call("add", json!({ "a": 1, "b": 1 }))
                .await
                .structured(),
            &json!({ "result": 2 })
        );
        others += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(within(spinning).await.unwrap().code(), "timeout", "RE-23");
    assert!(
        since.elapsed() < Duration::from_secs(2) && others > 3,
        "RE-23: {others} calls in {:?}",
        since.elapsed()
    );
    // `Call::is_cancelled` lets the loop see that it is over.
    within(gate.left.acquire()).await.unwrap().forget();
}

/// RE-16, T3 of HTTP: who hangs up is not worked for.
#[tokio::test]
async fn hanging_up_cancels_within_200_ms() {
    let (logged, _guard) = Logged::listen();
    for tool in ["hang", "delegate", "spin"] {
        let state = state();
        let gate = state.gate.clone();
        let live = Live::start(builder(state).build().unwrap()).await;
        let mut stream = live.connect().await;
        stream
            .write_all(&call(MODERN, tool, json!({})).bytes())
            .await
            .unwrap();
        within(gate.entered.acquire()).await.unwrap().forget();
        let since = Instant::now();
        drop(stream);
        within(gate.left.acquire()).await.unwrap().forget();
        assert!(
            since.elapsed() < Duration::from_millis(200),
            "RE-16 {tool}: stopped after {:?}",
            since.elapsed()
        );
        live.stop().await;
    }
    assert!(
        logged.text().matches("\"outcome\":\"cancelled\"").count() >= 2,
        "a call that is dropped has its line: {}",
        logged.text()
    );
}

/// RE-24
#[tokio::test]
async fn results_have_a_limit() {
    let server = server();
    let limit = 4 << 20;
    for tool in ["big", "big_content", "big_reply"] {
        let reply = server.call(tool, json!({ "bytes": limit / 2 })).await;
        assert_eq!(reply.result()["isError"], false, "{tool}");
        let reply = server.call(tool, json!({ "bytes": limit + 1 })).await;
        assert_eq!(reply.code(), "result_too_large", "RE-24 {tool}");
        assert!(reply.body.to_string().len() < 1000);
    }
}

#[tokio::test]
async fn errors_have_two_audiences() {
    let (logged, _guard) = Logged::listen();
    let server = server();
    for (how, code, text) in [
        (0, "internal", "internal error, request 01"),
        (1, "sold_out", "Sold out."),
        (2, "failed", "Try another day."),
        (3, "failed", "Nothing here."),
    ] {
        let before = logged.text().matches(SECRET).count();
        let reply = server.call("fail", json!({ "how": how })).await;
        assert_eq!((reply.status, reply.code()), (200, code));
        assert!(reply.text().starts_with(text), "{}", reply.text());
        assert!(
            !reply.body.to_string().contains("CNRY"),
            "the private part is shown: {}",
            reply.body
        );
        let causes = logged.text().matches(SECRET).count() - before;
        assert_eq!(
            causes,
            usize::from(how < 3),
            "the cause belongs into the log, once: {}",
            logged.text()
        );
    }
    let reply = server.call("fail", json!({ "how": 1 })).await;
    assert_eq!(
        reply.result()["structuredContent"],
        json!({ "code": "sold_out", "message": "Sold out.", "stock": 0 })
    );
    let reply = server.call("fail", json!({ "how": 0 })).await;
    let id = reply.result()["structuredContent"]["requestId"]
        .as_str()
        .unwrap()
        .to_owned();
    let line = logged
        .text()
        .lines()
        .find(|line| line.contains(&id) && line.contains(SECRET))
        .map(str::to_owned);
    assert!(
        line.is_some(),
        "the caller's id {id} leads to no cause in the log: {}",
        logged.text()
    );
}

#[tokio::test]
async fn results_that_do_not_serialize() {
    let (logged, _guard) = Logged::listen();
    let reply = server().call("unwritable", json!({})).await;
    assert_eq!(reply.code(), "internal");
    assert!(!reply.body.to_string().contains("CNRY"), "{}", reply.body);
    assert!(
        logged.text().contains(SECRET),
        "the operator learns nothing: {}",
        logged.text()
    );
}

#[tokio::test]
async fn guards_decide_with_the_arguments() {
    let server = server();
    let ask = async |word: &str| server.call("guarded", json!({ "word": word })).await;
    assert_eq!(ask("yes").await.structured(), &json!({ "result": "yes" }));
    assert_eq!(ask("no").await.code(), "forbidden");
    let reply = ask("err").await;
    assert_eq!(
        (reply.code(), reply.text()),
        ("not_owner", "Ask the owner first.")
    );
    let reply = ask("private").await;
    assert_eq!(reply.code(), "internal");
    assert!(!reply.body.to_string().contains("CNRY"));
}

#[tokio::test]
async fn everything_can_be_lent() {
    let reply = server()
        .as_user("ada")
        .request("tools/call", json!({ "name": "lent", "arguments": {}, "_meta": { "io.modelcontextprotocol/clientInfo": { "name": "peer", "version": "2" } } }))
        .await;
    assert_eq!(
        reply.structured(),
        &json!({ "result": {
            "number": 42, "greeting": "Good day, ada", "now": "2026-01-01T00:00:00Z",
            "client": "peer 2", "same": true, "request": 26,
        } })
    );
    let reply = server().call("nothing", json!({})).await;
    assert_eq!(reply.result()["content"], json!([]));
    assert_eq!(reply.result().get("structuredContent"), None);
}

/// SE-13 in small: many calls at once with one id never mix.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_never_mix() {
    let server = server();
    let calls: Vec<_> = (0..400)
        .map(|n| {
            let server = server.clone();
            tokio::spawn(async move {
                let reply = call(MODERN, "add", json!({ "a": n, "b": 0 }))
                    .send(&server)
                    .await;
                assert_eq!(reply.structured(), &json!({ "result": n }), "SE-13");
            })
        })
        .collect();
    for call in calls {
        within(call).await.unwrap();
    }
}
