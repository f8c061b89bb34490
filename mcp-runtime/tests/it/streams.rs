//! The forms of answers, streams of events, and coming back to them.

use std::sync::Arc;
use std::time::Duration;

use mcp_runtime::prelude::*;
use mcp_runtime::testing::TestServer;
use mcp_runtime::{AuditLog, EndEvent, Replies, SessionMode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::ask::{Ask, LEGACY, MODERN, call, header};
use crate::events::{Event, Events};
use crate::live::{Live, status, within};

const BOTH: &str = "application/json, text/event-stream";

/// What a test and its tools tell each other.
pub(crate) struct Gate {
    pub(crate) entered: Semaphore,
    pub(crate) open: Semaphore,
    pub(crate) dropped: Semaphore,
}

#[derive(Lend)]
pub(crate) struct State {
    gate: Arc<Gate>,
}

/// Tells that a call is over, however.
struct Tells(Arc<Gate>);

impl Drop for Tells {
    fn drop(&mut self) {
        self.0.dropped.add_permits(1);
    }
}

/// Say it again.
#[mcp_tool(public)]
fn echo(message: String) -> String {
    message
}

/// Log, wait, log, and answer.
#[mcp_tool(public)]
async fn talk(call: &Call, gate: &Arc<Gate>) -> String {
    let _tells = Tells(Arc::clone(gate));
    call.log(LogLevel::Info, "talk", "one");
    gate.entered.add_permits(1);
    let _ = gate
        .open
        .acquire()
        .await
        .map(tokio::sync::SemaphorePermit::forget);
    call.log(LogLevel::Info, "talk", "two");
    "done".into()
}

/// Log and answer at once.
#[mcp_tool(public)]
fn note(call: &Call) -> String {
    call.log(LogLevel::Info, "note", "noted");
    "done".into()
}

/// Leave the client alone until the answer is there.
#[mcp_tool(public)]
async fn away(call: &Call, gate: &Arc<Gate>) -> String {
    call.close_stream();
    gate.entered.add_permits(1);
    let _ = gate
        .open
        .acquire()
        .await
        .map(tokio::sync::SemaphorePermit::forget);
    "back".into()
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

/// Ask who it is.
#[mcp_tool(public)]
async fn ask(call: &Call) -> ToolResult<String> {
    let answer = call.elicit::<Name>("Who?").await?;
    Ok(answer
        .accepted()
        .map(|answer| answer.name)
        .unwrap_or_default())
}

pub(crate) fn server() -> (Server<State>, Arc<Gate>) {
    let gate = Arc::new(Gate {
        entered: Semaphore::new(0),
        open: Semaphore::new(0),
        dropped: Semaphore::new(0),
    });
    let state = State {
        gate: Arc::clone(&gate),
    };
    let tools = tools![echo, talk, note, away, ask];
    (Server::with_state(state, tools).logging(), gate)
}

pub(crate) async fn passed(semaphore: &Semaphore) {
    within(semaphore.acquire()).await.unwrap().forget();
}

pub(crate) fn initialize(revision: &str, capabilities: Value) -> Ask {
    let params = json!({ "protocolVersion": revision, "capabilities": capabilities, "clientInfo": { "name": "t", "version": "1" } });
    Ask::legacy(revision, "initialize", params)
}

/// Opens a session over a socket.
pub(crate) async fn session(live: &Live, revision: &str) -> String {
    let ask = initialize(revision, json!({ "elicitation": {} }));
    let answer = Events::open(live, &ask).await;
    let id = answer.header("mcp-session-id");
    id.unwrap_or_else(|| panic!("no session: {}", answer.head))
        .to_owned()
}

pub(crate) trait In {
    fn within(self, session: &str) -> Self;
}

impl In for Ask {
    fn within(self, session: &str) -> Self {
        self.header("mcp-session-id", session)
    }
}

pub(crate) fn get(revision: &str, session: &str) -> Ask {
    Ask::legacy(revision, "-", json!({}))
        .with_body("")
        .method("GET")
        .header("accept", "text/event-stream")
        .within(session)
}

pub(crate) fn texts(events: &[Event]) -> Vec<String> {
    let text = |event: &Event| {
        let message = event.message();
        let data = message["params"]["data"].as_str();
        let text = message["result"]["content"][0]["text"].as_str();
        data.or(text).unwrap_or_default().to_owned()
    };
    events.iter().map(text).collect()
}

#[tokio::test]
async fn the_client_decides_on_the_form_and_then_the_server() {
    const JSON: Option<&str> = Some("application/json");
    const SSE: Option<&str> = Some("text/event-stream; charset=utf-8");
    for (replies, accept, at_once, after_a_note) in [
        (Replies::Negotiate, Some(BOTH), JSON, SSE),
        (Replies::Negotiate, Some("*/*"), JSON, SSE),
        (Replies::Negotiate, None, JSON, SSE),
        (Replies::Negotiate, Some("application/json"), JSON, JSON),
        (Replies::Negotiate, Some("text/event-stream"), SSE, SSE),
        (Replies::Json, Some(BOTH), JSON, JSON),
        (Replies::Json, None, JSON, JSON),
        (Replies::Json, Some("text/event-stream"), SSE, SSE),
        (Replies::Sse, Some(BOTH), SSE, SSE),
        (Replies::Sse, Some("*/*"), SSE, SSE),
        (Replies::Sse, None, SSE, SSE),
        (Replies::Sse, Some("application/json"), JSON, JSON),
        (Replies::Sse, Some("text/html"), None, None),
    ] {
        let test = TestServer::new(server().0.replies(replies)).unwrap();
        for (tool, expected) in [("echo", at_once), ("note", after_a_note)] {
            let arguments = if tool == "echo" {
                json!({ "message": "done" })
            } else {
                json!({})
            };
            let ask = call("2025-06-18", tool, arguments).without("accept");
            let ask = match accept {
                Some(accept) => ask.header("accept", accept),
                None => ask,
            };
            let reply = ask.send(&test).await;
            let what = format!("T2: {replies:?}, {accept:?}, {tool}");
            let Some(expected) = expected else {
                assert_eq!(reply.status, 406, "{what}");
                continue;
            };
            assert_eq!(header(&reply, "content-type"), Some(expected), "{what}");
            assert_eq!(reply.text(), "done", "{what}");
            let told = usize::from(tool == "note" && expected.starts_with("text"));
            assert_eq!(reply.notes.len(), told, "{what}: {:?}", reply.notes);
        }
    }
}

#[tokio::test]
async fn a_strict_server_wants_both_forms_in_the_list() {
    let test = TestServer::new(server().0.strict_accept()).unwrap();
    for (accept, status) in [
        (BOTH, 200),
        ("application/json", 406),
        ("text/event-stream", 406),
        ("*/*", 406),
    ] {
        let ask = call(MODERN, "echo", json!({ "message": "m" })).header("accept", accept);
        assert_eq!(ask.send(&test).await.status, status, "{accept}");
    }
}

#[tokio::test]
async fn json_alone_cannot_ask_and_says_so_but_still_listens() {
    let live = Live::start(server().0.replies(Replies::Json).build().unwrap()).await;
    let id = session(&live, "2025-11-25").await;
    let answer = live
        .exchange(&call("2025-11-25", "ask", json!({})).within(&id).bytes())
        .await;
    assert!(answer.contains("no_back_channel"), "{answer}");
    let params = json!({ "notifications": { "toolsListChanged": true } });
    let mut events = Events::open(&live, &Ask::modern("subscriptions/listen", params)).await;
    let first = events.next().await.unwrap().message();
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    live.stop().await;
}

#[tokio::test]
async fn the_bytes_of_a_stream() {
    let live = Live::start(server().0.replies(Replies::Sse).build().unwrap()).await;
    let ask = call("2025-06-18", "echo", json!({ "message": "hi" }));
    let got = live.exchange(&ask.bytes()).await;
    let (head, body) = got
        .to_ascii_lowercase()
        .split_once("\r\n\r\n")
        .map(|(h, b)| (h.to_owned(), b.to_owned()))
        .unwrap();
    for line in [
        "content-type: text/event-stream; charset=utf-8",
        "cache-control: no-cache, no-store, must-revalidate, private",
        "x-accel-buffering: no",
        "x-content-type-options: nosniff",
        "transfer-encoding: chunked",
    ] {
        assert!(head.lines().any(|known| known == line), "{line}: {head}");
    }
    assert!(!head.contains("content-length"), "{head}");
    assert!(body.contains("\r\n: open\n\n"), "a comment first: {body}");
    assert_eq!(body.matches("event: message\ndata: {").count(), 1, "{body}");
    // The stream opens while the tool runs, before it has anything to say.
    let (server, gate) = server();
    let live = Live::start(server.replies(Replies::Sse).build().unwrap()).await;
    let mut events = Events::open(&live, &call(MODERN, "away", json!({}))).await;
    assert!(events.is_stream() && events.any().await.unwrap().get("").is_some());
    gate.open.add_permits(1);
    assert_eq!(
        texts(&events.rest().await),
        ["back"],
        "the stream goes on without a session"
    );
}

/// SE-17, SE-18: what a caller sends does not become an event.
#[tokio::test]
async fn se_17_and_se_18_nothing_is_injected_into_a_stream() {
    let live = Live::start(server().0.replies(Replies::Sse).build().unwrap()).await;
    let evil = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}";
    for gap in ["\n\n", "\r", "\r\n", "\r\r", "\u{2028}", "\u{85}"] {
        let message = format!("x{gap}{evil}{gap}");
        for revision in ["2025-06-18", MODERN] {
            let ask = call(revision, "echo", json!({ "message": message }));
            let mut events = Events::open(&live, &ask).await;
            assert_eq!(
                texts(&events.rest().await),
                [message.as_str()],
                "SE-17 {gap:?}"
            );
        }
    }
    let id = "1\nevent: pwn\nid: 9";
    let body = json!({ "jsonrpc": "2.0", "id": id, "method": "ping" }).to_string();
    let mut events = Events::open(&live, &Ask::raw(body)).await;
    let all = events.rest().await;
    assert_eq!(
        (all.len(), all[0].message()["id"].as_str()),
        (1, Some(id)),
        "SE-18"
    );
}

#[tokio::test]
async fn a_stream_says_at_its_end_what_it_is_told_to() {
    for (end, name) in [
        (EndEvent::None, None),
        (EndEvent::Close, Some("close")),
        (EndEvent::Complete, Some("complete")),
    ] {
        let (server, _) = server();
        let service = server
            .replies(Replies::Sse)
            .sse_end_event(end)
            .build()
            .unwrap();
        let live = Live::start(service).await;
        let id = session(&live, "2025-11-25").await;
        for ask in [
            call(MODERN, "note", json!({})),
            call("2025-06-18", "echo", json!({ "message": "m" })),
            call("2025-11-25", "note", json!({})).within(&id),
        ] {
            let all = Events::open(&live, &ask).await.rest().await;
            let last = all.last().unwrap();
            match name {
                None => assert!(last.message()["result"].is_object(), "{last:?}"),
                Some(_) => {
                    assert_eq!(last.get("event"), name, "{end:?}: {last:?}");
                    let answer = all[all.len() - 2].message();
                    assert!(answer["result"].is_object(), "after the answer: {answer}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_call_of_a_session_goes_on_without_its_client_who_comes_back_for_the_rest() {
    let (server, gate) = server();
    let live = Live::start(server.build().unwrap()).await;
    let id = session(&live, "2025-11-25").await;
    let mut first = Events::open(&live, &call("2025-11-25", "talk", json!({})).within(&id)).await;
    assert_eq!(first.header("mcp-session-id"), Some(&*id));
    let priming = first.next().await.unwrap();
    assert_eq!(
        (priming.get("data"), priming.get("retry")),
        (Some(""), Some("3000"))
    );
    let one = first.next().await.unwrap();
    assert_eq!(texts(std::slice::from_ref(&one)), ["one"]);
    drop(first);
    passed(&gate.entered).await;
    gate.open.add_permits(1);
    passed(&gate.dropped).await;

    // After the last event seen; and from the beginning, for who lost that, too.
    for (after, expected) in [
        (one.id(), vec!["two", "done"]),
        (priming.id(), vec!["one", "two", "done"]),
    ] {
        let ask = get("2025-11-25", &id).header("last-event-id", &after);
        let mut again = Events::open(&live, &ask).await;
        let rest = again.rest().await;
        assert_eq!(texts(&rest), expected);
        let ids: Vec<String> = rest.iter().map(Event::id).collect();
        let stream = priming.id().replace(".0", "");
        let numbers = (4 - ids.len()..4).map(|n| format!("{stream}.{n}"));
        assert_eq!(ids, numbers.collect::<Vec<_>>(), "ids are unique and stay");
    }
    live.stop().await;
}

#[tokio::test]
async fn only_clients_since_2025_11_25_are_primed_and_no_modern_stream_has_ids() {
    let live = Live::start(server().0.build().unwrap()).await;
    for (revision, primed, numbered) in [
        ("2025-06-18", false, true),
        ("2025-11-25", true, true),
        (MODERN, false, false),
    ] {
        let ask = call(revision, "note", json!({}));
        let ask = if revision == MODERN {
            Ask::modern(
                "tools/call",
                json!({ "name": "note", "arguments": {}, "_meta": {
                    "io.modelcontextprotocol/protocolVersion": MODERN,
                    "io.modelcontextprotocol/clientCapabilities": {},
                    "io.modelcontextprotocol/logLevel": "info",
                }}),
            )
        } else {
            ask.within(&session(&live, revision).await)
        };
        let all = Events::open(&live, &ask).await.rest().await;
        assert_eq!(all.len(), 2 + usize::from(primed), "{revision}: {all:?}");
        let ids = all.iter().all(|event| event.get("id").is_some());
        assert_eq!(ids, numbered, "{revision}: {all:?}");
    }
    live.stop().await;
}

/// SE-08, SE-09: a client comes back to its own streams only, and only with ids that it was given.
#[tokio::test]
async fn se_08_and_se_09_event_ids_are_good_for_their_stream_and_session_only() {
    let live = Live::start(server().0.build().unwrap()).await;
    let (ada, bob) = (
        session(&live, "2025-11-25").await,
        session(&live, "2025-11-25").await,
    );
    let mut streams = Vec::new();
    for _ in 0..2 {
        let ask = call("2025-11-25", "note", json!({})).within(&ada);
        streams.push(Events::open(&live, &ask).await.rest().await);
    }
    for (n, events) in streams.iter().enumerate() {
        let ask = get("2025-11-25", &ada).header("last-event-id", &events[1].id());
        let rest = Events::open(&live, &ask).await.rest().await;
        assert_eq!(
            rest,
            events[2..],
            "SE-08: stream {n} has only its own events"
        );
    }
    let known = streams[0][0].id();
    let stream = known.split_once('.').unwrap().0;
    for (what, session, id) in [
        ("SE-08 another session", &bob, known.clone()),
        ("SE-09 10 KiB", &ada, "1".repeat(10 << 10)),
        ("SE-09 negative", &ada, "-1".into()),
        ("SE-09 too large", &ada, "99999999999999999999".into()),
        ("SE-09 a path", &ada, "0/../../1".into()),
        ("never sent", &ada, format!("{stream}.7")),
        ("a sign", &ada, format!("{stream}.+1")),
        (
            "too large a number",
            &ada,
            format!("{stream}.99999999999999999999"),
        ),
        ("no number", &ada, format!("{stream}.")),
        ("empty", &ada, String::new()),
    ] {
        let ask = get("2025-11-25", session).header("last-event-id", &id);
        let got = live.exchange(&ask.bytes()).await;
        assert_eq!(status(&got), 400, "{what}: {got:.400}");
        assert!(
            got.contains("Last-Event-ID"),
            "{what}: says what to do: {got}"
        );
    }
    live.stop().await;
}

#[tokio::test]
async fn a_call_without_its_client_is_ended_by_cancellation_or_with_its_session() {
    for how in ["cancelled", "delete"] {
        let (server, gate) = server();
        let live = Live::start(server.build().unwrap()).await;
        let id = session(&live, "2025-11-25").await;
        let mut events =
            Events::open(&live, &call("2025-11-25", "talk", json!({})).within(&id)).await;
        events.next().await.unwrap();
        passed(&gate.entered).await;
        let end = if how == "cancelled" {
            let note = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 } });
            Ask::raw(note.to_string()).within(&id)
        } else {
            get("2025-11-25", &id).method("DELETE")
        };
        let answer = live.exchange(&end.bytes()).await;
        assert!([202, 204].contains(&status(&answer)), "{how}: {answer}");
        passed(&gate.dropped).await;
        let rest = events.rest().await;
        assert_eq!(
            texts(&rest),
            ["one"],
            "{how}: the stream ends without an answer"
        );
    }
}

#[tokio::test]
async fn a_modern_call_ends_with_its_stream() {
    let (server, gate) = server();
    let live = Live::start(server.replies(Replies::Sse).build().unwrap()).await;
    let mut events = Events::open(&live, &call(MODERN, "talk", json!({}))).await;
    events.any().await.unwrap();
    passed(&gate.entered).await;
    drop(events);
    passed(&gate.dropped).await;
    live.stop().await;
}

#[tokio::test]
async fn a_tool_sends_its_client_away_until_the_answer_is_there() {
    let (server, gate) = server();
    let live = Live::start(server.build().unwrap()).await;
    let id = session(&live, "2025-11-25").await;
    let mut events = Events::open(&live, &call("2025-11-25", "away", json!({})).within(&id)).await;
    let all = events.rest().await;
    assert_eq!(all.len(), 1, "only what to come back with: {all:?}");
    passed(&gate.entered).await;
    let ask = get("2025-11-25", &id).header("last-event-id", &all[0].id());
    let mut again = Events::open(&live, &ask).await;
    gate.open.add_permits(1);
    assert_eq!(texts(&again.rest().await), ["back"]);

    // A client that could not come back is not sent away.
    gate.open.add_permits(1);
    let old = session(&live, "2025-06-18").await;
    let mut events = Events::open(&live, &call("2025-06-18", "away", json!({})).within(&old)).await;
    let body = if events.is_stream() {
        texts(&events.rest().await)
    } else {
        vec!["back".into()]
    };
    assert_eq!(body, ["back"]);
    live.stop().await;
}

#[tokio::test]
async fn a_stream_is_kept_for_a_minute_after_its_end() {
    let clock = crate::clock();
    let live = Live::start(server().0.clock(clock.clone()).build().unwrap()).await;
    let id = session(&live, "2025-11-25").await;
    let all = Events::open(&live, &call("2025-11-25", "note", json!({})).within(&id))
        .await
        .rest()
        .await;
    for (later, expected) in [(59, 200), (2 * 60, 400)] {
        clock.advance(Duration::from_secs(later));
        let ask = get("2025-11-25", &id).header("last-event-id", &all[0].id());
        let got = live.exchange(&ask.bytes()).await;
        assert_eq!(status(&got), expected, "{got}");
    }
    live.stop().await;
}

#[tokio::test]
async fn more_streams_than_a_session_may_keep_are_served_all_the_same() {
    let (server, gate) = server();
    let live = Live::start(server.build().unwrap()).await;
    let id = session(&live, "2025-11-25").await;
    let mut open = Vec::new();
    for _ in 0..20 {
        let ask = call("2025-11-25", "talk", json!({})).within(&id);
        let mut events = Events::open(&live, &ask).await;
        let first = events.next().await.unwrap();
        open.push((events, first.get("id").is_some()));
    }
    let kept = open.iter().filter(|(_, kept)| *kept).count();
    assert_eq!(kept, 16);
    gate.open.add_permits(20);
    for (mut events, _) in open {
        assert_eq!(texts(&events.rest().await).last().unwrap(), "done");
    }
    // Those that are over make room.
    let ask = call("2025-11-25", "note", json!({})).within(&id);
    let all = Events::open(&live, &ask).await.rest().await;
    assert!(all[0].get("retry").is_some(), "{all:?}");
    live.stop().await;
}

#[tokio::test]
async fn a_stream_of_changes_goes_on_after_the_last_that_was_heard() {
    let service = server().0.build().unwrap();
    let changes = service.changes().clone();
    let live = Live::start(service).await;
    let id = session(&live, "2025-11-25").await;
    let mut feed = Events::open(&live, &get("2025-11-25", &id)).await;
    let mut ids = vec![feed.next().await.unwrap().id()];
    for _ in 0..3 {
        changes.tools();
        ids.push(feed.next().await.unwrap().id());
    }
    drop(feed);
    // Often, and more often than a session keeps streams.
    for _ in 0..20 {
        let ask = get("2025-11-25", &id).header("last-event-id", &ids[1]);
        let mut again = Events::open(&live, &ask).await;
        for expected in &ids[2..] {
            assert_eq!(&again.next().await.unwrap().id(), expected);
        }
        changes.prompts();
        let new = again.next().await.unwrap();
        assert_eq!(
            new.message()["method"],
            "notifications/prompts/list_changed"
        );
        ids.push(new.id());
    }
    for _ in 0..20 {
        let mut feed = Events::open(&live, &get("2025-11-25", &id)).await;
        assert!(
            feed.next().await.unwrap().get("retry").is_some(),
            "there is room for another"
        );
        drop(feed);
        changes.tools();
    }
    live.stop().await;
}

#[tokio::test]
async fn streams_end_with_the_server() {
    let live = Live::start(server().0.sessions(SessionMode::Auto).build().unwrap()).await;
    let id = session(&live, "2025-11-25").await;
    let mut feed = Events::open(&live, &get("2025-11-25", &id)).await;
    feed.next().await.unwrap();
    let took = live.stop().await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(feed.next().await, None);
}

/// For those who say who they are.
#[mcp_tool(scope = "plans:write")]
fn planned() -> u8 {
    1
}

/// A stream begins with 200: it must not before it is decided that there is one.
#[tokio::test]
async fn a_refusal_is_told_by_the_status_however_long_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let log = AuditLog::json_lines_synced(folder.path().join("audit.jsonl")).unwrap();
    let server = Server::new(tools![planned])
        .replies(Replies::Sse)
        .audit(log);
    let server = TestServer::new(server).unwrap();
    for revision in LEGACY.into_iter().chain([MODERN]) {
        let nobody = server.anonymous().revision(revision);
        let ada = server.as_user("ada").revision(revision);
        for (client, status) in [(nobody, 401), (ada, 403)] {
            let reply = client.call("planned", json!({})).await;
            assert_eq!(reply.status, status, "{revision}: {}", reply.body);
            let challenge = reply.headers["www-authenticate"].to_str().unwrap();
            assert!(challenge.contains("plans:write"), "{revision}: {challenge}");
        }
    }
}
