//! `[[mount]]`: several endpoints of one process, each with its tools, modes and tokens.

use mcp_runtime::Clock;
use mcp_runtime::testing::IdentityProvider;
use reqwest::Method;
use serde_json::{Value, json};

use super::program::{Place, Reply, Running};

const ORIGIN: &str = "https://mcp.example.com";
const METRIC: &str = "instainstru_metrics_describe";

async fn send(
    server: &Running,
    path: &str,
    token: Option<&str>,
    method: &str,
    params: Value,
) -> Reply {
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let mut request = server
        .request(Method::POST, path)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    Reply::of(request.body(message.to_string())).await
}

fn hello() -> Value {
    json!({"protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"}})
}

fn call() -> Value {
    json!({"name": METRIC, "arguments": {"metric_name": "founding.cap"}})
}

async fn get(server: &Running, path: &str) -> Reply {
    Reply::of(server.request(Method::GET, path)).await
}

struct World {
    idp: IdentityProvider,
    place: Place,
    server: Running,
}

impl World {
    async fn new(place: Place) -> Self {
        let idp = IdentityProvider::start(Clock::system(), format!("{ORIGIN}/mcp"))
            .await
            .expect("an identity provider");
        let config = format!(
            r#"
            public_url = "{ORIGIN}"
            [[mount]]
            path = "/mcp"
            toolsets = ["copilot"]
            sessions = "stateless"
            replies = "json"
            [[mount]]
            path = "/school"
            toolsets = ["school"]
            sessions = "stateful"
            auth = "required"
            [[auth.issuer]]
            issuer = "{issuer}"
            tenant_claim = "org_id"
            allow_loopback = true
            "#,
            issuer = idp.issuer()
        );
        std::fs::write(place.path().join("config.toml"), config).expect("written");
        let server = place.serve(&["--config", "config.toml"]).await;
        Self { idp, place, server }
    }

    /// Somebody who may do everything at the endpoint of this path.
    fn token(&self, path: &str) -> String {
        self.idp
            .mint()
            .claim("aud", format!("{ORIGIN}{path}"))
            .claim("sub", "ada")
            .claim("scope", "copilot:read copilot:write school:admin")
            .claim("roles", json!(["admin"]))
            .claim("org_id", "org_a")
            .sign()
    }
}

#[tokio::test]
async fn each_mount_has_its_own_tools_modes_and_tokens() {
    let world = World::new(Place::new()).await;
    let (copilot, school) = (world.token("/mcp"), world.token("/school"));
    let World { idp, place, server } = &world;
    for (path, own, other, title, has_session) in [
        ("/mcp", &copilot, &school, "iNSTAiNSTRU Admin", false),
        ("/school", &school, &copilot, "School Admin", true),
    ] {
        let welcome = send(server, path, Some(own), "initialize", hello()).await;
        assert_eq!(welcome.status, 200, "{path}: {}", welcome.body);
        let result = &welcome.body["result"];
        assert_eq!(result["serverInfo"]["title"], title);
        assert_eq!(
            welcome.headers.contains_key("mcp-session-id"),
            has_session,
            "{path}"
        );
        // A token is for the endpoint that it names.
        let refused = send(server, path, Some(other), "initialize", hello()).await;
        assert_eq!(refused.status, 401, "{path}: {}", refused.body);
        let challenge = refused.headers["www-authenticate"].to_str().expect("text");
        let document = format!("/.well-known/oauth-protected-resource{path}");
        assert!(challenge.contains("invalid_token"), "{challenge}");
        let place = format!("resource_metadata=\"{ORIGIN}{document}\"");
        assert!(challenge.contains(&place), "{challenge}");
        let document = get(server, &document).await.body;
        assert_eq!(document["resource"], format!("{ORIGIN}{path}"));
        assert_eq!(document["resource_name"], title);
        assert_eq!(document["authorization_servers"], json!([idp.issuer()]));
    }
    let root = get(server, "/.well-known/oauth-protected-resource").await;
    assert_eq!(root.body["resource"], format!("{ORIGIN}/mcp"));
    let scopes = |path: &'static str| async move {
        let at = format!("/.well-known/oauth-protected-resource{path}");
        get(server, &at).await.body["scopes_supported"].to_string()
    };
    assert!(!scopes("/mcp").await.contains("school:"));
    assert!(!scopes("/school").await.contains("copilot:"));

    let listed = send(server, "/mcp", Some(&copilot), "tools/list", json!({})).await;
    let listed = listed.body["result"]["tools"].to_string();
    assert!(listed.contains(METRIC) && !listed.contains("create_class"));
    let found = send(server, "/mcp", Some(&copilot), "tools/call", call()).await;
    assert_eq!(found.structured()["data"]["metric"], "founding.cap");

    // Who has no token looks around at the one, and not at the other.
    let looks = send(server, "/mcp", None, "tools/list", json!({})).await;
    assert_eq!(looks.status, 200);
    let looks = send(server, "/school", None, "tools/list", json!({})).await;
    assert_eq!(looks.status, 401);

    // A session is of its endpoint; where there are none it means nothing.
    let welcome = send(server, "/school", Some(&school), "initialize", hello()).await;
    let session = welcome.headers["mcp-session-id"].to_str().expect("text");
    for (path, token, status) in [("/school", &school, 200), ("/mcp", &copilot, 405)] {
        let stream = server
            .request(Method::GET, path)
            .header("accept", "text/event-stream")
            .header("mcp-session-id", session)
            .bearer_auth(token);
        assert_eq!(stream.send().await.expect("an answer").status(), status);
    }
    for path in [
        "/",
        "/mcp2",
        "/mcp/school",
        "/school/mcp",
        "/school/x",
        "/sse",
        "/rpc",
        "/.well-known/oauth-protected-resource/other",
    ] {
        let reply = send(server, path, Some(&copilot), "ping", json!({})).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.body);
    }
    assert_eq!(get(server, "/api/v1/health").await.status, 200);
    // The program's own tokens name no endpoint: they are for all of them.
    let admin = place.token(&["--as", "admin"]);
    for path in ["/mcp", "/school"] {
        let reply = send(server, path, Some(&admin), "initialize", hello()).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    }
}

#[tokio::test]
async fn mounts_share_limits_and_audit() {
    let place = Place::new()
        .without("MCP_LIMITS__REQUESTS")
        .env("MCP_LIMITS__REQUESTS", "1/hour, burst 3");
    let world = World::new(place).await;
    let (at_mcp, at_school) = (world.token("/mcp"), world.token("/school"));
    let server = &world.server;
    for _ in 0..3 {
        let reply = send(server, "/mcp", Some(&at_mcp), "tools/call", call()).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    let welcome = send(server, "/school", Some(&at_school), "initialize", hello()).await;
    let session = welcome.headers["mcp-session-id"].to_str().expect("text");
    let message = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    let refused = server
        .request(Method::POST, "/school")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-session-id", session)
        .bearer_auth(&at_school)
        .body(message.to_string());
    let refused = Reply::of(refused).await;
    let said = refused.body.to_string();
    assert!(
        refused.status == 429 || said.contains("rate_limited") || said.contains("Too many"),
        "{} {said}",
        refused.status
    );
    let lines = std::fs::read_to_string(world.place.data().join("audit.jsonl")).expect("a log");
    assert!(lines.matches(METRIC).count() >= 3, "{lines}");
    let verified = world.place.run(&["audit", "verify"]);
    assert!(verified.status.success());
}

/// `(the mounts, other settings, what the error says)`
type Row = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

const REFUSED: &[Row] = &[
    ("[{path='mcp'}]", &[], "write it like \"/mcp\""),
    ("[{}]", &[], "write it like \"/mcp\""),
    ("[{path='/mcp/'}]", &[], "is not a path"),
    ("[{path='/a/../b'}]", &[], "is not a path"),
    ("[{path='/a?b'}]", &[], "is not a path"),
    ("[{path='/rpc'}]", &[], "something else"),
    ("[{path='/sse'}]", &[], "something else"),
    ("[{path='/api/v1/health'}]", &[], "something else"),
    ("[{path='/.well-known/x'}]", &[], "is not a path"),
    ("[{path='/mcp/ws'}]", &[], "something else"),
    ("[{path='/a'}, {path='/a'}]", &[], "overlap"),
    ("[{path='/a'}, {path='/a/b'}]", &[], "overlap"),
    ("[{path='/a/b'}, {path='/a'}]", &[], "overlap"),
    ("[{path='/a', toolsets=['nope']}]", &[], "no toolset `nope`"),
    ("[{path='/a', tools=['copilot']}]", &[], "tools"),
    ("[{path='/a', auth='off'}]", &[], "off"),
    ("[{path='/a'}]", &[("MCP_TOOLSETS", "copilot")], "toolsets"),
    (
        "[{path='/a'}]",
        &[("MCP_PUBLIC_URL", "https://mcp.example.com/mcp")],
        "which is no mount",
    ),
    (
        "[{path='/a'}]",
        &[("MCP_PUBLIC_URL", "https://mcp.example.com/a?b=/a")],
        "more than an origin",
    ),
    (
        "[{path='/a'}, {path='/b', auth='open'}]",
        &[("MCP_PUBLIC_URL", "https://mcp.example.com")],
        "auth.mode is \"open\"",
    ),
    (
        "[{path='/a'}, {path='/b'}]",
        &[("MCP_IDENTITY__PROVIDER", "true")],
        "one endpoint",
    ),
    (
        "[{path='/a'}, {path='/b'}]",
        &[("MCP_AUTH__OAUTH_PROXY__MODE", "relay")],
        "one endpoint",
    ),
];

#[test]
fn hi_04_mounts_that_do_not_go_together_do_not_start() {
    for (mounts, others, expected) in REFUSED {
        let place = Place::new()
            .env("MCP_LISTEN", "127.0.0.1:0")
            .env("MCP_MOUNT", mounts);
        let place = others
            .iter()
            .fold(place, |place, (name, value)| place.env(name, value));
        let output = place.run(&["serve"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{mounts} {others:?}");
        assert!(error.contains(expected), "{mounts} {others:?}: {error}");
    }
}

/// One system is shown as itself, several as none of them.
#[tokio::test]
async fn a_server_is_introduced_as_what_it_serves() {
    for (toolsets, title, knows) in [
        ("copilot", "iNSTAiNSTRU Admin", "lesson marketplace"),
        ("records,records-extended", "Records", "if_match"),
        ("proxy", "Reverse Proxy Admin", "create_proxy"),
        ("copilot,proxy", "Admin Tools", "lesson marketplace"),
        ("copilot,proxy", "Admin Tools", "create_proxy"),
    ] {
        let place = Place::new().env("MCP_TOOLSETS", toolsets);
        let server = place.serve(&[]).await;
        let welcome = send(&server, "/mcp", None, "initialize", hello()).await;
        let result = &welcome.body["result"];
        assert_eq!(result["serverInfo"]["title"], title, "{toolsets}");
        let instructions = result["instructions"].as_str().unwrap_or_default();
        assert!(instructions.contains(knows), "{toolsets}: {instructions}");
        assert_eq!(
            instructions.contains("lesson marketplace"),
            toolsets.contains("copilot")
        );
    }
}
