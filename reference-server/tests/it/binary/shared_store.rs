//! Two machines with a store between them: two data folders, and nothing else in common but their
//! keys.

use reqwest::Method;
use serde_json::{Value, json};

use super::program::{KEY, Place, Reply, Running};
use super::stores::Own;

const PREVIEW: &str = "instainstru_invites_preview";
const SEND: &str = "instainstru_invites_send";
const READ: &str = "instainstru_metrics_describe";

fn with_keys(place: Place) -> Place {
    place
        .env("MCP_KEYS", KEY)
        .env("MCP_PLATFORM__CONFIRM_KEYS", KEY)
}

#[tokio::test]
async fn what_is_used_up_at_one_machine_is_used_up_at_the_other() {
    for own in Own::all("used").await {
        let name = own.name();
        let places = [with_keys(own.machine()), with_keys(own.machine())];
        let servers = [places[0].serve(&[]).await, places[1].serve(&[]).await];
        let admins = [0, 1].map(|at: usize| places[at].token(&["--as", "admin"]));

        let invite = json!({"recipient_emails": ["ann@example.com"]});
        let preview = servers[0].call(&admins[0], PREVIEW, invite).await;
        let token = &preview.structured()["data"]["confirm_token"];
        let send = json!({"confirm_token": token, "idempotency_key": "key"});
        let sent = servers[0].call(&admins[0], SEND, send.clone()).await;
        assert_eq!(sent.structured()["data"]["sent_count"], 1, "{name}");
        let again = servers[1].call(&admins[1], SEND, send).await;
        assert_eq!(
            again.structured()["data"],
            sent.structured()["data"],
            "{name}"
        );
        let other = json!({"confirm_token": token, "idempotency_key": "other"});
        let used = servers[1].call(&admins[1], SEND, other).await;
        assert_eq!(used.code(), "MCP_TOKEN_ALREADY_USED", "{name}");
        assert_eq!(places[0].letters().len(), 1, "{name}");
        assert!(places[1].letters().is_empty(), "{name}");

        // A session that the one has opened goes on at the other.
        let session = open_session(&servers[0], &admins[0]).await;
        let known = in_session(&servers[1], &admins[1], &session).await;
        assert_eq!(known.status, 200, "{name}: {}", known.body);
        let unknown = in_session(&servers[1], &admins[1], &"0".repeat(session.len())).await;
        assert_eq!(unknown.status, 404, "{name}");
        for server in &servers {
            let log = server.log();
            assert!(
                !log.contains("Give all instances the same"),
                "{name}: {log}"
            );
        }
    }
}

async fn open_session(server: &Running, token: &str) -> String {
    let params = json!({"protocolVersion": "2025-06-18", "capabilities": {"sampling": {}},
        "clientInfo": {"name": "test", "version": "1"}});
    let reply = server.ask(Some(token), "initialize", params).await;
    let session = reply.headers.get("mcp-session-id");
    let session = session.unwrap_or_else(|| panic!("no session: {}", reply.body));
    session.to_str().expect("text").to_owned()
}

async fn in_session(server: &Running, token: &str, session: &str) -> Reply {
    let message = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}});
    let request = server
        .request(Method::POST, "/mcp")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-06-18")
        .header("mcp-session-id", session)
        .bearer_auth(token);
    Reply::of(request.body(message.to_string())).await
}

#[tokio::test]
async fn rl_01_two_machines_let_in_as_many_as_one() {
    for own in Own::all("limits").await {
        let name = own.name();
        // A store that takes too long is done without. On a busy machine that may happen, and is
        // then said.
        let mut callers = ["admin", "reader"].into_iter();
        loop {
            let caller = callers
                .next()
                .unwrap_or_else(|| panic!("{name} is always too slow"));
            let (well, slow) = let_in(&own, caller).await;
            if !slow {
                assert_eq!(well, 10, "{name}");
                break;
            }
        }
    }
}

/// How many calls of 24 two machines let in, and whether one of them did without the store.
async fn let_in(own: &Own, caller: &str) -> (usize, bool) {
    // Slow enough that none comes back while the test runs.
    let limits = |place: Place| {
        with_keys(place)
            .without("MCP_LIMITS__REQUESTS")
            .env("MCP_LIMITS__REQUESTS", "10/day")
    };
    let places = [limits(own.machine()), limits(own.machine())];
    let servers = [places[0].serve(&[]).await, places[1].serve(&[]).await];
    let tokens = [0, 1].map(|at: usize| places[at].token(&["--as", caller]));
    let arguments = json!({"metric_name": "founding.cap"});
    let mut well = 0;
    for round in 0..24 {
        let (server, token) = (&servers[round % 2], &tokens[round % 2]);
        let reply = server.call(token, READ, arguments.clone()).await;
        match reply.status.as_u16() {
            200 => well += 1,
            429 => assert_eq!(reply.body["error"]["data"]["code"], "rate_limited"),
            other => panic!("{}: {other}: {}", own.name(), reply.body),
        }
    }
    let without = |server: &Running| server.log().contains("the store of limits cannot be used");
    (well, servers.iter().any(without))
}

#[tokio::test]
async fn secrets_of_one_machine_on_a_store_of_many_are_told_at_the_start() {
    for own in Own::all("keys").await {
        let name = own.name();
        let place = own.machine();
        let server = place.serve(&[]).await;
        let warned = |log: &str| {
            let lines = log.lines().map(serde_json::from_str::<Value>);
            let mut lines = lines.map(|line| line.expect("JSON"));
            lines.any(|line| {
                line["level"] == "WARN" && line["settings"] == "keys, platform.confirm_keys"
            })
        };
        let log = server.log();
        assert_eq!(warned(&log), name != "sqlite", "{name}: {log}");
    }
}

#[test]
fn a_store_that_cannot_be_used_stops_the_start_and_shows_no_password() {
    const SECRET: &str = "hunter2hunter2";
    let with = |url: &str| url.replace("SECRET", SECRET);
    let all = "memory:, sqlite:<path>, postgres://…, redis://…, rediss://…";
    for (variables, expected) in [
        (vec![("URL", "mysql://user:SECRET@db.example.com/x")], all),
        (vec![("URL", "SECRET")], all),
        (vec![("URL", "memory:SECRET")], all),
        (vec![("URL", "sqlite:")], "sqlite:data/store.db"),
        (vec![("URL", "sqlite::memory:")], "sqlite:data/store.db"),
        (
            vec![("URL", "redis://user:SECRET@127.0.0.1:1")],
            "cannot use the store at redis://127.0.0.1:1",
        ),
        (
            vec![("URL", "postgres://user:SECRET@127.0.0.1:1/x")],
            "cannot use the store at postgres://127.0.0.1:1",
        ),
        (
            vec![("URL", "postgres://127.0.0.1:1/x?pasword=SECRET")],
            "unknown parameter `pasword`",
        ),
        (vec![("URL_ENV", "NOT_THERE")], "NOT_THERE"),
        (vec![("URL_FILE", "not-there")], "not-there"),
        (
            vec![("URL", "memory:"), ("URL_ENV", "HOME")],
            "store has more than one of url, url_env and url_file",
        ),
        (vec![("PREFIX", "x:")], "store.prefix is of no use"),
        (
            vec![("URL", "memory:"), ("PREFIX", "x:")],
            "store.prefix is for Redis",
        ),
    ] {
        let place = variables
            .iter()
            .fold(Place::alone(), |place, (name, value)| {
                place.env(&format!("MCP_STORE__{name}"), &with(value))
            });
        let output = place.run(&["serve", "--listen", "127.0.0.1:0"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && error.contains(expected),
            "{variables:?}: {error}"
        );
        assert!(!error.contains(SECRET), "{variables:?}: {error}");
    }
}

#[tokio::test]
async fn a_store_in_memory_is_one_too() {
    let place = Place::alone().env("MCP_STORE__URL", "memory:");
    let server = place.serve(&[]).await;
    let admin = place.token(&["--as", "admin"]);
    let session = open_session(&server, &admin).await;
    let known = in_session(&server, &admin, &session).await;
    assert_eq!(known.status, 200, "{}", known.body);
}
