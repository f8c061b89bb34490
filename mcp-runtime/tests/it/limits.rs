//! Who asks too much, how they are told, and who is not hurt by it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use http::Request;
use jiff::Timestamp;
use mcp_runtime::prelude::*;
use mcp_runtime::testing::{TestReply, TestServer};
use mcp_runtime::{Limits, Policy, Rate, SessionMode, Tool};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::Semaphore;

use crate::ask::{Ask, LEGACY, MODERN, call, header};
use crate::live::{Live, status, within};

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

/// For those who say who they are.
#[mcp_tool(authenticated, read_only)]
fn known() -> u8 {
    1
}

/// For admins.
#[mcp_tool(authenticated, role = "admin", read_only)]
fn hidden() -> u8 {
    1
}

/// Twice a minute.
#[mcp_tool(public, read_only, rate = "2/min")]
fn rare() -> u8 {
    1
}

#[derive(Lend)]
struct State {
    gate: Arc<Gate>,
}

struct Gate {
    entered: Semaphore,
    open: Semaphore,
}

/// Waits for the gate.
#[mcp_tool(public, read_only)]
async fn wait(gate: &Arc<Gate>) -> u8 {
    gate.entered.add_permits(1);
    let _ = gate.open.acquire().await;
    1
}

/// Waits for the gate, three at a time.
#[mcp_tool(public, read_only, concurrency = 3)]
async fn narrow(gate: &Arc<Gate>) -> u8 {
    gate.entered.add_permits(1);
    let _ = gate.open.acquire().await;
    1
}

/// A greeting.
#[mcp_prompt(public)]
fn greeting() -> String {
    "Hello".into()
}

/// A greeting, once a minute.
#[mcp_prompt(public, rate = "1/min")]
fn seldom() -> String {
    "Hello".into()
}

/// A page, once a minute.
#[mcp_resource("pages://{id}", public, rate = "1/min", concurrency = 2)]
fn any_page(id: u32) -> String {
    id.to_string()
}

/// A page.
#[mcp_resource("pages://one", public)]
fn page() -> String {
    "One".into()
}

fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

fn usual() -> Limits {
    Limits::none().requests(rate("60/min, burst 10"))
}

fn builder() -> Server {
    Server::new(tools![echo, note, known, hidden, rare])
        .prompts(prompts![greeting, seldom])
        .resources(resources![page, any_page])
}

fn server(limits: Limits) -> TestServer {
    TestServer::new(builder().limits(limits)).unwrap()
}

fn say() -> Value {
    json!({ "message": "hi" })
}

/// How many of `calls` went well; the others were told in the right way.
async fn let_in(calls: usize, send: impl AsyncFn() -> TestReply) -> usize {
    let mut well = 0;
    for _ in 0..calls {
        let reply = send().await;
        match reply.status {
            200 => well += 1,
            429 => {
                let seconds: u64 = header(&reply, "retry-after").unwrap().parse().unwrap();
                assert!((1..=60).contains(&seconds), "Retry-After: {seconds}");
                let error = reply.error();
                assert_eq!(error["code"], 429, "{error}");
                assert_eq!(error["data"]["code"], "rate_limited", "{error}");
                assert_eq!(error["data"]["retry_after_s"], seconds, "{error}");
            }
            other => panic!("{other}: {}", reply.body),
        }
    }
    well
}

#[tokio::test(start_paused = true)]
async fn rl_01_ten_at_once_then_one_a_second() {
    let server = server(usual());
    let reader = server.as_user("reader");
    let again = async || reader.call("echo", say()).await;
    assert_eq!(let_in(15, again).await, 10);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(let_in(3, again).await, 1);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(let_in(15, again).await, 10);
}

#[tokio::test(start_paused = true)]
async fn rl_01_lists_and_all_that_is_read_count_and_greetings_do_not() {
    let server = server(usual());
    let reader = server.as_user("reader").revision(LEGACY[3]);
    let mut counted = 0;
    for (method, params) in [
        ("tools/list", json!({})),
        ("prompts/list", json!({})),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("resources/read", json!({ "uri": "pages://one" })),
        ("prompts/get", json!({ "name": "greeting" })),
        ("tools/call", json!({ "name": "echo", "arguments": say() })),
        ("tools/call", json!({ "name": "missing" })),
        ("tools/call", json!({ "name": "hidden" })),
        ("tools/list", json!({ "cursor": "x" })),
    ] {
        assert_eq!(reader.request(method, params).await.status, 200, "{method}");
        counted += 1;
    }
    assert_eq!(counted, 10);
    assert_eq!(reader.request("ping", json!({})).await.status, 200);
    let hello = json!({ "protocolVersion": LEGACY[3], "capabilities": {} });
    assert_eq!(reader.request("initialize", hello).await.status, 200);
    // What does not exist, what is hidden and what is there are refused alike.
    let mut told = Vec::new();
    for name in ["missing", "hidden", "echo"] {
        let mut reply = reader.request("tools/call", json!({ "name": name })).await;
        assert_eq!(reply.status, 429, "{name}");
        reply.body["id"] = json!(0);
        told.push(reply.body.to_string());
    }
    assert!(told.iter().all(|body| *body == told[0]), "{told:?}");
    for (method, params) in [
        ("tools/list", json!({})),
        ("resources/read", json!({ "uri": "pages://one" })),
        ("prompts/get", json!({ "name": "greeting" })),
    ] {
        assert_eq!(reader.request(method, params).await.status, 429, "{method}");
    }
}

#[tokio::test]
async fn rl_02_a_client_cannot_say_where_it_comes_from() {
    let limits = Limits::none().anonymous(rate("10/hour"));
    let live = Live::start(builder().limits(limits).build().unwrap()).await;
    let mut well = 0;
    for n in 0..100 {
        let address = format!("198.51.100.{n}");
        let ask = call(MODERN, "echo", say())
            .header("x-forwarded-for", &address)
            .header("x-real-ip", &address)
            .header("forwarded", &format!("for={address}"))
            .header("cf-connecting-ip", &address)
            .header("true-client-ip", &address);
        match status(&live.exchange(&ask.bytes()).await) {
            200 => well += 1,
            429 => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(well, 10);
    live.stop().await;
}

#[tokio::test]
async fn rl_04_behind_a_trusted_proxy_each_client_has_its_own_bucket() {
    let limits = Limits::none().anonymous(rate("2/hour"));
    let service = builder()
        .limits(limits)
        .trusted_proxies(["127.0.0.1", "10.0.0.0/8"])
        .build()
        .unwrap();
    let live = Live::start(service).await;
    let from = async |value: &str| {
        let ask = call(MODERN, "echo", say()).header("x-forwarded-for", value);
        status(&live.exchange(&ask.bytes()).await)
    };
    assert_eq!(from("192.0.2.1").await, 200);
    assert_eq!(from("::ffff:192.0.2.1").await, 200);
    assert_eq!(from("9.9.9.9, 192.0.2.1:80, 10.1.1.1").await, 429);
    assert_eq!(from("192.0.2.2").await, 200);
    // Nonsense is the proxy itself.
    assert_eq!(from("unknown").await, 200);
    assert_eq!(from("1.2.3").await, 200);
    assert_eq!(from("192.0.2.3, x").await, 429);
    live.stop().await;
}

#[tokio::test(start_paused = true)]
async fn rl_02_addresses_of_one_network_are_one_client() {
    let server = server(Limits::none().anonymous(rate("2/hour")));
    let from = async |address: &str| {
        let address: SocketAddr = address.parse().unwrap();
        let ask = call(MODERN, "echo", say());
        let mut request = Request::post("/mcp").extension(ConnectInfo(address));
        for (name, value) in [
            ("host", "localhost"),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", MODERN),
            ("mcp-method", "tools/call"),
            ("mcp-name", "echo"),
        ] {
            request = request.header(name, value);
        }
        server.send(request.body(ask.body).unwrap()).await.status
    };
    assert_eq!(from("[2001:db8:0:1::1]:1").await, 200);
    assert_eq!(from("[2001:db8:0:1:ffff::2]:2").await, 200);
    assert_eq!(from("[2001:db8:0:1::3]:3").await, 429);
    assert_eq!(from("[2001:db8:0:2::1]:1").await, 200);
    assert_eq!(from("[::ffff:192.0.2.1]:1").await, 200);
    assert_eq!(from("192.0.2.1:2").await, 200);
    assert_eq!(from("192.0.2.1:3").await, 429);
    assert_eq!(from("192.0.2.2:1").await, 200);
}

#[tokio::test(start_paused = true)]
async fn rl_05_a_new_token_is_no_new_caller() {
    let mut tokens = StaticTokens::new();
    for n in 0..15 {
        let ada = Caller::user("ada").scope(format!("s:{n}"));
        tokens = tokens.token(format!("token-of-ada-number-{n}"), ada);
    }
    let elsewhere = Caller::user("ada").tenant("acme");
    tokens = tokens.token("token-of-ada-at-acme", elsewhere);
    let server = TestServer::new(builder().limits(usual()).auth(tokens)).unwrap();
    let with = async |token: &str| {
        let ask = call(MODERN, "known", json!({}));
        let authorization = format!("Bearer {token}");
        ask.header("authorization", &authorization)
            .send(&server)
            .await
    };
    let mut well = 0;
    for n in 0..15 {
        let reply = with(&format!("token-of-ada-number-{n}")).await;
        well += usize::from(reply.status == 200);
    }
    assert_eq!(well, 10);
    assert_eq!(
        with("token-of-ada-at-acme").await.status,
        200,
        "another tenant"
    );
}

#[tokio::test(start_paused = true)]
async fn rl_06_all_sessions_of_a_caller_share_and_are_told_by_a_tool_error() {
    let server =
        TestServer::new(builder().limits(usual()).sessions(SessionMode::Stateful)).unwrap();
    let mut sessions = Vec::new();
    for _ in 0..20 {
        let hello = json!({ "protocolVersion": LEGACY[3], "capabilities": {} });
        let ask = Ask::legacy(LEGACY[3], "initialize", hello);
        let reply = as_ada(&server, &ask).await;
        sessions.push(header(&reply, "mcp-session-id").unwrap().to_owned());
    }
    let (mut well, mut limited) = (0, 0);
    for session in &sessions {
        let ask = call(LEGACY[3], "echo", say()).header("mcp-session-id", session);
        let reply = as_ada(&server, &ask).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        if reply.result()["isError"] == false {
            well += 1;
            continue;
        }
        limited += 1;
        assert_eq!(reply.code(), "rate_limited");
        let told = &reply.result()["structuredContent"];
        assert!(told["retry_after_s"].as_u64().unwrap() >= 1, "{told}");
        assert!(reply.text().contains("try again"), "{}", reply.text());
        // Other requests have no such form.
        let list = Ask::legacy(LEGACY[3], "tools/list", json!({}));
        let list = as_ada(&server, &list.header("mcp-session-id", session)).await;
        assert_eq!((list.status, &list.error()["code"]), (200, &json!(429)));
    }
    assert_eq!((well, limited), (10, 10));
    let modern = as_ada(&server, &call(MODERN, "echo", say())).await;
    assert_eq!(modern.status, 429, "without a session, too");
    let feed = Ask::raw("")
        .method("DELETE")
        .header("mcp-session-id", &sessions[0]);
    assert_eq!(as_ada(&server, &feed).await.status, 204, "leaving is free");
}

async fn as_ada(server: &TestServer, ask: &Ask) -> TestReply {
    server.send(ask.request(Caller::user("ada"))).await
}

#[tokio::test(start_paused = true)]
async fn rl_07_one_who_asks_too_much_hurts_nobody_else() {
    let server = server(usual());
    let reader = server.as_user("reader");
    assert_eq!(
        let_in(20, async || reader.call("echo", say()).await).await,
        10
    );
    let admin = server.as_user("admin");
    assert_eq!(
        let_in(10, async || admin.call("echo", say()).await).await,
        10
    );
    let nobody = server.anonymous();
    assert_eq!(
        let_in(11, async || nobody.call("echo", say()).await).await,
        10
    );
}

#[tokio::test(start_paused = true)]
async fn rl_01_writes_have_a_bucket_of_their_own_and_a_tool_may_have_one() {
    let server = server(
        usual()
            .requests(rate("600/min"))
            .writes(rate("10/min, burst 2")),
    );
    let ada = server.as_user("ada");
    assert_eq!(let_in(5, async || ada.call("note", say()).await).await, 2);
    assert_eq!(let_in(5, async || ada.call("echo", say()).await).await, 5);
    assert_eq!(
        let_in(5, async || ada.call("rare", json!({})).await).await,
        2
    );
    let bob = server.as_user("bob");
    assert_eq!(
        let_in(5, async || bob.call("rare", json!({})).await).await,
        2
    );
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(let_in(5, async || ada.call("note", say()).await).await, 1);
    // Who may not call, or what is wrong with the arguments, is not the matter of a limit.
    let stranger = server.anonymous();
    for _ in 0..5 {
        assert_eq!(stranger.call("known", json!({})).await.status, 401);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_of_a_tool_needs_no_limits_of_the_server() {
    let server = server(Limits::none());
    let ada = server.as_user("ada");
    assert_eq!(
        let_in(5, async || ada.call("rare", json!({})).await).await,
        2
    );
    assert_eq!(let_in(30, async || ada.call("echo", say()).await).await, 30);
}

#[tokio::test(start_paused = true)]
async fn resources_and_prompts_may_have_a_rate_too() {
    let server = server(Limits::none());
    let ada = server.as_user("ada");
    let get = async || {
        ada.request("prompts/get", json!({ "name": "seldom" }))
            .await
    };
    assert_eq!(let_in(3, get).await, 1);
    let mut uris = ["pages://1", "pages://2", "pages://1"].iter().cycle();
    let mut well = 0;
    for _ in 0..3 {
        let uri = uris.next().unwrap();
        let reply = ada.request("resources/read", json!({ "uri": uri })).await;
        well += usize::from(reply.status == 200);
    }
    assert_eq!(well, 1, "all URIs of a template together");
}

fn gated(limits: Limits) -> (Arc<Gate>, TestServer) {
    let gate = Arc::new(Gate {
        entered: Semaphore::new(0),
        open: Semaphore::new(0),
    });
    let state = State {
        gate: Arc::clone(&gate),
    };
    let server = Server::with_state(state, tools![wait, narrow]).limits(limits);
    (gate, TestServer::new(server).unwrap())
}

#[tokio::test]
async fn rl_10_eight_of_twenty_run_and_others_do_not_notice() {
    let (gate, server) = gated(Limits::none().concurrent(8));
    let ada = server.as_user("ada");
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let ada = ada.clone();
            tokio::spawn(async move { ada.call("wait", json!({})).await.status })
        })
        .collect();
    let entered = within(gate.entered.acquire_many(8)).await.unwrap();
    entered.forget();
    let bob = server.as_user("bob");
    let bob = tokio::spawn(async move { bob.call("wait", json!({})).await.status });
    within(gate.entered.acquire()).await.unwrap().forget();
    let refused = ada.call("wait", json!({})).await;
    assert_eq!(refused.status, 429);
    assert_eq!(header(&refused, "retry-after"), Some("1"));
    gate.open.add_permits(100);
    let mut statuses = Vec::new();
    for call in calls {
        statuses.push(within(call).await.unwrap());
    }
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(200), count(429)), (8, 12));
    assert_eq!(within(bob).await.unwrap(), 200);
    assert_eq!(
        ada.call("wait", json!({})).await.status,
        200,
        "places are free again"
    );
}

#[tokio::test]
async fn rl_10_a_tool_has_so_many_places_and_a_call_that_is_dropped_gives_its_place_back() {
    let (gate, server) = gated(Limits::none());
    let call = |name: &str| {
        let client = server.as_user(name);
        tokio::spawn(async move { client.call("narrow", json!({})).await.status })
    };
    let three = [call("ada"), call("bob"), call("cy")];
    within(gate.entered.acquire_many(3)).await.unwrap().forget();
    assert_eq!(within(call("dee")).await.unwrap(), 429);
    for running in three {
        running.abort();
        assert!(within(running).await.unwrap_err().is_cancelled());
    }
    gate.open.add_permits(100);
    assert_eq!(within(call("dee")).await.unwrap(), 200);
}

#[tokio::test(start_paused = true)]
async fn rl_11_bad_tokens_do_not_lock_out_good_ones() {
    let tokens = StaticTokens::new().token("token-of-the-admin", Caller::user("admin"));
    let limits = usual()
        .requests(rate("600/min"))
        .failed_authentications(rate("10/min"));
    let server = TestServer::new(builder().auth(tokens).limits(limits)).unwrap();
    let with = async |token: &str| {
        call(MODERN, "known", json!({}))
            .header("authorization", &format!("Bearer {token}"))
            .send(&server)
            .await
    };
    let (mut unknown, mut too_many) = (0, 0);
    for n in 0..100 {
        let reply = with(&format!("guess-{n}")).await;
        match reply.status {
            401 => unknown += 1,
            429 => {
                too_many += 1;
                assert!(header(&reply, "retry-after").is_some());
                assert!(header(&reply, "www-authenticate").is_none());
            }
            other => panic!("{other}"),
        }
        if n % 10 == 0 {
            assert_eq!(with("token-of-the-admin").await.status, 200, "after {n}");
        }
    }
    assert_eq!((unknown, too_many), (10, 90));
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(with("guess").await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn rl_12_setting_the_time_of_day_neither_opens_nor_shuts() {
    let noon: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    let clock = Clock::manual(noon);
    let server = TestServer::new(builder().clock(clock.clone()).limits(usual())).unwrap();
    let ada = server.as_user("ada");
    let again = async || ada.call("echo", say()).await;
    assert_eq!(let_in(15, again).await, 10);
    for hours in [-1, 1, 0] {
        clock.set(noon + jiff::SignedDuration::from_hours(hours));
        assert_eq!(let_in(5, again).await, 0, "{hours} h");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(let_in(5, again).await, 1, "{hours} h");
    }
}

#[tokio::test(start_paused = true)]
async fn rl_06_on_a_pipe_a_limit_is_a_tool_error() {
    let (mut input, theirs) = tokio::io::duplex(1 << 16);
    let (written, output) = tokio::io::duplex(1 << 16);
    let service = builder().limits(usual()).build().unwrap();
    tokio::spawn(service.pipe(Caller::user("ada"), theirs, written));
    let mut output = BufReader::new(output).lines();
    let mut codes = Vec::new();
    for id in 0..12 {
        let params = json!({ "name": "echo", "arguments": say() });
        let message =
            json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
        input
            .write_all(format!("{message}\n").as_bytes())
            .await
            .unwrap();
        let line = output.next_line().await.unwrap().unwrap();
        let reply: Value = serde_json::from_str(&line).unwrap();
        codes.push(reply["result"]["structuredContent"]["code"].clone());
    }
    assert!(codes[..10].iter().all(Value::is_null), "{codes:?}");
    assert_eq!(codes[10..], [json!("rate_limited"), json!("rate_limited")]);
}

#[test]
fn hi_04_limits_that_make_no_sense_do_not_start() {
    let dynamic = |rate: Rate, calls: u32| {
        Tool::dynamic("dynamic", "A tool.", Policy::public())
            .map(|tool| tool.rate(rate).concurrency(calls))
            .handler(|_, arguments| async move { Ok::<_, ToolError>(arguments) })
    };
    let minute = Duration::from_secs(60);
    let tools = |tool| Server::new(ToolSet::new().with(tool)).build().map(|_| ());
    assert_eq!(tools(dynamic(Rate::new(1, minute), 1)), Ok(()));
    let service = |server: Server| server.build().map(|_| ());
    for (refused, said) in [
        (tools(dynamic(Rate::new(0, minute), 1)), "lets nobody in"),
        (
            tools(dynamic(Rate::new(1, minute), 0)),
            "concurrency is zero",
        ),
        (
            tools(dynamic(Rate::new(1, minute).burst(u32::MAX), 1)),
            "more than a year",
        ),
        (
            service(builder().limits(Limits::none().concurrent(0))),
            "no call may run",
        ),
        (
            service(builder().limits(Limits::none().writes(Rate::new(0, minute)))),
            "lets nobody in",
        ),
        (
            service(builder().trusted_proxies(["0.0.0.0/0"])),
            "everybody",
        ),
        (service(builder().trusted_proxies(["::/0"])), "everybody"),
        (
            service(builder().trusted_proxies(["proxy.example.com"])),
            "10.0.0.0/8",
        ),
    ] {
        let problem = refused.unwrap_err().to_string();
        assert!(problem.contains(said), "{problem}");
    }
}

#[tokio::test]
async fn hi_02_03_no_header_and_no_path_makes_an_endpoint_open() {
    let server = server(Limits::none());
    let ask = || call(MODERN, "known", json!({}));
    for name in [
        "x-forwarded-uri",
        "x-original-url",
        "x-rewrite-url",
        "x-forwarded-path",
        "x-forwarded-prefix",
    ] {
        let reply = ask().header(name, "/api/v1/health").send(&server).await;
        assert_eq!(reply.status, 401, "{name}");
    }
    for (uri, expected) in [
        ("/mcp?x=/api/v1/health", 401),
        ("/mcp/", 401),
        ("/api/v1/health/../../mcp", 404),
        ("/api/v1/health%2f..%2f..%2fmcp", 404),
        ("//mcp", 404),
        ("/mcp/api/v1/health", 404),
    ] {
        let reply = ask().uri(uri).send(&server).await;
        assert_eq!(reply.status, expected, "{uri}");
    }
    let live = Live::start(builder().build().unwrap()).await;
    let fragment = ask().uri("/mcp#/api/v1/health").bytes();
    let answer = live.exchange(&fragment).await;
    assert!([400, 401, 404].contains(&status(&answer)), "{answer}");
    live.stop().await;
}
