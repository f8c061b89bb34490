//! For whom the platform is asked: signed headers, and nothing a client or a model could add.

use axum::Router;
use mcp_runtime::tenant_signature::{Signer, SigningKey, Version};
use mcp_runtime::testing::TestServer;
use mcp_runtime::{Clock, Server};
use reference_server::backend::{Backend, Limits};
use reference_server::school::School;
use reference_server::{App, Secret, copilot};
use serde_json::json;

use super::fake::{Asked, Fake, TOKEN, reply};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const DETAIL: &str = "instainstru_instructors_detail";
const METRIC: &str = "instainstru_metrics_describe";

fn signer(version: Version) -> Signer {
    let key = SigningKey::new(SECRET).expect("long enough");
    Signer::new(key, Clock::system()).version(version)
}

/// The copilot on an API below this URL, whose requests are signed.
fn signing(url: &str, version: Version) -> (TestServer, Router) {
    let backend = Backend::remote(url, &Secret::from(TOKEN), Limits::default());
    let backend = backend.expect("a client").signed_by(signer(version));
    let server = Server::with_state(
        App {
            backend,
            proxy: Default::default(),
            school: School::absent(),
        },
        copilot::tools(),
    );
    let service = server.build().expect("a server");
    let router = service.router();
    (TestServer::over(service), router)
}

/// The values of a header, however it is written.
fn all<'a>(asked: &'a Asked, name: &str) -> Vec<&'a str> {
    let folded = |name: &str| name.replace(['-', '_'], "");
    let named = asked.headers.iter();
    let named = named.filter(|(known, _)| folded(known.as_str()) == folded(name));
    named
        .map(|(_, value)| value.to_str().expect("text"))
        .collect()
}

#[tokio::test]
async fn tn_02_every_call_is_signed_once_for_the_tenant_of_its_caller() {
    // Too busy at first: an attempt that is made again is signed again.
    let fake = Fake::new(|nth| {
        let mut answer = reply(if nth == 0 { 429 } else { 404 }, "{}");
        let headers = answer.headers_mut();
        headers.insert("retry-after", "1".parse().expect("a value"));
        std::future::ready(answer)
    })
    .await;
    let (server, _) = signing(&fake.url, Version::V1);
    for tenant in ["org_a", "org_b"] {
        let ada = server
            .as_user("ada")
            .tenant(tenant)
            .scopes(["copilot:read"]);
        ada.call(METRIC, json!({"metric_name": "founding.cap"}))
            .await;
    }
    let asked = fake.asked();
    assert_eq!(asked.len(), 3);
    let mut signatures = Vec::new();
    for (asked, tenant) in asked.iter().zip(["org_a", "org_a", "org_b"]) {
        assert_eq!(all(asked, "x-tb-tenant-id"), [tenant]);
        let timestamps = all(asked, "x-tb-timestamp");
        let [timestamp] = timestamps[..] else {
            panic!("{timestamps:?}")
        };
        let at: i64 = timestamp.parse().expect("milliseconds");
        let now = Clock::system().now().as_millisecond();
        assert!((now - 5_000..=now).contains(&at), "{at} is not now, {now}");
        // Again by hand: a clock that stands where the request was signed signs the same.
        let at = jiff::Timestamp::from_millisecond(at).expect("a time");
        let key = SigningKey::new(SECRET).expect("long enough");
        let mut again = http::Request::new(());
        Signer::new(key, Clock::manual(at)).sign(&tenant.parse().expect("an id"), &mut again, b"");
        assert_eq!(
            all(asked, "x-tb-signature"),
            [&again.headers()["x-tb-signature"]]
        );
        signatures.push(all(asked, "x-tb-signature")[0]);
    }
    assert_ne!(
        signatures[0], signatures[1],
        "the second attempt has its own time"
    );
}

#[tokio::test]
async fn without_a_tenant_nothing_is_asked() {
    let fake = Fake::new(|_| std::future::ready(reply(404, "{}"))).await;
    let (server, _) = signing(&fake.url, Version::V1);
    for client in [server.as_user("ada"), server.as_user("ada").tenant("org a")] {
        let client = client.scopes(["copilot:read"]);
        let reply = client
            .call(METRIC, json!({"metric_name": "founding.cap"}))
            .await;
        assert_eq!(reply.code(), "tenant_required");
    }
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn tn_10_headers_of_a_client_do_not_reach_the_platform() {
    use axum::body::Body;
    use tower::ServiceExt;

    let fake = Fake::new(|_| std::future::ready(reply(404, "{}"))).await;
    let (_, router) = signing(&fake.url, Version::V1);
    let caller = mcp_runtime::Caller::user("ada")
        .tenant("org_a")
        .scope("copilot:read");
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": METRIC, "arguments": {"metric_name": "founding.cap"}}});
    let request = http::Request::post("/mcp")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("mcp-protocol-version", "2025-06-18")
        .header(
            "connection",
            "close, X-TB-Tenant-ID, X-TB-Signature, Authorization",
        )
        .header("x-tb-tenant-id", "org_b")
        .header("x_tb_tenant_id", "org_b")
        .header("x-tb-signature", "0".repeat(64))
        .header("x-acting-user", "eve")
        .extension(std::sync::Arc::new(caller))
        .body(Body::from(body.to_string()));
    let answer = router.oneshot(request.expect("a request")).await;
    assert_eq!(answer.expect("infallible").status(), 200);
    let asked = &fake.asked()[0];
    assert_eq!(all(asked, "x-tb-tenant-id"), ["org_a"]);
    assert_eq!(all(asked, "x-tb-signature").len(), 1);
    assert_eq!(all(asked, "authorization"), [format!("Bearer {TOKEN}")]);
    assert_eq!(all(asked, "x-acting-user").len(), 1);
    assert_ne!(all(asked, "x-acting-user"), ["eve"]);
    assert!(!asked.headers.contains_key("connection"));
}

#[tokio::test]
async fn tn_14_a_value_stays_one_segment_of_the_path() {
    let other = Fake::new(|_| std::future::ready(reply(200, "{}"))).await;
    let fake = Fake::new(|_| std::future::ready(reply(404, "{}"))).await;
    let url = format!("{}/base", fake.url);
    let (server, _) = signing(&url, Version::V2);
    let ada = server
        .as_user("ada")
        .tenant("org_a")
        .scopes(["copilot:read"]);
    let elsewhere = format!("{}/", other.url);
    let prefix = "/base/api/v1/admin/mcp/instructors/";
    let rows = [
        "../../admin/users",
        "..%2f..%2fadmin",
        "x?admin=1",
        "x#y",
        "x/../..",
        "%2e%2e",
        "//evil",
        &elsewhere,
        "\\..\\..",
        "a;b=c",
        "@evil.example",
        "{identifier}",
        "x\r\nX-TB-Tenant-ID: org_b",
    ];
    let mut sent = 0;
    for value in rows {
        let reply = ada.call(DETAIL, json!({ "identifier": value })).await;
        let asked = fake.asked();
        if asked.len() == sent {
            assert_eq!(reply.code(), "invalid_arguments", "{value:?}");
            continue;
        }
        sent = asked.len();
        let asked = &asked[sent - 1];
        let rest = asked.uri.strip_prefix(prefix);
        let rest = rest.unwrap_or_else(|| panic!("{value:?} became {}", asked.uri));
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~%".contains(&b);
        assert!(
            rest.bytes().all(plain) && rest != "." && rest != "..",
            "{value:?} became {rest}"
        );
        assert_eq!(all(asked, "x-tb-tenant-id"), ["org_a"], "{value:?}");
    }
    assert!(sent >= 10, "only {sent} got as far as the platform");
    // What no encoding keeps from being a step up, or no step at all, is looked for nowhere.
    for value in ["..", "."] {
        let reply = ada.call(DETAIL, json!({ "identifier": value })).await;
        let (foreign, unknown) = (reply.code(), ["backend_not_found", "invalid_arguments"]);
        assert!(unknown.contains(&foreign), "{value}: {foreign}");
    }
    assert_eq!(fake.asked().len(), sent);
    assert!(other.asked().is_empty());
}

#[tokio::test]
async fn tn_15_line_breaks_in_arguments_make_no_headers() {
    let fake = Fake::new(|_| std::future::ready(reply(404, "{}"))).await;
    let (server, _) = signing(&fake.url, Version::V1);
    let ada = server.as_user("ada").tenant("org_a");
    let ada = ada.scopes(["copilot:read", "copilot:write"]);
    let evil = "k\r\nX-TB-Tenant-ID: org_b\r\n";
    for (tool, arguments) in [
        (
            "invites_send",
            json!({"confirm_token": "t", "idempotency_key": evil}),
        ),
        (
            "invites_send",
            json!({"confirm_token": evil, "idempotency_key": "k"}),
        ),
        (
            "invites_preview",
            json!({"recipient_emails": [format!("ann{evil}@example.com")]}),
        ),
        (
            "invites_preview",
            json!({"recipient_emails": ["ann@example.com"], "message_note": evil}),
        ),
        (
            "instructors_list",
            json!({"service_slug": evil, "cursor": evil}),
        ),
        ("instructors_detail", json!({"identifier": evil})),
        ("metrics_describe", json!({"metric_name": evil})),
    ] {
        ada.call(&format!("instainstru_{tool}"), arguments).await;
    }
    for asked in fake.asked() {
        assert_eq!(all(&asked, "x-tb-tenant-id"), ["org_a"], "{asked:?}");
        let values = asked.headers.values();
        let shown: String = values.map(|value| format!("{value:?}\n")).collect();
        assert!(!shown.contains("org_b"), "{shown}");
    }
}
