//! The OAuth proxy in front of a provider that knows one client: an authorization server of our
//! own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::ConnectInfo;
use http::Request;
use mcp_runtime::auth::OAuthProxy;
use mcp_runtime::prelude::*;
use mcp_runtime::store::{MemoryStore, Store, StoreFuture, Subscription};
use mcp_runtime::testing::{Endpoint, Fault, IdentityProvider, TestReply, TestServer};
use mcp_runtime::{Keys, Rate};
use reqwest::{Client, Url, redirect};
use serde_json::{Value, json};

use crate::ask::{MODERN, call, header};
use crate::clock;
use crate::identity::{RESOURCE, builder, local};
use crate::oauth_relay::sink;

pub(crate) const VERIFIER: &str = "a-verifier-of-more-than-forty-three-characters-0123";
pub(crate) const CHALLENGE: &str = "cVXf09oPcQ0ZasbAGPFsx4C8l6I7oLDbj9z7rswBFb4";
const BASE: &str = "https://mcp.example.com";
const CALLBACK: &str = "https://c.test/cb";
const SECRET: &[u8] = b"Qm4nVb7xCz2LkJh9GfDs3ApOi8UyTr5E";
const UPSTREAM_SECRET: &str = "CNRY-UPSTREAM-5d1f";

/// A browser that does not go where it is sent.
pub(crate) fn browser() -> Client {
    let client = Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy();
    client.build().unwrap()
}

pub(crate) fn form(members: &[(&str, &str)]) -> String {
    let mut url = Url::parse("http://localhost/").unwrap();
    url.query_pairs_mut().extend_pairs(members);
    url.query().unwrap_or_default().to_owned()
}

fn query_of(url: &str) -> BTreeMap<String, String> {
    Url::parse(url)
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect()
}

/// A store that shows what is in it.
struct Seen {
    inner: MemoryStore,
    written: Mutex<BTreeMap<String, String>>,
}

impl Seen {
    fn note(&self, key: &str, value: &[u8]) {
        let value = String::from_utf8_lossy(value).into_owned();
        self.written.lock().unwrap().insert(key.to_owned(), value);
    }

    fn keys(&self, kind: &str) -> usize {
        let prefix = format!("mcp:oauth:{kind}:");
        let written = self.written.lock().unwrap();
        written
            .keys()
            .filter(|key| key.starts_with(&prefix))
            .count()
    }
}

impl Store for Seen {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Vec<u8>>> {
        self.inner.get(key)
    }
    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        until: jiff::Timestamp,
    ) -> StoreFuture<'a, ()> {
        self.note(key, value);
        self.inner.put(key, value, until)
    }
    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        until: jiff::Timestamp,
    ) -> StoreFuture<'a, bool> {
        self.note(key, value);
        self.inner.put_if_absent(key, value, until)
    }
    fn replace<'a>(
        &'a self,
        key: &'a str,
        expected: &'a [u8],
        value: &'a [u8],
        until: jiff::Timestamp,
    ) -> StoreFuture<'a, bool> {
        self.note(key, value);
        self.inner.replace(key, expected, value, until)
    }
    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, bool> {
        self.inner.remove(key)
    }

    fn take<'a>(&'a self, key: &'a str, rate: Rate) -> StoreFuture<'a, Result<(), Duration>> {
        self.inner.take(key, rate)
    }

    fn publish<'a>(&'a self, message: &'a [u8]) -> StoreFuture<'a, ()> {
        self.inner.publish(message)
    }

    fn subscribe(&self) -> StoreFuture<'_, Subscription> {
        self.inner.subscribe()
    }
}

pub(crate) struct World {
    idp: IdentityProvider,
    clock: Clock,
    store: Arc<Seen>,
    server: TestServer,
    http: Client,
}

impl World {
    async fn new() -> Self {
        Self::with(|proxy| proxy).await
    }

    pub(crate) async fn with(change: impl FnOnce(OAuthProxy) -> OAuthProxy) -> Self {
        let clock = clock();
        let idp = IdentityProvider::start(clock.clone(), RESOURCE)
            .await
            .unwrap();
        let http = browser();
        let ours =
            json!({ "redirect_uris": [format!("{BASE}/oauth2/callback")], "client_name": "Us" });
        let registration = http
            .post(idp.url(Endpoint::Registration))
            .body(ours.to_string());
        let registered = registration.send().await.unwrap().bytes().await.unwrap();
        let registered: Value = serde_json::from_slice(&registered).unwrap();
        let id = registered["client_id"].as_str().unwrap();
        let proxy = OAuthProxy::facade(idp.issuer(), id, UPSTREAM_SECRET)
            .egress(local())
            .allow_emails(["ADA@example.com"])
            .scopes(["mcp:read"])
            .scopes_for("ada@example.com", ["mcp:admin"]);
        let store = Arc::new(Seen {
            inner: MemoryStore::new(clock.clone(), 10_000),
            written: Mutex::default(),
        });
        let server = builder()
            .title("The <Shop>")
            .clock(clock.clone())
            .store(Arc::clone(&store) as Arc<dyn Store>)
            .keys(Keys::new(SECRET).unwrap())
            .oauth_proxy(change(proxy));
        let server = TestServer::new(server).unwrap();
        Self {
            idp,
            clock,
            store,
            server,
            http,
        }
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
            .header("host", "mcp.example.com")
            .extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 5))));
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

    async fn post_form(&self, path: &str, members: &[(&str, &str)]) -> TestReply {
        let kind = ("content-type", "application/x-www-form-urlencoded");
        self.send("POST", path, &[kind], &form(members)).await
    }

    async fn register(&self, asked: &Value) -> TestReply {
        let kind = ("content-type", "application/json");
        self.send("POST", "/oauth2/register", &[kind], &asked.to_string())
            .await
    }

    async fn client(&self, uri: &str) -> String {
        let reply = self
            .register(&json!({ "client_name": "T", "redirect_uris": [uri] }))
            .await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.body["client_id"].as_str().unwrap().to_owned()
    }

    /// A request for authorization, with members changed or (with an empty value) left out.
    pub(crate) async fn authorize(
        &self,
        client: &str,
        changed: &[(&str, &str)],
        cookie: Option<&str>,
    ) -> TestReply {
        let mut members = BTreeMap::from([
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", CALLBACK),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("scope", "mcp:read mcp:admin"),
            ("state", "st"),
        ]);
        members.extend(changed.iter().copied());
        let members: Vec<_> = members
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let headers: Vec<_> = cookie
            .map(|cookie| ("cookie", cookie))
            .into_iter()
            .collect();
        let path = format!("/oauth2/authorize?{}", form(&members));
        self.send("GET", &path, &headers, "").await
    }

    /// As far as the provider: the cookie, and the URL there.
    async fn approved(&self, client: &str, changed: &[(&str, &str)]) -> (String, String) {
        let page = self.authorize(client, changed, None).await;
        assert_eq!(page.status, 200, "{page:?}");
        let cookie = cookie_of(&page);
        let answer = self.answer(&page, &cookie, "approve").await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let to = header(&answer, "location").unwrap().to_owned();
        assert!(
            to.starts_with(&self.idp.url(Endpoint::Authorization)),
            "{to}"
        );
        (cookie, to)
    }

    async fn answer(&self, page: &TestReply, cookie: &str, action: &str) -> TestReply {
        let (request, csrf) = (field(page, "request"), field(page, "csrf"));
        let members = [("request", &*request), ("csrf", &*csrf), ("action", action)];
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("cookie", cookie),
            ("origin", "null"),
        ];
        self.send("POST", "/oauth2/consent", &headers, &form(&members))
            .await
    }

    /// Logs in at the provider: the path of the callback, with its query.
    async fn logged_in(&self, at: &str, user: &str) -> String {
        let asked = format!("{}&user={user}", at.split_once('?').unwrap().1);
        let answer = self.http.post(at).body(asked).send().await.unwrap();
        assert_eq!(answer.status(), 303);
        let to = answer.headers()["location"].to_str().unwrap();
        to.strip_prefix(BASE).unwrap().to_owned()
    }

    async fn back(&self, callback: &str, cookie: &str) -> TestReply {
        self.send("GET", callback, &[("cookie", cookie)], "").await
    }

    /// What the client is sent, at the end of a whole login.
    async fn login(
        &self,
        client: &str,
        user: &str,
        changed: &[(&str, &str)],
    ) -> BTreeMap<String, String> {
        let (cookie, at) = self.approved(client, changed).await;
        let callback = self.logged_in(&at, user).await;
        let answer = self.back(&callback, &cookie).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        query_of(header(&answer, "location").unwrap())
    }

    async fn code(&self, client: &str) -> String {
        self.login(client, "ada", &[]).await["code"].clone()
    }

    async fn redeem(&self, client: &str, code: &str, changed: &[(&str, &str)]) -> TestReply {
        let mut members = BTreeMap::from([
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("redirect_uri", CALLBACK),
            ("code", code),
            ("code_verifier", VERIFIER),
        ]);
        members.extend(changed.iter().copied());
        let members: Vec<_> = members.into_iter().collect();
        self.post_form("/oauth2/token", &members).await
    }

    async fn refresh(&self, client: &str, token: &str, changed: &[(&str, &str)]) -> TestReply {
        let mut members = vec![
            ("grant_type", "refresh_token"),
            ("client_id", client),
            ("refresh_token", token),
        ];
        members.extend(changed);
        self.post_form("/oauth2/token", &members).await
    }

    async fn tokens(&self, client: &str) -> (String, String) {
        let code = self.code(client).await;
        pair(&self.redeem(client, &code, &[]).await)
    }

    async fn call(&self, tool: &str, token: &str) -> TestReply {
        let arguments = if tool == "echo" {
            json!({ "message": "hi" })
        } else {
            json!({})
        };
        call(MODERN, tool, arguments)
            .header("authorization", &format!("Bearer {token}"))
            .send(&self.server)
            .await
    }
}

fn pair(reply: &TestReply) -> (String, String) {
    assert_eq!(reply.status, 200, "{reply:?}");
    let text = |name: &str| reply.body[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

/// The same text with another end.
fn flipped(text: &str) -> String {
    let (start, end) = text.split_at(text.len() - 1);
    format!("{start}{}", if end == "0" { "1" } else { "0" })
}

fn cookie_of(page: &TestReply) -> String {
    let set = header(page, "set-cookie").unwrap();
    set.split(';').next().unwrap().to_owned()
}

fn html(reply: &TestReply) -> &str {
    reply.body.as_str().unwrap_or_default()
}

/// The value of a hidden field.
fn field(page: &TestReply, name: &str) -> String {
    let mark = format!("name=\"{name}\" value=\"");
    let rest = html(page).split_once(&mark).unwrap().1;
    rest.split('"').next().unwrap().to_owned()
}

fn assert_error(reply: &TestReply, status: u16, code: &str) {
    assert_eq!(
        (reply.status, &reply.body["error"]),
        (status, &json!(code)),
        "{reply:?}"
    );
    assert_eq!(header(reply, "cache-control"), Some("no-store"));
}

/// An error that the client is told, by a redirect to where it registered.
fn assert_told(reply: &TestReply, code: &str) {
    assert_eq!(reply.status, 303, "{reply:?}");
    let to = header(reply, "location").unwrap();
    let told = query_of(to);
    assert!(to.starts_with(&format!("{CALLBACK}?")), "{to}");
    assert_eq!(
        (&*told["error"], &*told["iss"], &*told["state"]),
        (code, BASE, "st")
    );
}

fn assert_page(reply: &TestReply, status: u16) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(header(reply, "location"), None);
    assert!(html(reply).contains("<h1>"), "{reply:?}");
}

#[tokio::test]
async fn oa_01_oa_03_the_server_is_its_own_authorization_server() {
    let world = World::new().await;
    let resource = world.get("/.well-known/oauth-protected-resource/mcp").await;
    assert_eq!(resource.body["resource"], RESOURCE);
    assert_eq!(resource.body["authorization_servers"], json!([BASE]));
    for path in ["", "/mcp"] {
        let reply = world
            .get(&format!("/.well-known/oauth-authorization-server{path}"))
            .await;
        let document = reply.body;
        assert_eq!(document["issuer"], BASE);
        assert_eq!(
            document["code_challenge_methods_supported"],
            json!(["S256"])
        );
        assert_eq!(
            document["authorization_response_iss_parameter_supported"],
            true
        );
        assert_eq!(document["client_id_metadata_document_supported"], true);
        assert_eq!(
            document["scopes_supported"],
            json!(["mcp:admin", "mcp:read"])
        );
        for (name, value) in document.as_object().unwrap() {
            if name.ends_with("_endpoint") || name == "jwks_uri" {
                assert!(
                    value.as_str().unwrap().starts_with(&format!("{BASE}/")),
                    "{name}"
                );
            }
        }
    }
    assert_eq!(
        world.idp.hits(Endpoint::Metadata),
        0,
        "none of it is the provider's"
    );
}

#[tokio::test]
async fn oa_04_poisoned_metadata_leads_nowhere() {
    let (sink, hits) = sink().await;
    for (member, value) in [
        ("authorization_endpoint", "javascript:alert(1)".to_owned()),
        ("token_endpoint", format!("{sink}/t")),
        ("userinfo_endpoint", format!("{sink}/u")),
    ] {
        let world = World::new().await;
        let issuer = world.idp.issuer();
        let mut document = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/oauth2/authorize"),
            "token_endpoint": format!("{issuer}/oauth2/token"),
            "userinfo_endpoint": format!("{issuer}/oauth2/userinfo"),
        });
        document[member] = json!(value);
        world
            .idp
            .fail(Endpoint::Metadata, Fault::Json(document.to_string()));
        let client = world.client(CALLBACK).await;
        let page = world.authorize(&client, &[], None).await;
        let answer = world.answer(&page, &cookie_of(&page), "approve").await;
        assert_told(&answer, "temporarily_unavailable");
    }
    assert_eq!(hits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn oa_05_a_client_registers() {
    let world = World::new().await;
    let asked = json!({
        "client_name": "T",
        "redirect_uris": ["http://127.0.0.1:9/cb"],
        "token_endpoint_auth_method": "none",
    });
    let (one, other) = (world.register(&asked).await, world.register(&asked).await);
    assert_eq!(one.status, 201);
    assert_eq!(header(&one, "cache-control"), Some("no-store"));
    let id = |reply: &TestReply| reply.body["client_id"].as_str().unwrap().to_owned();
    assert_ne!(id(&one), id(&other));
    assert!(id(&one).len() >= 32 + "mcp_client_".len());
    assert_eq!(one.body["redirect_uris"], asked["redirect_uris"]);
    let text = one.body.to_string();
    assert!(
        !text.contains(UPSTREAM_SECRET) && !text.contains("client_secret"),
        "{text}"
    );
}

#[tokio::test]
async fn oa_06_oa_07_oa_10_oa_11_what_is_no_client_is_not_registered() {
    let world = World::new().await;
    for uri in [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:1",
        "java\tscript:1",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "http://evil.test/cb",
        "https://c.test/cb#f",
        "http://localhost@evil.test/cb",
        "http://127.0.0.1.evil.test/cb",
    ] {
        let reply = world.register(&json!({ "redirect_uris": [uri] })).await;
        assert_error(&reply, 400, "invalid_redirect_uri");
    }
    let world = World::new().await;
    for uri in [
        "http://localhost.evil.test",
        "https://*.c.test/cb",
        "http://[::ffff:7f00:1]/cb",
        "//evil.test/cb",
        "https:evil.test",
    ] {
        let reply = world.register(&json!({ "redirect_uris": [uri] })).await;
        assert_error(&reply, 400, "invalid_redirect_uri");
    }
    let many = vec![CALLBACK; 10_000];
    let reply = world.register(&json!({ "redirect_uris": many })).await;
    assert_eq!(reply.status, 413);
    for name in [
        "x".repeat(500),
        "\u{202e}evil".to_owned(),
        "a\nb".to_owned(),
        " ".to_owned(),
    ] {
        let reply = world
            .register(&json!({ "client_name": name, "redirect_uris": [CALLBACK] }))
            .await;
        assert_error(&reply, 400, "invalid_client_metadata");
    }
    assert_eq!(world.store.keys("client"), 0, "nothing is kept of them");
}

#[tokio::test]
async fn oa_09_registrations_are_limited_by_address_and_altogether_and_expire() {
    let world = World::with(|proxy| {
        proxy.registrations(
            Rate::new(20, Duration::from_mins(1)),
            1_000,
            Duration::from_secs(5),
        )
    })
    .await;
    let mut statuses = Vec::new();
    for _ in 0..200 {
        let reply = world
            .register(&json!({ "redirect_uris": [CALLBACK] }))
            .await;
        if reply.status == 429 {
            assert!(header(&reply, "retry-after").is_some());
        }
        statuses.push(reply.status);
    }
    // The address earns one more every three seconds, should the test take that long.
    let good = statuses.iter().filter(|status| **status == 201).count();
    assert!((20..=23).contains(&good), "{good}");
    assert!(statuses.iter().all(|status| [201, 429].contains(status)));
    assert_eq!(world.store.keys("client"), good);

    let world = World::with(|proxy| {
        proxy.registrations(
            Rate::new(1_000, Duration::from_mins(1)),
            3,
            Duration::from_secs(5),
        )
    })
    .await;
    let client = world.client(CALLBACK).await;
    let _ = (world.client(CALLBACK).await, world.client(CALLBACK).await);
    let fourth = world
        .register(&json!({ "redirect_uris": [CALLBACK] }))
        .await;
    assert_eq!(fourth.status, 429, "three at once are the most");
    assert_eq!(world.authorize(&client, &[], None).await.status, 200);
    world.clock.advance(Duration::from_secs(6));
    assert_page(&world.authorize(&client, &[], None).await, 400);
    let _ = world.client(CALLBACK).await;
}

#[tokio::test]
async fn a_client_that_is_used_is_kept() {
    let world = World::with(|proxy| {
        proxy.registrations(
            Rate::new(20, Duration::from_mins(1)),
            9,
            Duration::from_secs(60),
        )
    })
    .await;
    let client = world.client(CALLBACK).await;
    let _ = world.tokens(&client).await;
    world.clock.advance(Duration::from_hours(24));
    assert_eq!(world.authorize(&client, &[], None).await.status, 200);
}

#[tokio::test]
async fn oa_11_oa_12_oa_27_the_page_that_asks_shows_text_and_nothing_else() {
    let (sink, hits) = sink().await;
    let world = World::new().await;
    let reply = world
        .register(&json!({
            "client_name": "<img src=x onerror=alert(1)>\"'",
            "redirect_uris": ["http://127.0.0.1:1/cb"],
            "logo_uri": format!("{sink}/l.png"),
            "client_uri": "javascript:alert(2)",
            "tos_uri": "http://169.254.169.254/",
        }))
        .await;
    assert_eq!(reply.status, 201);
    assert!(!reply.body.to_string().contains("logo_uri"));
    let id = reply.body["client_id"].as_str().unwrap();
    let local = [("redirect_uri", "http://127.0.0.1:55555/cb")];
    let page = world.authorize(id, &local, None).await;
    let text = html(&page);
    assert!(
        text.contains("&lt;img src=x onerror=alert(1)&gt;&quot;&#39;"),
        "{text}"
    );
    assert!(
        text.contains("The &lt;Shop&gt;") && text.contains("127.0.0.1:55555"),
        "{text}"
    );
    assert!(
        text.contains("mcp:admin") && text.contains("on your own computer"),
        "{text}"
    );
    for markup in [
        "<img",
        "<script",
        "<a ",
        "javascript:",
        "l.png",
        "style=",
        "onclick",
    ] {
        assert!(!text.contains(markup), "{markup} in {text}");
    }
    assert_eq!(hits.load(Ordering::SeqCst), 0);
    let problem = world.authorize("nope", &[], None).await;
    for reply in [&page, &problem] {
        let csp = header(reply, "content-security-policy").unwrap();
        assert!(csp.contains("default-src 'none'") && csp.contains("frame-ancestors 'none'"));
        assert_eq!(header(reply, "x-frame-options"), Some("DENY"));
        assert_eq!(header(reply, "cache-control"), Some("no-store"));
        assert_eq!(header(reply, "referrer-policy"), Some("no-referrer"));
        assert_eq!(header(reply, "access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn oa_14_oa_15_oa_16_oa_19_nobody_is_sent_where_no_client_registered() {
    let world = World::new().await;
    for id in ["nope", "mcp_client_00000000000000000000000000000000", ""] {
        let reply = world
            .authorize(id, &[("redirect_uri", "https://evil.test/cb")], None)
            .await;
        assert_page(&reply, 400);
    }
    let client = world.client(CALLBACK).await;
    for uri in [
        "https://c.test/cb/",
        "https://c.test/cb?x=1",
        "https://c.test/CB",
        "https://C.test:444/cb",
        "https://c.test/cb/../x",
        "https://c.test/%63b",
        "http://c.test/cb",
        "",
    ] {
        let reply = world
            .authorize(&client, &[("redirect_uri", uri)], None)
            .await;
        assert_page(&reply, 400);
    }
    let local = world.client("http://127.0.0.1:1/cb").await;
    let any_port = [("redirect_uri", "http://127.0.0.1:55555/cb")];
    assert_eq!(world.authorize(&local, &any_port, None).await.status, 200);
    let by_name = [("redirect_uri", "http://localhost:55555/cb")];
    assert_page(&world.authorize(&local, &by_name, None).await, 400);
    for name in ["client_id", "redirect_uri", "scope", "state"] {
        let path = format!(
            "/oauth2/authorize?client_id={client}&redirect_uri={CALLBACK}&scope=a&state=b&{name}=x"
        );
        assert_page(&world.get(&path).await, 400);
    }
}

#[tokio::test]
async fn oa_17_oa_18_oa_20_a_request_that_lacks_something_goes_back_to_its_client() {
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    let (short, long) = ("x".repeat(42), "x".repeat(129));
    let padded = format!("{}=", &CHALLENGE[..42]);
    let rows: &[(&str, &str, &str)] = &[
        ("code_challenge", "", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("code_challenge", &short, "invalid_request"),
        ("code_challenge", &long, "invalid_request"),
        ("code_challenge", &padded, "invalid_request"),
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "code token", "unsupported_response_type"),
        ("response_type", "", "invalid_request"),
        ("resource", "https://other.test/mcp", "invalid_target"),
        (
            "resource",
            "https://mcp.example.com/mcp#f",
            "invalid_target",
        ),
    ];
    for (name, value, code) in rows {
        assert_told(
            &world.authorize(&client, &[(name, value)], None).await,
            code,
        );
    }
    let named = [("resource", RESOURCE)];
    assert_eq!(world.authorize(&client, &named, None).await.status, 200);
    assert_eq!(world.idp.hits(Endpoint::Authorization), 0);
}

#[tokio::test]
async fn oa_21_oa_22_nothing_happens_before_the_user_agrees() {
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    let page = world.authorize(&client, &[], None).await;
    assert_eq!((page.status, header(&page, "location")), (200, None));
    let cookie = cookie_of(&page);
    let other = cookie_of(&world.authorize(&client, &[], None).await);
    let (request, csrf) = (field(&page, "request"), field(&page, "csrf"));
    let forged = flipped(&csrf);
    let good = [
        ("request", &*request),
        ("csrf", &*csrf),
        ("action", "approve"),
    ];
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let unprefixed = cookie.replace("__Host-", "");
    let post = async |cookie: Option<&str>, origin: Option<&str>, members: &[(&str, &str)]| {
        let mut headers = vec![kind];
        headers.extend(cookie.map(|cookie| ("cookie", cookie)));
        headers.extend(origin.map(|origin| ("origin", origin)));
        world
            .send("POST", "/oauth2/consent", &headers, &form(members))
            .await
            .status
    };
    assert_eq!(post(None, None, &good).await, 403, "no cookie");
    assert_eq!(
        post(Some(&other), None, &good).await,
        403,
        "another browser"
    );
    assert_eq!(
        post(Some(&unprefixed), None, &good).await,
        403,
        "OA-26: another name"
    );
    assert_eq!(
        post(Some(&cookie), Some("https://evil.test"), &good).await,
        403
    );
    assert_eq!(post(Some(&cookie), None, &good[..1]).await, 403, "no csrf");
    for csrf in [&*forged, "x", ""] {
        let members = [
            ("request", &*request),
            ("csrf", csrf),
            ("action", "approve"),
        ];
        assert_eq!(
            post(Some(&cookie), None, &members).await,
            403,
            "csrf {csrf}"
        );
    }
    for action in ["other", ""] {
        let members = [("request", &*request), ("csrf", &*csrf), ("action", action)];
        assert_eq!(
            post(Some(&cookie), None, &members).await,
            400,
            "action {action}"
        );
    }
    assert_told(&world.answer(&page, &cookie, "deny").await, "access_denied");
    assert_eq!(
        world.store.keys("state"),
        0,
        "nothing is kept for any of these"
    );
    assert_eq!(post(Some(&cookie), Some(BASE), &good).await, 303);
    assert_eq!(world.store.keys("state"), 1);
    world.clock.advance(Duration::from_secs(601));
    assert_eq!(post(Some(&cookie), None, &good).await, 400, "too late");
}

#[tokio::test]
async fn oa_23_a_login_belongs_to_the_browser_that_began_it() {
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    let (attacker, at) = world.approved(&client, &[]).await;
    let callback = world.logged_in(&at, "ada").await;
    let victim = cookie_of(&world.authorize(&client, &[], None).await);
    for cookie in [
        "",
        &victim,
        &attacker.replace("__Host-", ""),
        &format!("{attacker}0"),
    ] {
        assert_page(&world.back(&callback, cookie).await, 403);
    }
    assert_eq!(world.idp.hits(Endpoint::Token), 0);
    assert_eq!(world.store.keys("code"), 0);
}

#[tokio::test]
async fn oa_26_the_cookie_is_for_this_host_alone() {
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    let page = world.authorize(&client, &[], None).await;
    let set = header(&page, "set-cookie").unwrap();
    assert!(set.starts_with("__Host-"), "{set}");
    for attribute in ["; Path=/;", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
        assert!(set.contains(attribute), "{attribute} in {set}");
    }
    assert!(!set.contains("Domain"), "{set}");
    let again = world.authorize(&client, &[], Some(&cookie_of(&page))).await;
    assert_eq!(
        header(&again, "set-cookie"),
        None,
        "one browser, one cookie"
    );
}

#[tokio::test]
async fn oa_28_a_state_is_good_once_and_for_ten_minutes() {
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    let (cookie, at) = world.approved(&client, &[]).await;
    for callback in [
        "/oauth2/callback?code=x&state=unknown",
        "/oauth2/callback?code=x",
        "/oauth2/callback",
    ] {
        assert_page(&world.back(callback, &cookie).await, 400);
    }
    let callback = world.logged_in(&at, "ada").await;
    assert_eq!(world.back(&callback, &cookie).await.status, 303);
    let hits = world.idp.hits(Endpoint::Token);
    assert_page(&world.back(&callback, &cookie).await, 400);
    let (cookie, at) = world.approved(&client, &[]).await;
    let callback = world.logged_in(&at, "ada").await;
    world.clock.advance(Duration::from_mins(11));
    assert_page(&world.back(&callback, &cookie).await, 400);
    assert_eq!(world.idp.hits(Endpoint::Token), hits);
}

#[tokio::test]
async fn oa_29_the_state_of_the_client_comes_back_as_it_was() {
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    let state = "a&b=c#d %0d%0aX: y";
    let (cookie, at) = world.approved(&client, &[("state", state)]).await;
    assert_ne!(query_of(&at)["state"], state);
    let callback = world.logged_in(&at, "ada").await;
    let answer = world.back(&callback, &cookie).await;
    let told = query_of(header(&answer, "location").unwrap());
    assert_eq!((&*told["state"], &*told["iss"]), (state, BASE));
    assert_eq!(header(&answer, "x"), None);
}

#[tokio::test]
async fn oa_30_oa_31_what_the_provider_says_is_checked_and_not_repeated() {
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    let issuer = form(&[("iss", world.idp.issuer())]);
    let (cookie, at) = world.approved(&client, &[]).await;
    let state = &query_of(&at)["state"];
    let refused = format!(
        "/oauth2/callback?error=access_denied&error_description=%3Cscript%3E&state={state}&{issuer}"
    );
    let reply = world.back(&refused, &cookie).await;
    assert_told(&reply, "access_denied");
    assert!(!header(&reply, "location").unwrap().contains("script"));
    for named in ["", "&iss=https%3A%2F%2Fevil.test"] {
        let (cookie, at) = world.approved(&client, &[]).await;
        let state = &query_of(&at)["state"];
        let callback = format!("/oauth2/callback?code=x&state={state}{named}");
        assert_page(&world.back(&callback, &cookie).await, 400);
    }
    assert_eq!(world.idp.hits(Endpoint::Token), 0);
}

#[tokio::test]
async fn oa_41_a_whole_login_gives_a_token_of_ours_and_none_of_the_providers() {
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    let code = world.code(&client).await;
    let reply = world.redeem(&client, &code, &[]).await;
    let (access, _) = pair(&reply);
    assert_eq!(reply.body["token_type"], "Bearer");
    assert_eq!(reply.body["expires_in"], 900);
    assert_eq!(reply.body["scope"], "mcp:read mcp:admin");
    assert_eq!(header(&reply, "cache-control"), Some("no-store"));
    let who = world.call("whoami", &access).await;
    let who = who.structured();
    assert_eq!(
        (&who["subject"], &who["issuer"]),
        (&json!("ada"), &json!(BASE))
    );
    assert_eq!(who["email"], "ada@example.com");
    assert_eq!(who["scopes"], json!(["mcp:admin", "mcp:read"]));
    assert_eq!(world.call("wipe", &access).await.status, 200);
    // A token of the provider for the same user and resource is not one of ours.
    let theirs = world
        .idp
        .token(json!({ "sub": "ada", "scope": "mcp:read" }));
    assert_eq!(world.call("echo", &theirs).await.status, 401);
    let keys = world.get("/.well-known/jwks.json").await;
    assert_eq!(keys.body["keys"][0]["crv"], "Ed25519");
    assert_eq!(keys.body["keys"][0].get("d"), None);
    world.clock.advance(Duration::from_secs(900));
    assert_eq!(
        world.call("echo", &access).await.status,
        401,
        "a quarter of an hour"
    );
}

#[tokio::test]
async fn a_token_that_was_changed_is_none() {
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    let (access, _) = world.tokens(&client).await;
    assert_eq!(world.call("echo", &access).await.status, 200);
    for at in 0..access.len() {
        let mut bytes = access.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        let reply = call(MODERN, "echo", json!({ "message": "hi" }))
            .header("authorization", &format!("Bearer {changed}"))
            .send(&world.server)
            .await;
        assert_eq!(reply.status, 401, "byte {at}");
    }
    let other = World::new().await.call("echo", &access).await;
    assert_eq!(other.status, 401, "with the same keys, and another store");
}

#[tokio::test]
async fn scopes_are_granted_to_people_and_not_to_wishes() {
    let world = World::with(|proxy| proxy.allow_emails(["bob@example.com"])).await;
    let client = world.client(CALLBACK).await;
    let code = world.login(&client, "bob", &[]).await["code"].clone();
    let reply = world.redeem(&client, &code, &[]).await;
    assert_eq!(reply.body["scope"], "mcp:read");
    let (access, _) = pair(&reply);
    assert_eq!(world.call("echo", &access).await.status, 200);
    assert_eq!(world.call("wipe", &access).await.status, 403);
}

#[tokio::test]
async fn who_is_not_on_the_list_is_not_let_in() {
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    assert_eq!(
        world.login(&client, "bob", &[]).await["error"],
        "access_denied"
    );
    let mut unverified = mcp_runtime::testing::User::new("eve", ["*"]);
    unverified.email = "ada@example.com".to_owned();
    unverified.email_verified = false;
    world.idp.add_user(unverified);
    assert_eq!(
        world.login(&client, "eve", &[]).await["error"],
        "access_denied"
    );
    assert_eq!(world.store.keys("code"), 0);
    let world = World::with(OAuthProxy::allow_everybody).await;
    let client = world.client(CALLBACK).await;
    assert!(world.login(&client, "bob", &[]).await.contains_key("code"));
}

#[tokio::test]
async fn oa_32_a_code_that_comes_again_ends_the_tokens_of_the_first() {
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    let code = world.code(&client).await;
    let (access, refresh) = pair(&world.redeem(&client, &code, &[]).await);
    assert_eq!(world.call("echo", &access).await.status, 200);
    world.clock.advance(Duration::from_secs(10));
    assert_error(
        &world.redeem(&client, &code, &[]).await,
        400,
        "invalid_grant",
    );
    assert_eq!(world.call("echo", &access).await.status, 401);
    assert_error(
        &world.refresh(&client, &refresh, &[]).await,
        400,
        "invalid_grant",
    );
}

#[tokio::test]
async fn oa_33_oa_34_a_code_is_bound_to_client_redirect_and_verifier() {
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    let other = world.client(CALLBACK).await;
    let code = world.code(&client).await;
    let wrong = "w".repeat(43);
    assert_error(
        &world.redeem(&other, &code, &[]).await,
        400,
        "invalid_grant",
    );
    for changed in [
        ("redirect_uri", "https://c.test/other"),
        ("code_verifier", &wrong),
    ] {
        assert_error(
            &world.redeem(&client, &code, &[changed]).await,
            400,
            "invalid_grant",
        );
    }
    for verifier in ["", &wrong[..42]] {
        let reply = world
            .redeem(&client, &code, &[("code_verifier", verifier)])
            .await;
        assert_error(&reply, 400, "invalid_request");
    }
    assert_eq!(
        world.redeem(&client, &code, &[]).await.status,
        200,
        "none of them burnt it"
    );
    let code = world.code(&client).await;
    for _ in 0..5 {
        let reply = world
            .redeem(&client, &code, &[("code_verifier", &wrong)])
            .await;
        assert_error(&reply, 400, "invalid_grant");
    }
    assert_error(
        &world.redeem(&client, &code, &[]).await,
        400,
        "invalid_grant",
    );
}

#[tokio::test]
async fn oa_35_of_fifty_redemptions_at_once_one_is_good() {
    let world = Arc::new(World::new().await);
    let client = world.client(CALLBACK).await;
    let code = world.code(&client).await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (world, client, code) = (Arc::clone(&world), client.clone(), code.clone());
        running.spawn(async move { world.redeem(&client, &code, &[]).await });
    }
    let replies = running.join_all().await;
    let good: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(good.len(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        assert_error(reply, 400, "invalid_grant");
    }
    assert_eq!(
        world.call("echo", &pair(good[0]).0).await.status,
        200,
        "its tokens live"
    );
}

#[tokio::test]
async fn oa_36_a_code_is_good_for_five_minutes() {
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    let code = world.code(&client).await;
    world.clock.advance(Duration::from_mins(5));
    assert_error(
        &world.redeem(&client, &code, &[]).await,
        400,
        "invalid_grant",
    );
}

#[tokio::test]
async fn oa_37_the_token_endpoint_takes_forms_by_post() {
    let world = World::new().await;
    assert_error(&world.get("/oauth2/token").await, 405, "invalid_request");
    let json = ("content-type", "application/json");
    let reply = world.send("POST", "/oauth2/token", &[json], "{}").await;
    assert_error(&reply, 415, "invalid_request");
    for (members, code) in [
        (
            &[("grant_type", "refresh_token"), ("grant_type", "x")][..],
            "invalid_request",
        ),
        (&[("grant_type", "password")][..], "unsupported_grant_type"),
        (
            &[("resource", "https://other.test"), ("grant_type", "x")][..],
            "invalid_target",
        ),
        (&[][..], "invalid_request"),
    ] {
        assert_error(&world.post_form("/oauth2/token", members).await, 400, code);
    }
}

#[tokio::test]
async fn oa_38_oa_39_refresh_tokens_rotate_and_never_grow() {
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    let other = world.client(CALLBACK).await;
    let (_, first) = world.tokens(&client).await;
    assert_error(
        &world.refresh(&other, &first, &[]).await,
        400,
        "invalid_grant",
    );
    let wider = world
        .refresh(&client, &first, &[("scope", "mcp:read mcp:root")])
        .await;
    assert_error(&wider, 400, "invalid_scope");
    let narrower = world
        .refresh(&client, &first, &[("scope", "mcp:read")])
        .await;
    let (access, second) = pair(&narrower);
    assert_eq!(narrower.body["scope"], "mcp:read");
    assert_eq!(world.call("wipe", &access).await.status, 403);
    assert_error(
        &world.refresh(&client, &first, &[]).await,
        400,
        "invalid_grant",
    );
    assert_error(
        &world.refresh(&client, &second, &[]).await,
        400,
        "invalid_grant",
    );
    assert_eq!(
        world.call("echo", &access).await.status,
        401,
        "the login has ended"
    );

    let (_, refresh) = world.tokens(&client).await;
    for made_up in [
        refresh.replace(".0.", ".1."),
        flipped(&refresh),
        "mcp_refresh_x.0.y".to_owned(),
    ] {
        assert_error(
            &world.refresh(&client, &made_up, &[]).await,
            400,
            "invalid_grant",
        );
    }
    let (_, refresh) = pair(&world.refresh(&client, &refresh, &[]).await);
    world.clock.advance(Duration::from_hours(7 * 24));
    assert_error(
        &world.refresh(&client, &refresh, &[]).await,
        400,
        "invalid_grant",
    );
}

#[tokio::test]
async fn oa_39_who_has_left_the_list_is_out_at_once() {
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    let (access, refresh) = world.tokens(&client).await;
    assert_eq!(world.call("echo", &access).await.status, 200);
    let proxy = OAuthProxy::facade(world.idp.issuer(), "id", UPSTREAM_SECRET)
        .egress(local())
        .allow_emails(["bob@example.com"]);
    let restarted = builder()
        .clock(world.clock.clone())
        .store(Arc::clone(&world.store) as Arc<dyn Store>)
        .keys(Keys::new(SECRET).unwrap())
        .oauth_proxy(proxy);
    let server = TestServer::new(restarted).unwrap();
    let world = World { server, ..world };
    assert_eq!(world.call("echo", &access).await.status, 403);
    assert_error(
        &world.refresh(&client, &refresh, &[]).await,
        400,
        "invalid_grant",
    );
}

#[tokio::test]
async fn logins_from_one_address_are_limited() {
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    let page = world.authorize(&client, &[], None).await;
    let cookie = cookie_of(&page);
    let mut last = 0;
    for _ in 0..60 {
        last = world.answer(&page, &cookie, "approve").await.status;
    }
    assert_eq!(last, 429);
    let kept = world.store.keys("state");
    assert!((30..45).contains(&kept), "{kept}");
}

#[tokio::test]
async fn oa_40_of_twenty_refreshes_at_once_at_most_one_lives() {
    let world = Arc::new(World::new().await);
    let client = world.client(CALLBACK).await;
    let (_, first) = world.tokens(&client).await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (world, client, first) = (Arc::clone(&world), client.clone(), first.clone());
        running.spawn(async move { world.refresh(&client, &first, &[]).await });
    }
    let replies = running.join_all().await;
    assert!(replies.iter().filter(|reply| reply.status == 200).count() <= 1);
}

#[tokio::test]
async fn oa_43_what_a_client_calls_a_secret_is_none() {
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    let code = world.code(&client).await;
    let members = form(&[
        ("grant_type", "authorization_code"),
        ("client_id", &client),
        ("client_secret", "evil"),
        ("redirect_uri", CALLBACK),
        ("code", &code),
        ("code_verifier", VERIFIER),
    ]);
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("authorization", "Basic dXBzdHJlYW06c2VjcmV0"),
    ];
    let reply = world
        .send("POST", "/oauth2/token", &headers, &members)
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(!format!("{reply:?}").contains(UPSTREAM_SECRET));
}

#[tokio::test]
async fn oa_45_oa_46_a_provider_that_fails_is_the_end_of_a_login() {
    let (sink, hits) = sink().await;
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    for endpoint in [Endpoint::Token, Endpoint::Userinfo] {
        for fault in [
            Fault::Status(500),
            Fault::Status(401),
            Fault::Redirect(sink.clone()),
            Fault::Html,
            Fault::Json("{\"sub\":\"mallory\"".to_owned()),
            Fault::Json("[]".to_owned()),
            Fault::Huge,
        ] {
            world.idp.fail(endpoint, fault.clone());
            let told = world.login(&client, "ada", &[]).await;
            assert_eq!(
                told.get("error").map(|it| &**it),
                Some("server_error"),
                "{fault:?}"
            );
            assert_eq!(told.get("code"), None, "{fault:?}");
        }
        world.idp.mend(endpoint);
    }
    assert_eq!(
        hits.load(Ordering::SeqCst),
        0,
        "the secret goes nowhere else"
    );
    assert_eq!(world.store.keys("code"), 0);
}

/// A host that publishes the document of a client.
async fn publish(document: impl FnOnce(&str) -> String) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let id = format!("http://{}/client.json", listener.local_addr().unwrap());
    let body = document(&id);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(body.as_bytes()).await;
        }
    });
    id
}

fn answer_of(kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn document_of(id: &str) -> Value {
    json!({ "client_id": id, "client_name": "Published", "redirect_uris": ["http://127.0.0.1:7/cb"] })
}

#[tokio::test]
async fn oa_48_oa_50_oa_51_a_client_may_publish_what_it_is_and_nothing_else() {
    let (sink, hits) = sink().await;
    let world = World::new().await;
    for id in [
        "http://c.test/m.json".to_owned(),
        "https://127.0.0.1/".to_owned(),
        format!("{sink}/"),
        format!("{sink}/m.json#f"),
        format!("{sink}/m.json?x=1"),
        format!("{sink}/a/../m.json"),
        sink.replace("http://", "http://user@") + "/m.json",
    ] {
        assert_page(&world.authorize(&id, &[], None).await, 400);
    }
    let moved = publish(|_| {
        format!("HTTP/1.1 302 Found\r\nlocation: {sink}/m.json\r\ncontent-length: 0\r\n\r\n")
    })
    .await;
    assert_page(&world.authorize(&moved, &[], None).await, 400);
    assert_eq!(hits.load(Ordering::SeqCst), 0, "nobody goes there");
    let uri = [("redirect_uri", "http://127.0.0.1:7/cb")];
    type Change = fn(&mut Value);
    let changes: [Change; 6] = [
        |it| it["client_name"] = json!("x".repeat(6 << 10)),
        |it| it["client_id"] = json!(format!("{}/", it["client_id"].as_str().unwrap())),
        |it| it["token_endpoint_auth_method"] = json!("client_secret_post"),
        |it| it["jwks"] = json!({ "keys": [{ "kty": "EC", "d": "private" }] }),
        |it| it["redirect_uris"] = json!(["javascript:alert(1)"]),
        |it| it["redirect_uris"] = json!([]),
    ];
    for change in changes {
        let id = publish(|id| {
            let mut document = document_of(id);
            change(&mut document);
            answer_of("application/json", &document.to_string())
        })
        .await;
        assert_page(&world.authorize(&id, &uri, None).await, 400);
    }
    let page = publish(|id| answer_of("text/html", &document_of(id).to_string())).await;
    assert_page(&world.authorize(&page, &uri, None).await, 400);
}

#[tokio::test]
async fn oa_53_a_published_client_is_shown_with_its_host() {
    let world = World::new().await;
    let id = publish(|id| answer_of("application/json", &document_of(id).to_string())).await;
    let uri = [("redirect_uri", "http://127.0.0.1:7/cb")];
    let page = world.authorize(&id, &uri, None).await;
    assert_eq!(page.status, 200, "{page:?}");
    for shown in [
        "Published",
        "published by <b>127.0.0.1</b>",
        "127.0.0.1:7",
        "on your own computer",
    ] {
        assert!(html(&page).contains(shown), "{shown} in {}", html(&page));
    }
    let told = world.login(&id, "ada", &uri).await;
    let reply = world.redeem(&id, &told["code"], &uri).await;
    assert_eq!(world.call("echo", &pair(&reply).0).await.status, 200);
}

#[tokio::test]
async fn oa_54_there_is_no_open_redirect() {
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    let hosts = [
        "evil.test",
        "evil.test%2f..",
        "c.test@evil.test",
        "c.test.evil.test",
        "evil.test#c.test",
    ];
    let shapes = [
        "https://{}",
        "//{}",
        "///{}",
        "/\\{}",
        "\\\\{}",
        "/%2f{}",
        "https:{}",
        "https:/\\{}",
        "/./\\{}",
        "%0d%0a//{}",
        "/\t/{}",
        "http:///{}",
        "https://c.test/cb@{}",
        "https://c.test\\@{}",
        "java\0script://{}",
    ];
    for host in hosts {
        for shape in shapes {
            let uri = shape.replace("{}", host);
            assert_page(
                &world
                    .authorize(&client, &[("redirect_uri", &uri)], None)
                    .await,
                400,
            );
            for name in ["return_to", "rd", "next"] {
                let reply = world.authorize(&client, &[(name, &uri)], None).await;
                assert_eq!((reply.status, header(&reply, "location")), (200, None));
            }
            let query = form(&[("rd", &uri)]);
            for path in [
                "/oauth2/callback",
                "/oauth2/register",
                "/register",
                "/.well-known/openid-configuration",
            ] {
                let reply = world.get(&format!("{path}?{query}")).await;
                let to = header(&reply, "location").unwrap_or(BASE);
                assert!(to.starts_with(BASE) && !to.contains("evil"), "{path} {to}");
            }
        }
    }
}

#[tokio::test]
async fn oa_55_nothing_secret_is_kept_or_logged_as_it_is() {
    let (logged, _guard) = crate::run::Logged::listen();
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    let (cookie, at) = world.approved(&client, &[]).await;
    let upstream_state = query_of(&at)["state"].clone();
    let callback = world.logged_in(&at, "ada").await;
    let upstream_code = query_of(&format!("{BASE}{callback}"))["code"].clone();
    let answer = world.back(&callback, &cookie).await;
    let code = query_of(header(&answer, "location").unwrap())["code"].clone();
    let (access, refresh) = pair(&world.redeem(&client, &code, &[]).await);
    let seal = refresh.rsplit('.').next().unwrap();
    let cookie = cookie.split_once('=').unwrap().1;
    let browser = cookie.split('.').next().unwrap();
    let written = world.store.written.lock().unwrap().clone();
    assert!(written.len() >= 4, "{written:?}");
    assert_eq!(world.call("echo", &access).await.status, 200);
    let text = logged.text();
    assert!(text.contains("mcp::"), "something is logged");
    for secret in [
        &*upstream_state,
        &upstream_code,
        &code,
        &access,
        seal,
        browser,
        VERIFIER,
        UPSTREAM_SECRET,
    ] {
        assert!(!text.contains(secret), "{secret} in {text}");
        for (key, value) in &written {
            assert!(key.starts_with("mcp:oauth:"), "{key}");
            let found = key.contains(secret) || value.contains(secret);
            assert!(!found, "{secret} in {key}: {value}");
        }
    }
}

#[tokio::test]
async fn oa_56_a_client_ends_its_own_login_and_no_other() {
    let world = World::new().await;
    let client = world.client(CALLBACK).await;
    let other = world.client(CALLBACK).await;
    let (access, refresh) = world.tokens(&client).await;
    let revoke = async |client: &str| {
        let members = [("token", &*refresh), ("client_id", client)];
        world.post_form("/oauth2/revoke", &members).await.status
    };
    assert_eq!(revoke(&other).await, 200);
    assert_eq!(world.call("echo", &access).await.status, 200);
    assert_eq!(revoke(&client).await, 200);
    assert_eq!(world.call("echo", &access).await.status, 401);
    assert_error(
        &world.refresh(&client, &refresh, &[]).await,
        400,
        "invalid_grant",
    );
}

#[tokio::test]
async fn instances_with_the_same_keys_and_store_take_each_others_tokens() {
    let clock = clock();
    let idp = IdentityProvider::start(clock.clone(), RESOURCE)
        .await
        .unwrap();
    let instance = |secret: &[u8]| {
        let proxy = OAuthProxy::facade(idp.issuer(), "id", UPSTREAM_SECRET).egress(local());
        let server = builder()
            .clock(clock.clone())
            .keys(Keys::new(secret).unwrap())
            .oauth_proxy(proxy);
        TestServer::new(server).unwrap()
    };
    let keys = async |server: &TestServer| {
        let request = Request::get("/.well-known/jwks.json").header("host", "localhost");
        server.send(request.body(Vec::new()).unwrap()).await.body
    };
    let one = keys(&instance(SECRET)).await;
    assert_eq!(one, keys(&instance(SECRET)).await);
    assert_ne!(
        one,
        keys(&instance(b"Zx8vTq3LmN5pRw7yBc2dFg4hJk6s9AeU")).await
    );
}

#[test]
fn a_facade_that_could_not_work_is_not_built() {
    let problem = |proxy: OAuthProxy| {
        let built = builder().oauth_proxy(proxy).build();
        built
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    let facade = || OAuthProxy::facade("https://login.example.com", "id", UPSTREAM_SECRET);
    assert_eq!(problem(facade()), "");
    let minute = Duration::from_mins(1);
    let empty = OAuthProxy::facade("https://login.example.com", "id", "");
    for (proxy, part) in [
        (empty, "needs the client id and the secret"),
        (facade().scopes(["a b"]), "is not a scope"),
        (facade().lives(Duration::ZERO, minute), "tokens live"),
        (facade().lives(minute, Duration::MAX), "tokens live"),
        (
            facade().registrations(Rate::new(1, minute), 0, minute),
            "no client",
        ),
        (
            OAuthProxy::facade("http://login.example.com", "id", "s"),
            "https://",
        ),
    ] {
        let problem = problem(proxy);
        assert!(problem.contains(part), "{part} in {problem}");
    }
    assert!(!format!("{:?}", facade()).contains(UPSTREAM_SECRET));
}
