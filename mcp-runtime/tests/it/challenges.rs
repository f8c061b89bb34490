//! What clients are told to get the right token: challenges, and the metadata of the resource.

use http::Request;
use mcp_runtime::prelude::*;
use mcp_runtime::testing::{TestReply, TestServer};
use mcp_runtime::{AuthMode, Authenticate, Authentication, StepUp};
use serde_json::{Value, json};

use crate::ask::{Ask, MODERN, call, header};

/// Needs two scopes.
#[mcp_tool(scopes("orders:read", "orders:write"))]
fn order() -> u8 {
    1
}

/// For everybody.
#[mcp_tool(public)]
fn open() -> u8 {
    1
}

/// Needs a scope.
#[mcp_resource("shop://stock", scope = "stock:read")]
fn stock() -> &'static str {
    "full"
}

/// Needs a scope that names the document.
#[mcp_resource("shop://docs/{id}", scopes("docs:read", "docs:{id}:read"))]
fn document(id: String) -> String {
    id
}

/// Needs a scope.
#[mcp_prompt(scope = "letters:write")]
fn letter() -> &'static str {
    "Write."
}

const LOW: &str = "mcp-conformance-scope-low";
const FULL: &str = "mcp-conformance-scope-full";
const METADATA: &str = "https://mcp.example.com/.well-known/oauth-protected-resource/shop/mcp";

/// Static tokens of an authorization server.
struct Issued(StaticTokens);

impl Authenticate for Issued {
    fn authenticate<'a>(&'a self, token: &'a str) -> Authentication<'a> {
        self.0.authenticate(token)
    }

    fn authorization_servers(&self) -> Vec<String> {
        vec!["https://as.example.com".to_owned()]
    }
}

fn builder() -> Server {
    let all = [
        "orders:read",
        "orders:write",
        "stock:read",
        "docs:read",
        "docs:7:read",
        "letters:write",
    ];
    let tokens = StaticTokens::new()
        .token(LOW, Caller::user("ada").scope("orders:read"))
        .token(FULL, Caller::user("ada").scopes(all));
    Server::new(tools![open, order])
        .resources(resources![stock, document])
        .prompts(prompts![letter])
        .identity("shop", "1.0")
        .title("Shop Admin")
        .public_url("https://MCP.example.com/shop/mcp/")
        .auth(Issued(tokens))
}

fn server(builder: Server) -> TestServer {
    TestServer::new(builder).unwrap()
}

/// Every operation that needs scopes, with all of them.
fn operations() -> Vec<(&'static str, Ask, &'static str)> {
    let read =
        |uri: &str| Ask::modern("resources/read", json!({ "uri": uri })).header("mcp-name", uri);
    vec![
        (
            "a tool",
            call(MODERN, "order", json!({})),
            "orders:read orders:write",
        ),
        ("a static resource", read("shop://stock"), "stock:read"),
        (
            "a resource of a template",
            read("shop://docs/7"),
            "docs:read docs:7:read",
        ),
        (
            "a prompt",
            Ask::modern("prompts/get", json!({ "name": "letter" })),
            "letters:write",
        ),
    ]
    .into_iter()
    .map(|(what, ask, scopes)| {
        (
            what,
            ask.uri("/shop/mcp").header("host", "mcp.example.com"),
            scopes,
        )
    })
    .collect()
}

fn with(ask: &Ask, token: &str) -> Ask {
    ask.clone()
        .header("authorization", &format!("Bearer {token}"))
}

#[tokio::test]
async fn jw01_jw54_every_operation_asks_for_all_its_scopes_at_once() {
    let server = server(builder().baseline_scopes(["orders:read"]));
    for (what, ask, scopes) in operations() {
        let none = ask.send(&server).await;
        assert_eq!(none.status, 401, "{what}: {}", none.body);
        assert_eq!(
            header(&none, "www-authenticate").unwrap(),
            format!("Bearer scope=\"orders:read\", resource_metadata=\"{METADATA}\""),
            "{what}: the first challenge names the baseline, and no error"
        );
        let low = with(&ask, LOW).send(&server).await;
        assert_eq!(low.status, 403, "{what}: {}", low.body);
        assert_eq!(
            header(&low, "www-authenticate").unwrap(),
            format!(
                "Bearer error=\"insufficient_scope\", scope=\"{scopes}\", resource_metadata=\"{METADATA}\""
            ),
            "{what}"
        );
        let full = with(&ask, FULL).send(&server).await;
        assert_eq!((full.status, full.body.get("error")), (200, None), "{what}");
        let bad = with(&ask, "guessed").send(&server).await;
        assert_eq!(
            header(&bad, "www-authenticate").unwrap(),
            format!(
                "Bearer error=\"invalid_token\", scope=\"orders:read\", resource_metadata=\"{METADATA}\""
            ),
            "{what}"
        );
    }
}

#[tokio::test]
async fn without_a_baseline_the_operation_says_what_to_ask_for() {
    let server = server(builder());
    for (what, ask, scopes) in operations() {
        let reply = ask.send(&server).await;
        assert_eq!(
            header(&reply, "www-authenticate").unwrap(),
            format!("Bearer scope=\"{scopes}\", resource_metadata=\"{METADATA}\""),
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_client_that_mistakes_a_403_hears_it_in_the_result() {
    let known = "claude-code/2.1.0 (cli)";
    for (step_up, agent, status) in [
        (StepUp::Auto, "curl/8", 403),
        (StepUp::Auto, known, 200),
        (StepUp::Http, known, 403),
        (StepUp::ToolError, "curl/8", 200),
    ] {
        let server = server(builder().step_up(step_up));
        for (what, ask, _) in operations() {
            let reply = with(&ask, LOW)
                .header("user-agent", agent)
                .send(&server)
                .await;
            assert_eq!(reply.status, status, "{step_up:?} {agent} {what}");
            assert_eq!(
                header(&reply, "www-authenticate").is_some(),
                status == 403,
                "{step_up:?} {agent} {what}"
            );
            let says = reply.body.to_string();
            assert!(says.contains("insufficient_scope"), "{what}: {says}");
            // Nobody is let in without a token for it.
            let none = ask.header("user-agent", agent).send(&server).await;
            assert_eq!(none.status, 401, "{step_up:?} {agent} {what}");
        }
    }
}

async fn get(server: &TestServer, method: &str, path: &str) -> TestReply {
    let request = Request::builder()
        .method(method)
        .uri(path)
        // What a request says about where it was sent is not believed.
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .header("origin", "https://page.example");
    server.send(request.body(Vec::new()).unwrap()).await
}

#[tokio::test]
async fn the_metadata_is_found_at_both_places() {
    let expected = json!({
        "resource": "https://mcp.example.com/shop/mcp",
        "authorization_servers": ["https://as.example.com"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Shop Admin",
        "scopes_supported": ["docs:read", "letters:write", "orders:read", "orders:write", "stock:read"],
    });
    let server = server(builder());
    let root = "/.well-known/oauth-protected-resource";
    for suffix in ["", "/", "/shop/mcp", "/shop/mcp/"] {
        let reply = get(&server, "GET", &format!("{root}{suffix}")).await;
        assert_eq!((reply.status, &reply.body), (200, &expected), "{suffix}");
        assert_eq!(header(&reply, "access-control-allow-origin"), Some("*"));
        assert_eq!(header(&reply, "content-type"), Some("application/json"));
    }
    assert_eq!(
        get(&server, "GET", &format!("{root}/other")).await.status,
        404
    );
    assert_eq!(get(&server, "HEAD", root).await.status, 200);
    assert_eq!(get(&server, "OPTIONS", root).await.status, 204);
    assert_eq!(get(&server, "POST", root).await.status, 405);
}

#[tokio::test]
async fn scopes_are_published_as_they_are_chosen() {
    let published = async |builder: Server| -> Value {
        let server = server(builder);
        get(&server, "GET", "/.well-known/oauth-protected-resource")
            .await
            .body["scopes_supported"]
            .clone()
    };
    assert_eq!(
        published(builder().supported_scopes(["orders:read"])).await,
        json!(["orders:read"])
    );
    let baseline = published(builder().baseline_scopes(["orders:read"])).await;
    assert_eq!(
        baseline.as_array().unwrap().len(),
        5,
        "one is never taken from the other"
    );
}

#[tokio::test]
async fn without_an_authorization_server_there_is_no_metadata() {
    let tokens = StaticTokens::new().token(LOW, Caller::user("ada"));
    let server = server(builder().auth(tokens));
    let document = get(&server, "GET", "/.well-known/oauth-protected-resource").await;
    assert_eq!(document.status, 404);
    let (_, ask, _) = operations().remove(0);
    let reply = ask.send(&server).await;
    assert_eq!(
        header(&reply, "www-authenticate"),
        Some("Bearer scope=\"orders:read orders:write\"")
    );
}

#[tokio::test]
async fn the_mode_says_what_goes_without_a_token() {
    let at = |ask: Ask| ask.uri("/shop/mcp").header("host", "mcp.example.com");
    let list = at(Ask::modern("tools/list", json!({})));
    let discover = at(Ask::modern("server/discover", json!({})));
    let initialize = at(Ask::legacy(
        "2025-11-25",
        "initialize",
        json!({ "protocolVersion": "2025-11-25", "capabilities": {} }),
    ));
    let public = at(call(MODERN, "open", json!({})));
    let scoped = at(call(MODERN, "order", json!({})));
    for (mode, free, token) in [
        (AuthMode::Open, 200, 401),
        (AuthMode::Mixed, 200, 200),
        (AuthMode::Required, 401, 200),
    ] {
        let server = server(builder().auth_mode(mode));
        for ask in [&list, &discover, &initialize, &public] {
            assert_eq!(ask.send(&server).await.status, free, "{mode:?}");
            assert_eq!(
                with(ask, FULL).send(&server).await.status,
                token,
                "{mode:?}"
            );
            assert_eq!(with(ask, "bad").send(&server).await.status, 401, "{mode:?}");
        }
        assert_eq!(scoped.send(&server).await.status, 401, "{mode:?}");
        assert_eq!(
            with(&scoped, FULL).send(&server).await.status,
            token,
            "{mode:?}"
        );
    }
}

#[test]
fn a_server_that_nobody_could_use_is_not_built() {
    let problem = |server: Server| server.build().err().unwrap().to_string();
    let required = Server::new(tools![open]).auth_mode(AuthMode::Required);
    assert!(problem(required).contains("nobody can check one"));
    let baseline = builder().baseline_scopes(["two words"]);
    assert!(problem(baseline).contains("\"two words\" is not a scope"));
}
