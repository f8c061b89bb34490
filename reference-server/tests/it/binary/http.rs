//! `reference-server serve`, as clients see it.

use reqwest::Method;
use serde_json::{Value, json};

use super::calls;
use super::program::{Place, Reply, Running};

#[tokio::test]
async fn s0_001_to_011_ten_tools_answer_over_http() {
    let place = Place::new();
    let server = place.serve(&["--toolset", "copilot"]).await;
    let admin = place.token(&["--as", "admin"]);
    let listed = server.ask(Some(&admin), "tools/list", json!({})).await;
    assert_eq!(
        listed.body["result"]["tools"].as_array().map(Vec::len),
        Some(10)
    );
    let mut confirm_token = Value::Null;
    for (tool, arguments, pointer) in calls() {
        let reply = server.call(&admin, tool, arguments).await;
        let found = reply
            .structured()
            .pointer(pointer)
            .cloned()
            .unwrap_or_default();
        assert!(!found.is_null(), "{tool} {pointer}: {}", reply.body);
        confirm_token = found;
    }
    let send = json!({"confirm_token": confirm_token, "idempotency_key": "key-1"});
    let sent = server
        .call(&admin, "instainstru_invites_send", send.clone())
        .await;
    assert_eq!(sent.structured()["data"]["sent_count"], 2);
    let again = server.call(&admin, "instainstru_invites_send", send).await;
    assert_eq!(sent.structured()["data"], again.structured()["data"]);
    assert_eq!(place.letters().len(), 2);
    let other = json!({"confirm_token": confirm_token, "idempotency_key": "key-2"});
    let other = server.call(&admin, "instainstru_invites_send", other).await;
    assert_eq!(other.code(), "MCP_TOKEN_ALREADY_USED");
    assert_eq!(place.letters().len(), 2);
}

#[tokio::test]
async fn who_may_not_call_is_told_what_to_get() {
    let place = Place::new();
    let server = place.serve(&[]).await;
    let (reader, bob) = (
        place.token(&["--as", "reader"]),
        place.token(&["--as", "bob"]),
    );
    let admin = place.token(&["--as", "admin"]);
    let preview = json!({"recipient_emails": ["ann@example.com"]});
    let tool = "instainstru_invites_preview";

    let refused = server.call(&reader, tool, preview.clone()).await;
    assert_eq!(refused.status, 403);
    let challenge = refused.headers["www-authenticate"].to_str().expect("text");
    assert!(
        challenge.contains("error=\"insufficient_scope\""),
        "{challenge}"
    );
    assert!(challenge.contains("scope=\"copilot:write\""), "{challenge}");

    let params = json!({"name": tool, "arguments": preview});
    let anonymous = server.ask(None, "tools/call", params.clone()).await;
    assert_eq!(anonymous.status, 401);
    assert!(
        anonymous.headers["www-authenticate"]
            .to_str()
            .expect("text")
            .starts_with("Bearer")
    );
    let wrong = server.ask(Some("mcp_nonsense"), "tools/call", params).await;
    assert_eq!(wrong.status, 401);
    let challenge = wrong.headers["www-authenticate"].to_str().expect("text");
    assert!(challenge.contains("invalid_token"), "{challenge}");

    let token =
        server.call(&admin, tool, preview).await.structured()["data"]["confirm_token"].clone();
    let send = json!({"confirm_token": token, "idempotency_key": "key"});
    let stolen = server.call(&bob, "instainstru_invites_send", send).await;
    assert_eq!(stolen.code(), "MCP_TOKEN_ACTOR_MISMATCH");
    assert!(place.letters().is_empty());
}

#[tokio::test]
async fn s0_046_055_every_revision_starts_also_with_json_alone() {
    let place = Place::new();
    let server = place.serve(&["--toolset", "copilot"]).await;
    let admin = place.token(&["--as", "admin"]);
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        for accept in ["application/json", "application/json, text/event-stream"] {
            let params = json!({"protocolVersion": version, "capabilities": {},
                "clientInfo": {"name": "test", "version": "1"}});
            let message =
                json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
            let reply = post(&server, "/mcp", &[("accept", accept)], &message).await;
            let result = &reply.body["result"];
            assert_eq!(result["protocolVersion"], version, "{}", reply.body);
            assert_eq!(result["serverInfo"]["name"], "iNSTAiNSTRU Admin");
            assert_eq!(result["serverInfo"]["version"], env!("CARGO_PKG_VERSION"));
            assert!(
                result["instructions"]
                    .as_str()
                    .is_some_and(|text| text.contains("preview"))
            );
            assert_eq!(reply.headers["content-type"], "application/json");
        }
    }
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}}}});
    let headers = [
        ("accept", "application/json"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/list"),
        ("authorization", &format!("Bearer {admin}")),
    ];
    let reply = post(&server, "/mcp", &headers, &message).await;
    assert_eq!(
        reply.body["result"]["tools"].as_array().map(Vec::len),
        Some(10),
        "{}",
        reply.body
    );
}

#[tokio::test]
async fn s0_021_043_044_056_057_paths_are_what_they_are() {
    let place = Place::new();
    let server = place.serve(&["--toolset", "copilot"]).await;
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    for (path, status) in [("/mcp", 200), ("/mcp/", 200), ("/mcp/mcp", 404), ("/", 404)] {
        assert_eq!(
            post(&server, path, &[], &ping).await.status.as_u16(),
            status,
            "{path}"
        );
    }
    // S0-045, S0-058: no client is told to log in for ending a session that there is not.
    let delete = Reply::of(server.request(Method::DELETE, "/mcp")).await;
    assert_eq!(delete.status, 400);
    let health = Reply::of(server.request(Method::GET, "/api/v1/health")).await;
    let expected = json!({"status": "ok", "service": "iNSTAiNSTRU Admin", "version": env!("CARGO_PKG_VERSION")});
    assert_eq!(health.body, expected);
    let head = Reply::of(server.request(Method::HEAD, "/api/v1/health")).await;
    assert_eq!(head.status, 200);
    // The REST API is in the same process, and not on this socket.
    let admin = Reply::of(server.request(Method::GET, "/api/v1/admin/mcp/founding/funnel")).await;
    assert_eq!(admin.status, 404);
}

async fn post(server: &Running, path: &str, headers: &[(&str, &str)], message: &Value) -> Reply {
    let mut request = server
        .request(Method::POST, path)
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Reply::of(request.body(message.to_string())).await
}

#[tokio::test]
async fn other_ways_in_are_off_unless_turned_on() {
    let get = |path| (Method::GET, path);
    let ways = [
        get("/mcp/ws"),
        (Method::POST, "/rpc"),
        get("/sse"),
        (Method::POST, "/messages/"),
    ];
    let server = Place::new().serve(&[]).await;
    for (method, path) in &ways {
        let reply = server.request(method.clone(), path).send().await;
        assert_eq!(reply.expect("an answer").status(), 404, "{path}");
    }
    let place = ["WEBSOCKET", "RPC", "SSE"]
        .iter()
        .fold(Place::new(), |place, way| {
            place.env(&format!("MCP_TRANSPORTS__{way}"), "true")
        });
    let server = place.serve(&[]).await;
    // Each answers what its first request lacks; the stream lacks nothing.
    for ((method, path), status) in ways.iter().zip([426, 415, 200, 415]) {
        let reply = server.request(method.clone(), path).send().await;
        assert_eq!(reply.expect("an answer").status(), status, "{path}");
    }
}
