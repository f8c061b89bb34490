//! `/rpc`, `shutdown`, and what pages elsewhere may do.

use mcp_runtime::SessionMode;
use mcp_runtime::prelude::*;
use mcp_runtime::testing::TestServer;
use serde_json::json;

use crate::ask::{Ask, LEGACY, MODERN, call, header};
use crate::live::within;
use crate::rows::{Pipe, request};

/// Say it again.
#[mcp_tool(public)]
async fn echo(call: &Call, message: String) -> String {
    call.progress(1.0, None, None);
    message
}

fn server() -> Server {
    Server::new(tools![echo]).allow_origin("https://app.example.test")
}

fn rpc() -> TestServer {
    TestServer::new(server().rpc_alias()).unwrap()
}

#[tokio::test]
async fn rpc_always_answers_json() {
    let server = rpc();
    for revision in LEGACY.into_iter().chain([MODERN]) {
        for path in ["/rpc", "/rpc/"] {
            for accept in [
                "application/json",
                "text/event-stream",
                "text/html",
                "*/*",
                "",
            ] {
                let ask = call(revision, "echo", json!({ "message": "hi" })).uri(path);
                let ask = match accept {
                    "" => ask.without("accept"),
                    accept => ask.header("accept", accept),
                };
                let reply = ask.send(&server).await;
                let kind = header(&reply, "content-type");
                assert_eq!(
                    (reply.status, kind),
                    (200, Some("application/json")),
                    "{revision} {accept}"
                );
                assert_eq!(reply.result()["content"][0]["text"], "hi");
            }
        }
    }
}

#[tokio::test]
async fn rpc_opens_neither_sessions_nor_streams() {
    for sessions in [
        SessionMode::Auto,
        SessionMode::Stateful,
        SessionMode::Stateless,
    ] {
        let server = TestServer::new(server().rpc_alias().sessions(sessions)).unwrap();
        let params =
            json!({ "protocolVersion": "2025-06-18", "capabilities": { "elicitation": {} } });
        let hello = Ask::legacy("2025-06-18", "initialize", params);
        let reply = hello.uri("/rpc").send(&server).await;
        assert_eq!(
            (reply.status, header(&reply, "mcp-session-id")),
            (200, None),
            "{sessions:?}"
        );
        let list = Ask::legacy("2025-06-18", "tools/list", json!({})).uri("/rpc");
        let reply = list.header("mcp-session-id", "made-up").send(&server).await;
        assert_eq!(
            reply.status, 200,
            "{sessions:?}: a session means nothing here"
        );
        let mut listen = json!({ "notifications": { "toolsListChanged": true } });
        listen["_meta"] = crate::ask::meta();
        let reply = within(
            Ask::modern("subscriptions/listen", listen)
                .uri("/rpc")
                .send(&server),
        )
        .await;
        assert_eq!(reply.error()["code"], -32602, "{sessions:?}");
    }
}

#[tokio::test]
async fn rpc_has_the_checks_of_the_endpoint() {
    let server = rpc();
    let good = || call(MODERN, "echo", json!({ "message": "hi" })).uri("/rpc");
    for (what, ask, status) in [
        ("a foreign host", good().header("host", "evil.example"), 403),
        (
            "a foreign origin",
            good().header("origin", "https://evil.example"),
            403,
        ),
        (
            "a bad token",
            good().header("authorization", "Bearer bad"),
            401,
        ),
        ("no JSON", good().header("content-type", "text/plain"), 415),
        ("bad JSON", good().with_body("{bad"), 400),
        (
            "another tool in the headers",
            good().header("mcp-name", "other"),
            400,
        ),
        ("GET", good().method("GET"), 405),
        ("DELETE", good().method("DELETE"), 405),
        ("PUT", good().method("PUT"), 405),
        ("PATCH", good().method("PATCH"), 405),
        (
            "too large",
            good().with_body("x".repeat((1 << 20) + 1)),
            413,
        ),
        ("elsewhere", good().uri("/rpc/x"), 404),
    ] {
        let reply = ask.send(&server).await;
        assert_eq!(reply.status, status, "{what}: {}", reply.body);
        if status == 405 {
            assert_eq!(header(&reply, "allow"), Some("POST, OPTIONS"), "{what}");
        }
    }
    let off = TestServer::new(self::server()).unwrap();
    for path in ["/rpc", "/sse", "/messages", "/messages/", "/mcp/ws"] {
        let reply = good().uri(path).send(&off).await;
        assert_eq!(reply.status, 404, "{path} is off unless asked for");
    }
}

#[test]
fn ways_do_not_lie_on_each_other() {
    for (server, path) in [
        (server().rpc_alias(), "/rpc"),
        (server().legacy_sse(), "/sse"),
        (server().legacy_sse(), "/messages"),
    ] {
        let built = server.public_url(format!("http://localhost{path}")).build();
        let error = built.err().expect("two ways at one path").to_string();
        assert!(error.contains(&format!("`{path}`")), "{error}");
    }
    assert!(server().public_url("http://localhost/rpc").build().is_ok());
}

/// across T7
#[tokio::test]
async fn t7_shutdown_is_answered_where_that_is_asked_for() {
    let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": { "roots": {} } });
    for (on, legacy) in [(false, -32601), (true, 0)] {
        let server = if on {
            server().answer_shutdown()
        } else {
            server()
        };
        let service = server.build().unwrap();
        let http = TestServer::over(service.clone());
        let reply = Ask::legacy("2025-06-18", "initialize", hello.clone())
            .send(&http)
            .await;
        let id = header(&reply, "mcp-session-id").unwrap().to_owned();
        let with = |method| {
            let ask = Ask::legacy("2025-06-18", method, json!({}));
            ask.header("mcp-session-id", &id)
        };
        let reply = with("shutdown").send(&http).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.body["error"]["code"].as_i64().unwrap_or(0), legacy);
        let reply = with("ping").send(&http).await;
        assert_eq!(
            reply.status,
            if on { 404 } else { 200 },
            "the session ends, if anything does"
        );
        let reply = Ask::modern("shutdown", json!({})).send(&http).await;
        assert_eq!(
            (reply.status, &reply.error()["code"]),
            (404, &json!(-32601))
        );

        let mut pipe = Pipe::open(service, Caller::anonymous());
        pipe.ask(request(0, "initialize", hello.clone())).await;
        let reply = pipe.ask(request(1, "shutdown", json!({}))).await;
        if on {
            assert_eq!(reply, json!({ "jsonrpc": "2.0", "id": 1, "result": {} }));
            assert_eq!(
                within(pipe.end()).await,
                Vec::<String>::new(),
                "the server is done"
            );
        } else {
            assert_eq!(reply["error"]["code"], -32601);
            assert_eq!(
                pipe.ask(request(2, "ping", json!({}))).await["result"],
                json!({})
            );
        }
    }
}

/// TR-47, H16, across T11
#[tokio::test]
async fn tr_47_pages_elsewhere() {
    let server = TestServer::new(server().rpc_alias().legacy_sse()).unwrap();
    let page = "https://app.example.test";
    let preflight = |path: &str, origin: &str| {
        Ask::raw("")
            .method("OPTIONS")
            .uri(path)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
    };
    for (path, methods) in [
        ("/mcp", "GET, POST, DELETE"),
        ("/rpc", "POST"),
        ("/messages/", "POST"),
        ("/sse", "GET"),
    ] {
        for origin in ["https://evil.example", "null", "*"] {
            let reply = preflight(path, origin).send(&server).await;
            let shared = reply
                .headers
                .keys()
                .find(|name| name.as_str().starts_with("access-control"));
            assert_eq!((reply.status, shared), (403, None), "TR-47 {path} {origin}");
        }
        for origin in [page, "http://localhost:6274"] {
            let reply = preflight(path, origin)
                .header("access-control-request-headers", "content-type, MCP-Param-Region,mcp-param-a-b , x-other, mcp-param-(, mcp-param-\u{e4}")
                .send(&server)
                .await;
            assert_eq!(reply.status, 204);
            assert_eq!(header(&reply, "access-control-allow-origin"), Some(origin));
            assert_eq!(header(&reply, "access-control-allow-credentials"), None);
            assert_eq!(
                header(&reply, "access-control-allow-methods"),
                Some(methods),
                "{path}"
            );
            assert_eq!(header(&reply, "vary"), Some("origin"));
            assert_eq!(
                header(&reply, "access-control-expose-headers"),
                Some("mcp-session-id, mcp-protocol-version, www-authenticate, retry-after")
            );
        }
        let reply = preflight(path, page)
            .header(
                "access-control-request-headers",
                "content-type, MCP-Param-Region,mcp-param-a-b , x-other, mcp-param-(, mcp-param-",
            )
            .send(&server)
            .await;
        let allowed = header(&reply, "access-control-allow-headers").unwrap();
        let allowed: Vec<_> = allowed.split(", ").collect();
        for (name, yes) in [
            ("authorization", true),
            ("content-type", true),
            ("last-event-id", true),
            ("mcp-param-region", true),
            ("mcp-param-a-b", true),
            ("x-other", false),
            ("mcp-param-(", false),
            ("*", false),
        ] {
            assert_eq!(
                allowed.contains(&name),
                yes,
                "{path}: {name} in {allowed:?}"
            );
        }
        let many: String = (0..200).map(|n| format!("mcp-param-{n},")).collect();
        let reply = preflight(path, page)
            .header("access-control-request-headers", &many)
            .send(&server)
            .await;
        let allowed = header(&reply, "access-control-allow-headers").unwrap();
        assert!(
            allowed.split(", ").count() < 80,
            "the answer is as long as the question: {allowed}"
        );
    }
    let stateless = TestServer::new(self::server().sessions(SessionMode::Stateless)).unwrap();
    let reply = preflight("/mcp", page).send(&stateless).await;
    assert_eq!(header(&reply, "access-control-allow-methods"), Some("POST"));
}
