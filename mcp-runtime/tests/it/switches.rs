//! What is switched off is not there, and who may see it hears of that.

use std::sync::Arc;

use mcp_runtime::prelude::*;
use mcp_runtime::testing::TestServer;
use mcp_runtime::{ResourceSet, Service, SwitchError, Switches};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines};
use tokio::sync::Notify;

use crate::ask::{Ask, LEGACY, MODERN};
use crate::live::{Live, within};

/// Give money back.
#[mcp_tool(public)]
fn refund(cents: u32) -> u32 {
    cents
}

/// Say how it is.
#[mcp_tool(public, read_only)]
fn status() -> &'static str {
    "fine"
}

/// For chiefs.
#[mcp_tool(authenticated, role = "chief")]
fn fire() {}

/// Switch refunds off.
#[mcp_tool(authenticated)]
fn stop_refunds(switches: &Switches) -> ToolResult<bool> {
    Ok(switches.tool("refund").off()?)
}

/// Announce all that can change.
#[mcp_tool(public)]
fn announce(changes: &Changes, uri: String) {
    changes.resource(&uri);
    changes.prompts();
}

/// Today.
#[mcp_resource("notes://today", public)]
fn today() -> &'static str {
    "milk"
}

/// A note.
#[mcp_resource("notes://{id}/text", public, complete = ids)]
fn note(id: String) -> String {
    id
}

async fn ids(typed: Complete) -> Vec<String> {
    typed.among(["1", "2"])
}

/// For whoever holds the scope of that document.
#[mcp_resource("docs://{id}", scope = "docs:{id}:read")]
fn document(id: String) -> String {
    id
}

/// The plan of the chiefs.
#[mcp_resource("secret://plan", authenticated, role = "chief")]
fn plan() -> &'static str {
    "more"
}

/// Review something.
#[mcp_prompt(public, complete = ids)]
fn review(id: String) -> String {
    id
}

/// Praise the chief.
#[mcp_prompt(authenticated, role = "chief")]
fn praise() -> &'static str {
    "Praise me."
}

/// Everything of the kind that is named, or everything but the first of it.
fn server(without: &str) -> Server {
    let mut tools = tools![status, fire, stop_refunds, announce];
    let mut resources: ResourceSet = resources![document, plan];
    let mut prompts = prompts![praise];
    if without != "tool" {
        tools = tools![refund] + tools;
    }
    if without != "resource" {
        resources = resources![today] + resources;
    }
    if without != "template" {
        resources = resources![note] + resources;
    }
    if without != "prompt" {
        prompts = prompts![review] + prompts;
    }
    Server::new(tools).resources(resources).prompts(prompts)
}

fn service() -> Service {
    server("nothing").build().expect("a server")
}

#[tokio::test]
async fn what_is_off_is_as_if_it_had_never_been_there() {
    let asks = |revision: &'static str| {
        let reads = |uri: &str| {
            Ask::of(revision, "resources/read", json!({ "uri": uri })).header("mcp-name", uri)
        };
        let completes = |reference: Value| {
            let params = json!({ "ref": reference, "argument": { "name": "id", "value": "" } });
            Ask::of(revision, "completion/complete", params)
        };
        let get = json!({ "name": "review", "arguments": { "id": "1" } });
        vec![
            crate::ask::call(revision, "refund", json!({ "cents": 5 })),
            crate::ask::call(revision, "refund", json!({})),
            Ask::of(revision, "prompts/get", get),
            reads("notes://today"),
            reads("notes://1/text"),
            completes(json!({ "type": "ref/prompt", "name": "review" })),
            completes(json!({ "type": "ref/resource", "uri": "notes://{id}/text" })),
            Ask::of(revision, "tools/list", json!({})),
            Ask::of(revision, "prompts/list", json!({})),
            Ask::of(revision, "resources/list", json!({})),
            Ask::of(revision, "resources/templates/list", json!({})),
        ]
    };
    let bytes = async |server: &TestServer, ask: &Ask| {
        let reply = ask.send(server).await;
        (reply.status, reply.headers, reply.body)
    };
    let switched = service();
    let switches = switched.switches();
    let switched = TestServer::over(switched);
    for (kind, switch) in [
        ("tool", switches.tool("refund")),
        ("prompt", switches.prompt("review")),
        ("resource", switches.resource("notes://today")),
        ("template", switches.resource("notes://{id}/text")),
    ] {
        let without = TestServer::new(server(kind)).expect("a server");
        for revision in LEGACY.into_iter().chain([MODERN]) {
            let mut differ = 0;
            for ask in asks(revision) {
                let before = bytes(&switched, &ask).await;
                assert_eq!(switch.off(), Ok(true), "{kind}");
                let off = bytes(&switched, &ask).await;
                assert_eq!(off, bytes(&without, &ask).await, "{kind}, {revision}");
                assert_eq!(switch.on(), Ok(true), "{kind}");
                assert_eq!(bytes(&switched, &ask).await, before, "{kind}, {revision}");
                differ += usize::from(off != before);
            }
            // Two calls and a list, or a read, a list and what is completed.
            assert!(differ >= 2, "{kind}, {revision}: {differ} answers differ");
        }
    }
}

#[tokio::test]
async fn a_uri_that_is_off_is_not_served_by_a_template() {
    /// Any note.
    #[mcp_resource("notes://{id}", public)]
    fn any(id: String) -> String {
        id
    }
    let service = Server::new(tools![])
        .resources(resources![today, any])
        .build()
        .unwrap();
    let switches = service.switches();
    let server = TestServer::over(service);
    let read = async |uri: &str| {
        let reply = server
            .anonymous()
            .request("resources/read", json!({ "uri": uri }))
            .await;
        reply.body.get("result").is_some()
    };
    switches.resource("notes://today").off().unwrap();
    assert!(!read("notes://today").await && read("notes://1").await);
    switches.resource("notes://today").on().unwrap();
    switches.resource("notes://{id}").off().unwrap();
    assert!(read("notes://today").await && !read("notes://1").await);
}

#[test]
fn a_switch_says_what_it_did_and_a_wrong_name_what_was_meant() {
    let service = service();
    let switches = service.switches();
    let refund = switches.tool("refund");
    let steps: [(Result<bool, SwitchError>, bool); 6] = [
        (refund.is_on(), true),
        (refund.on(), false),
        (refund.off(), true),
        (refund.off(), false),
        (service.switches().tool("refund").is_on(), false),
        (refund.on(), true),
    ];
    for (at, (said, expected)) in steps.into_iter().enumerate() {
        assert_eq!(said, Ok(expected), "step {at}");
    }
    for (switch, said) in [
        (
            switches.tool("refnud"),
            "there is no tool `refnud`: did you mean `refund`?",
        ),
        (switches.tool("review"), "there is no tool `review`"),
        (
            switches.prompt("reviews"),
            "there is no prompt `reviews`: did you mean `review`?",
        ),
        (
            switches.resource("notes://{ident}/text"),
            "there is no resource `notes://{ident}/text`: did you mean `notes://{id}/text`?",
        ),
        (
            switches.resource("notes://1/text"),
            "there is no resource `notes://1/text`: did you mean `notes://{id}/text`?",
        ),
    ] {
        for result in [switch.on(), switch.off(), switch.is_on()] {
            assert_eq!(result.unwrap_err().to_string(), said);
        }
    }
}

#[tokio::test]
async fn a_tool_can_switch_and_be_lent_the_switches() {
    let server = TestServer::over(service());
    let ada = server.as_user("ada");
    assert_eq!(
        ada.call("stop_refunds", json!({})).await.structured(),
        &json!({ "result": true })
    );
    assert_eq!(
        ada.call("refund", json!({ "cents": 5 })).await.error()["code"],
        -32602
    );
    assert_eq!(
        ada.call("stop_refunds", json!({})).await.structured(),
        &json!({ "result": false })
    );
}

#[tokio::test]
async fn a_call_that_runs_already_may_finish() {
    struct Gate {
        begun: Notify,
        go_on: Notify,
    }
    #[derive(Lend)]
    struct App {
        gate: Arc<Gate>,
    }
    /// Wait.
    #[mcp_tool(public)]
    async fn wait(gate: &Gate) -> &'static str {
        gate.begun.notify_one();
        gate.go_on.notified().await;
        "finished"
    }
    let gate = Arc::new(Gate {
        begun: Notify::new(),
        go_on: Notify::new(),
    });
    let app = App {
        gate: Arc::clone(&gate),
    };
    let service = Server::with_state(app, tools![wait]).build().unwrap();
    let switches = service.switches();
    let server = TestServer::over(service);
    let running = tokio::spawn({
        let server = server.clone();
        async move { server.call("wait", json!({})).await }
    });
    within(gate.begun.notified()).await;
    switches.tool("wait").off().unwrap();
    assert_eq!(server.call("wait", json!({})).await.error()["code"], -32602);
    gate.go_on.notify_one();
    assert_eq!(within(running).await.unwrap().text(), "finished");
}

#[tokio::test]
async fn a_cursor_of_an_earlier_list_is_refused_clearly() {
    let service = server("nothing").page_size(2).build().unwrap();
    let switches = service.switches();
    let server = TestServer::over(service);
    let ada = server.as_user("ada");
    let list = async |cursor: Option<&Value>| {
        let params = cursor.map_or(json!({}), |cursor| json!({ "cursor": cursor }));
        ada.request("tools/list", params).await
    };
    let first = list(None).await;
    let cursor = &first.result()["nextCursor"];
    assert!(cursor.is_string());
    switches.tool("status").off().unwrap();
    let stale = list(Some(cursor)).await;
    assert_eq!(stale.error()["code"], -32602);
    assert!(
        stale.error()["message"]
            .as_str()
            .is_some_and(|text| text.contains("begin again"))
    );
    assert_eq!(ada.tools().await, ["refund", "stop_refunds", "announce"]);
    switches.tool("status").on().unwrap();
    assert_eq!(
        list(Some(cursor)).await.result()["tools"][0]["name"],
        "stop_refunds",
        "the list of before"
    );
}

/// Somebody who listens over a pipe, in the way of a revision.
struct Listener {
    _input: DuplexStream,
    /// Whether it is known by an id, as since 2026-07-28.
    tagged: bool,
    output: Lines<BufReader<DuplexStream>>,
}

impl Listener {
    async fn new(service: &Service, caller: Caller, revision: &str, uris: &[&str]) -> Self {
        let (mut input, theirs) = tokio::io::duplex(1 << 16);
        let (written, output) = tokio::io::duplex(1 << 16);
        tokio::spawn(service.clone().pipe(caller, theirs, written));
        let mut messages = Vec::new();
        if revision == MODERN {
            messages.push(json!({ "jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": {
                "_meta": { "io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {} },
                "notifications": { "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
                    "resourceSubscriptions": uris } } }));
        } else {
            messages.push(json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
                "protocolVersion": revision, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } } }));
            messages.extend(uris.iter().map(|uri| {
                json!({ "jsonrpc": "2.0", "id": 2, "method": "resources/subscribe", "params": { "uri": uri } })
            }));
        }
        let mut output = BufReader::new(output).lines();
        for message in messages {
            input
                .write_all(format!("{message}\n").as_bytes())
                .await
                .unwrap();
            within(output.next_line())
                .await
                .unwrap()
                .expect("an answer");
        }
        Self {
            _input: input,
            tagged: revision == MODERN,
            output,
        }
    }

    /// What was announced before the prompts, without its prefix.
    async fn until_prompts(&mut self) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            let line = within(self.output.next_line())
                .await
                .unwrap()
                .expect("a line");
            let message: Value = serde_json::from_str(&line).expect("JSON");
            let tag = &message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
            if tag.is_null() == self.tagged {
                continue;
            }
            let method = message["method"].as_str();
            let method = method.unwrap_or_else(|| panic!("not a note: {message}"));
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
}

/// What all that listen heard since the last time: one more announcement, of the prompts, marks
/// the end.
async fn heard<const N: usize>(
    service: &Service,
    listeners: [&mut Listener; N],
) -> [Vec<String>; N] {
    service.changes().prompts();
    let mut all = std::array::from_fn(|_| Vec::new());
    for (listener, heard) in listeners.into_iter().zip(&mut all) {
        *heard = listener.until_prompts().await;
    }
    all
}

#[tokio::test]
async fn a_change_is_announced_once_and_to_those_who_may_see_it() {
    for revision in ["2025-06-18", "2025-11-25", MODERN] {
        let service = service();
        let switches = service.switches();
        let chief = Caller::user("cleo").role("chief");
        let mut chief = Listener::new(&service, chief, revision, &[]).await;
        let mut ada = Listener::new(&service, Caller::user("ada"), revision, &[]).await;
        let tools = ["tools/list_changed"];
        let resources = ["resources/list_changed"];
        for (what, switch, kind, hidden) in [
            ("a public tool", switches.tool("refund"), tools, false),
            ("a tool of chiefs", switches.tool("fire"), tools, true),
            (
                "a resource",
                switches.resource("notes://today"),
                resources,
                false,
            ),
            (
                "a template",
                switches.resource("docs://{id}"),
                resources,
                false,
            ),
            (
                "a resource of chiefs",
                switches.resource("secret://plan"),
                resources,
                true,
            ),
        ] {
            for to in [false, true] {
                for _ in 0..2 {
                    let _ = if to { switch.on() } else { switch.off() }.unwrap();
                }
                let by_ada = if hidden { &[][..] } else { &kind[..] };
                let [by_chief, heard] = heard(&service, [&mut chief, &mut ada]).await;
                assert_eq!(by_chief, kind, "{what}, {revision}");
                assert_eq!(heard, by_ada, "{what}, {revision}");
            }
        }
    }
}

/// Prompts serve as the mark in the other test, so they have one of their own.
#[tokio::test]
async fn a_change_of_prompts_is_announced_to_those_who_may_see_it() {
    for (prompt, by_ada) in [("review", 1), ("praise", 0)] {
        let service = service();
        let mut heard = Vec::new();
        for caller in [Caller::user("ada"), Caller::user("cleo").role("chief")] {
            let mut listener = Listener::new(&service, caller, "2025-06-18", &[]).await;
            service.switches().prompt(prompt).off().unwrap();
            service.changes().tools();
            let mut prompts = 0;
            loop {
                let line = within(listener.output.next_line())
                    .await
                    .unwrap()
                    .expect("a line");
                if line.contains("tools/list_changed") {
                    break;
                }
                prompts += usize::from(line.contains("prompts/list_changed"));
            }
            heard.push(prompts);
            service.switches().prompt(prompt).on().unwrap();
        }
        assert_eq!(heard, [by_ada, 1], "{prompt}");
    }
}

#[tokio::test]
async fn what_a_resource_holds_is_announced_to_those_who_may_read_it_now() {
    let (mine, public) = ("docs://7", "notes://today");
    for revision in ["2025-06-18", MODERN] {
        // A pipe that ends stops its server.
        let service = service();
        let ada = Caller::user("ada").scope("docs:7:read");
        let mut ada = Listener::new(&service, ada, revision, &[mine, public]).await;
        let mut bob = Listener::new(&service, Caller::user("bob"), revision, &[mine, public]).await;
        service.changes().resource(mine);
        service.changes().resource(public);
        service.changes().resource("docs://8");
        let both = [
            "resources/updated docs://7",
            "resources/updated notes://today",
        ];
        let [by_ada, by_bob] = heard(&service, [&mut ada, &mut bob]).await;
        assert_eq!(by_ada, both, "{revision}");
        assert_eq!(by_bob, both[1..], "{revision}");

        service.switches().resource(public).off().unwrap();
        service.changes().resource(public);
        let [by_ada, _] = heard(&service, [&mut ada, &mut bob]).await;
        assert_eq!(
            by_ada,
            ["resources/list_changed"],
            "off: nobody may read it"
        );
    }
}

/// The session is Ada's with either token; what may be heard depends on the one that listens.
#[tokio::test]
async fn a_session_hears_what_the_token_that_listens_may_read() {
    let wide = Caller::user("ada").scope("docs:7:read");
    let tokens = StaticTokens::new()
        .token("a wide token, for everything", wide)
        .token("a narrow token, for little", Caller::user("ada"));
    let service = server("nothing")
        .auth(tokens)
        .sessions(mcp_runtime::SessionMode::Stateful)
        .build()
        .unwrap();
    let live = Live::start(service.clone()).await;
    let bearer = |ask: Ask, which: &str| {
        let token = format!(
            "Bearer a {which} token, for {}",
            if which == "wide" {
                "everything"
            } else {
                "little"
            }
        );
        ask.header("authorization", &token)
    };
    for (listens, hears) in [("wide", true), ("narrow", false)] {
        let initialize = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        let opened = bearer(Ask::legacy("2025-06-18", "initialize", initialize), "wide");
        let opened = live.exchange(&opened.bytes()).await;
        let session = opened
            .lines()
            .find_map(|line| line.strip_prefix("mcp-session-id: "))
            .expect("a session")
            .to_owned();
        let subscribe = Ask::legacy(
            "2025-06-18",
            "resources/subscribe",
            json!({ "uri": "docs://7" }),
        )
        .header("mcp-session-id", &session);
        let said = live.exchange(&bearer(subscribe, "wide").bytes()).await;
        assert!(said.contains("\"result\":{}"), "{said}");

        let feed = Ask::raw("")
            .method("GET")
            .header("mcp-session-id", &session)
            .header("mcp-protocol-version", "2025-06-18");
        let mut stream = live.connect().await;
        stream
            .write_all(&bearer(feed, listens).bytes())
            .await
            .unwrap();
        let mut heard = String::new();
        while !heard.contains("tools/list_changed") {
            service.changes().resource("docs://7");
            service.changes().tools();
            let mut bytes = [0; 4096];
            let read = within(stream.read(&mut bytes)).await.unwrap();
            assert_ne!(read, 0, "closed: {heard}");
            heard.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        assert_eq!(
            heard.contains("resources/updated"),
            hears,
            "{listens}: {heard}"
        );
    }
    live.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lists_and_calls_agree_however_many_switch_at_once() {
    let service = service();
    let switches = service.switches();
    let server = TestServer::over(service);
    let mut work = tokio::task::JoinSet::new();
    for worker in 0..8 {
        let (switches, server) = (switches.clone(), server.clone());
        work.spawn(async move {
            for round in 0..50 {
                let name = if worker % 2 == 0 { "refund" } else { "status" };
                let switch = switches.tool(name);
                let _ = if round % 2 == 0 {
                    switch.off()
                } else {
                    switch.on()
                }
                .unwrap();
                let listed = server.anonymous().tools().await;
                assert!(listed.contains(&"announce".to_owned()), "{listed:?}");
            }
        });
    }
    work.join_all().await;
    for name in ["refund", "status"] {
        for to in [false, true] {
            let _ = if to {
                switches.tool(name).on()
            } else {
                switches.tool(name).off()
            }
            .unwrap();
            let listed = server.anonymous().tools().await.contains(&name.to_owned());
            let called = server.call(name, json!({ "cents": 1 })).await;
            assert_eq!(
                (listed, called.body.get("result").is_some()),
                (to, to),
                "{name}"
            );
        }
    }
}
