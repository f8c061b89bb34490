//! Instances that count rates together.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use mcp_runtime::prelude::*;
use mcp_runtime::store::{MemoryStore, Store, StoreError, StoreFuture, Subscription};
use mcp_runtime::testing::{TestReply, TestServer};
use mcp_runtime::{Limits, Rate};
use serde_json::json;

use crate::ask::{MODERN, call, header};
use crate::run::Logged;

/// Say it again.
#[mcp_tool(public, read_only)]
fn echo(message: String) -> String {
    message
}

/// Write it down.
#[mcp_tool(public)]
fn note(message: String) -> String {
    message
}

/// Twice a minute.
#[mcp_tool(public, read_only, rate = "2/min")]
fn rare() -> u8 {
    1
}

/// A page, once a minute.
#[mcp_resource("pages://{id}", public, rate = "1/min")]
fn any_page(id: u32) -> String {
    id.to_string()
}

/// Waits until it is told.
#[mcp_tool(public, read_only)]
async fn wait() -> u8 {
    tokio::time::sleep(Duration::from_secs(10)).await;
    1
}

fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

/// Time as a client sees it: buckets here run on the one clock, those in the store on the other.
#[derive(Clone)]
struct Time(Clock);

impl Time {
    fn new() -> Self {
        Self(crate::clock())
    }

    async fn pass(&self, seconds: u64) {
        let time = Duration::from_secs(seconds);
        self.0.advance(time);
        tokio::time::advance(time).await;
    }
}

fn instance(time: &Time, limits: Limits, store: &Arc<dyn Store>) -> TestServer {
    let tokens = StaticTokens::new().token("token-of-the-admin", Caller::user("admin"));
    let server = Server::new(tools![echo, note, rare, wait])
        .resources(resources![any_page])
        .auth(tokens)
        .clock(time.0.clone())
        .limits(limits)
        .shared_limits(Arc::clone(store));
    TestServer::new(server).unwrap()
}

fn two(time: &Time, limits: Limits) -> [TestServer; 2] {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(time.0.clone(), 1000));
    [0, 1].map(|_| instance(time, limits.clone(), &store))
}

/// How many of `calls` are let in, sent to one instance after the other.
async fn let_in(
    servers: &[TestServer],
    calls: usize,
    send: impl AsyncFn(&TestServer) -> TestReply,
) -> usize {
    let mut well = 0;
    for server in servers.iter().cycle().take(calls) {
        let reply = send(server).await;
        match reply.status {
            200 => well += 1,
            429 => {
                let seconds: u64 = header(&reply, "retry-after").unwrap().parse().unwrap();
                assert!((1..=60).contains(&seconds), "Retry-After: {seconds}");
                assert_eq!(reply.error()["data"]["code"], "rate_limited");
            }
            other => panic!("{other}: {}", reply.body),
        }
    }
    well
}

async fn echo_as(server: &TestServer, user: &str) -> TestReply {
    let say = json!({ "message": "hi" });
    server.as_user(user).call("echo", say).await
}

#[tokio::test(start_paused = true)]
async fn rl_01_two_instances_let_in_as_many_as_one() {
    let time = Time::new();
    let servers = two(&time, Limits::none().requests(rate("60/min, burst 10")));
    let ada = async |server: &TestServer| echo_as(server, "ada").await;
    assert_eq!(let_in(&servers, 30, ada).await, 10);
    time.pass(1).await;
    assert_eq!(let_in(&servers, 6, ada).await, 1);
    time.pass(60).await;
    assert_eq!(let_in(&servers, 30, ada).await, 10);
}

#[tokio::test(start_paused = true)]
async fn rl_07_one_who_asks_too_much_of_all_instances_hurts_nobody_else() {
    let time = Time::new();
    let servers = two(&time, Limits::none().requests(rate("60/min, burst 10")));
    let ada = async |server: &TestServer| echo_as(server, "ada").await;
    let bob = async |server: &TestServer| echo_as(server, "bob").await;
    let nobody = async |server: &TestServer| {
        let say = json!({ "message": "hi" });
        server.anonymous().call("echo", say).await
    };
    assert_eq!(let_in(&servers, 30, ada).await, 10);
    assert_eq!(let_in(&servers, 30, bob).await, 10);
    assert_eq!(let_in(&servers, 30, nobody).await, 10);
}

#[tokio::test(start_paused = true)]
async fn rl_01_writes_tools_and_resources_are_counted_together() {
    let time = Time::new();
    let servers = two(&time, Limits::none().writes(rate("10/min, burst 2")));
    let note = async |server: &TestServer| {
        let say = json!({ "message": "hi" });
        server.as_user("ada").call("note", say).await
    };
    let rare = async |server: &TestServer| server.as_user("ada").call("rare", json!({})).await;
    let rare_of_nobody =
        async |server: &TestServer| server.anonymous().call("rare", json!({})).await;
    let page = async |server: &TestServer| {
        let ada = server.as_user("ada");
        ada.request("resources/read", json!({ "uri": "pages://1" }))
            .await
    };
    assert_eq!(let_in(&servers, 8, note).await, 2);
    assert_eq!(let_in(&servers, 8, rare).await, 2);
    assert_eq!(let_in(&servers, 8, rare_of_nobody).await, 2);
    assert_eq!(let_in(&servers, 8, page).await, 1);
    assert_eq!(
        let_in(&servers, 8, async |server| echo_as(server, "ada").await).await,
        8
    );
}

#[tokio::test(start_paused = true)]
async fn rl_11_bad_tokens_are_counted_together_and_do_not_lock_out_good_ones() {
    let time = Time::new();
    let servers = two(&time, Limits::none().failed_authentications(rate("10/min")));
    let with = async |server: &TestServer, token: &str| {
        let bearer = format!("Bearer {token}");
        let say = json!({ "message": "hi" });
        let ask = call(MODERN, "echo", say).header("authorization", &bearer);
        ask.send(server).await.status
    };
    let mut unknown = 0;
    for (n, server) in servers.iter().cycle().take(40).enumerate() {
        match with(server, &format!("guess-{n}")).await {
            401 => unknown += 1,
            429 => {}
            other => panic!("{other}"),
        }
        assert_eq!(with(server, "token-of-the-admin").await, 200, "after {n}");
    }
    assert_eq!(unknown, 10);
}

#[tokio::test(start_paused = true)]
async fn rl_12_setting_the_time_of_day_neither_opens_nor_shuts() {
    let noon: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    let time = Time(Clock::manual(noon));
    let servers = two(&time, Limits::none().requests(rate("60/min, burst 10")));
    let ada = async |server: &TestServer| echo_as(server, "ada").await;
    assert_eq!(let_in(&servers, 30, ada).await, 10);
    for hours in [-1, 1, 0] {
        time.0.set(noon + jiff::SignedDuration::from_hours(hours));
        // The store may take the step for time that has passed; each instance does not.
        let many = let_in(&servers, 30, ada).await;
        assert!(many <= 10, "{many} at {hours} h");
        let mut waited = 0;
        while let_in(&servers, 2, ada).await == 0 {
            waited += 1;
            assert!(waited < 60, "nobody is let in at {hours} h");
            time.pass(1).await;
        }
        let so_far = let_in(&servers, 30, ada).await;
        time.pass(1).await;
        let again = let_in(&servers, 30, ada).await;
        assert!(so_far + again <= 11, "{so_far}, {again} at {hours} h");
    }
}

#[tokio::test(start_paused = true)]
async fn rl_10_calls_at_once_are_those_of_each_instance() {
    let time = Time::new();
    let servers = two(&time, Limits::none().concurrent(1));
    let asked = servers.iter().map(|server| {
        let ada = server.as_user("ada");
        async move {
            let both = tokio::join!(ada.call("wait", json!({})), ada.call("wait", json!({})));
            [both.0.status, both.1.status]
        }
    });
    for one in asked {
        let mut statuses = one.await;
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 429]);
    }
}

/// A store that fails, hangs, or works, as told, and counts how often it is asked.
struct Shaky {
    store: MemoryStore,
    fails: AtomicBool,
    hangs: AtomicBool,
    asked: AtomicUsize,
    keys: Mutex<BTreeSet<String>>,
}

impl Shaky {
    fn new(time: &Time) -> Arc<Self> {
        Arc::new(Self {
            store: MemoryStore::new(time.0.clone(), 1000),
            fails: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
            keys: Mutex::default(),
        })
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }
}

impl Store for Shaky {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Vec<u8>>> {
        self.store.get(key)
    }

    fn put<'a>(&'a self, key: &'a str, value: &'a [u8], until: Timestamp) -> StoreFuture<'a, ()> {
        self.store.put(key, value, until)
    }

    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        until: Timestamp,
    ) -> StoreFuture<'a, bool> {
        self.store.put_if_absent(key, value, until)
    }

    fn replace<'a>(
        &'a self,
        key: &'a str,
        expected: &'a [u8],
        value: &'a [u8],
        until: Timestamp,
    ) -> StoreFuture<'a, bool> {
        self.store.replace(key, expected, value, until)
    }

    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, bool> {
        self.store.remove(key)
    }

    fn take<'a>(&'a self, key: &'a str, rate: Rate) -> StoreFuture<'a, Result<(), Duration>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.keys.lock().unwrap().insert(key.to_owned());
        Box::pin(async move {
            if self.hangs.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            if self.fails.load(Ordering::Relaxed) {
                return Err(StoreError::unavailable("the store is on fire"));
            }
            self.store.take(key, rate).await
        })
    }

    fn publish<'a>(&'a self, message: &'a [u8]) -> StoreFuture<'a, ()> {
        self.store.publish(message)
    }

    fn subscribe(&self) -> StoreFuture<'_, Subscription> {
        self.store.subscribe()
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_instance_refuses_itself_costs_the_store_nothing() {
    let time = Time::new();
    let shaky = Shaky::new(&time);
    let store: Arc<dyn Store> = shaky.clone();
    let server = instance(
        &time,
        Limits::none().requests(rate("60/min, burst 10")),
        &store,
    );
    let ada = async |server: &TestServer| echo_as(server, "ada").await;
    assert_eq!(let_in(&[server], 500, ada).await, 10);
    assert_eq!(shaky.asked(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_in_the_store_is_named_after_the_limit_and_who_is_limited() {
    let time = Time::new();
    let shaky = Shaky::new(&time);
    let store: Arc<dyn Store> = shaky.clone();
    let often = rate("600/min");
    let limits = Limits::none()
        .requests(often)
        .writes(often)
        .failed_authentications(often);
    let server = instance(&time, limits, &store);
    for caller in [server.as_user("ada"), server.anonymous()] {
        caller.call("note", json!({ "message": "hi" })).await;
        caller.call("rare", json!({})).await;
    }
    let ask = call(MODERN, "rare", json!({})).header("authorization", "Bearer guess");
    assert_eq!(ask.send(&server).await.status, 401);
    let keys = shaky.keys.lock().unwrap();
    let mut kinds: Vec<&str> = keys
        .iter()
        .map(|key| {
            let (kind, who) = key.rsplit_once(':').unwrap();
            assert!(who.len() == 32 && who.bytes().all(|byte| byte.is_ascii_hexdigit()));
            kind
        })
        .collect();
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        [
            "mcp:limit:anonymous",
            "mcp:limit:failed-authentication",
            "mcp:limit:requests",
            "mcp:limit:tool.rare",
            "mcp:limit:tool.rare-anonymous",
            "mcp:limit:writes",
            "mcp:limit:writes-anonymous",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn without_the_store_each_instance_limits_for_itself_and_says_so_once_a_minute() {
    let time = Time::new();
    let shaky = Shaky::new(&time);
    let store: Arc<dyn Store> = shaky.clone();
    let limits = Limits::none().requests(rate("60/min, burst 10"));
    let servers = [0, 1].map(|_| instance(&time, limits.clone(), &store));
    let (logged, _listening) = Logged::listen();
    let warnings = || {
        logged
            .text()
            .matches("the store of limits cannot be used")
            .count()
    };
    let ada = async |server: &TestServer| echo_as(server, "ada").await;
    shaky.fails.store(true, Ordering::Relaxed);
    assert_eq!(let_in(&servers, 60, ada).await, 20);
    assert!(
        shaky.asked() <= 4,
        "a store in trouble is left alone for a while"
    );
    assert!(
        logged.text().contains("the store is on fire"),
        "{}",
        logged.text()
    );
    assert_eq!(warnings(), 2, "one of each instance");
    for _ in 0..50 {
        time.pass(1).await;
        let_in(&servers, 2, ada).await;
    }
    assert_eq!(warnings(), 2, "once a minute");
    time.pass(60).await;
    let_in(&servers, 4, ada).await;
    assert_eq!(warnings(), 4);

    // Nobody waits for a store that does not answer, but for a moment.
    shaky.hangs.store(true, Ordering::Relaxed);
    time.pass(60).await;
    let since = tokio::time::Instant::now();
    let many = let_in(&servers, 60, ada).await;
    assert!(matches!(many, 20..=22), "{many}: some come back meanwhile");
    let took = since.elapsed();
    assert!(took <= Duration::from_secs(3), "{took:?}");

    shaky.hangs.store(false, Ordering::Relaxed);
    shaky.fails.store(false, Ordering::Relaxed);
    time.pass(60).await;
    assert_eq!(
        let_in(&servers, 60, ada).await,
        10,
        "it counts together again"
    );
}
