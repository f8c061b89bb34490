//! A client that somebody else wrote: rmcp.

use mcp_runtime::Service;
use mcp_runtime::prelude::*;
use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt};
use serde_json::json;

use crate::live::{Live, within};

#[derive(Serialize, JsonSchema)]
struct Sum {
    sum: i64,
}

/// Add two numbers.
#[mcp_tool(public, read_only)]
fn add(a: i64, b: i64) -> Sum {
    Sum { sum: a + b }
}

/// For a scope.
#[mcp_tool(scope = "a:read")]
fn scoped() -> String {
    "in".into()
}

#[derive(Clone, Default)]
struct Client;

impl ClientHandler for Client {}

fn service() -> Service {
    let tokens =
        StaticTokens::new().token("ada-token-0123456789", Caller::user("ada").scope("a:read"));
    Server::new(tools![add, scoped])
        .identity("foreign", "1")
        .auth(tokens)
        .build()
        .unwrap()
}

fn lifecycles() -> [(&'static str, ClientLifecycleMode); 2] {
    let modern = ClientLifecycleMode::Discover {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
    };
    [
        ("discover", modern),
        ("initialize", ClientLifecycleMode::Initialize),
    ]
}

async fn converse(how: &str, client: RunningService<RoleClient, Client>) {
    let tools = within(client.list_all_tools()).await.unwrap();
    let names: Vec<_> = tools.iter().map(|tool| &*tool.name).collect();
    assert_eq!(names, ["add", "scoped"], "{how}");
    assert_eq!(tools[0].input_schema["type"], json!("object"), "{how}");
    let arguments = json!({ "a": 40, "b": 2 }).as_object().cloned().unwrap();
    let result =
        within(client.call_tool(CallToolRequestParams::new("add").with_arguments(arguments)))
            .await
            .unwrap();
    assert_eq!(
        result.structured_content,
        Some(json!({ "sum": 42 })),
        "{how}"
    );
    assert_eq!(result.is_error, Some(false), "{how}");
    let bad = json!({ "a": "x" }).as_object().cloned().unwrap();
    let result = within(client.call_tool(CallToolRequestParams::new("add").with_arguments(bad)))
        .await
        .unwrap();
    assert_eq!(
        result.is_error,
        Some(true),
        "{how}: a bad argument is for the model to read"
    );
    let unknown = within(client.call_tool(CallToolRequestParams::new("nobody"))).await;
    assert!(
        unknown.is_err(),
        "{how}: an unknown tool is an error of the protocol"
    );
    let result = within(client.call_tool(CallToolRequestParams::new("scoped")))
        .await
        .unwrap();
    assert_eq!(
        result.structured_content,
        Some(json!({ "result": "in" })),
        "{how}"
    );
    within(client.cancel()).await.unwrap();
}

#[tokio::test]
async fn talks_http() {
    let live = Live::start(service()).await;
    for (how, lifecycle) in lifecycles() {
        let config =
            StreamableHttpClientTransportConfig::with_uri(format!("http://{}/mcp", live.address))
                .auth_header("ada-token-0123456789");
        let transport = StreamableHttpClientTransport::from_config(config);
        let client = within(Client.serve_with_lifecycle(transport, lifecycle))
            .await
            .unwrap();
        converse(how, client).await;
    }
    live.stop().await;
}

#[tokio::test]
async fn talks_over_a_pipe() {
    for (how, lifecycle) in lifecycles() {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let (read, write) = tokio::io::split(theirs);
        let served = tokio::spawn(service().pipe(Caller::user("ada").scope("a:read"), read, write));
        let client = within(Client.serve_with_lifecycle(ours, lifecycle))
            .await
            .unwrap();
        converse(how, client).await;
        within(served).await.unwrap().unwrap();
    }
}
