//! The conformance server keeps the contract for scopes that the suite has in draft: one operation
//! of each kind, an opaque token with too little, and one with enough.

use mcp_runtime::Server;
use mcp_runtime::testing::TestServer;
use serde_json::json;

use crate::ask::{Ask, header};

#[path = "../../examples/conformance/access.rs"]
mod access;

#[tokio::test]
async fn low_is_challenged_with_all_scopes_full_passes_and_none_is_asked_for_the_baseline() {
    let server = Server::new(access::tools())
        .resources(access::resources())
        .prompts(access::prompts())
        .public_url("http://127.0.0.1:8000/mcp")
        .auth(access::Tokens::new())
        .baseline_scopes([access::BASELINE]);
    let server = TestServer::new(server).unwrap();
    let read =
        |uri: &str| Ask::modern("resources/read", json!({ "uri": uri })).header("mcp-name", uri);
    let call = json!({ "name": "test_scoped_tool", "arguments": {} });
    let operations = [
        (
            Ask::modern("tools/call", call),
            "tools:call",
            "tools:test_scoped_tool",
        ),
        (read("test://scoped"), "resources:read", "resources:static"),
        (
            read("test://scoped/123"),
            "resources:read",
            "resources:template:123",
        ),
        (
            Ask::modern("prompts/get", json!({ "name": "test_scoped_prompt" })),
            "prompts:get",
            "prompts:test_scoped_prompt",
        ),
    ];
    for (ask, first, second) in operations {
        let with = |token: &str| {
            ask.clone()
                .header("authorization", &format!("Bearer {token}"))
        };
        let none = ask.send(&server).await;
        assert_eq!(none.status, 401, "{second}: {}", none.body);
        let challenge = header(&none, "www-authenticate").unwrap();
        assert!(
            challenge.contains("scope=\"mcp:conformance:baseline\""),
            "{challenge}"
        );
        let low = with("mcp-conformance-scope-low").send(&server).await;
        assert_eq!(low.status, 403, "{second}: {}", low.body);
        let challenge = header(&low, "www-authenticate").unwrap();
        let all = format!("scope=\"mcp:conformance:{first} mcp:conformance:{second}\"");
        assert!(challenge.contains(&all), "{challenge}");
        assert_eq!(challenge.matches("scope=").count(), 1, "{challenge}");
        let full = with("mcp-conformance-scope-full").send(&server).await;
        assert_eq!(
            (full.status, full.body.get("error")),
            (200, None),
            "{second}"
        );
    }
    // The scope of one document is not that of another.
    let other = read("test://scoped/124")
        .header("authorization", "Bearer mcp-conformance-scope-full")
        .send(&server)
        .await;
    assert_eq!(other.status, 403);
}
