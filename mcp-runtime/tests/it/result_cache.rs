//! Answers that are kept: for whom, for how long, and what makes them old.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mcp_runtime::prelude::*;
use mcp_runtime::store::{MemoryStore, Store};
use mcp_runtime::testing::{TestClient, TestReply, TestServer};
use mcp_runtime::{AuditLog, Caller, Clock};
use serde_json::{Value, json};
use tokio::sync::Notify;

#[derive(Lend)]
struct App {
    shelf: Shelf,
}

/// Counts who looked.
#[derive(Clone, Default)]
struct Shelf(Arc<Inner>);

#[derive(Default)]
struct Inner {
    looks: AtomicU32,
    begun: Notify,
    go_on: Notify,
}

impl Shelf {
    fn look(&self) -> u32 {
        self.0.looks.fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// How often somebody looked.
#[mcp_tool(authenticated, read_only, cache = "5s", family = "books")]
fn books(shelf: &Shelf, #[arg(default)] shelf_no: u32, #[arg(default)] row: u32) -> u32 {
    let _ = (shelf_no, row);
    shelf.look()
}

/// The same, without a family, and three times a minute.
#[mcp_tool(scope = "read", read_only, cache = "5s", rate = "3/min")]
fn everything(shelf: &Shelf) -> u32 {
    shelf.look()
}

/// The same, for everybody.
#[mcp_tool(public, read_only, cache = "5s")]
fn window(shelf: &Shelf) -> u32 {
    shelf.look()
}

/// Fails, and counts.
#[mcp_tool(authenticated, read_only, cache = "5s")]
fn broken(shelf: &Shelf) -> ToolResult<u32> {
    Err(ToolError::new(format!("{} times", shelf.look())).code("broken"))
}

/// Waits until it may go on.
#[mcp_tool(authenticated, read_only, cache = "5s", family = "books")]
async fn slowly(shelf: &Shelf) -> u32 {
    shelf.0.begun.notify_one();
    shelf.0.go_on.notified().await;
    shelf.look()
}

/// Puts a book there, or not.
#[mcp_tool(authenticated, family = "books")]
fn put(#[arg(default)] fails: bool, #[arg(range = 0..=3, default)] row: u32) -> ToolResult<()> {
    let _ = row;
    match fails {
        true => Err(ToolError::new("It does not fit.").code("full")),
        false => Ok(()),
    }
}

/// Puts a chair there.
#[mcp_tool(authenticated, family = "chairs")]
fn sit() {}

/// Changes anything.
#[mcp_tool(authenticated)]
fn rebuild() {}

/// Changes a book until it is told to stop.
#[mcp_tool(authenticated, family = "books", timeout = "1s")]
async fn scribble() {
    std::future::pending::<()>().await;
}

struct House {
    clock: Clock,
    shelf: Shelf,
    server: TestServer,
    service: mcp_runtime::Service,
}

impl House {
    fn new() -> Self {
        Self::with(|server| server)
    }

    fn with(adjust: impl FnOnce(Server<App>) -> Server<App>) -> Self {
        let clock = Clock::manual("2026-06-01T12:00:00Z".parse().expect("an instant"));
        let shelf = Shelf::default();
        let tools = tools![
            books, everything, window, broken, slowly, put, sit, rebuild, scribble
        ];
        let app = App {
            shelf: shelf.clone(),
        };
        let server = Server::with_state(app, tools).clock(clock.clone());
        let service = adjust(server).build().expect("a server");
        Self {
            clock,
            shelf,
            server: TestServer::over(service.clone()),
            service,
        }
    }

    fn ada(&self) -> TestClient {
        self.server.as_caller(ada())
    }

    fn looks(&self) -> u32 {
        self.shelf.0.looks.load(Ordering::SeqCst)
    }
}

fn ada() -> Caller {
    Caller::user("ada").tenant("org_a").scope("read")
}

/// What the answer says about where it comes from.
fn origin(reply: &TestReply) -> &Value {
    &reply.result()["_meta"]["mcp-runtime/resultCache"]
}

#[tokio::test]
async fn the_same_question_is_answered_from_memory_for_as_long_as_it_says() {
    let house = House::new();
    let first = house
        .ada()
        .call("books", json!({"row": 1, "shelf_no": 2}))
        .await;
    assert_eq!(first.structured()["result"], 1);
    assert_eq!(origin(&first), &json!({"hit": false, "ageMs": 0}));
    house.clock.advance(Duration::from_millis(4_999));
    let again = house
        .ada()
        .call("books", json!({"shelf_no": 2, "row": 1}))
        .await;
    assert_eq!(origin(&again), &json!({"hit": true, "ageMs": 4_999}));
    assert_eq!(again.structured(), first.structured());
    assert_eq!(again.text(), first.text());
    assert!(
        again.result()["_meta"]["io.modelcontextprotocol/serverInfo"].is_object(),
        "{}",
        again.body
    );
    house.clock.advance(Duration::from_millis(1));
    let later = house
        .ada()
        .call("books", json!({"row": 1, "shelf_no": 2}))
        .await;
    assert_eq!(later.structured()["result"], 2);
    assert_eq!(origin(&later)["hit"], false);
}

#[tokio::test]
async fn clients_of_every_revision_are_told_where_an_answer_comes_from() {
    let house = House::new();
    for revision in ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"] {
        let client = house.ada().revision(revision);
        client.call("books", json!({})).await.result();
        let again = client.call("books", json!({})).await;
        assert_eq!(origin(&again)["hit"], true, "{revision}: {}", again.body);
    }
    assert_eq!(house.looks(), 1);
}

/// TN-17: what is one to a careless key is two.
#[tokio::test]
async fn tn_17_nobody_is_answered_from_the_memory_of_another() {
    let house = House::new();
    let callers = [
        ada(),
        Caller::user("ada").tenant("org_b").scope("read"),
        Caller::user("ada").scope("read"),
        Caller::user("bob").tenant("org_a").scope("read"),
        ada().issuer("https://as.example.com"),
        ada().scope("admin"),
        ada().role("admin"),
        Caller::user("a:b").tenant("c"),
        Caller::user("a").tenant("b:c"),
        ada().scopes(["a b"]),
        ada().scopes(["a", "b"]),
    ];
    for (n, caller) in (1..).zip(&callers) {
        let reply = house
            .server
            .as_caller(caller.clone())
            .call("books", json!({}))
            .await;
        assert_eq!(reply.structured()["result"], n, "{caller:?}");
    }
    for (n, caller) in (1..).zip(callers) {
        let reply = house
            .server
            .as_caller(caller)
            .call("books", json!({}))
            .await;
        assert_eq!(reply.structured()["result"], n);
    }
    for arguments in [
        json!({"row": 1}),
        json!({"shelf_no": 1}),
        json!({"row": 11}),
    ] {
        let reply = house.ada().call("books", arguments.clone()).await;
        assert_eq!(origin(&reply)["hit"], false, "{arguments}");
    }
}

#[tokio::test]
async fn callers_without_a_token_share_nothing_and_failures_are_not_kept() {
    let house = House::new();
    for n in 1..4 {
        let reply = house.server.anonymous().call("window", json!({})).await;
        assert_eq!(reply.structured()["result"], n);
        assert_eq!(origin(&reply), &Value::Null);
    }
    for n in 4..6 {
        let reply = house.ada().call("broken", json!({})).await;
        assert_eq!(reply.code(), "broken");
        assert_eq!(reply.text(), format!("{n} times"));
    }
}

#[tokio::test]
async fn policy_and_limits_stand_before_what_is_kept() {
    let house = House::new();
    let ask = |caller| {
        let client = house.server.as_caller(caller);
        async move { client.call("everything", json!({})).await }
    };
    assert_eq!(origin(&ask(ada()).await)["hit"], false);
    assert_eq!(origin(&ask(ada()).await)["hit"], true);
    let without = ask(Caller::user("ada").tenant("org_a")).await;
    assert_eq!(without.status, 403, "{}", without.body);
    assert_eq!(origin(&ask(ada()).await)["hit"], true);
    let fourth = ask(ada()).await;
    assert_eq!(fourth.status, 429, "{}", fourth.body);
}

#[tokio::test]
async fn an_answer_from_memory_is_audited_like_every_other() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = folder.path().join("audit.jsonl");
    let house = House::with(|server| {
        let log = AuditLog::json_lines(&path).expect("a file");
        server.audit(log)
    });
    for _ in 0..3 {
        house.ada().call("books", json!({})).await.structured();
    }
    assert_eq!(house.looks(), 1);
    let lines = std::fs::read_to_string(&path).expect("a log");
    let calls = lines
        .lines()
        .filter(|line| line.contains("\"books\""))
        .count();
    assert_eq!(calls, 3, "{lines}");
}

/// `(tool, arguments, whether books are looked at anew, what others hear)`
#[tokio::test]
async fn what_changes_something_drops_what_is_kept_of_its_family_for_all() {
    let rows = [
        ("put", json!({}), true, true),
        ("put", json!({"fails": true}), true, true),
        ("put", json!({"row": 4}), false, false),
        ("sit", json!({}), false, true),
        ("rebuild", json!({}), true, true),
        ("broken", json!({}), false, false),
    ];
    for (tool, arguments, anew, drops) in rows {
        let house = House::new();
        house.ada().call("books", json!({})).await.structured();
        house.ada().call("everything", json!({})).await.structured();
        let bob = house.server.as_user("bob");
        bob.call(tool, arguments.clone()).await.result();
        let again = house.ada().call("books", json!({})).await;
        assert_eq!(origin(&again)["hit"], !anew, "{tool} {arguments}");
        let again = house.ada().call("everything", json!({})).await;
        assert_eq!(origin(&again)["hit"], !drops, "{tool} {arguments}");
    }
}

#[tokio::test]
async fn a_change_that_is_given_up_may_have_happened() {
    let house = House::new();
    let ada = house.ada();
    ada.call("books", json!({})).await.structured();
    tokio::select! {
        biased;
        _ = ada.call("scribble", json!({})) => panic!("it waits"),
        () = tokio::time::sleep(Duration::from_millis(20)) => {}
    }
    let again = ada.call("books", json!({})).await;
    assert_eq!(origin(&again)["hit"], false);
}

#[tokio::test]
async fn what_was_changed_while_it_was_read_is_not_kept() {
    let house = House::new();
    let ada = house.ada();
    for (tool, hit) in [("put", false), ("sit", true)] {
        let read = ada.call("slowly", json!({}));
        let change = async {
            house.shelf.0.begun.notified().await;
            house.ada().call(tool, json!({})).await.result();
            house.shelf.0.go_on.notify_one();
        };
        let (read, ()) = tokio::join!(read, change);
        assert_eq!(origin(&read)["hit"], false);
        house.shelf.0.go_on.notify_one();
        let again = ada.call("slowly", json!({})).await;
        assert_eq!(origin(&again)["hit"], hit, "{tool}");
        house.service.drop_family("books");
    }
}

#[tokio::test]
async fn changes_that_were_made_elsewhere_are_told() {
    for (family, hit) in [
        ("books", false),
        ("chairs", true),
        ("", false),
        ("unheard of", false),
    ] {
        let house = House::new();
        house.ada().call("books", json!({})).await.structured();
        house.service.drop_family(family);
        let again = house.ada().call("books", json!({})).await;
        assert_eq!(origin(&again)["hit"], hit, "{family}");
    }
}

#[tokio::test]
async fn instances_tell_each_other_what_is_old() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Clock::system(), 1000));
    let [here, there] = [(); 2].map(|()| House::with(|server| server.store(Arc::clone(&store))));
    let hits = async || {
        let answer = there.ada().call("books", json!({})).await;
        origin(&answer)["hit"] == true
    };
    for changes in ["put", "rebuild"] {
        hits().await;
        assert!(hits().await, "kept before {changes}");
        here.ada().call(changes, json!({})).await.structured();
        let dropped = async {
            while hits().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let dropped = tokio::time::timeout(Duration::from_secs(10), dropped).await;
        assert!(dropped.is_ok(), "{changes} was not heard of");
    }
}

#[tokio::test]
async fn the_oldest_answers_make_room() {
    let house = House::with(|server| server.result_cache(4, 1 << 20));
    for row in 0..10 {
        house
            .ada()
            .call("books", json!({"row": row}))
            .await
            .structured();
    }
    for (row, hit) in [(9, true), (6, true), (5, false)] {
        let again = house.ada().call("books", json!({"row": row})).await;
        assert_eq!(origin(&again)["hit"], hit, "{row}");
    }
}

#[test]
fn a_tool_that_is_made_at_run_time_keeps_the_same_rules() {
    type Change = fn(mcp_runtime::Tool) -> mcp_runtime::Tool;
    let rows: [(Change, &str); 4] = [
        (|tool| tool.cache_ms(5), "not read-only"),
        (|tool| tool.read_only().task().cache_ms(5), "a task"),
        (|tool| tool.read_only().cache_ms(0), "no time"),
        (|tool| tool.family(""), "no name"),
    ];
    for (change, expected) in rows {
        let tool = mcp_runtime::Tool::dynamic("find", "Find it.", mcp_runtime::Policy::public())
            .handler(|_, _| async { Ok::<_, ToolError>(1) })
            .map(change);
        let built = Server::new(ToolSet::new().with(tool)).build();
        let said = built.err().expect("refused").to_string();
        assert!(said.contains(expected), "{said}");
    }
}
