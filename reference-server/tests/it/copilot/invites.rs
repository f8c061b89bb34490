//! Preview and send, as a model does it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Market, send_arguments};

const SEND: &str = "instainstru_invites_send";
const PREVIEW: &str = "instainstru_invites_preview";

#[tokio::test]
async fn s0_008_009_013_preview_then_send_mails_once_and_a_replay_mails_nothing() {
    let market = Market::new().await;
    let token = market.token(&["ann@example.com", "bob@example.org"]).await;
    assert_eq!(market.letters(), 0, "a preview sends nothing");
    let first = market
        .admin()
        .call(SEND, send_arguments(&token, "key-1"))
        .await;
    assert_eq!(first.structured()["data"]["sent_count"], 2);
    assert_eq!(market.letters(), 2);
    let again = market
        .admin()
        .call(SEND, send_arguments(&token, "key-1"))
        .await;
    assert_eq!(first.structured()["data"], again.structured()["data"]);
    assert_eq!(market.letters(), 2);
}

/// The five refusals of the contract, and the one of ours: a token is good once.
#[tokio::test]
async fn s0_012_a_token_that_is_not_good_sends_nothing() {
    let market = Market::new().await;
    let token = market.token(&["ann@example.com"]).await;
    let other = market.token(&["eve@example.com"]).await;
    let cases = [
        ("nonsense".to_owned(), "MCP_TOKEN_INVALID_FORMAT"),
        (
            altered(
                &token,
                "payload",
                json!({"recipient_emails": ["eve@example.com"]}),
            ),
            "MCP_TOKEN_PAYLOAD_MISMATCH",
        ),
        (
            altered(&token, "signature", member(&other, "signature")),
            "MCP_TOKEN_INVALID_SIGNATURE",
        ),
        (
            altered(&token, "expires_at", json!("2027-01-01T00:00:00Z")),
            "MCP_TOKEN_INVALID_SIGNATURE",
        ),
    ];
    for (token, code) in cases {
        let reply = market
            .admin()
            .call(SEND, send_arguments(&token, "key"))
            .await;
        assert_eq!(reply.code(), code);
        assert!(reply.result()["structuredContent"]["details"]["reason"].is_string());
        assert!(
            !reply.body.to_string().contains(&token),
            "the token is echoed"
        );
    }
    // Somebody else, of another tenant and of none, even under the same name.
    for client in [
        market.demo("bob"),
        market.server.as_caller(super::caller("admin")),
        market
            .server
            .as_caller(super::caller("admin").tenant("org_b")),
    ] {
        let reply = client.call(SEND, send_arguments(&token, "key")).await;
        assert_eq!(reply.code(), "MCP_TOKEN_ACTOR_MISMATCH");
    }
    assert_eq!(market.letters(), 0);

    market
        .admin()
        .call(SEND, send_arguments(&token, "key"))
        .await
        .structured();
    let reply = market
        .admin()
        .call(
            SEND,
            send_arguments(&token, "another key".replace(' ', "-").as_str()),
        )
        .await;
    assert_eq!(reply.code(), "MCP_TOKEN_ALREADY_USED");
    assert_eq!(market.letters(), 1);

    market.clock.advance(Duration::from_secs(30 * 60));
    let reply = market
        .admin()
        .call(SEND, send_arguments(&other, "key-3"))
        .await;
    assert_eq!(reply.code(), "MCP_TOKEN_EXPIRED");
    assert_eq!(market.letters(), 1);
}

#[tokio::test]
async fn a_key_of_another_send_is_refused() {
    let market = Market::new().await;
    let (first, second) = (
        market.token(&["ann@example.com"]).await,
        market.token(&["bob@example.com"]).await,
    );
    market
        .admin()
        .call(SEND, send_arguments(&first, "key"))
        .await
        .structured();
    let reply = market
        .admin()
        .call(SEND, send_arguments(&second, "key"))
        .await;
    assert_eq!(reply.code(), "idempotency_key_reused");
    assert_eq!(market.letters(), 1);
}

#[tokio::test]
async fn s0_014_founding_slots_are_counted_again_when_sending() {
    let market = Market::with(|settings| settings.founding_cap = 1).await;
    let mut tokens = Vec::new();
    for address in ["ann@example.com", "bob@example.com"] {
        let reply = market
            .admin()
            .call(PREVIEW, json!({"recipient_emails": [address]}))
            .await;
        tokens.push(
            reply.structured()["data"]["confirm_token"]
                .as_str()
                .expect("a token")
                .to_owned(),
        );
    }
    market
        .admin()
        .call(SEND, send_arguments(&tokens[0], "key-1"))
        .await
        .structured();
    let reply = market
        .admin()
        .call(SEND, send_arguments(&tokens[1], "key-2"))
        .await;
    assert_eq!(reply.code(), "founding_slots_taken");
    let details = &reply.result()["structuredContent"]["details"];
    assert_eq!(details, &json!({"requested": 1, "remaining": 0}));
    assert_eq!(market.letters(), 1);
}

/// The token with one member replaced, encoded as it was.
fn altered(token: &str, name: &str, value: Value) -> String {
    let mut members = members(token);
    members[name] = value;
    URL_SAFE_NO_PAD.encode(members.to_string())
}

fn member(token: &str, name: &str) -> Value {
    members(token)[name].clone()
}

fn members(token: &str) -> Value {
    let bytes = URL_SAFE_NO_PAD
        .decode(token.trim_start_matches("ctok_"))
        .expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}
