//! The OAuth proxy in front of a provider that registers clients itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Request;
use mcp_runtime::auth::{Jwt, OAuthProxy};
use mcp_runtime::testing::{Endpoint, Fault, IdentityProvider, TestReply, TestServer};
use reqwest::Url;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::ask::header;
use crate::clock;
use crate::identity::{RESOURCE, builder, local};
use crate::oauth_facade::{CHALLENGE, VERIFIER, form};

const BASE: &str = "https://mcp.example.com";
const CALLBACK: &str = "http://127.0.0.1:7777/callback";
const METADATA: &str = "/.well-known/oauth-authorization-server";

struct World {
    idp: IdentityProvider,
    server: TestServer,
}

impl World {
    async fn new() -> Self {
        Self::with(|proxy| proxy).await
    }

    async fn with(change: impl FnOnce(OAuthProxy) -> OAuthProxy) -> Self {
        let clock = clock();
        let idp = IdentityProvider::start(clock.clone(), RESOURCE)
            .await
            .unwrap();
        let proxy = OAuthProxy::relay(idp.issuer()).egress(local());
        let server = builder()
            .clock(clock)
            .auth(Jwt::discover(idp.issuer()).egress(local()))
            .oauth_proxy(change(proxy));
        let server = TestServer::new(server).unwrap();
        Self { idp, server }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> TestReply {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "mcp.example.com");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.server
            .send(request.body(body.as_bytes().to_vec()).unwrap())
            .await
    }

    async fn get(&self, path: &str) -> TestReply {
        self.send("GET", path, &[], "").await
    }

    async fn token(&self, members: &[(&str, &str)]) -> TestReply {
        let kind = ("content-type", "application/x-www-form-urlencoded");
        self.send("POST", "/oauth2/token", &[kind], &form(members))
            .await
    }

    async fn register(&self, uri: &str) -> TestReply {
        let asked = json!({ "redirect_uris": [uri], "client_name": "T" }).to_string();
        let kind = ("content-type", "application/json");
        self.send("POST", "/oauth2/register", &[kind], &asked).await
    }
}

/// A listener that counts who connects, and answers nothing that anybody wants.
pub(crate) async fn sink() -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hits);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = socket.read(&mut [0; 1024]).await;
            let answer =
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
            let _ = socket.write_all(answer).await;
        }
    });
    (url, hits)
}

fn assert_refused(reply: &TestReply, status: u16, code: &str) {
    assert_eq!(
        (reply.status, &reply.body["error"]),
        (status, &json!(code)),
        "{reply:?}"
    );
    assert_eq!(header(reply, "cache-control"), Some("no-store"));
}

#[tokio::test]
async fn oa_01_the_resource_names_this_server_as_its_authorization_server() {
    let world = World::new().await;
    for path in ["", "/mcp"] {
        let at = format!("/.well-known/oauth-protected-resource{path}");
        let reply = world.get(&at).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.body["resource"], RESOURCE);
        assert_eq!(reply.body["authorization_servers"], json!([BASE]));
        assert!(!reply.body.to_string().contains("offline_access"));
    }
}

#[tokio::test]
async fn metadata_is_the_providers_with_our_addresses() {
    let world = World::new().await;
    for path in [
        METADATA,
        "/.well-known/oauth-authorization-server/mcp",
        "/.well-known/oauth-authorization-server/",
        "/.well-known/openid-configuration",
    ] {
        let reply = world.get(path).await;
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.body["issuer"], world.idp.issuer());
        assert_eq!(
            reply.body["authorization_endpoint"],
            world.idp.url(Endpoint::Authorization)
        );
        assert_eq!(reply.body["jwks_uri"], world.idp.url(Endpoint::Jwks));
        for (name, at) in [
            ("registration_endpoint", "/oauth2/register"),
            ("token_endpoint", "/oauth2/token"),
            ("userinfo_endpoint", "/oauth2/userinfo"),
        ] {
            assert_eq!(reply.body[name], format!("{BASE}{at}"), "{path}");
        }
        assert_eq!(
            reply.body["code_challenge_methods_supported"],
            json!(["S256"])
        );
        assert_eq!(
            reply.body["authorization_response_iss_parameter_supported"],
            true
        );
        assert_eq!(
            reply.body.get("introspection_endpoint"),
            None,
            "not for clients"
        );
        assert_eq!(header(&reply, "access-control-allow-origin"), Some("*"));
        assert_eq!(header(&reply, "access-control-allow-credentials"), None);
    }
    assert_eq!(world.idp.hits(Endpoint::Metadata), 1, "it is kept");
}

#[tokio::test]
async fn oa_03_as_its_own_issuer_every_endpoint_of_a_login_is_ours() {
    let world = World::with(OAuthProxy::own_issuer).await;
    let reply = world.get(METADATA).await;
    assert_eq!(reply.body["issuer"], BASE);
    let at = format!("{BASE}/oauth2/authorize");
    assert_eq!(reply.body["authorization_endpoint"], at);
    let named = reply
        .body
        .get("authorization_response_iss_parameter_supported");
    assert_eq!(named, None, "the provider names itself, not us");
}

#[tokio::test]
async fn oa_04_poisoned_metadata_is_neither_passed_on_nor_followed() {
    let (sink, hits) = sink().await;
    let good = |issuer: &str| {
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/oauth2/authorize"),
            "token_endpoint": format!("{issuer}/oauth2/token"),
            "registration_endpoint": format!("{issuer}/oauth2/register"),
        })
    };
    for (member, value) in [
        ("authorization_endpoint", json!("javascript:alert(1)")),
        ("token_endpoint", json!(format!("{sink}/t"))),
        ("registration_endpoint", json!(format!("{sink}/r"))),
        ("token_endpoint", json!("http://169.254.169.254/latest")),
        ("token_endpoint", json!(7)),
        ("token_endpoint", Value::Null),
        ("issuer", json!("https://evil.example")),
    ] {
        let world = World::new().await;
        let mut document = good(world.idp.issuer());
        document[member] = value.clone();
        world
            .idp
            .fail(Endpoint::Metadata, Fault::Json(document.to_string()));
        for path in [METADATA, "/.well-known/openid-configuration"] {
            assert_refused(&world.get(path).await, 503, "temporarily_unavailable");
        }
        assert_eq!(
            world.register(CALLBACK).await.status,
            503,
            "{member}={value}"
        );
        assert_eq!(
            world.token(&[("grant_type", "refresh_token")]).await.status,
            503
        );
        assert_eq!(world.get("/oauth2/authorize?client_id=x").await.status, 503);
    }
    let world = World::new().await;
    let mut document = good(world.idp.issuer());
    document["evil_endpoint"] = json!("https://evil.example");
    document["signed_metadata"] = json!("ey");
    world
        .idp
        .fail(Endpoint::Metadata, Fault::Json(document.to_string()));
    let reply = world.get(METADATA).await;
    assert_eq!(reply.status, 200);
    assert!(
        !reply.body.to_string().contains("evil") && reply.body.get("signed_metadata").is_none()
    );
    assert_eq!(
        hits.load(Ordering::SeqCst),
        0,
        "nobody goes where poison points"
    );
    // Without OpenID Connect, that document is somewhere else.
    let reply = world.get("/.well-known/openid-configuration").await;
    let to = format!("{BASE}{METADATA}");
    assert_eq!(
        (reply.status, header(&reply, "location")),
        (302, Some(&*to))
    );
}

#[tokio::test]
async fn six_steps_from_nothing_to_a_call() {
    let world = World::new().await;
    let registered = world.register(CALLBACK).await;
    assert_eq!(registered.status, 201);
    assert_eq!(header(&registered, "cache-control"), Some("no-store"));
    let id = registered.body["client_id"].as_str().unwrap();
    let query = form(&[
        ("response_type", "code"),
        ("client_id", id),
        ("redirect_uri", CALLBACK),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("scope", "mcp:read"),
        ("state", "a&b=c#d %0d%0aX: y"),
    ]);
    let handed = world.get(&format!("/oauth2/authorize?{query}")).await;
    let at = format!("{}?{query}", world.idp.url(Endpoint::Authorization));
    assert_eq!(
        (handed.status, header(&handed, "location")),
        (302, Some(&*at))
    );
    let code = log_in(&at).await;
    let members = [
        ("grant_type", "authorization_code"),
        ("client_id", id),
        ("redirect_uri", CALLBACK),
        ("code", &*code),
        ("code_verifier", VERIFIER),
    ];
    let tokens = world.token(&members).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert_eq!(header(&tokens, "cache-control"), Some("no-store"));
    let bearer = format!("Bearer {}", tokens.body["access_token"].as_str().unwrap());
    let reply = crate::ask::call(crate::ask::MODERN, "echo", json!({ "message": "hi" }))
        .header("authorization", &bearer)
        .send(&world.server)
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let who = world
        .send("GET", "/oauth2/userinfo", &[("authorization", &bearer)], "")
        .await;
    assert_eq!((who.status, &who.body["sub"]), (200, &json!("ada")));
    // Redeemed again: the refusal of the provider, in our words.
    let again = world.token(&members).await;
    assert_refused(&again, 400, "invalid_grant");
    assert_eq!(
        again.body["error_description"],
        "the identity provider refused this"
    );
}

/// Logs in at the page of the development provider, and brings the code back.
async fn log_in(at: &str) -> String {
    let asked = format!("{}&user=ada", at.split_once('?').unwrap().1);
    let browser = crate::oauth_facade::browser();
    let answer = browser.post(at).body(asked).send().await.unwrap();
    let to = Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
    let code = to.query_pairs().find(|(name, _)| name == "code").unwrap();
    code.1.into_owned()
}

#[tokio::test]
async fn userinfo_needs_a_token() {
    let world = World::new().await;
    assert_refused(&world.get("/oauth2/userinfo").await, 401, "invalid_request");
    assert_eq!(world.idp.hits(Endpoint::Userinfo), 0);
    let foreign = ("authorization", "Bearer nobody's");
    let reply = world.send("GET", "/oauth2/userinfo", &[foreign], "").await;
    assert_refused(&reply, 401, "invalid_token");
}

#[tokio::test]
async fn oa_06_no_client_is_registered_with_a_redirect_that_runs_something() {
    let world = World::new().await;
    for uri in [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:1",
        "java\tscript:1",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
    ] {
        assert_refused(&world.register(uri).await, 400, "invalid_redirect_uri");
    }
    assert_eq!(world.idp.hits(Endpoint::Registration), 0);
    // What the provider refuses is refused as well.
    assert_refused(
        &world.register("http://evil.test/cb").await,
        400,
        "invalid_redirect_uri",
    );
    let reply = world.send("POST", "/register", &[], "[]").await;
    assert_refused(&reply, 400, "invalid_client_metadata");
}

#[tokio::test]
async fn oa_37_the_token_endpoint_takes_forms_by_post() {
    let world = World::new().await;
    assert_refused(&world.get("/oauth2/token").await, 405, "invalid_request");
    let json = ("content-type", "application/json");
    let reply = world.send("POST", "/oauth2/token", &[json], "{}").await;
    assert_refused(&reply, 415, "invalid_request");
    let twice = [("grant_type", "refresh_token"), ("grant_type", "password")];
    assert_refused(&world.token(&twice).await, 400, "invalid_request");
    assert_eq!(world.idp.hits(Endpoint::Token), 0);
    let reply = world.token(&[("grant_type", "password")]).await;
    assert_refused(&reply, 400, "unsupported_grant_type");
}

#[tokio::test]
async fn oa_45_oa_46_a_provider_that_fails_is_a_bad_gateway_and_says_nothing_through_us() {
    let (sink, hits) = sink().await;
    let faults = [
        Fault::Status(500),
        Fault::Redirect(sink.clone()),
        Fault::Html,
        Fault::Json("{\"access_token\":".to_owned()),
        Fault::Json("[\"a stack trace\"]".to_owned()),
        Fault::Huge,
    ];
    for fault in faults {
        let world = World::new().await;
        world.idp.fail(Endpoint::Token, fault.clone());
        world.idp.fail(Endpoint::Registration, fault.clone());
        world.idp.fail(Endpoint::Userinfo, fault.clone());
        let token = world.token(&[("grant_type", "refresh_token")]).await;
        assert_refused(&token, 502, "server_error");
        assert!(!token.body.to_string().contains("stack"), "{fault:?}");
        assert_refused(&world.register(CALLBACK).await, 502, "server_error");
        let bearer = ("authorization", "Bearer x");
        let who = world.send("GET", "/oauth2/userinfo", &[bearer], "").await;
        assert_refused(&who, 502, "server_error");
        for reply in [&token, &who] {
            assert_eq!(header(reply, "location"), None);
            assert_eq!(header(reply, "set-cookie"), None);
        }
        let world = World::new().await;
        world.idp.fail(Endpoint::Metadata, fault.clone());
        let status = world.get(METADATA).await.status;
        assert!([502, 503].contains(&status), "{fault:?}: {status}");
    }
    assert_eq!(hits.load(Ordering::SeqCst), 0, "no redirect is followed");
}

#[tokio::test]
async fn oa_46_a_provider_that_hangs_is_not_waited_for() {
    let world = World::new().await;
    world.get(METADATA).await;
    world.idp.fail(Endpoint::Token, Fault::Hang);
    let begun = tokio::time::Instant::now();
    let reply = world.token(&[("grant_type", "refresh_token")]).await;
    assert_refused(&reply, 502, "server_error");
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn oa_10_bodies_have_an_end_and_preflights_an_answer() {
    let world = World::new().await;
    let large = "x".repeat((64 << 10) + 1);
    assert_eq!(
        world
            .send("POST", "/oauth2/register", &[], &large)
            .await
            .status,
        413
    );
    assert_eq!(
        world
            .send("POST", "/oauth2/token", &[], &large)
            .await
            .status,
        413
    );
    let page = ("origin", "https://inspector.example");
    let reply = world.send("OPTIONS", "/oauth2/token", &[page], "").await;
    assert_eq!(reply.status, 204);
    assert_eq!(header(&reply, "access-control-allow-origin"), Some("*"));
    assert_eq!(header(&reply, "access-control-allow-credentials"), None);
    let reply = world.send("GET", METADATA, &[page], "").await;
    assert_eq!(reply.status, 200, "metadata is for pages of any origin");
    let reply = world.get("/oauth2/register").await;
    assert_eq!(
        (reply.status, header(&reply, "location")),
        (302, Some(&*format!("{BASE}{METADATA}")))
    );
    for path in [
        "/oauth2/callback",
        "/oauth2/consent",
        "/oauth2/revoke",
        "/.well-known/jwks.json",
    ] {
        assert_eq!(world.get(path).await.status, 404, "{path} is the facade's");
    }
}

#[tokio::test]
async fn oa_09_registrations_are_limited_by_address() {
    let world = World::new().await;
    let mut last = world.register(CALLBACK).await;
    assert_eq!(last.status, 201);
    for _ in 0..40 {
        last = world.register(CALLBACK).await;
    }
    assert_eq!(last.status, 429);
    assert!(header(&last, "retry-after").is_some());
    assert!(world.idp.hits(Endpoint::Registration) < 30);
}

#[tokio::test]
async fn a_router_answers_for_the_proxy_as_well() {
    use tower::ServiceExt;
    let auth = Jwt::discover("https://login.example.com");
    let facade = OAuthProxy::facade("https://login.example.com", "id", "secret");
    let relay = OAuthProxy::relay("https://login.example.com");
    for (server, own) in [
        (builder().oauth_proxy(facade), true),
        (builder().auth(auth).oauth_proxy(relay), false),
    ] {
        let router = server.build().unwrap().router();
        for (path, status) in [
            ("/oauth2/token", 405),
            ("/oauth2/token/", 405),
            ("/oauth2/consent", if own { 405 } else { 404 }),
        ] {
            let request = Request::put(path).header("host", "mcp.example.com");
            let request = request.body(axum::body::Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), status, "{path}");
        }
    }
}

#[tokio::test]
async fn another_host_name_is_not_answered() {
    let world = World::new().await;
    let request = Request::get(METADATA).header("host", "evil.example");
    let reply = world.server.send(request.body(Vec::new()).unwrap()).await;
    assert_eq!(reply.status, 403);
}

#[test]
fn a_proxy_that_could_not_work_is_not_built() {
    let relay = || OAuthProxy::relay("https://login.example.com");
    let auth = || Jwt::discover("https://login.example.com");
    let problem = |server: mcp_runtime::Server| server.build().err().map(|it| it.to_string());
    let fine = builder().auth(auth()).oauth_proxy(relay());
    assert_eq!(problem(fine), None);
    let nobody = problem(builder().oauth_proxy(relay())).unwrap();
    assert!(nobody.contains("nobody can check them"), "{nobody}");
    let unencrypted = OAuthProxy::relay("http://127.0.0.1:9");
    let unencrypted = problem(builder().auth(auth()).oauth_proxy(unencrypted)).unwrap();
    assert!(unencrypted.contains("not encrypted"), "{unencrypted}");
    let taken = builder().public_url("https://mcp.example.com/oauth2/token");
    let taken = problem(taken.auth(auth()).oauth_proxy(relay())).unwrap();
    assert!(taken.contains("another path"), "{taken}");
    let nowhere = mcp_runtime::Server::new(mcp_runtime::tools![])
        .auth(auth().audience("x"))
        .oauth_proxy(relay());
    let nowhere = problem(nowhere).unwrap();
    assert!(nowhere.contains("public_url"), "{nowhere}");
}
