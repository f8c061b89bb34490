//! Whose tokens are taken, as `[auth]` says: each of its keys on the wire.

use mcp_runtime::Clock;
use mcp_runtime::testing::{Endpoint, IdentityProvider};
use serde_json::json;

use super::program::{Place, Running};

const RESOURCE: &str = "https://mcp.example.com/mcp";
const METRIC: &str = "instainstru_metrics_describe";
const SEND: &str = "instainstru_invites_send";
const STATIC: &str = "a-static-token-of-a-batch";

async fn provider() -> IdentityProvider {
    let provider = IdentityProvider::start(Clock::system(), RESOURCE).await;
    provider.expect("an identity provider")
}

async fn serve(place: &Place, config: &str) -> Running {
    std::fs::write(place.path().join("config.toml"), config).expect("written");
    place.serve(&["--config", "config.toml"]).await
}

async fn status(server: &Running, token: &str) -> u16 {
    let arguments = json!({"metric_name": "founding.cap"});
    server.call(token, METRIC, arguments).await.status.as_u16()
}

#[tokio::test]
async fn issuers_static_tokens_and_introspection_stand_side_by_side() {
    let (idp, second) = (provider().await, provider().await);
    let (client, secret) = idp.introspection_client();
    let place = Place::new().env("SECRET", secret).env("BATCH", STATIC);
    let config = format!(
        r#"
        public_url = "{RESOURCE}"
        [auth]
        supported_scopes = ["copilot:read"]
        baseline_scopes = ["copilot:read"]
        [[auth.issuer]]
        issuer = "{first}"
        algorithms = ["RS256"]
        scope_map = {{ "mcp:staff" = ["copilot:write"] }}
        implies = {{ "copilot:write" = ["copilot:read"] }}
        allow_loopback = true
        [[auth.issuer]]
        issuer = "{second}"
        jwks_url = "{second}/oauth2/jwks"
        audiences = ["api://admin"]
        allow_loopback = true
        [[auth.static_token]]
        name = "batch"
        token_env = "BATCH"
        scopes = ["copilot:read"]
        [auth.introspection]
        issuer = "{first}"
        url = "{introspect}"
        client_id = "{client}"
        client_secret_env = "SECRET"
        audiences = ["{RESOURCE}"]
        allow_loopback = true
        "#,
        first = idp.issuer(),
        second = second.issuer(),
        introspect = idp.url(Endpoint::Introspection),
    );
    let server = serve(&place, &config).await;
    let demo = place.token(&["--as", "reader"]);
    for (what, token, expected) in [
        ("the demo's", demo, 200),
        ("a static one", STATIC.to_owned(), 200),
        ("another", "a-static-token-of-nobody".to_owned(), 401),
        (
            "one with the scope",
            idp.token(json!({"scope": "copilot:read"})),
            200,
        ),
        (
            "one with a scope that is mapped and implies it",
            idp.token(json!({"scope": "mcp:staff"})),
            200,
        ),
        ("one without", idp.token(json!({"scope": "mcp:guest"})), 403),
        (
            "of the second, for the first",
            second.token(json!({"scope": "copilot:read"})),
            401,
        ),
        (
            "of the second",
            second.token(json!({"scope": "copilot:read", "aud": "api://admin"})),
            200,
        ),
        (
            "of the second, with a scope that only the first maps",
            second.token(json!({"scope": "mcp:staff", "aud": "api://admin"})),
            403,
        ),
        (
            "an opaque one",
            idp.opaque_token(&json!({"scope": "copilot:read"})),
            200,
        ),
        (
            "an opaque one with less",
            idp.opaque_token(&json!({"scope": "x"})),
            403,
        ),
        (
            "an opaque one that is over",
            idp.opaque_token(&json!({"active": false})),
            401,
        ),
    ] {
        assert_eq!(status(&server, &token).await, expected, "{what}");
    }
    // The batch is not whoever an issuer calls so, and may only read.
    assert_eq!(server.call(STATIC, SEND, json!({})).await.status, 403);
    let document = server
        .request(
            reqwest::Method::GET,
            "/.well-known/oauth-protected-resource/mcp",
        )
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("a body");
    let document: serde_json::Value = serde_json::from_str(&document).expect("JSON");
    assert_eq!(
        document["authorization_servers"],
        json!([idp.issuer(), second.issuer()])
    );
    assert_eq!(document["scopes_supported"], json!(["copilot:read"]));
    let log = server.log();
    for hidden in [STATIC, secret] {
        assert!(!log.contains(hidden), "a secret is in the log");
    }
}

#[tokio::test]
async fn hi_05_an_empty_list_lets_nobody_in_and_a_list_those_who_are_on_it() {
    let idp = provider().await;
    let issuer = format!(
        "[{{ issuer = '{}', userinfo_url = '{}', allow_loopback = true }}]",
        idp.issuer(),
        idp.url(Endpoint::Userinfo)
    );
    let ada = || idp.token(json!({"scope": "copilot:read"}));
    let bob = idp.token(json!({"sub": "bob", "email": "ada@example.com", "scope": "copilot:read"}));
    for (list, for_ada) in [
        ("", 403),
        ("ada@example.com", 200),
        ("ADA@example.com,x@example.com", 200),
    ] {
        let place = Place::new()
            .env("MCP_PUBLIC_URL", RESOURCE)
            .env("MCP_AUTH__ISSUER", &issuer)
            .env("MCP_AUTH__ALLOW_EMAILS", list)
            .env(
                "MCP_AUTH__STATIC_TOKEN",
                "[{name = 'batch', token_env = 'BATCH', scopes = ['copilot:read']}]",
            )
            .env("BATCH", STATIC);
        let server = place.serve(&[]).await;
        assert_eq!(status(&server, &ada()).await, for_ada, "{list:?}");
        // What userinfo says beats what the token claims.
        assert_eq!(status(&server, &bob).await, 403, "{list:?}");
        // A program has no address.
        assert_eq!(status(&server, STATIC).await, 200, "{list:?}");
    }
}

#[tokio::test]
async fn the_modes_and_the_ways_to_challenge() {
    let list = json!({});
    for (mode, looks, with_token) in [
        ("open", 200, 401),
        ("mixed", 200, 200),
        ("required", 401, 200),
    ] {
        let place = Place::new().env("MCP_AUTH__MODE", mode);
        let server = place.serve(&[]).await;
        let token = place.token(&["--as", "reader"]);
        let anonymous = server.ask(None, "tools/list", list.clone()).await;
        assert_eq!(anonymous.status, looks, "{mode}");
        assert_eq!(status(&server, &token).await, with_token, "{mode}");
    }
    for (challenge, expected) in [("http", 403), ("auto", 403), ("tool_error", 200)] {
        let place = Place::new().env("MCP_AUTH__CHALLENGE", challenge);
        let server = place.serve(&[]).await;
        let token = place.token(&["--as", "reader"]);
        let refused = server.call(&token, SEND, json!({})).await;
        assert_eq!(refused.status, expected, "{challenge}");
        let said = refused.body.to_string();
        assert!(
            said.contains("insufficient_scope") && said.contains("copilot:write"),
            "{said}"
        );
    }
}
