//! Signed tenant headers at the real REST API, and the real client of it.

use std::time::Duration;

use axum::body::Body;
use mcp_runtime::tenant_signature::{Signer, SigningKey, Version};
use mcp_runtime::testing::TestServer;
use mcp_runtime::{Clock, Server, Tenant};
use reference_server::backend::{Backend, Limits};
use reference_server::platform::TenantSignatures;
use reference_server::school::School;
use reference_server::{App, Secret, copilot};
use serde_json::json;

use super::{Stage, TOKEN, admin_request};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const BEFORE: &str = "fedcba9876543210fedcba9876543210";
const METRIC: &str = "/metrics/founding.cap";

fn key(secret: &str) -> SigningKey {
    SigningKey::new(secret).expect("long enough")
}

async fn stage(version: Version) -> Stage {
    Stage::with(|settings| {
        let mut signatures = TenantSignatures::new(key(SECRET), version);
        signatures.previous = Some(key(BEFORE));
        settings.tenant_signatures = Some(signatures);
    })
    .await
}

fn tenant() -> Tenant {
    "org_a".parse().expect("an id")
}

/// The status of a request that this key has signed at this time.
async fn asked(stage: &Stage, secret: &str, version: Version, clock: &Clock) -> u16 {
    let mut request = admin_request("GET", METRIC, &[], Body::empty());
    let signer = Signer::new(key(secret), clock.clone()).version(version);
    signer.sign(&tenant(), &mut request, b"");
    status(stage, request).await
}

async fn status(stage: &Stage, request: http::Request<Body>) -> u16 {
    use tower::ServiceExt;
    let answer = stage.router.clone().oneshot(request).await;
    answer.expect("infallible").status().as_u16()
}

#[tokio::test]
async fn tn_01_03_04_the_platform_wants_good_headers_when_it_is_told_to() {
    for version in [Version::V1, Version::V2] {
        let stage = stage(version).await;
        let clock = &stage.clock;
        assert_eq!(
            asked(&stage, SECRET, version, clock).await,
            200,
            "{version:?}"
        );
        assert_eq!(
            asked(&stage, BEFORE, version, clock).await,
            200,
            "the key before"
        );
        let other = "another secret of at least thirty-two bytes";
        assert_eq!(asked(&stage, other, version, clock).await, 401);
        let unsigned = || admin_request("GET", METRIC, &[], Body::empty());
        assert_eq!(status(&stage, unsigned()).await, 401);
        for (seconds, expected) in [(299, 200), (301, 401)] {
            let late = Clock::manual(clock.now() - Duration::from_secs(seconds));
            assert_eq!(
                asked(&stage, SECRET, version, &late).await,
                expected,
                "{seconds} s"
            );
        }
        // The service token is looked at before, and still needed.
        let mut request = unsigned();
        request.headers_mut().remove("authorization");
        Signer::new(key(SECRET), clock.clone()).sign(&tenant(), &mut request, b"");
        assert_eq!(status(&stage, request).await, 401);
    }
    let stage = Stage::new().await;
    assert_eq!(stage.get(METRIC).await.status, 200, "not told to");
}

#[tokio::test]
async fn tn_01_every_tool_passes_the_signatures_of_the_real_platform() {
    for version in [Version::V1, Version::V2] {
        let stage = stage(version).await;
        let backend = Backend::in_process(
            stage.router.clone(),
            &Secret::from(TOKEN),
            Limits::default(),
        );
        let signer = Signer::new(key(SECRET), stage.clock.clone()).version(version);
        let backend = backend.expect("a client").signed_by(signer);
        let server = Server::with_state(
            App {
                backend,
                proxy: Default::default(),
                school: School::absent(),
            },
            copilot::tools(),
        );
        let server = TestServer::new(server).expect("a server");
        let ada = server.as_user("ada").tenant("org_a");
        let ada = ada.scopes(["copilot:read", "copilot:write"]);
        // With a path, with a query, with a body; twice, as no nonce is used twice.
        for _ in 0..2 {
            let metric = ada
                .call(
                    "instainstru_metrics_describe",
                    json!({"metric_name": "founding.cap"}),
                )
                .await;
            assert_eq!(
                metric.structured()["data"]["metric"],
                "founding.cap",
                "{version:?}"
            );
            ada.call(
                "instainstru_instructors_list",
                json!({"service_slug": "a b&c"}),
            )
            .await
            .structured();
        }
        let preview = ada
            .call(
                "instainstru_invites_preview",
                json!({"recipient_emails": ["ann@example.com"], "grant_founding_status": false}),
            )
            .await;
        let token = preview.structured()["data"]["confirm_token"].clone();
        // The same subject of another tenant is another actor.
        let execute = json!({"confirm_token": token, "idempotency_key": "key-of-this-send"});
        let other = server
            .as_user("ada")
            .tenant("org_b")
            .scopes(["copilot:write"]);
        let refused = other
            .call("instainstru_invites_send", execute.clone())
            .await;
        assert_eq!(refused.code(), "MCP_TOKEN_ACTOR_MISMATCH", "TN-19");
        assert!(stage.letters().is_empty());
        ada.call("instainstru_invites_send", execute)
            .await
            .structured();
        assert_eq!(stage.letters().len(), 1);
    }
}
