//! Paths beside those of the server, and the header that names a tenant.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use http::{HeaderName, Request};
use mcp_runtime::prelude::*;
use mcp_runtime::testing::TestServer;
use serde_json::json;

/// Who asks.
#[mcp_tool(public, read_only)]
fn whoami(caller: &Caller) -> String {
    caller.to_string()
}

fn server() -> TestServer {
    let file = || Router::new().route("/files/{name}", get(|| async { "a file" }));
    // What the server has itself is not taken from it.
    let shadow = Router::new().route("/api/v1/health", get(|| async { "shadow" }));
    let server = Server::new(tools![whoami])
        .routes(file())
        .routes(shadow)
        .tenant_header(HeaderName::from_static("x-tenant-id"));
    TestServer::new(server).unwrap()
}

#[tokio::test]
async fn routes_answer_reads_at_other_paths_under_names_of_ours() {
    let server = server();
    for (method, path, host, expected) in [
        ("GET", "/files/a", "localhost", 200),
        ("HEAD", "/files/a", "localhost", 200),
        ("POST", "/files/a", "localhost", 404),
        ("GET", "/files/a", "evil.example.com", 403),
        ("GET", "/files", "localhost", 404),
        ("GET", "/elsewhere", "localhost", 404),
    ] {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("host", host).body(Vec::new()).unwrap();
        let reply = server.send(request).await;
        assert_eq!(reply.status, expected, "{method} {path} at {host}");
    }
    let health = Request::get("/api/v1/health").header("host", "localhost");
    let health = server.send(health.body(Vec::new()).unwrap()).await;
    assert_eq!(health.body["status"], "ok", "{}", health.body);
}

#[tokio::test]
async fn a_header_that_names_a_tenant_agrees_with_the_caller() {
    let server = server();
    let of = |tenant: Option<&str>| match tenant {
        Some(tenant) => Caller::user("ada").tenant(tenant),
        None => Caller::user("ada"),
    };
    for (tenant, header, expected) in [
        (Some("org_a"), None, 200),
        (Some("org_a"), Some("org_a"), 200),
        (Some("org_a"), Some("org_b"), 403),
        (Some("org_a"), Some("org_A"), 403),
        (None, None, 200),
        (None, Some("org_a"), 403),
    ] {
        let mut request = Request::post("/mcp")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("mcp-protocol-version", "2025-06-18")
            .extension(Arc::new(of(tenant)));
        if let Some(header) = header {
            request = request.header("x-tenant-id", header);
        }
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});
        let request = request.body(body.to_string().into_bytes()).unwrap();
        let reply = server.send(request).await;
        assert_eq!(
            reply.status, expected,
            "{tenant:?} {header:?}: {}",
            reply.body
        );
    }
}
