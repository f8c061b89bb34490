//! Opaque tokens, which the authorization server is asked about.

use std::time::{Duration, Instant};

use mcp_runtime::auth::{Introspection, Jwt, any_of};
use mcp_runtime::testing::{Endpoint, Fault, IdentityProvider, TestServer};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::identity::{RESOURCE, World, assert_invalid, assert_unavailable, bare, builder, local};

fn introspection(idp: &IdentityProvider) -> Introspection {
    let (id, secret) = idp.introspection_client();
    Introspection::new(idp.issuer(), idp.url(Endpoint::Introspection))
        .client(id, secret)
        .tenant_claim("org_id")
        .implies("mcp:admin", ["mcp:read"])
        .egress(local())
}

#[tokio::test]
async fn an_active_token_makes_a_caller() {
    let world = World::with(introspection).await;
    let token = world.idp.opaque_token(&json!({
        "sub": "bob", "scope": "mcp:admin", "org_id": "org_b", "roles": "chief",
    }));
    let who = world.who(&token).await;
    assert_eq!(
        (
            &who["subject"],
            &who["issuer"],
            &who["tenant"],
            &who["roles"]
        ),
        (
            &json!("bob"),
            &json!(world.idp.issuer()),
            &json!("org_b"),
            &json!(["chief"])
        )
    );
    assert_eq!(who["scopes"], json!(["mcp:admin", "mcp:read"]));
    assert_eq!(world.status("echo", &token).await, 200);
    assert_eq!(world.idp.hits(Endpoint::Introspection), 1, "remembered");
    world.wait(56);
    assert_eq!(world.status("echo", &token).await, 200);
    assert_eq!(
        world.idp.hits(Endpoint::Introspection),
        2,
        "asked again after 55 s"
    );
}

/// JW-04 to JW-28 for what the server says of a token, in place of the token.
#[tokio::test]
async fn jw_22_jw_26_jw_28_an_active_token_for_somebody_else() {
    let world = World::with(introspection).await;
    let now = world.now();
    for claims in [
        json!({ "active": false }),
        json!({ "aud": "https://other.example.com/mcp" }),
        json!({ "aud": null }),
        json!({ "aud": [] }),
        json!({ "iss": "https://as.example.com" }),
        json!({ "iss": null }),
        json!({ "sub": "" }),
        json!({ "sub": 5 }),
        json!({ "exp": now - 31 }),
        json!({ "exp": "9999999999" }),
        json!({ "nbf": now + 3600 }),
        json!({ "token_type": "DPoP" }),
        json!({ "token_type": 5 }),
        json!({ "org_id": ["org_b"] }),
    ] {
        let token = world.idp.opaque_token(&claims);
        assert_invalid(&world.call("whoami", &token).await, &claims.to_string());
    }
    assert_invalid(&world.call("whoami", "never-issued").await, "unknown");
    let good = world.idp.opaque_token(&json!({ "iat": null, "nbf": null }));
    assert_invalid(&world.call("whoami", &good).await, "typed, or not there");
}

/// A token that was taken back, and one that ends.
#[tokio::test]
async fn jw_37_a_remembered_token_ends() {
    let world = World::with(introspection).await;
    let token = world.idp.opaque_token(&json!({ "exp": world.now() + 5 }));
    assert_eq!(world.status("whoami", &token).await, 200);
    world.wait(5);
    assert_invalid(&world.call("whoami", &token).await, "JW-37");
}

/// JW-39: a token that is refused costs the server one question in five seconds.
#[tokio::test]
async fn jw_39_refusals_are_remembered_for_a_while() {
    let world = World::with(introspection).await;
    for _ in 0..5 {
        assert_invalid(&world.call("whoami", "never-issued").await, "JW-39");
    }
    assert_eq!(world.idp.hits(Endpoint::Introspection), 1);
    world.wait(5);
    assert_invalid(&world.call("whoami", "never-issued").await, "JW-39");
    assert_eq!(world.idp.hits(Endpoint::Introspection), 2);
    for odd in ["x".repeat(5_000), "caf\u{e9}".to_owned()] {
        assert_invalid(&world.call("whoami", &odd).await, "never sent on");
    }
    assert_eq!(world.idp.hits(Endpoint::Introspection), 2);
}

#[tokio::test]
async fn jw_41_a_stampede() {
    let world = World::with(introspection).await;
    let token = world.idp.opaque_token(&json!({}));
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let (server, bearer) = (world.server.clone(), format!("Bearer {token}"));
        calls.spawn(async move {
            let ask = bare("whoami").header("authorization", &bearer);
            ask.send(&server).await.status
        });
    }
    let answers = calls.join_all().await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    assert_eq!(world.idp.hits(Endpoint::Introspection), 1);
}

/// JW-44 for introspection: every fault keeps everybody out, and none is remembered.
#[tokio::test]
async fn jw_44_faults_of_the_server() {
    let world = World::with(introspection).await;
    let attacker = IdentityProvider::start(world.clock.clone(), RESOURCE)
        .await
        .unwrap();
    let token = world.idp.opaque_token(&json!({}));
    let body = |body: Value| Fault::Json(body.to_string());
    for fault in [
        Fault::Status(500),
        Fault::Status(401),
        Fault::Status(404),
        Fault::Status(204),
        Fault::Html,
        Fault::Huge,
        Fault::Redirect(attacker.url(Endpoint::Introspection)),
        body(json!({})),
        body(json!([])),
        body(json!({ "active": "true", "sub": "ada" })),
        body(json!({ "active": 1 })),
        Fault::Json("{\"active\":false,\"active\":true}".to_owned()),
    ] {
        let case = format!("JW-44 {:.60}", format!("{fault:?}"));
        world.idp.fail(Endpoint::Introspection, fault);
        assert_unavailable(&world.call("whoami", &token).await, &case);
    }
    assert_eq!(attacker.hits(Endpoint::Introspection), 0);
    world.idp.mend(Endpoint::Introspection);
    assert_eq!(world.status("whoami", &token).await, 200, "it is over");
}

#[tokio::test]
async fn jw_44_a_server_that_hangs() {
    let world = World::with(introspection).await;
    world.idp.fail(Endpoint::Introspection, Fault::Hang);
    let since = Instant::now();
    let ask = bare("whoami").header("authorization", "Bearer opaque");
    assert_unavailable(&ask.send(&world.server).await, "JW-44");
    assert!(
        since.elapsed() < Duration::from_secs(6),
        "{:?}",
        since.elapsed()
    );
}

/// A JWT is not sent to a server that is asked about other tokens, even if it is a bad one.
#[tokio::test]
async fn each_shape_goes_where_it_belongs() {
    let world = World::with(|idp| {
        any_of(Jwt::discover(idp.issuer()).egress(local())).or(introspection(idp))
    })
    .await;
    let opaque = world.idp.opaque_token(&json!({ "sub": "bob" }));
    assert_eq!(world.who(&opaque).await["subject"], "bob");
    assert_eq!(world.idp.hits(Endpoint::Jwks), 0, "not a JWT");
    let asked = world.idp.hits(Endpoint::Introspection);
    let expired = world.idp.token(json!({ "exp": 5 }));
    assert_invalid(&world.call("open", &expired).await, "expired");
    assert_eq!(
        world.who(&world.idp.token(json!({}))).await["subject"],
        "ada"
    );
    assert_eq!(
        world.idp.hits(Endpoint::Introspection),
        asked,
        "JWTs are not sent"
    );
}

/// `any_shape` sends it all the same, and the answer is what counts.
#[tokio::test]
async fn any_shape_asks_about_jwts() {
    let world = World::with(|idp| any_of(introspection(idp).any_shape())).await;
    assert_eq!(
        world.who(&world.idp.token(json!({}))).await["subject"],
        "ada"
    );
    assert_eq!(world.idp.hits(Endpoint::Introspection), 1);
}

#[test]
fn unsafe_settings_are_not_built() {
    let new = |url: &str| Introspection::new("https://as.example.com", url);
    let rows = [
        (
            new("https://as.example.com/introspect"),
            "say as whom to ask",
        ),
        (
            new("http://as.example.com/introspect").client("id", "CNRY"),
            "does not start with `https://`",
        ),
        (
            new("https://10.1.2.3/introspect").client("id", "CNRY"),
            "allow_private()",
        ),
        (
            Introspection::new("", "https://as.example.com").client("id", "CNRY"),
            "has no name",
        ),
    ];
    for (auth, expected) in rows {
        assert!(!format!("{auth:?}").contains("CNRY"));
        let said = TestServer::new(builder().auth(auth)).err();
        let said = said.map(|error| error.to_string()).unwrap_or_default();
        assert!(
            said.contains(expected) && !said.contains("CNRY"),
            "{expected}: {said}"
        );
    }
}
