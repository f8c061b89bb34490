//! The reverse proxy of a program that is served with it.

use std::time::Duration;

use axum::Router;
use serde_json::{Value, json};

use super::program::{Place, Running};

/// Where the proxy of this program answers http.
fn listens(server: &Running) -> String {
    let log = server.log();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut lines = lines.filter(|line| line["message"] == "the proxy listens");
    let line = lines.next();
    let address = line.and_then(|line| Some(line["http"].as_str()?.to_owned()));
    address.unwrap_or_else(|| panic!("it does not say where: {log}"))
}

async fn target() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a socket");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().fallback(|| async { "hello from the target" });
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn get(address: &str, hostname: &str) -> (u16, String) {
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let request = client
        .get(format!("http://{address}/"))
        .header("host", hostname);
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

#[tokio::test]
async fn s1_004_005_a_served_proxy_answers_and_stops_and_lasts() {
    let target = target().await;
    let place = Place::new().env("MCP_PROXY__PRIVATE_TARGETS", &target);
    let bob = place.token(&["--as", "bob"]);
    let create = json!({"hostname": "b.example.test", "target_url": target});
    {
        let server = place.serve(&[]).await;
        server.call(&bob, "create_proxy", create).await.structured();
        let said = get(&listens(&server), "b.example.test").await;
        assert_eq!(said, (200, "hello from the target".to_owned()));
    }
    let server = place.serve(&["--toolset", "proxy"]).await;
    let address = listens(&server);
    assert_eq!(
        get(&address, "b.example.test").await.0,
        200,
        "after a restart"
    );
    let mut delete = json!({"hostname": "b.example.test"});
    let asked = server.call(&bob, "delete_proxy", delete.clone()).await;
    assert_eq!(asked.code(), "confirmation_required");
    delete["confirm_token"] = asked.body["result"]["structuredContent"]["confirm_token"].clone();
    server.call(&bob, "delete_proxy", delete).await.structured();
    // A listener of another instance hears of it a moment later.
    let gone = async {
        while get(&address, "b.example.test").await.0 != 404 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(10), gone).await;
    assert!(gone.is_ok(), "it is still answered");
    assert!(!server.log().contains(&bob), "a token is in the log");
}

#[tokio::test]
async fn s1_049_who_watches_the_targets_hears_of_a_new_one() {
    let target = target().await;
    let place = Place::new().env("MCP_PROXY__PRIVATE_TARGETS", &target);
    let bob = place.token(&["--as", "bob"]);
    let server = place.serve(&[]).await;
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": {
        "notifications": {"resourceSubscriptions": ["proxy://targets"]},
        "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {}}}});
    let mut stream = server
        .request(reqwest::Method::POST, "/mcp")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "subscriptions/listen")
        .bearer_auth(&bob)
        .body(message.to_string())
        .send()
        .await
        .expect("a stream");
    let mut heard = String::new();
    while !heard.contains("acknowledged") {
        let piece = stream.chunk().await.expect("open").expect("more");
        heard.push_str(&String::from_utf8_lossy(&piece));
    }
    let create = json!({"hostname": "b.example.test", "target_url": target});
    server.call(&bob, "create_proxy", create).await.structured();
    while !heard.contains("notifications/resources/updated") {
        let piece = stream.chunk().await.expect("open").expect("more");
        heard.push_str(&String::from_utf8_lossy(&piece));
    }
    assert!(heard.contains("\"proxy://targets\""), "{heard}");
}

#[test]
fn what_is_wrong_with_the_proxy_is_said_at_start() {
    for (name, value, expected) in [
        (
            "MCP_PROXY__PRIVATE_TARGETS",
            "nonsense",
            "proxy.private_targets",
        ),
        ("MCP_PROXY__LISTEN", "nowhere", "proxy.listen"),
        (
            "MCP_PROXY__COMMANDS__ALLOW",
            "no-such-program",
            "proxy.commands.allow",
        ),
        (
            "MCP_PROXY__COMMANDS__TIMEOUT",
            "6m",
            "proxy.commands.timeout",
        ),
        ("MCP_PROXY__DATABASE", "mysql://x", "proxy.database"),
    ] {
        let place = Place::new().env(name, value);
        let output = place.run(&["serve", "--listen", "127.0.0.1:0"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains(expected),
            "{name}: {said}"
        );
    }
}

/// What the memory of a process has been at most, in bytes.
fn peak(server: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse::<u64>().ok()).expect("a size") << 10
}

#[tokio::test]
async fn rc_07_a_flood_costs_neither_memory_nor_time() {
    let place = Place::new().env("MCP_PROXY__COMMANDS__ALLOW", "yes,env");
    let server = place.serve(&["--toolset", "proxy"]).await;
    let admin = place.token(&["--as", "admin"]);
    let run = async |command: &str| {
        let reply = server.call(&admin, "run_command", json!({ "command": command }));
        reply.await.structured().clone()
    };
    assert_eq!(run("env").await["exit_code"], 0);
    let before = peak(&server);
    let flood = run("yes").await;
    assert_eq!(flood["truncated"], true);
    assert_eq!(flood["stdout"].as_str().map(str::len), Some(64 << 10));
    let took = flood["duration_ms"].as_u64().expect("a time");
    assert!(took < 2000, "{took} ms");
    let more = peak(&server) - before;
    assert!(more < 16 << 20, "{more} bytes");
}

/// Whether a process with this command line is there.
fn runs(command: &str) -> bool {
    let wanted: Vec<u8> = command
        .bytes()
        .map(|b| if b == b' ' { 0 } else { b })
        .collect();
    let processes = std::fs::read_dir("/proc").expect("Linux").flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .any(|line| line.windows(wanted.len()).any(|part| part == wanted))
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let since = std::time::Instant::now();
    while !done() {
        assert!(since.elapsed().as_secs() < 30, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn rc_11_who_closes_the_connection_ends_the_command() {
    let place = Place::new().env("MCP_PROXY__COMMANDS__ALLOW", "sleep <number>");
    let server = place.serve(&["--toolset", "proxy"]).await;
    let admin = place.token(&["--as", "admin"]);
    // A length that only this test has.
    let command = format!("sleep {}", 100_000 + server.id() % 800_000);
    let params = json!({"name": "run_command", "arguments": {"command": command}});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let request = server
        .request(http::Method::POST, "/mcp")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-06-18")
        .bearer_auth(&admin)
        .body(message.to_string());
    let call = tokio::spawn(request.send());
    until("it does not start", || runs(&command)).await;
    call.abort();
    until("it goes on", || !runs(&command)).await;
    let remembered = || {
        let log = server.log();
        let mut lines = log.lines();
        let line = lines.find(|line| line.contains("a command was asked for"))?;
        serde_json::from_str::<Value>(line).ok()
    };
    until("nobody remembers it", || remembered().is_some()).await;
    let line = remembered().expect("it is there");
    assert_eq!(line["outcome"], "cancelled", "{line}");
    assert_eq!(line["subject"], "admin", "{line}");
    // RC-14: how long it took, and for which request.
    assert!(
        line["duration_ms"].is_u64() && line["request_id"].is_string(),
        "{line}"
    );
}
