//! Signed tenant headers, from the outside: signatures are made here a second time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::routing::{any, post};
use axum::{Extension, Router};
use hmac::{Hmac, KeyInit, Mac};
#[cfg(feature = "testing")]
use http::StatusCode;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::BodyExt;
use mcp_runtime::store::MemoryStore;
use mcp_runtime::tenant_signature::{Signer, SigningKey, VerifyTenant, Version};
use mcp_runtime::{Caller, Clock, Tenant};
use sha2::Sha256;
use tower::ServiceExt;

use crate::clock;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";
const REFUSED: &str = "Unauthorized: invalid tenant headers";

fn key() -> SigningKey {
    SigningKey::new(SECRET).unwrap()
}

fn v1(clock: &Clock) -> VerifyTenant {
    VerifyTenant::new(key(), clock.clone())
}

fn v2(clock: &Clock) -> VerifyTenant {
    v1(clock).version2(Arc::new(MemoryStore::new(clock.clone(), 1000)))
}

/// An API that says for which tenant it was asked, and what it was sent.
fn api(verify: VerifyTenant) -> Router {
    let handler = |Extension(tenant): Extension<Tenant>, body: String| async move {
        format!("{tenant}|{body}")
    };
    let inner = Router::new()
        .route("/items", post(handler))
        .fallback(any(handler));
    Router::new().nest("/api/v1", inner.layer(verify))
}

async fn send(api: &Router, request: Request<Body>) -> (u16, String) {
    let answer = api.clone().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// As the contract has it, by hand.
fn sign(secret: &str, text: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    let mac = mac.chain_update(text).finalize().into_bytes();
    mac.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn request(headers: &[(&str, String)]) -> Request<Body> {
    let mut request = Request::post("/api/v1/items");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request.body(Body::from("x")).unwrap()
}

fn trio(tenant: &str, timestamp: i64) -> Vec<(&'static str, String)> {
    vec![
        ("X-TB-Tenant-ID", tenant.to_owned()),
        ("X-TB-Timestamp", timestamp.to_string()),
        (
            "X-TB-Signature",
            sign(SECRET, &format!("{tenant}:{timestamp}")),
        ),
    ]
}

fn now(clock: &Clock) -> i64 {
    clock.now().as_millisecond()
}

/// A request with a signature of version 2, and its headers to send it again.
fn signed_v2(clock: &Clock, path: &str, body: &str) -> (Request<Body>, HeaderMap) {
    let signer = Signer::new(key(), clock.clone()).version(Version::V2);
    let mut request = Request::post(path)
        .body(Body::from(body.to_owned()))
        .unwrap();
    signer.sign(&"org_a".parse().unwrap(), &mut request, body.as_bytes());
    let headers = request.headers().clone();
    (request, headers)
}

fn with_headers(path: &str, body: &str, headers: HeaderMap) -> Request<Body> {
    let mut request = Request::post(path)
        .body(Body::from(body.to_owned()))
        .unwrap();
    *request.headers_mut() = headers;
    request
}

#[tokio::test]
async fn tn_01_what_the_contract_signs_is_let_through_with_its_tenant() {
    let clock = clock();
    let (status, body) = send(&api(v1(&clock)), request(&trio("org_a", now(&clock)))).await;
    assert_eq!((status, body.as_str()), (200, "org_a|x"));
    // And one known answer, so that both sides of this test cannot be wrong alike.
    assert_eq!(
        sign("an-example-secret-of-thirty-two-b", "org_a:1735689600000"),
        "f942eab5e165e5f0a623898dc23b2feb97c1df6882d8a39de947b7c2c83f1d98"
    );
}

#[test]
fn tn_02_the_signer_writes_each_header_once_and_what_the_contract_says() {
    let clock = clock();
    let signer = Signer::new(key(), clock.clone());
    let mut request = Request::post("/x?y")
        .header("x-tb-tenant-id", "org_b")
        .header("x-tb-tenant-id", "org_c")
        .header("X_TB_Tenant_ID", "org_b")
        .header("x-tb-nonce", "n")
        .header("connection", "close, X-TB-Signature")
        .header("x-other", "kept")
        .body(())
        .unwrap();
    signer.sign(&"org_a".parse().unwrap(), &mut request, b"");
    let headers = request.headers();
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert_eq!(headers["x-tb-tenant-id"], "org_a");
    let timestamp = headers["x-tb-timestamp"].to_str().unwrap();
    assert_eq!(timestamp, now(&clock).to_string());
    assert_eq!(
        headers["x-tb-signature"],
        sign(SECRET, &format!("org_a:{timestamp}"))
    );
    assert_eq!(headers["x-other"], "kept");
    assert!(!format!("{headers:?}").contains(headers["x-tb-signature"].to_str().unwrap()));
}

#[tokio::test]
async fn tn_03_whatever_is_missing_or_wrong_gets_the_same_401() {
    let clock = clock();
    let api = api(v1(&clock));
    let good = trio("org_a", now(&clock));
    let mut rows = Vec::new();
    for missing in 0..3 {
        let mut headers = good.clone();
        headers.remove(missing);
        rows.push((format!("{} is missing", good[missing].0), headers));
        let mut headers = good.clone();
        headers.push(good[missing].clone());
        rows.push((format!("{} twice", good[missing].0), headers));
    }
    rows.push(("none at all".to_owned(), Vec::new()));
    let right = good[2].1.clone();
    let base64 = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
    for (what, signature) in [
        ("an empty signature", String::new()),
        ("63 digits", right[..63].to_owned()),
        ("65 digits", format!("{right}0")),
        ("zeros", "0".repeat(64)),
        ("the first 8", right[..8].to_owned()),
        ("capitals", right.to_uppercase()),
        ("base64", base64.to_owned()),
        ("version 2", format!("v2={right}")),
        (
            "another key",
            sign(OTHER, &format!("org_a:{}", now(&clock))),
        ),
        (
            "another tenant",
            sign(SECRET, &format!("org_b:{}", now(&clock))),
        ),
        ("no time", sign(SECRET, "org_a:")),
    ] {
        let mut headers = good.clone();
        headers[2].1 = signature;
        rows.push((what.to_owned(), headers));
    }
    for timestamp in [
        "",
        "soon",
        "-1",
        "+1767225600000",
        "1767225600",
        "1767225600000.0",
        " 1",
        "99999999999999999999",
    ] {
        let mut headers = good.clone();
        headers[1].1 = timestamp.to_owned();
        headers[2].1 = sign(SECRET, &format!("org_a:{timestamp}"));
        rows.push((format!("the time `{timestamp}`"), headers));
    }
    for (what, headers) in rows {
        let got = send(&api, request(&headers)).await;
        assert_eq!(got, (401, REFUSED.to_owned()), "{what}");
    }
    assert_eq!(send(&api, request(&good)).await.0, 200, "the good one");
}

#[tokio::test]
async fn tn_04_re_15_the_window_is_300_seconds_either_way() {
    let clock = clock();
    let api = api(v1(&clock));
    for (seconds, status) in [
        (-299, 200),
        (-300, 200),
        (-301, 401),
        (299, 200),
        (300, 200),
        (301, 401),
    ] {
        let at = now(&clock) + seconds * 1000;
        assert_eq!(
            send(&api, request(&trio("org_a", at))).await.0,
            status,
            "{seconds} s"
        );
    }
    let narrow = self::api(v1(&clock).window(Duration::from_secs(5)));
    let at = now(&clock) - 6_000;
    assert_eq!(send(&narrow, request(&trio("org_a", at))).await.0, 401);
    // At the ends of time nothing overflows.
    clock.set(jiff::Timestamp::MAX);
    assert_eq!(send(&api, request(&trio("org_a", 0))).await.0, 401);
    clock.set(jiff::Timestamp::MIN);
    assert_eq!(
        send(&api, request(&trio("org_a", 999_999_999_999_999)))
            .await
            .0,
        401
    );
}

#[tokio::test]
async fn tn_06_ids_that_are_no_ids_are_refused_although_signed() {
    let clock = clock();
    let api = api(v1(&clock));
    let long = "a".repeat(10 << 10);
    let edge = "a".repeat(65);
    for tenant in [
        "a:1732000000000",
        "org_a%0aX",
        "org a",
        "\u{e9}",
        "",
        "../org_b",
        &edge,
        &long,
    ] {
        let got = send(&api, request(&trio(tenant, now(&clock)))).await;
        assert_eq!(got, (401, REFUSED.to_owned()), "{:.20}", tenant);
    }
    // The colon of the contract separates nothing twice: no id has one.
    let mut shifted = trio("org_a", now(&clock));
    shifted[0].1 = format!("org_a:{}", now(&clock));
    assert_eq!(send(&api, request(&shifted)).await.0, 401);
    // Capitals make another tenant, not the same.
    assert_eq!(
        send(&api, request(&trio("ORG_A", now(&clock)))).await.1,
        "ORG_A|x"
    );
}

/// Version 1 lets a captured trio pass for the length of the window: the accepted risk of it.
#[tokio::test]
async fn tn_07_version_2_is_good_for_one_request() {
    let clock = clock();
    let api = api(v2(&clock));
    let path = "/api/v1/items?a=1";
    let (first, headers) = signed_v2(&clock, path, "x");
    assert_eq!(send(&api, first).await, (200, "org_a|x".to_owned()));
    let again = |path: &str, body: &str| with_headers(path, body, headers.clone());
    assert_eq!(send(&api, again(path, "x")).await.0, 401, "the same again");
    let (_, fresh) = signed_v2(&clock, path, "x");
    let mut put = with_headers(path, "x", fresh.clone());
    *put.method_mut() = http::Method::PUT;
    let rows = [
        ("another body", with_headers(path, "y", fresh.clone())),
        (
            "another query",
            with_headers("/api/v1/items?a=2", "x", fresh.clone()),
        ),
        (
            "no query",
            with_headers("/api/v1/items", "x", fresh.clone()),
        ),
        (
            "another path",
            with_headers("/api/v1/other?a=1", "x", fresh.clone()),
        ),
        ("another method", put),
    ];
    for (what, request) in rows {
        assert_eq!(
            send(&api, request).await,
            (401, REFUSED.to_owned()),
            "{what}"
        );
    }
    for (name, value) in [
        ("x-tb-tenant-id", "org_b"),
        ("x-tb-timestamp", "1767225600001"),
        ("x-tb-nonce", "00000000000000000000000000000000"),
        ("x-tb-nonce", "short"),
    ] {
        let mut headers = fresh.clone();
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
        let got = send(&api, with_headers(path, "x", headers)).await;
        assert_eq!(got.0, 401, "another {name}");
    }
    let mut unmarked = fresh.clone();
    let bare = fresh["x-tb-signature"].to_str().unwrap()[3..].to_owned();
    unmarked.insert("x-tb-signature", bare.parse().unwrap());
    assert_eq!(send(&api, with_headers(path, "x", unmarked)).await.0, 401);
    let v1 = request(&trio("org_a", now(&clock)));
    assert_eq!(send(&api, v1).await.0, 401, "no way back to version 1");
    // None of the refusals has used the nonce up.
    assert_eq!(send(&api, with_headers(path, "x", fresh)).await.0, 200);
}

#[tokio::test]
async fn tn_07_a_nonce_is_remembered_as_long_as_its_time_is_good() {
    let clock = clock();
    let api = api(v2(&clock));
    let start = clock.now();
    clock.set(start + Duration::from_secs(299));
    let (early, headers) = signed_v2(&clock, "/api/v1/items", "x");
    clock.set(start);
    assert_eq!(
        send(&api, early).await.0,
        200,
        "signed by a clock that is ahead"
    );
    for seconds in [1, 299, 300, 598, 599, 600, 900] {
        clock.set(start + Duration::from_secs(seconds));
        let again = with_headers("/api/v1/items", "x", headers.clone());
        assert_eq!(send(&api, again).await.0, 401, "after {seconds} s");
    }
}

#[tokio::test]
async fn version_2_fails_closed_and_takes_no_large_bodies() {
    let clock = clock();
    let down = api(v1(&clock).version2(Arc::new(crate::confirm::Broken)));
    let (status, body) = send(&down, signed_v2(&clock, "/api/v1/items", "x").0).await;
    assert_eq!(status, 503);
    assert!(!body.contains("down"), "{body}");
    let narrow = api(v2(&clock).max_body(4));
    assert_eq!(
        send(&narrow, signed_v2(&clock, "/api/v1/items", "1234").0)
            .await
            .0,
        200
    );
    assert_eq!(
        send(&narrow, signed_v2(&clock, "/api/v1/items", "12345").0)
            .await
            .0,
        413
    );
}

#[tokio::test]
async fn tn_10_look_alikes_and_hop_by_hop_tricks_are_refused() {
    let clock = clock();
    let api = api(v1(&clock));
    for (name, value) in [
        ("X_TB_Tenant_ID", "org_b"),
        ("X-TB_Tenant-ID", "org_b"),
        ("x_tb_signature", "0"),
        ("x.tb.timestamp", "0"),
        ("XTBTenantID", "org_b"),
        ("Connection", "close, X-TB-Tenant-ID"),
        ("Connection", "x-tb-signature,x-tb-timestamp"),
        ("Connection", "X_TB_Tenant_ID"),
    ] {
        let mut headers = trio("org_a", now(&clock));
        headers.push((name, value.to_owned()));
        let got = send(&api, request(&headers)).await;
        assert_eq!(got, (401, REFUSED.to_owned()), "{name}: {value}");
    }
    let mut headers = trio("org_a", now(&clock));
    headers.push(("Connection", "close".to_owned()));
    headers.push(("X-TB-Tenant", "unrelated".to_owned()));
    assert_eq!(send(&api, request(&headers)).await.0, 200);
}

#[tokio::test]
async fn tn_11_a_token_for_another_tenant_is_403() {
    let clock = clock();
    let ada = Caller::user("ada");
    for (caller, status) in [
        (ada.clone().tenant("org_a"), 200),
        (ada.clone().tenant("org_b"), 403),
        (ada.clone().tenant("ORG_A"), 403),
        (ada.clone().tenant("org_a "), 403),
        (ada, 403),
        (Caller::anonymous(), 200),
    ] {
        let mut request = request(&trio("org_a", now(&clock)));
        let shown = format!("{caller:?}");
        request.extensions_mut().insert(Arc::new(caller));
        assert_eq!(send(&api(v1(&clock)), request).await.0, status, "{shown}");
    }
}

#[tokio::test]
async fn both_keys_of_a_rotation_are_good_and_a_third_is_not() {
    let clock = clock();
    let other = SigningKey::new(OTHER).unwrap();
    let both = api(v1(&clock).previous(other.clone()));
    let third = SigningKey::new("a third secret, which nobody has heard of").unwrap();
    for (key, status) in [(key(), 200), (other, 200), (third, 401)] {
        let signer = Signer::new(key, clock.clone());
        let mut request = Request::post("/api/v1/items").body(Body::empty()).unwrap();
        signer.sign(&"org_a".parse().unwrap(), &mut request, b"");
        assert_eq!(send(&both, request).await.0, status);
    }
}

#[test]
fn hi_04_a_secret_that_is_short_or_missing_is_refused_and_never_shown() {
    let folder = std::env::temp_dir().join(format!("mcp-tenant-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (short, long) = (folder.join("short"), folder.join("long"));
    std::fs::write(&short, format!("  {}\n\n", &SECRET[..31])).unwrap();
    std::fs::write(&long, format!("{SECRET}\n")).unwrap();
    let file = SigningKey::from_file(&long).unwrap();
    let errors = [
        SigningKey::new(&SECRET[..31]).unwrap_err().to_string(),
        SigningKey::from_file(&short).unwrap_err().to_string(),
        SigningKey::from_file(folder.join("nowhere"))
            .unwrap_err()
            .to_string(),
        SigningKey::from_env("MCP_TEST_NOT_SET")
            .unwrap_err()
            .to_string(),
    ];
    std::fs::remove_dir_all(&folder).unwrap();
    for (error, expected) in
        errors
            .iter()
            .zip(["32 bytes", "32 bytes", "nowhere", "MCP_TEST_NOT_SET"])
    {
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
        assert!(!error.contains(&SECRET[..8]), "{error}");
    }
    let clock = clock();
    let shown = format!(
        "{file:?} {:?} {:?}",
        Signer::new(file.clone(), clock.clone()),
        v2(&clock)
    );
    assert!(!shown.contains(&SECRET[..8]), "{shown}");
    // The line break at the end of the file is not part of the secret.
    let mut request = Request::post("/").body(()).unwrap();
    Signer::new(file, clock.clone()).sign(&"org_a".parse().unwrap(), &mut request, b"");
    let expected = sign(SECRET, &format!("org_a:{}", now(&clock)));
    assert_eq!(request.headers()["x-tb-signature"], expected);
}

#[cfg(feature = "testing")]
#[tokio::test]
async fn tn_11_over_an_mcp_server_the_access_token_has_to_name_the_signed_tenant() {
    use mcp_runtime::prelude::*;

    /// For whom.
    #[mcp_tool(authenticated)]
    fn whose(tenant: &Tenant) -> String {
        tenant.to_string()
    }
    /// For anybody.
    #[mcp_tool(public)]
    fn open() -> String {
        "open".to_owned()
    }

    let tokens = StaticTokens::new()
        .token("token-of-a", Caller::user("ada").tenant("org_a"))
        .token("token-of-b", Caller::user("ada").tenant("org_b"))
        .token("token-of-none", Caller::user("ada"));
    let clock = clock();
    let service = Server::new(tools![whose, open])
        .auth(tokens)
        .build()
        .unwrap();
    let router = service.router().layer(v1(&clock));
    let call = |tool: &str, token: Option<&str>, headers: &[(&str, String)]| {
        let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}});
        let mut request = Request::post("/mcp")
            .header("host", "localhost")
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .header("mcp-protocol-version", "2025-06-18");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.body(Body::from(body.to_string())).unwrap()
    };
    let good = trio("org_a", now(&clock));
    let (status, body) = send(&router, call("whose", Some("token-of-a"), &good)).await;
    assert!(status == 200 && body.contains("org_a"), "{status} {body}");
    for token in ["token-of-b", "token-of-none"] {
        let (status, body) = send(&router, call("whose", Some(token), &good)).await;
        assert!(
            status == 403 && !body.contains("org_"),
            "{token}: {status} {body}"
        );
    }
    assert_eq!(send(&router, call("open", None, &good)).await.0, 200);
    assert_eq!(
        send(&router, call("whose", Some("token-of-a"), &[]))
            .await
            .0,
        401
    );
    let answer = router.oneshot(call("open", None, &[])).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}
