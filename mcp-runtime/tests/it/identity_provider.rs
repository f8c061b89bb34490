//! The development identity provider, as a client walks through it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcp_runtime::auth::Jwt;
use mcp_runtime::testing::{Endpoint, IdentityProvider, User};
use reqwest::{Client, Response, Url, redirect};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::identity::{RESOURCE, World, assert_invalid, local};

const CALLBACK: &str = "http://127.0.0.1:7777/callback";
const VERIFIER: &str = "a-verifier-of-more-than-forty-three-characters-0123";

/// A client that has read the metadata and registered itself.
struct Visitor {
    world: World,
    http: Client,
    metadata: Value,
    id: String,
}

impl Visitor {
    async fn new() -> Self {
        let world = World::with(|idp| Jwt::discover(idp.issuer()).egress(local())).await;
        let http = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        let at = format!(
            "{}/.well-known/oauth-authorization-server",
            world.idp.issuer()
        );
        let metadata = json_of(http.get(at).send().await.unwrap()).await;
        let mut visitor = Self {
            world,
            http,
            metadata,
            id: String::new(),
        };
        let asked = json!({ "redirect_uris": [CALLBACK], "client_name": "<b>Client</b>" });
        let registered = visitor.register(&asked).await;
        assert_eq!(registered.status(), 201);
        visitor.id = json_of(registered).await["client_id"]
            .as_str()
            .unwrap()
            .to_owned();
        visitor
    }

    fn at(&self, endpoint: &str) -> String {
        self.metadata[endpoint].as_str().unwrap().to_owned()
    }

    async fn register(&self, asked: &Value) -> Response {
        let post = self.http.post(self.at("registration_endpoint"));
        post.body(asked.to_string()).send().await.unwrap()
    }

    /// A good request for authorization, with these members in place of the usual ones.
    fn request(&self, changed: &[(&str, &str)]) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let mut members = BTreeMap::from([
            ("response_type", "code"),
            ("client_id", &self.id),
            ("redirect_uri", CALLBACK),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("scope", "mcp:read"),
            ("state", "st&te"),
            ("resource", RESOURCE),
        ]);
        members.extend(changed.iter().copied());
        form(members)
    }

    async fn page(&self, changed: &[(&str, &str)]) -> Response {
        let at = format!(
            "{}?{}",
            self.at("authorization_endpoint"),
            self.request(changed)
        );
        self.http.get(at).send().await.unwrap()
    }

    /// A code, as the redirect brings it.
    async fn code(&self, changed: &[(&str, &str)]) -> String {
        let post = self.http.post(self.at("authorization_endpoint"));
        let answer = post.body(self.request(changed)).send().await.unwrap();
        assert_eq!(answer.status(), 303);
        let to = Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
        let brought: BTreeMap<String, String> = to.query_pairs().into_owned().collect();
        assert_eq!(brought["state"], "st&te");
        assert_eq!(brought["iss"], self.world.idp.issuer());
        assert!(to.as_str().starts_with(CALLBACK));
        brought["code"].clone()
    }

    async fn token(&self, members: &[(&str, &str)]) -> (u16, Value) {
        let post = self.http.post(self.at("token_endpoint"));
        let body = form(members.iter().copied().collect());
        let answer = post.body(body).send().await.unwrap();
        (answer.status().as_u16(), json_of(answer).await)
    }

    async fn redeem(&self, code: &str, changed: &[(&str, &str)]) -> (u16, Value) {
        let mut members = BTreeMap::from([
            ("grant_type", "authorization_code"),
            ("client_id", &*self.id),
            ("redirect_uri", CALLBACK),
            ("code", code),
            ("code_verifier", VERIFIER),
        ]);
        members.extend(changed.iter().copied());
        let members: Vec<_> = members.into_iter().collect();
        self.token(&members).await
    }

    async fn refresh(&self, token: &str) -> (u16, Value) {
        let members = [
            ("grant_type", "refresh_token"),
            ("client_id", &*self.id),
            ("refresh_token", token),
        ];
        self.token(&members).await
    }
}

fn form(members: BTreeMap<&str, &str>) -> String {
    let mut url = Url::parse("http://localhost").unwrap();
    url.query_pairs_mut().extend_pairs(members);
    url.query().unwrap_or_default().to_owned()
}

async fn json_of(answer: Response) -> Value {
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn from_the_login_page_to_a_call() {
    let visitor = Visitor::new().await;
    let page = visitor.page(&[]).await;
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    assert!(
        page.contains("value=\"ada\"") && page.contains("value=\"bob\""),
        "{page}"
    );
    assert!(
        page.contains("&lt;b&gt;Client") && !page.contains("<b>"),
        "{page}"
    );

    let code = visitor.code(&[("user", "bob")]).await;
    let (status, granted) = visitor.redeem(&code, &[]).await;
    assert_eq!(
        (status, &granted["scope"]),
        (200, &json!("mcp:read")),
        "{granted}"
    );
    let token = granted["access_token"].as_str().unwrap();
    assert_eq!(visitor.world.who(token).await["subject"], "bob");
    assert_eq!(visitor.world.status("echo", token).await, 200);
    assert_eq!(visitor.world.status("wipe", token).await, 403, "step up");

    // Bob can be granted no more than he has; Ada can.
    let asked = |user| [("user", user), ("scope", "mcp:read mcp:admin")];
    let code = visitor.code(&asked("bob")).await;
    assert_eq!(visitor.redeem(&code, &[]).await.1["scope"], "mcp:read");
    let code = visitor.code(&asked("ada")).await;
    let (_, granted) = visitor.redeem(&code, &[]).await;
    let token = granted["access_token"].as_str().unwrap();
    assert_eq!(visitor.world.status("wipe", token).await, 200);
    assert_eq!(
        userinfo(&visitor, token).await.1["email"],
        "ada@example.com"
    );
    assert_eq!(userinfo(&visitor, "garbage").await.0, 401);
}

async fn userinfo(visitor: &Visitor, token: &str) -> (u16, Value) {
    let get = visitor.http.get(visitor.at("userinfo_endpoint"));
    let answer = get.bearer_auth(token).send().await.unwrap();
    (answer.status().as_u16(), json_of(answer).await)
}

#[tokio::test]
async fn a_code_is_good_once_and_for_whom_it_was_meant() {
    let visitor = Visitor::new().await;
    let code = visitor.code(&[("user", "ada")]).await;
    assert_eq!(visitor.redeem(&code, &[]).await.0, 200);
    assert_eq!(
        visitor.redeem(&code, &[]).await,
        (400, json!({ "error": "invalid_grant" }))
    );
    for changed in [
        ("code_verifier", "another-verifier"),
        ("client_id", "client-of-somebody"),
        ("redirect_uri", "http://127.0.0.1:7777/other"),
        ("grant_type", "password"),
        ("resource", "https://other.example.com/mcp"),
    ] {
        let code = visitor.code(&[("user", "ada")]).await;
        assert_eq!(
            visitor.redeem(&code, &[changed]).await.0,
            400,
            "{changed:?}"
        );
    }
    let code = visitor.code(&[("user", "ada")]).await;
    visitor.world.wait(61);
    assert_eq!(visitor.redeem(&code, &[]).await.0, 400, "too late");
}

#[tokio::test]
async fn refresh_tokens_rotate() {
    let visitor = Visitor::new().await;
    let code = visitor.code(&[("user", "ada")]).await;
    let refresh = |granted: &Value| granted["refresh_token"].as_str().unwrap().to_owned();
    let first = refresh(&visitor.redeem(&code, &[]).await.1);
    let (status, granted) = visitor.refresh(&first).await;
    assert_eq!(status, 200);
    let token = granted["access_token"].as_str().unwrap();
    assert_eq!(visitor.world.status("echo", token).await, 200);
    // The old one again: somebody has it who should not. Both are done for.
    assert_eq!(visitor.refresh(&first).await.0, 400);
    assert_eq!(visitor.refresh(&refresh(&granted)).await.0, 400);
}

/// What is wrong with a request is said on the spot, not at an address that it brought along.
#[tokio::test]
async fn nobody_is_sent_to_a_stranger() {
    let visitor = Visitor::new().await;
    for changed in [
        ("redirect_uri", "https://evil.example.com/callback"),
        ("redirect_uri", "http://127.0.0.1:7777/callback/x"),
        ("client_id", "unknown"),
        ("code_challenge", ""),
        ("code_challenge_method", "plain"),
        ("response_type", "token"),
        ("resource", "https://other.example.com/mcp"),
    ] {
        let answer = visitor.page(&[changed]).await;
        assert_eq!(answer.status(), 400, "{changed:?}");
        assert!(answer.headers().get("location").is_none(), "{changed:?}");
    }
    for uri in [
        "http://evil.example.com/",
        "javascript:alert(1)",
        "https://a.example.com/#x",
        "x",
    ] {
        let answer = visitor
            .register(&json!({ "redirect_uris": [CALLBACK, uri] }))
            .await;
        assert_eq!(answer.status(), 400, "{uri}");
    }
    assert_eq!(visitor.register(&json!({})).await.status(), 400);
}

#[tokio::test]
async fn a_client_in_a_page_on_this_machine_may_read_its_answers() {
    let visitor = Visitor::new().await;
    let at = visitor.world.idp.url(Endpoint::Metadata);
    for (origin, shared) in [
        ("http://localhost:6274", true),
        ("https://page.example", false),
    ] {
        for method in [reqwest::Method::GET, reqwest::Method::OPTIONS] {
            let request = visitor.http.request(method.clone(), &at);
            let answer = request.header("origin", origin).send().await.unwrap();
            let allowed = answer.headers().get("access-control-allow-origin");
            assert_eq!(
                allowed.map(|allowed| allowed.to_str().unwrap()),
                shared.then_some(origin),
                "{method} {origin}"
            );
            assert_eq!(answer.status().is_success(), shared, "{method} {origin}");
        }
    }
}

#[tokio::test]
async fn it_stays_on_this_machine() {
    let clock = crate::clock();
    let abroad = ([0, 0, 0, 0], 0).into();
    let refused = IdentityProvider::start_on(abroad, clock.clone(), RESOURCE).await;
    assert!(refused.unwrap_err().to_string().contains("loopback"));
    // Not even for a page that had its name rebound to this machine.
    let visitor = Visitor::new().await;
    let at = visitor.world.idp.url(Endpoint::Authorization);
    let rebound = visitor.http.get(at).header("host", "evil.example.com");
    assert_eq!(rebound.send().await.unwrap().status(), 403);
}

/// Claims of a user, like roles and a tenant, are in the tokens.
#[tokio::test]
async fn users_bring_their_claims() {
    let visitor = Visitor::new().await;
    let mut carol = User::new("carol", ["mcp:read"]);
    carol.claims.insert("roles".to_owned(), json!(["chief"]));
    visitor.world.idp.add_user(carol);
    let code = visitor.code(&[("user", "carol")]).await;
    let (_, granted) = visitor.redeem(&code, &[]).await;
    let token = granted["access_token"].as_str().unwrap();
    assert_eq!(visitor.world.status("ranked", token).await, 200);
    visitor.world.wait(700);
    assert_invalid(
        &visitor.world.call("ranked", token).await,
        "ten minutes are over",
    );
}
