//! Sessions of the earlier revisions: whose they are, how long they live, and where.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Request;
use jiff::Timestamp;
use mcp_runtime::prelude::*;
use mcp_runtime::store::{MemoryStore, Store, StoreError, StoreFuture, Subscription};
use mcp_runtime::testing::{TestReply, TestServer};
use mcp_runtime::{Rate, SessionLimits, SessionMode};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::ask::{Ask, call, header};
use crate::events::Events;
use crate::live::{Live, alone, answer, resident_kib, status, within};
use crate::streams::{In, get, initialize, passed, server, session};

const REVISION: &str = "2025-11-25";

/// Sends a request as a user, in this process.
async fn send(
    test: &TestServer,
    user: &str,
    method: &str,
    session: Option<&str>,
    body: &Value,
) -> TestReply {
    let mut request = Request::builder()
        .method(method)
        .uri("/mcp")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .extension(Arc::new(Caller::user(user)));
    if body["method"] != "initialize" {
        request = request.header("mcp-protocol-version", REVISION);
    }
    if let Some(session) = session {
        request = request.header("mcp-session-id", session);
    }
    test.send(request.body(body.to_string().into_bytes()).unwrap())
        .await
}

async fn opened(test: &TestServer, user: &str) -> String {
    let body: Value =
        serde_json::from_slice(&initialize(REVISION, json!({ "elicitation": {} })).body).unwrap();
    let reply = send(test, user, "POST", None, &body).await;
    header(&reply, "mcp-session-id")
        .unwrap_or_else(|| panic!("{reply:?}"))
        .to_owned()
}

fn ping() -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" })
}

fn tool(name: &str, arguments: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": name, "arguments": arguments } })
}

#[tokio::test]
async fn se_01_a_thousand_sessions_have_a_thousand_ids() {
    let test = TestServer::new(server().0).unwrap();
    let mut ids = HashSet::new();
    for _ in 0..1000 {
        let reply = initialize(REVISION, json!({ "roots": {} }))
            .send(&test)
            .await;
        let id = header(&reply, "mcp-session-id").unwrap().to_owned();
        assert!(
            id.len() >= 32 && id.bytes().all(|byte| (0x21..=0x7e).contains(&byte)),
            "{id}"
        );
        ids.insert(id);
    }
    assert_eq!(ids.len(), 1000);
}

#[tokio::test]
async fn a_session_without_a_stream_costs_little() {
    if !alone("sessions::a_session_without_a_stream_costs_little") {
        return;
    }
    let test = TestServer::new(server().0).unwrap();
    let open = |count: usize| {
        let test = test.clone();
        async move {
            for _ in 0..count {
                let reply = initialize(REVISION, json!({ "roots": {} }))
                    .send(&test)
                    .await;
                let id = header(&reply, "mcp-session-id").unwrap();
                let used = call(REVISION, "echo", json!({ "message": "m" })).within(id);
                assert_eq!(used.send(&test).await.status, 200);
            }
        }
    };
    open(500).await;
    let before = resident_kib();
    open(4000).await;
    let each = resident_kib().saturating_sub(before) as f64 / 4000.0;
    assert!(each < 4.0, "{each:.2} KiB for a session");
}

#[tokio::test]
async fn se_02_ids_that_nobody_has_cost_nothing() {
    if !alone("sessions::se_02_ids_that_nobody_has_cost_nothing") {
        return;
    }
    let test = TestServer::new(server().0).unwrap();
    let probe = |n: u32| Ask::raw(ping().to_string()).within(&format!("{n:064x}"));
    for n in 0..1000 {
        assert_eq!(probe(n).send(&test).await.status, 404);
    }
    let before = resident_kib();
    for n in 1000..11_000 {
        assert_eq!(probe(n).send(&test).await.status, 404, "SE-02");
    }
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 5 << 10, "SE-02: {grown} KiB");
}

/// SE-03, SE-04, SE-05: to everybody else a session does not exist, and nothing happens to it.
#[tokio::test]
async fn se_03_to_05_a_session_is_its_callers_alone() {
    let tokens = StaticTokens::new()
        .token("ada-token-0123456789", Caller::user("ada"))
        .token("bob-token-0123456789", Caller::user("bob"));
    let service = server().0.auth(tokens).build().unwrap();
    let changes = service.changes().clone();
    let live = Live::start(service).await;
    let by = |ask: Ask, name: &str| {
        ask.header("authorization", &format!("Bearer {name}-token-0123456789"))
    };
    let begun = Events::open(
        &live,
        &by(initialize(REVISION, json!({ "roots": {} })), "ada"),
    )
    .await;
    let id = begun.header("mcp-session-id").unwrap().to_owned();
    let mut feed = Events::open(&live, &by(get(REVISION, &id), "ada")).await;
    let priming = feed.next().await.unwrap();
    for (what, ask) in [
        (
            "SE-03",
            Ask::legacy(REVISION, "tools/list", json!({})).within(&id),
        ),
        ("SE-04", get(REVISION, &id)),
        (
            "SE-08",
            get(REVISION, &id).header("last-event-id", &priming.id()),
        ),
        ("SE-05", get(REVISION, &id).method("DELETE")),
    ] {
        let unknown = ask.clone().within("made-up");
        let expected = live.exchange(&by(unknown, "bob").bytes()).await;
        let got = live.exchange(&by(ask.clone(), "bob").bytes()).await;
        let without_date = |text: &str| {
            text.lines()
                .filter(|line| !line.starts_with("date:"))
                .collect::<String>()
        };
        assert_eq!(
            (status(&got), without_date(&got)),
            (404, without_date(&expected)),
            "{what}"
        );
        let nobody = live.exchange(&ask.bytes()).await;
        assert_eq!(status(&nobody), 404, "{what} without a token");
    }
    changes.tools();
    let heard = feed.next().await.unwrap().message();
    assert_eq!(
        heard["method"], "notifications/tools/list_changed",
        "SE-04: hers goes on"
    );
    live.stop().await;
}

#[tokio::test]
async fn se_06_an_id_that_a_client_chose_means_nothing() {
    let test = TestServer::new(server().0.sessions(SessionMode::Stateful)).unwrap();
    let fixed = "attacker-chosen-1";
    let reply = initialize(REVISION, json!({}))
        .within(fixed)
        .send(&test)
        .await;
    let id = header(&reply, "mcp-session-id").unwrap();
    assert_ne!(id, fixed, "SE-06");
    let again = Ask::raw(ping().to_string()).within(id).send(&test).await;
    assert_eq!(again.status, 200, "SE-06: the new one is good");
    let reply = Ask::raw(ping().to_string()).within(fixed).send(&test).await;
    assert_eq!(reply.status, 404, "SE-06");
}

/// SE-12: a client that numbers all its requests 1 gets every answer.
#[tokio::test]
async fn se_12_one_id_for_all_requests_of_a_session() {
    let (server, gate) = server();
    let live = Live::start(server.build().unwrap()).await;
    let id = session(&live, "2025-06-18").await;
    let mut slow = Events::open(&live, &call("2025-06-18", "talk", json!({})).within(&id)).await;
    passed(&gate.entered).await;
    for n in 0..5 {
        let message = format!("m{n}");
        let ask = call("2025-06-18", "echo", json!({ "message": message })).within(&id);
        let got = live.exchange(&ask.bytes()).await;
        assert!(
            got.contains(&format!("\"text\":\"{message}\"")),
            "SE-12: {got}"
        );
    }
    gate.open.add_permits(1);
    let last = slow.rest().await.pop().unwrap().message();
    assert_eq!(last["result"]["content"][0]["text"], "done", "SE-12");
    live.stop().await;
}

/// SE-13: the answers of twenty users who all say id 1 at once are never mixed up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn se_13_twenty_users_with_one_id() {
    let live = Arc::new(Live::start(server().0.build().unwrap()).await);
    let mut users = tokio::task::JoinSet::new();
    for user in 0..20 {
        let live = Arc::clone(&live);
        users.spawn(async move {
            let id = session(&live, "2025-06-18").await;
            let mut stream = live.connect().await;
            for round in 0..200 {
                let message = format!("user {user} round {round}");
                let ask = call("2025-06-18", "echo", json!({ "message": message })).within(&id);
                let bytes = String::from_utf8(ask.bytes()).unwrap();
                let kept = bytes.replacen("connection: close\r\n", "", 1);
                stream.write_all(kept.as_bytes()).await.unwrap();
                let got = answer(&mut stream).await;
                assert!(
                    got.contains(&format!("\"text\":\"{message}\"")),
                    "SE-13: {message}: {got}"
                );
            }
        });
    }
    while let Some(user) = within(users.join_next()).await {
        user.unwrap();
    }
}

#[tokio::test]
async fn se_15_a_session_ends_when_it_is_not_used_and_when_it_is_old() {
    let clock = crate::clock();
    let limits = SessionLimits::default()
        .idle(Duration::from_secs(2))
        .life(Duration::from_secs(10));
    for store in [false, true] {
        let mut server = server().0.clock(clock.clone()).session_limits(limits);
        if store {
            server = server.store(Arc::new(MemoryStore::new(clock.clone(), 1000)));
        }
        let test = TestServer::new(server).unwrap();
        let id = opened(&test, "ada").await;
        assert_eq!(
            send(&test, "ada", "POST", Some(&id), &ping()).await.status,
            200
        );
        clock.advance(Duration::from_secs(5));
        assert_eq!(
            send(&test, "ada", "POST", Some(&id), &ping()).await.status,
            404,
            "SE-15"
        );
        let id = opened(&test, "ada").await;
        for second in 1..=10 {
            clock.advance(Duration::from_secs(1));
            let expected = if second < 10 { 200 } else { 404 };
            let reply = send(&test, "ada", "POST", Some(&id), &ping()).await;
            assert_eq!(reply.status, expected, "after {second} s, store: {store}");
        }
    }
}

/// SE-14: a flood of clients without a token is refused beyond what they may have together, and
/// takes nothing from anybody else.
#[tokio::test]
async fn se_14_twenty_thousand_sessions_that_nobody_asked_for() {
    let limits = SessionLimits::default().total(10_000).per_caller(20);
    let server = server().0.session_limits(limits);
    let test = TestServer::new(server.sessions(SessionMode::Stateful)).unwrap();
    let flood = initialize(REVISION, json!({}));
    let body: Value = serde_json::from_slice(&flood.body).unwrap();
    // All of them together are given half of what there is.
    let most = 5_000;
    for n in 0..20_000 {
        let reply = flood.clone().send(&test).await;
        let expected = if n < most { 200 } else { 429 };
        assert_eq!(reply.status, expected, "SE-14: number {n}");
        let wait = header(&reply, "retry-after").is_some();
        assert_eq!(wait, n >= most, "SE-14: number {n}");
        if n % 5_000 == 4_999 {
            let name = format!("reader{n}");
            let reply = send(&test, &name, "POST", None, &body).await;
            assert_eq!(reply.status, 200, "SE-14: nobody else gets one");
        }
    }
}

#[tokio::test]
async fn limits_are_those_of_the_author() {
    let limits = SessionLimits::default().total(4).per_caller(1);
    let server = server()
        .0
        .session_limits(limits)
        .sessions(SessionMode::Stateful);
    let test = TestServer::new(server).unwrap();
    let body: Value = serde_json::from_slice(&initialize(REVISION, json!({})).body).unwrap();
    for (user, expected) in [
        ("a", 200),
        ("a", 429),
        ("b", 200),
        ("c", 200),
        ("d", 200),
        ("e", 429),
    ] {
        let reply = send(&test, user, "POST", None, &body).await;
        assert_eq!(reply.status, expected, "{user}");
        assert_eq!(
            header(&reply, "retry-after").is_some(),
            expected == 429,
            "{user}"
        );
    }
}

#[tokio::test]
async fn a_stream_without_a_session_opens_one_that_ends_with_it() {
    let limits = SessionLimits::default().total(4);
    let service = server().0.session_limits(limits).build().unwrap();
    let changes = service.changes().clone();
    let live = Live::start(service).await;
    let get = || get(REVISION, "").without("mcp-session-id");
    let mut feed = Events::open(&live, &get()).await;
    let id = feed.header("mcp-session-id").unwrap().to_owned();
    feed.next().await.unwrap();
    changes.prompts();
    let heard = feed.next().await.unwrap().message();
    assert_eq!(heard["method"], "notifications/prompts/list_changed");
    drop(feed);
    // Others do not run out of sessions: those of four streams left are free again.
    for _ in 0..8 {
        let mut feed = None;
        for _ in 0..200 {
            let events = Events::open(&live, &get()).await;
            if events.is_stream() {
                feed = Some(events);
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        feed.unwrap().next().await.unwrap();
    }
    let got = live
        .exchange(&Ask::raw(ping().to_string()).within(&id).bytes())
        .await;
    assert_eq!(status(&got), 404, "{got}");
    // Whoever uses the session keeps it.
    let mut feed = Events::open(&live, &get()).await;
    let id = feed.header("mcp-session-id").unwrap().to_owned();
    feed.next().await.unwrap();
    let ping = || Ask::raw(ping().to_string()).within(&id).bytes();
    assert_eq!(status(&live.exchange(&ping()).await), 200);
    drop(feed);
    assert_eq!(status(&live.exchange(&ping()).await), 200);
    // Callers without a token have two together.
    let _one = Events::open(&live, &get()).await;
    let refused = live.exchange(&get().bytes()).await;
    assert_eq!(status(&refused), 429, "{refused}");
    for (what, ask, expected) in [
        (
            "a browser",
            get().header("accept", "text/html, */*;q=0.8"),
            405,
        ),
        ("only JSON", get().header("accept", "application/json"), 406),
        (
            "2026-07-28",
            get().header("mcp-protocol-version", "2026-07-28"),
            405,
        ),
        ("DELETE without an id", get().method("DELETE"), 400),
        ("HEAD without an id", get().method("HEAD"), 405),
        ("HEAD", get().method("HEAD").within(&id), 200),
        (
            "HEAD of another",
            get().method("HEAD").within("made-up"),
            404,
        ),
    ] {
        let got = live.exchange(&ask.bytes()).await;
        assert_eq!(status(&got), expected, "{what}: {got}");
    }
    live.stop().await;
}

#[tokio::test]
async fn a_session_that_is_deleted_takes_its_streams_along() {
    let live = Live::start(server().0.build().unwrap()).await;
    let id = session(&live, REVISION).await;
    let mut feed = Events::open(&live, &get(REVISION, &id)).await;
    feed.next().await.unwrap();
    let got = live
        .exchange(&get(REVISION, &id).method("DELETE").bytes())
        .await;
    assert_eq!(status(&got), 204);
    assert_eq!(feed.next().await, None, "the stream ends");
    live.stop().await;
}

/// The way of Claude: the first id is 0, notifications have no params, everything goes over
/// connections side by side.
#[tokio::test]
async fn the_conversation_of_a_well_known_client() {
    let live = Live::start(server().0.sessions(SessionMode::Stateful).build().unwrap()).await;
    let begin = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "Anthropic/ClaudeAI", "version": "1.0.0" } } });
    let bytes = Ask::raw(begin.to_string()).bytes();
    let got = live.exchange(&bytes).await;
    assert!(
        got.contains("\"id\":0") && got.contains("\"protocolVersion\":\"2025-06-18\""),
        "{got}"
    );
    let head = got.to_ascii_lowercase();
    let id = head
        .lines()
        .find_map(|line| line.strip_prefix("mcp-session-id: "))
        .unwrap();
    let ask = |body: Value| {
        Ask::raw(body.to_string())
            .header("mcp-protocol-version", "2025-06-18")
            .within(id)
            .bytes()
    };
    let ready = ask(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    let list = ask(json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} }));
    let echo = ask(tool("echo", json!({ "message": "hi" })));
    let (ready, list, echo) = tokio::join!(
        live.exchange(&ready),
        live.exchange(&list),
        live.exchange(&echo)
    );
    assert_eq!(
        (status(&ready), status(&list), status(&echo)),
        (202, 200, 200)
    );
    assert!(ready.ends_with("\r\n\r\n"), "202 has no body: {ready}");
    assert!(list.contains("\"name\":\"echo\"") && echo.contains("\"text\":\"hi\""));
    live.stop().await;
}

/// Two instances of one server.
fn two(store: &Arc<dyn Store>) -> [TestServer; 2] {
    [(); 2].map(|()| TestServer::new(server().0.store(Arc::clone(store))).unwrap())
}

#[tokio::test]
async fn another_instance_goes_on_with_a_session_of_a_shared_store() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Clock::system(), 1000));
    let [one, other] = two(&store);
    let id = opened(&one, "ada").await;
    assert_eq!(
        send(&other, "ada", "POST", Some(&id), &ping()).await.status,
        200
    );
    let foreign = send(&other, "bob", "POST", Some(&id), &ping()).await;
    let unknown = send(&other, "bob", "POST", Some("made-up"), &ping()).await;
    assert_eq!((foreign.status, foreign.body), (404, unknown.body));

    // What the client said to one instance, the other knows.
    for (level, notes) in [("error", 0), ("debug", 1)] {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "logging/setLevel", "params": { "level": level } });
        assert_eq!(
            send(&one, "ada", "POST", Some(&id), &body).await.status,
            200
        );
        let reply = send(&other, "ada", "POST", Some(&id), &tool("note", json!({}))).await;
        let logged = reply
            .notes
            .iter()
            .filter(|note| note["method"] == "notifications/message")
            .count();
        assert_eq!(logged, notes, "{level}");
    }

    // Another user's guess does not end it; its own end does, everywhere.
    assert_eq!(
        send(&other, "bob", "DELETE", Some(&id), &json!({}))
            .await
            .status,
        404
    );
    assert_eq!(
        send(&one, "ada", "POST", Some(&id), &ping()).await.status,
        200
    );
    assert_eq!(
        send(&other, "ada", "DELETE", Some(&id), &json!({}))
            .await
            .status,
        204
    );
    assert_eq!(
        send(&one, "ada", "POST", Some(&id), &ping()).await.status,
        404
    );
}

#[tokio::test]
async fn an_answer_that_arrives_elsewhere_reaches_who_asked() {
    // Room for two sessions and one question: what nobody asked for has none.
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Clock::system(), 3));
    let one = Live::start(server().0.store(Arc::clone(&store)).build().unwrap()).await;
    let other = Live::start(server().0.store(Arc::clone(&store)).build().unwrap()).await;
    let id = session(&one, REVISION).await;
    let mut events = Events::open(&one, &call(REVISION, "ask", json!({})).within(&id)).await;
    events.next().await.unwrap();
    let question = events.next().await.unwrap().message();
    assert_eq!(question["method"], "elicitation/create");
    let answer = |id: &Value| json!({ "jsonrpc": "2.0", "id": id, "result": { "action": "accept", "content": { "name": "Ada" } } });
    // Not from another session, and not to a question that was never asked.
    let foreign = session(&other, REVISION).await;
    for (session, number) in [
        (&foreign, question["id"].clone()),
        (&id, json!(1)),
        (&id, question["id"].clone()),
    ] {
        let ask = Ask::raw(answer(&number).to_string()).within(session);
        let got = other.exchange(&ask.bytes()).await;
        assert_eq!(status(&got), 202, "{got}");
    }
    let last = events.rest().await.pop().unwrap().message();
    assert_eq!(last["result"]["content"][0]["text"], "Ada", "{last}");

    // A stream here ends when the session is ended there.
    let mut feed = Events::open(&one, &get(REVISION, &id)).await;
    feed.next().await.unwrap();
    let got = other
        .exchange(&get(REVISION, &id).method("DELETE").bytes())
        .await;
    assert_eq!(status(&got), 204, "{got}");
    assert_eq!(feed.next().await, None);
    one.stop().await;
    other.stop().await;
}

/// A store that can be broken.
struct Breaks {
    store: MemoryStore,
    broken: AtomicBool,
}

impl Breaks {
    fn check<'a, T: Send + 'a>(&'a self, future: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        if self.broken.load(Ordering::Relaxed) {
            return Box::pin(async { Err(StoreError::unavailable("secret cause")) });
        }
        future
    }
}

impl Store for Breaks {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Vec<u8>>> {
        self.check(self.store.get(key))
    }

    fn put<'a>(&'a self, key: &'a str, value: &'a [u8], at: Timestamp) -> StoreFuture<'a, ()> {
        self.check(self.store.put(key, value, at))
    }

    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        at: Timestamp,
    ) -> StoreFuture<'a, bool> {
        assert!(
            !key.contains("made-up"),
            "the id itself is not in the store"
        );
        self.check(self.store.put_if_absent(key, value, at))
    }

    fn replace<'a>(
        &'a self,
        key: &'a str,
        expected: &'a [u8],
        value: &'a [u8],
        at: Timestamp,
    ) -> StoreFuture<'a, bool> {
        self.check(self.store.replace(key, expected, value, at))
    }

    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, bool> {
        self.check(self.store.remove(key))
    }

    fn take<'a>(&'a self, key: &'a str, rate: Rate) -> StoreFuture<'a, Result<(), Duration>> {
        self.check(self.store.take(key, rate))
    }

    fn publish<'a>(&'a self, message: &'a [u8]) -> StoreFuture<'a, ()> {
        self.check(self.store.publish(message))
    }

    fn subscribe(&self) -> StoreFuture<'_, Subscription> {
        self.check(self.store.subscribe())
    }
}

#[tokio::test]
async fn without_its_store_no_session_is_served() {
    let store = Arc::new(Breaks {
        store: MemoryStore::new(Clock::system(), 1000),
        broken: AtomicBool::new(false),
    });
    let test = TestServer::new(server().0.store(store.clone())).unwrap();
    let id = opened(&test, "ada").await;
    let begin: Value =
        serde_json::from_slice(&initialize(REVISION, json!({ "roots": {} })).body).unwrap();
    for broken in [true, false] {
        store.broken.store(broken, Ordering::Relaxed);
        let expected = if broken { 503 } else { 200 };
        for (what, session, body) in [("known", Some(&*id), ping()), ("new", None, begin.clone())] {
            let reply = send(&test, "ada", "POST", session, &body).await;
            assert_eq!(reply.status, expected, "{what}, broken: {broken}");
            assert_eq!(header(&reply, "retry-after").is_some(), broken, "{what}");
            assert!(!reply.body.to_string().contains("secret"), "{what}");
        }
        let modern = Ask::modern("tools/list", json!({})).send(&test).await;
        assert_eq!(modern.status, 200, "2026-07-28 needs no session");
        if broken {
            assert_eq!(
                send(&test, "ada", "DELETE", Some(&id), &json!({}))
                    .await
                    .status,
                503
            );
        }
    }
}
