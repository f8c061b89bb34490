//! Several instances of a server that share a store, and clients that reach now one of them and
//! now another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use mcp_runtime::prelude::*;
use mcp_runtime::store::{MemoryStore, Publisher, Store, StoreError, StoreFuture, Subscription};
use mcp_runtime::testing::{TestServer, TestStream};
use mcp_runtime::{Rate, Service, SessionMode};
use serde_json::{Value, json};

use crate::ask::{Ask, call};
use crate::events::Events;
use crate::live::{Live, status};
use crate::streams::{In, get, passed, session, texts};

const REVISION: &str = "2025-11-25";

/// Give money back.
#[mcp_tool(public)]
fn refund() {}

/// For chiefs.
#[mcp_tool(authenticated, role = "chief")]
fn fire() {}

/// Today.
#[mcp_resource("notes://today", public)]
fn today() -> &'static str {
    "milk"
}

/// For whoever holds the scope of that document.
#[mcp_resource("docs://{id}", scope = "docs:{id}:read")]
fn document(id: String) -> String {
    id
}

/// Review something.
#[mcp_prompt(public)]
fn review() -> &'static str {
    "Review this."
}

fn server(name: &str, store: Arc<dyn Store>) -> Server {
    Server::new(tools![refund, fire])
        .resources(resources![today, document])
        .prompts(prompts![review])
        .identity(name, "1")
        .sessions(SessionMode::Stateful)
        .store(store)
}

/// A store whose messages a test can lose, and which it can break.
pub(crate) struct Wire {
    store: MemoryStore,
    listeners: Mutex<Vec<Publisher>>,
    pub(crate) said: Mutex<Vec<String>>,
    /// Messages get lost.
    pub(crate) deaf: AtomicBool,
    /// Nothing works.
    pub(crate) broken: AtomicBool,
}

impl Wire {
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            store: MemoryStore::new(clock, 1000),
            listeners: Mutex::default(),
            said: Mutex::default(),
            deaf: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        })
    }

    pub(crate) fn is(&self, which: &AtomicBool, on: bool) {
        which.store(on, Ordering::SeqCst);
    }

    pub(crate) fn gap(&self) {
        for listener in &*self.listeners.lock().unwrap() {
            listener.gap();
        }
    }

    fn check<'a, T: Send + 'a>(&'a self, future: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        if self.broken.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError::unavailable("it is broken")) });
        }
        future
    }
}

impl Store for Wire {
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
        self.check(Box::pin(async move {
            let text = String::from_utf8_lossy(message).into_owned();
            self.said.lock().unwrap().push(text);
            if !self.deaf.load(Ordering::SeqCst) {
                let mut listeners = self.listeners.lock().unwrap();
                listeners.retain(|listener| listener.send(message));
            }
            Ok(())
        }))
    }

    fn subscribe(&self) -> StoreFuture<'_, Subscription> {
        self.check(Box::pin(async {
            let (publisher, subscription) = Subscription::channel(1000);
            self.listeners.lock().unwrap().push(publisher);
            Ok(subscription)
        }))
    }
}

/// A kind of store, as two instances have it, and what has to outlive it.
type Shared = (&'static str, [Arc<dyn Store>; 2], Box<dyn std::any::Any>);

/// Stores that two instances share, of every kind.
pub(crate) async fn stores() -> Vec<Shared> {
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new(Clock::system(), 1000));
    #[cfg_attr(
        not(any(feature = "postgres", feature = "sqlite")),
        expect(unused_mut, reason = "other kinds are added")
    )]
    let mut all: Vec<Shared> = vec![("memory", [Arc::clone(&memory), memory], Box::new(()))];
    #[cfg(feature = "sqlite")]
    {
        let folder = tempfile::tempdir().unwrap();
        let open = || async {
            let path = folder.path().join("store.db");
            let store = mcp_runtime::store::SqlStore::open(path, Clock::system()).await;
            Arc::new(store.unwrap()) as Arc<dyn Store>
        };
        let two = [open().await, open().await];
        all.push(("sqlite", two, Box::new(folder)));
    }
    #[cfg(all(feature = "postgres", feature = "redis"))]
    {
        if let Some(corner) = crate::services::postgres().await {
            let open = || async {
                let url = corner.url.as_str();
                let store = mcp_runtime::store::SqlStore::connect(url, Clock::system()).await;
                Arc::new(store.unwrap()) as Arc<dyn Store>
            };
            let two = [open().await, open().await];
            all.push(("postgres", two, Box::new(corner)));
        }
        if let Some(corner) = crate::services::redis().await {
            let open = || async {
                let url = corner.url.as_str();
                let store = mcp_runtime::store::RedisStore::connect(url, Clock::system()).await;
                Arc::new(store.unwrap().prefix(corner.name.clone())) as Arc<dyn Store>
            };
            let two = [open().await, open().await];
            all.push(("redis", two, Box::new(corner)));
        }
    }
    all
}

/// Two instances that hear each other.
async fn joined(stores: [Arc<dyn Store>; 2]) -> [Service; 2] {
    let services = stores.map(|store| server("one", store).build().unwrap());
    for service in &services {
        // An instance joins the others with its first request.
        TestServer::over(service.clone()).anonymous().tools().await;
    }
    services
}

const EVERYTHING: [&str; 3] = [
    "toolsListChanged",
    "promptsListChanged",
    "resourcesListChanged",
];

async fn listens(service: &Service, caller: Caller, uris: &[&str]) -> TestStream {
    let mut wanted = json!({ "resourceSubscriptions": uris });
    for list in EVERYTHING {
        wanted[list] = json!(true);
    }
    let mut stream = TestServer::over(service.clone())
        .as_caller(caller)
        .listen(wanted)
        .await;
    let first = stream.next().await.unwrap();
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    stream
}

/// What a listener hears before the list of prompts changes, which marks the end.
async fn until_prompts(stream: &mut TestStream) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        let message = stream.next().await.expect("the stream goes on");
        let method = message["method"].as_str().unwrap();
        let method = method.trim_start_matches("notifications/");
        if method == "prompts/list_changed" {
            return heard;
        }
        heard.push(match message["params"]["uri"].as_str() {
            Some(uri) => format!("{method} {uri}"),
            None => method.to_owned(),
        });
    }
}

/// Waits until something is so, somewhere else.
pub(crate) async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    assert!(waited.is_ok(), "{what}: not within twenty seconds");
}

#[tokio::test]
async fn changes_reach_who_may_hear_of_them_on_every_instance() {
    for (kind, stores, _corner) in stores().await {
        let [one, other] = joined(stores).await;
        let mine = "docs://7";
        let uris = ["notes://today", mine];
        let ada = Caller::user("ada").tenant("org_a").scope("docs:7:read");
        let bob = Caller::user("bob").tenant("org_b");
        let mut ada = listens(&other, ada, &uris).await;
        let mut bob = listens(&other, bob, &uris).await;
        let mut here = listens(&one, Caller::user("cleo"), &uris).await;

        let changes = one.changes();
        changes.tools();
        changes.resources();
        for uri in ["notes://today", mine, "docs://8"] {
            changes.resource(uri);
        }
        for tenant in ["org_a", "org_b"] {
            changes.resource_of(&Tenant::new(tenant).unwrap(), "notes://today");
        }
        changes.prompts();

        let of = |name: &str, uris: &[&str]| {
            let lists = ["tools/list_changed", "resources/list_changed"].map(str::to_owned);
            let updated = uris.iter().map(|uri| format!("resources/updated {uri}"));
            (name.to_owned(), lists.into_iter().chain(updated).collect())
        };
        let heard = [
            ("ada".to_owned(), until_prompts(&mut ada).await),
            ("bob".to_owned(), until_prompts(&mut bob).await),
            ("cleo".to_owned(), until_prompts(&mut here).await),
        ];
        let today = "notes://today";
        let expected: [(String, Vec<String>); 3] = [
            of("ada", &[today, mine, today]),
            of("bob", &[today, today]),
            of("cleo", &[today]),
        ];
        assert_eq!(heard, expected, "{kind}");
    }
}

#[tokio::test]
async fn a_session_hears_at_one_instance_what_it_asked_for_at_another() {
    for (kind, stores, _corner) in stores().await {
        let [one, other] = stores.map(|store| server("one", store).build().unwrap());
        let changes = one.changes().clone();
        let (one, other) = (Live::start(one).await, Live::start(other).await);
        let id = session(&one, REVISION).await;
        let mut feed = Events::open(&other, &get(REVISION, &id)).await;
        feed.next().await.unwrap();
        let watch = |method: &str| {
            let params = json!({ "uri": "notes://today" });
            Ask::legacy(REVISION, method, params).within(&id)
        };
        let subscribed = one.exchange(&watch("resources/subscribe").bytes()).await;
        assert_eq!(status(&subscribed), 200, "{kind}: {subscribed}");
        // Told in the order in which it was said.
        changes.resource("notes://today");
        let heard = feed.next().await.unwrap().message();
        assert_eq!(heard["method"], "notifications/resources/updated", "{kind}");
        let left = one.exchange(&watch("resources/unsubscribe").bytes()).await;
        assert_eq!(status(&left), 200, "{kind}: {left}");
        changes.resource("notes://today");
        changes.tools();
        let heard = feed.next().await.unwrap().message();
        assert_eq!(
            heard["method"], "notifications/tools/list_changed",
            "{kind}"
        );
        one.stop().await;
        other.stop().await;
    }
}

#[tokio::test]
async fn what_is_switched_off_at_one_instance_is_off_at_all_and_at_those_that_come_later() {
    for (kind, stores, _corner) in stores().await {
        let [one, other] = joined(stores.clone()).await;
        let names = ["ada", "boss"];
        let boss = Caller::user("boss").role("chief");
        let mut heard = [
            listens(&other, Caller::user("ada"), &[]).await,
            listens(&other, boss, &[]).await,
        ];
        one.switches().tool("refund").off().unwrap();
        one.switches().tool("fire").off().unwrap();
        let clients = TestServer::over(other.clone());
        until("off at the other", async || {
            !other.switches().tool("fire").is_on().unwrap()
        })
        .await;
        let unknown = clients.call("refnud", json!({})).await;
        let off = clients.call("refund", json!({})).await;
        assert_eq!(off.error(), unknown.error(), "{kind}");
        other.changes().prompts();
        let expected = [1, 2].map(|count| vec!["tools/list_changed".to_owned(); count]);
        for (listener, expected) in heard.iter_mut().zip(expected) {
            assert_eq!(until_prompts(listener).await, expected, "{kind}: {names:?}");
        }

        let later = TestServer::new(server("one", Arc::clone(&stores[0]))).unwrap();
        assert_eq!(later.anonymous().tools().await, [""; 0], "{kind}");
        let another = TestServer::new(server("another", Arc::clone(&stores[0]))).unwrap();
        assert_eq!(
            another.anonymous().tools().await,
            ["refund"],
            "{kind}: another server"
        );

        other.switches().tool("refund").on().unwrap();
        until("on again at the first", async || {
            one.switches().tool("refund").is_on().unwrap()
        })
        .await;
        until("and at the third", async || {
            later.anonymous().tools().await == ["refund"]
        })
        .await;
    }
}

#[tokio::test]
async fn instances_agree_however_many_switch_at_once() {
    for (kind, stores, _corner) in stores().await {
        let services = joined(stores).await;
        let mut work = tokio::task::JoinSet::new();
        for (at, service) in services.iter().enumerate() {
            let switches = service.switches();
            work.spawn(async move {
                for round in 0..20 {
                    let refund = switches.tool("refund");
                    if (round + at) % 2 == 0 {
                        refund.off()
                    } else {
                        refund.on()
                    }
                    .unwrap();
                    tokio::task::yield_now().await;
                }
            });
        }
        work.join_all().await;
        // What came last is settled by the store; that it is the same for both is what counts.
        services[0].switches().tool("fire").off().unwrap();
        until("the last one heard", async || {
            !services[1].switches().tool("fire").is_on().unwrap()
        })
        .await;
        until("both the same", async || {
            let [one, other] = [0, 1].map(|at| services[at].switches().tool("refund"));
            one.is_on().unwrap() == other.is_on().unwrap()
        })
        .await;
        let _ = kind;
    }
}

/// A running call of a session at one instance, and everything that is to end it elsewhere.
#[tokio::test]
async fn a_call_is_cancelled_and_a_session_ended_from_any_instance() {
    for (kind, stores, _corner) in stores().await {
        for ending in ["cancelled", "deleted"] {
            let mut gates = Vec::new();
            let mut lives = Vec::new();
            for store in stores.clone() {
                let (server, gate) = crate::streams::server();
                lives.push(Live::start(server.store(store).build().unwrap()).await);
                gates.push(gate);
            }
            let [one, other] = <[Live; 2]>::try_from(lives).ok().unwrap();
            let id = session(&one, REVISION).await;
            let foreign = session(&other, REVISION).await;
            let mut running =
                Events::open(&one, &call(REVISION, "talk", json!({})).within(&id)).await;
            passed(&gates[0].entered).await;
            let mut feed = Events::open(&one, &get(REVISION, &id)).await;
            feed.next().await.unwrap();
            let cancel = |session: &str, request: Value| {
                let body = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
                    "params": { "requestId": request } });
                Ask::raw(body.to_string())
                    .header("mcp-protocol-version", REVISION)
                    .within(session)
            };
            // Neither another session nor another request.
            for ask in [cancel(&foreign, json!(7)), cancel(&id, json!("7"))] {
                assert_eq!(status(&other.exchange(&ask.bytes()).await), 202, "{kind}");
            }
            assert_eq!(gates[0].dropped.available_permits(), 0, "{kind}");
            let (ask, expected) = match ending {
                "cancelled" => (cancel(&id, json!(7)), 202),
                _ => (get(REVISION, &id).method("DELETE"), 204),
            };
            assert_eq!(
                status(&other.exchange(&ask.bytes()).await),
                expected,
                "{kind}"
            );
            passed(&gates[0].dropped).await;
            let rest = running.rest().await;
            let answered = rest.iter().any(|event| {
                event.get("event") == Some("message") && !event.message()["result"].is_null()
            });
            assert!(!answered, "{kind}, {ending}: {rest:?}");
            if ending == "deleted" {
                assert_eq!(feed.next().await, None, "{kind}: the stream ends");
            } else {
                let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
                let ping = Ask::raw(ping.to_string()).within(&id);
                assert_eq!(status(&one.exchange(&ping.bytes()).await), 200, "{kind}");
            }
            one.stop().await;
            other.stop().await;
        }
    }
}

/// However the answer to a question travels: told, seen after a gap, or found without any word.
#[tokio::test]
async fn an_answer_that_arrives_elsewhere_is_found_although_nobody_says_so() {
    for way in ["told", "gap", "silence"] {
        let wire = Wire::new(Clock::system());
        let mut lives = Vec::new();
        for _ in 0..2 {
            let (server, _) = crate::streams::server();
            lives.push(Live::start(server.store(wire.clone()).build().unwrap()).await);
        }
        let [one, other] = <[Live; 2]>::try_from(lives).ok().unwrap();
        let id = session(&one, REVISION).await;
        let mut events = Events::open(&one, &call(REVISION, "ask", json!({})).within(&id)).await;
        events.next().await.unwrap();
        let question = events.next().await.unwrap().message();
        wire.is(&wire.deaf, way != "told");
        let answer = json!({ "jsonrpc": "2.0", "id": question["id"],
            "result": { "action": "accept", "content": { "name": "a secret name" } } });
        let ask = Ask::raw(answer.to_string()).within(&id);
        assert_eq!(status(&other.exchange(&ask.bytes()).await), 202, "{way}");
        if way == "gap" {
            wire.gap();
        }
        let last = events.rest().await.pop().unwrap().message();
        assert_eq!(
            last["result"]["content"][0]["text"], "a secret name",
            "{way}"
        );
        for said in &*wire.said.lock().unwrap() {
            assert!(!said.contains(&id) && !said.contains("secret"), "{said}");
        }
        one.stop().await;
        other.stop().await;
    }
}

#[tokio::test]
async fn after_a_gap_everything_is_looked_at_again() {
    let wire = Wire::new(Clock::system());
    let [one, other] = joined([wire.clone(), wire.clone()]).await;
    let uris = ["notes://today", "docs://7"];
    let mut bob = listens(&other, Caller::user("bob"), &uris).await;
    wire.is(&wire.deaf, true);
    one.switches().tool("refund").off().unwrap();
    one.changes().resource("notes://today");
    until("all is said", async || wire.said.lock().unwrap().len() >= 2).await;
    assert!(
        other.switches().tool("refund").is_on().unwrap(),
        "it was not heard"
    );
    wire.is(&wire.deaf, false);
    wire.gap();
    // The switch itself, then everything that may have changed.
    let tools = "tools/list_changed".to_owned();
    assert_eq!(until_prompts(&mut bob).await, [tools.clone(), tools]);
    other.changes().prompts();
    let expected = ["resources/list_changed", "resources/updated notes://today"];
    assert_eq!(until_prompts(&mut bob).await, expected);
    assert!(!other.switches().tool("refund").is_on().unwrap());
}

#[tokio::test]
async fn what_could_not_be_said_while_the_store_failed_is_made_up_for() {
    let wire = Wire::new(Clock::system());
    let [one, other] = joined([wire.clone(), wire.clone()]).await;
    let mut bob = listens(&other, Caller::user("bob"), &[]).await;
    wire.is(&wire.broken, true);
    one.switches().tool("refund").off().unwrap();
    // More than wait to be said.
    (0..2000).for_each(|_| one.changes().tools());
    wire.is(&wire.broken, false);
    until("off at the other", async || {
        !other.switches().tool("refund").is_on().unwrap()
    })
    .await;
    assert!(
        until_prompts(&mut bob)
            .await
            .contains(&"tools/list_changed".to_owned())
    );
}

#[tokio::test]
async fn an_instance_that_starts_without_its_store_serves_and_joins_later() {
    let wire = Wire::new(Clock::system());
    let [one] = [joined([wire.clone(), wire.clone()])
        .await
        .into_iter()
        .next()
        .unwrap()];
    one.switches().tool("refund").off().unwrap();
    until("it is written", async || {
        !wire.said.lock().unwrap().is_empty()
    })
    .await;
    wire.is(&wire.broken, true);
    let late = server("one", wire.clone()).build().unwrap();
    let test = TestServer::over(late.clone());
    assert_eq!(test.anonymous().tools().await, ["refund"], "it serves");
    let mut bob = listens(&late, Caller::user("bob"), &[]).await;
    wire.is(&wire.broken, false);
    until("it has looked", async || {
        !late.switches().tool("refund").is_on().unwrap()
    })
    .await;
    let heard = until_prompts(&mut bob).await;
    assert!(
        heard.contains(&"tools/list_changed".to_owned()),
        "{heard:?}"
    );
}

#[tokio::test]
async fn an_instance_that_is_gone_listens_no_more() {
    let wire = Wire::new(Clock::system());
    let [one, other] = joined([wire.clone(), wire.clone()]).await;
    let open = || {
        wire.listeners
            .lock()
            .unwrap()
            .iter()
            .filter(|it| !it.is_closed())
            .count()
    };
    assert_eq!(open(), 2, "one subscription for each");
    TestServer::over(one.clone()).anonymous().tools().await;
    assert_eq!(open(), 2, "and no more");
    // What tools and their state keep of it does not keep it alive.
    let _kept = one.changes().clone();
    drop(one);
    until("one has left", async || open() == 1).await;
    let live = Live::start(other).await;
    live.stop().await;
    until("the other has left", async || open() == 0).await;
}

/// Two instances with the tools of the tests of streams.
async fn talking(stores: [Arc<dyn Store>; 2]) -> [(Live, Arc<crate::streams::Gate>); 2] {
    let mut all = Vec::new();
    for store in stores {
        let (server, gate) = crate::streams::server();
        all.push((
            Live::start(server.store(store).build().unwrap()).await,
            gate,
        ));
    }
    all.try_into().ok().unwrap()
}

fn back(session: &str, after: &str) -> Ask {
    get(REVISION, session).header("last-event-id", after)
}

#[tokio::test]
async fn a_client_comes_back_to_its_stream_at_any_instance() {
    for (kind, stores, _corner) in stores().await {
        let [(one, gate), (other, _)] = talking(stores).await;
        let id = session(&one, REVISION).await;
        let mut first = Events::open(&one, &call(REVISION, "talk", json!({})).within(&id)).await;
        let priming = first.next().await.unwrap();
        let said = first.next().await.unwrap();
        assert_eq!(texts(std::slice::from_ref(&said)), ["one"], "{kind}");
        drop(first);
        passed(&gate.entered).await;

        // The call still runs when its client comes back.
        let mut again = Events::open(&other, &back(&id, &priming.id())).await;
        assert!(again.is_stream(), "{kind}: {}", again.head);
        assert_eq!(
            again.next().await.unwrap(),
            said,
            "{kind}: what was said before"
        );
        gate.open.add_permits(1);
        let rest = again.rest().await;
        assert_eq!(texts(&rest), ["two", "done"], "{kind}");
        let stream = priming.id().replace(".0", "");
        let ids: Vec<String> = rest.iter().map(crate::events::Event::id).collect();
        assert_eq!(
            ids,
            [format!("{stream}.2"), format!("{stream}.3")],
            "{kind}"
        );

        // And when it has ended; from here and from there.
        for live in [&other, &one, &other] {
            let rest = Events::open(live, &back(&id, &said.id()))
                .await
                .rest()
                .await;
            assert_eq!(texts(&rest), ["two", "done"], "{kind}");
        }

        let foreign = session(&other, REVISION).await;
        for (what, session, event) in [
            ("SE-08 another session", &foreign, said.id()),
            ("SE-09 never sent", &id, format!("{stream}.9")),
            (
                "SE-09 made up",
                &id,
                "0123456789abcdef0123456789abcdef.1".to_owned(),
            ),
        ] {
            let got = other.exchange(&back(session, &event).bytes()).await;
            assert_eq!(status(&got), 400, "{kind}, {what}: {got}");
        }
        one.stop().await;
        other.stop().await;
    }
}

#[tokio::test]
async fn a_stream_has_one_reader_wherever_that_is() {
    let wire = Wire::new(Clock::system());
    let [(one, gate), (other, _)] = talking([wire.clone(), wire.clone()]).await;
    let id = session(&one, REVISION).await;
    let mut first = Events::open(&one, &call(REVISION, "talk", json!({})).within(&id)).await;
    let priming = first.next().await.unwrap().id();
    first.next().await.unwrap();
    // Without leaving: the later one reads.
    let mut second = Events::open(&other, &back(&id, &priming)).await;
    second.next().await.unwrap();
    assert_eq!(first.next().await, None, "the first one reads no more");
    let mut third = Events::open(&one, &back(&id, &priming)).await;
    third.next().await.unwrap();
    assert_eq!(second.next().await, None, "nor does the second");
    gate.open.add_permits(1);
    assert_eq!(texts(&third.rest().await), ["two", "done"]);
    for said in &*wire.said.lock().unwrap() {
        let stream = priming.split_once('.').unwrap().0;
        assert!(
            !said.contains(&id) && !said.contains(stream) && !said.contains("talk"),
            "{said}"
        );
    }
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_client_that_was_sent_away_comes_back_anywhere() {
    for (kind, stores, _corner) in stores().await {
        let [(one, gate), (other, _)] = talking(stores).await;
        let id = session(&one, REVISION).await;
        let mut first = Events::open(&one, &call(REVISION, "away", json!({})).within(&id)).await;
        let priming = first.next().await.unwrap().id();
        assert_eq!(first.next().await, None, "{kind}: it is sent away");
        let mut again = Events::open(&other, &back(&id, &priming)).await;
        gate.open.add_permits(1);
        assert_eq!(texts(&again.rest().await), ["back"], "{kind}");
        one.stop().await;
        other.stop().await;
    }
}

#[tokio::test]
async fn what_belongs_to_no_request_goes_on_where_the_client_is() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Clock::system(), 1000));
    let services = [(); 2].map(|()| {
        let (server, _) = crate::streams::server();
        server.store(Arc::clone(&store)).build().unwrap()
    });
    let changes = [0, 1].map(|at: usize| services[at].changes().clone());
    let [one, other] = services;
    let (one, other) = (Live::start(one).await, Live::start(other).await);
    let id = session(&one, REVISION).await;
    let mut feed = Events::open(&one, &get(REVISION, &id)).await;
    let priming = feed.next().await.unwrap();
    changes[1].tools();
    let seen = feed.next().await.unwrap();
    changes[0].prompts();
    let unseen = feed.next().await.unwrap();
    drop(feed);
    let mut again = Events::open(&other, &back(&id, &seen.id())).await;
    let new = again.next().await.unwrap();
    assert_eq!(new.get("data"), Some(""), "a stream of its own: {new:?}");
    assert_ne!(new.id(), priming.id());
    assert_eq!(again.next().await.unwrap().message(), unseen.message());
    changes[0].resources();
    let heard = again.next().await.unwrap();
    assert_eq!(
        heard.message()["method"],
        "notifications/resources/list_changed"
    );
    drop(again);
    // And back to where it began, with an id that the other gave.
    let mut third = Events::open(&one, &back(&id, &new.id())).await;
    third.next().await.unwrap();
    assert_eq!(third.next().await.unwrap().message(), unseen.message());
    assert_eq!(third.next().await.unwrap().message(), heard.message());
    one.stop().await;
    other.stop().await;
}

/// A session that was opened for a stream outlives it when somebody uses it, anywhere.
#[tokio::test]
async fn a_session_of_a_stream_outlives_it_when_it_is_used_elsewhere() {
    let wire = Wire::new(Clock::system());
    let [(one, _), (other, _)] = talking([wire.clone(), wire.clone()]).await;
    let feed = Events::open(&one, &get(REVISION, "").without("mcp-session-id")).await;
    let id = feed.header("mcp-session-id").unwrap().to_owned();
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    let ping = Ask::raw(ping.to_string()).within(&id).bytes();
    assert_eq!(status(&other.exchange(&ping).await), 200);
    until("it is said", async || {
        let said = wire.said.lock().unwrap();
        said.iter().any(|said| said.contains("\"used\""))
    })
    .await;
    drop(feed);
    // For longer than it takes a session to end with its stream.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(status(&other.exchange(&ping).await), 200);
    }
    one.stop().await;
    other.stop().await;
}
