//! What lists hold for whom: unless the configuration says otherwise, what the caller may use.

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::program::{Place, Reply, Running};

const METRIC: &str = "instainstru_metrics_describe";
const SEND: &str = "instainstru_invites_send";

fn names(reply: &Reply) -> Vec<String> {
    let tools = reply.body["result"]["tools"].as_array();
    let tools = tools.unwrap_or_else(|| panic!("a list: {}", reply.body));
    tools
        .iter()
        .map(|tool| tool["name"].as_str().expect("a name").to_owned())
        .collect()
}

async fn tools(server: &Running, token: Option<&str>) -> Vec<String> {
    names(&server.ask(token, "tools/list", json!({})).await)
}

fn challenge(reply: &Reply) -> &str {
    let header = reply.headers.get("www-authenticate");
    header.expect("a challenge").to_str().expect("text")
}

/// One tool of the reference server is for everybody.
#[tokio::test]
async fn jw_02_without_a_token_lists_hold_what_is_public_and_no_backend_is_asked() {
    let backend = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let backend = backend.expect("a port");
    let url = format!("http://{}", backend.local_addr().expect("an address"));
    let place = Place::new()
        .env("MCP_BACKEND__MODE", "url")
        .env("MCP_BACKEND__URL", &url);
    let server = place.serve(&[]).await;
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"}});
    let discover = json!({"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}}});
    for (method, params) in [
        ("initialize", hello),
        ("ping", json!({})),
        ("tools/list", json!({})),
    ] {
        let reply = server.ask(None, method, params).await;
        assert_eq!(reply.status, 200, "{method}: {}", reply.body);
        assert!(reply.body["error"].is_null(), "{method}: {}", reply.body);
    }
    let message =
        json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": discover});
    let discovered = server
        .request(reqwest::Method::POST, "/mcp")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "server/discover")
        .body(message.to_string());
    let discovered = Reply::of(discovered).await;
    assert_eq!(discovered.status, 200, "{}", discovered.body);
    assert_eq!(tools(&server, None).await, ["echo"]);
    // Whoever may call asks the backend, and it is the first to do so.
    let reader = place.token(&["--as", "reader"]);
    let arguments = json!({"metric_name": "founding.cap"});
    let mut call = std::pin::pin!(server.call(&reader, METRIC, arguments));
    let (mut socket, _) = tokio::select! {
        connected = backend.accept() => connected.expect("a connection"),
        reply = &mut call => panic!("nobody asked the backend: {}", reply.body),
    };
    let mut head = [0; 2048];
    let read = socket.read(&mut head).await.expect("a request");
    let head = String::from_utf8_lossy(&head[..read]);
    assert!(head.contains("/metrics/"), "{head}");
}

#[tokio::test]
async fn tm_06_a_reader_does_not_find_what_it_may_not_use_and_is_told_when_it_tries() {
    let place = Place::new();
    let server = place.serve(&[]).await;
    let (reader, admin) = (
        place.token(&["--as", "reader"]),
        place.token(&["--as", "admin"]),
    );
    let found = tools(&server, Some(&reader)).await;
    assert!(found.contains(&METRIC.to_owned()), "{found:?}");
    for hidden in [SEND, "delete_proxy"] {
        assert!(!found.contains(&hidden.to_owned()), "{found:?}");
        assert!(
            tools(&server, Some(&admin))
                .await
                .contains(&hidden.to_owned())
        );
    }
    let refused = server
        .call(
            &reader,
            "delete_proxy",
            json!({"hostname": "a.example.com"}),
        )
        .await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert!(challenge(&refused).contains("error=\"insufficient_scope\""));
    let refused = server.call(&reader, SEND, json!({})).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert!(place.letters().is_empty());

    // What there is to ask for is in the metadata, whoever asks.
    let place = Place::new().env("MCP_AUTH__LISTS", "acquirable");
    let server = place.serve(&[]).await;
    let reader = place.token(&["--as", "reader"]);
    let found = tools(&server, Some(&reader)).await;
    assert!(found.contains(&SEND.to_owned()), "{found:?}");
}

#[tokio::test]
async fn rc_02_commands_are_for_those_who_may_run_them() {
    let place = Place::new().env("MCP_PROXY__COMMANDS__ALLOW", "uptime");
    let server = place.serve(&[]).await;
    let name = "run_command".to_owned();
    let reader = place.token(&["--as", "reader"]);
    let admin = place.token(&["--as", "admin"]);
    assert!(tools(&server, Some(&admin)).await.contains(&name));
    assert!(!tools(&server, Some(&reader)).await.contains(&name));
    assert!(!tools(&server, None).await.contains(&name));
    let arguments = json!({"command": "uptime"});
    let refused = server.call(&reader, &name, arguments.clone()).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    let params: Value = json!({"name": name, "arguments": arguments});
    let refused = server.ask(None, "tools/call", params).await;
    assert_eq!(refused.status, 401, "{}", refused.body);
}

/// What a reader of text does not see, and a model reads.
fn is_hidden(c: char) -> bool {
    c.is_control() && c != '\n'
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            found.push(name);
            texts(value, found);
        }),
        _ => {}
    }
}

#[tokio::test]
async fn tm_03_nothing_in_the_lists_is_hidden_from_people() {
    let place = Place::new()
        .env("MCP_PROXY__COMMANDS__ALLOW", "uptime")
        .env(
            "MCP_TOOLSETS",
            "copilot,records,proxy,school,records-extended",
        );
    let server = place.serve(&[]).await;
    let admin = place.token(&["--as", "admin"]);
    for (method, field, least) in [
        ("tools/list", "tools", 70),
        ("prompts/list", "prompts", 1),
        ("resources/list", "resources", 1),
        ("resources/templates/list", "resourceTemplates", 1),
    ] {
        let (mut items, mut cursor) = (Vec::new(), Value::Null);
        loop {
            let params = match &cursor {
                Value::Null => json!({}),
                cursor => json!({"cursor": cursor}),
            };
            let reply = server.ask(Some(&admin), method, params).await;
            let page = reply.body["result"][field].as_array();
            items.extend(page.expect("a list").clone());
            cursor = reply.body["result"]["nextCursor"].clone();
            if cursor.is_null() {
                break;
            }
        }
        assert!(items.len() >= least, "{method}: {}", items.len());
        for item in &items {
            let mut found = Vec::new();
            texts(item, &mut found);
            for text in found {
                assert!(!text.contains(is_hidden), "{method}: {text:?}");
            }
            let description = item["description"].as_str().unwrap_or_default();
            let length = description.chars().count();
            assert!(length <= 1024, "{method}: {length}: {description}");
        }
    }
}
