//! Only callers that still belong to the tenant for which they act.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use axum::routing::get;
use mcp_runtime::auth::{Jwt, Membership};
use mcp_runtime::testing::{IdentityProvider, TestServer};
use serde_json::{Value, json};

use crate::identity::{
    RESOURCE, World, assert_denied, assert_invalid, assert_unavailable, builder, local,
};
use crate::live::within;

const SECRET: &str = "CNRY-MEMBERSHIP-77aa";
const KEEP: u64 = 2;

/// How the API of memberships answers.
#[derive(Clone)]
enum Says {
    Status(u16),
    Json(Value),
    Text(&'static str),
    /// Somewhere else.
    Redirect(String),
    Nothing,
}

struct Api {
    url: String,
    says: Arc<Mutex<Says>>,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Api {
    async fn start() -> Self {
        let says = Arc::new(Mutex::new(Says::Json(json!({ "member": true }))));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answers, seen) = (Arc::clone(&says), Arc::clone(&asked));
        let answer = move |request: Request| {
            let says = answers.lock().unwrap().clone();
            let bearer = request.headers().get("authorization");
            let bearer = bearer.and_then(|it| it.to_str().ok()).unwrap_or_default();
            let query = request.uri().query().unwrap_or_default().to_owned();
            seen.lock().unwrap().push((query, bearer.to_owned()));
            async move {
                let response = Response::builder();
                let json = |text: String| {
                    let kind = ("content-type", "application/json");
                    Response::builder()
                        .header(kind.0, kind.1)
                        .body(Body::from(text))
                };
                let response = match says {
                    Says::Status(status) => response.status(status).body(Body::empty()),
                    Says::Json(value) => {
                        // Whoever asks at the same time is to wait for this answer.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        json(value.to_string())
                    }
                    Says::Text(text) => json(text.to_owned()),
                    Says::Redirect(to) => response
                        .status(302)
                        .header("location", to)
                        .body(Body::empty()),
                    Says::Nothing => std::future::pending().await,
                };
                response.unwrap()
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/memberships", listener.local_addr().unwrap());
        let router = Router::new().route("/memberships", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, says, asked }
    }

    fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn hits(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

async fn world() -> (World, Api) {
    let api = Api::start().await;
    let url = api.url.clone();
    let world = World::with(|idp| {
        let tokens = Jwt::discover(idp.issuer())
            .tenant_claim("org_id")
            .egress(local());
        Membership::new(tokens, url)
            .token(SECRET)
            .egress(local())
            .remember(Duration::from_secs(KEEP))
    })
    .await;
    (world, api)
}

fn of_tenant(idp: &IdentityProvider, subject: &str, tenant: &str) -> String {
    idp.token(json!({ "sub": subject, "org_id": tenant }))
}

#[tokio::test]
async fn tn_16_who_is_removed_is_out_when_the_answer_is_no_longer_remembered() {
    let (world, api) = world().await;
    let token = of_tenant(&world.idp, "u_admin", "org_a");
    assert_eq!(world.status("whoami", &token).await, 200);
    assert_eq!(api.hits(), 1, "both revisions, one question");
    assert_eq!(
        api.asked.lock().unwrap()[0].1,
        format!("Bearer {SECRET}"),
        "it asks as itself, never with the token of the client"
    );
    for removed in [
        Says::Json(json!({ "member": false })),
        Says::Status(404),
        Says::Status(403),
    ] {
        api.say(removed);
        world.wait(KEEP - 1);
        assert_eq!(world.status("whoami", &token).await, 200, "remembered");
        world.wait(1);
        let reply = world.call("whoami", &token).await;
        assert_denied(&reply, "removed");
        assert!(!reply.body.to_string().contains(SECRET));
        // Back again, as soon as a refusal is no longer remembered.
        api.say(Says::Json(json!({ "member": true })));
        world.wait(5);
        assert_eq!(world.status("whoami", &token).await, 200);
    }
    // Who acts for nobody is nobody's member.
    api.say(Says::Status(404));
    let (before, alone) = (api.hits(), world.idp.token(json!({ "sub": "u_alone" })));
    assert_eq!(world.status("whoami", &alone).await, 200);
    assert_invalid(&world.call("whoami", "garbage").await, "a bad token");
    assert_eq!(api.hits(), before, "nobody to ask about");
}

#[tokio::test]
async fn tn_16_what_is_no_answer_lets_nobody_in() {
    let (world, api) = world().await;
    let (elsewhere, hits) = crate::oauth_relay::sink().await;
    let rows = [
        ("an error", Says::Status(500)),
        ("another error", Says::Status(401)),
        ("a redirect", Says::Redirect(elsewhere)),
        ("something else", Says::Json(json!({ "ok": true }))),
        ("a text", Says::Json(json!({ "member": "true" }))),
        ("a number", Says::Json(json!({ "member": 1 }))),
        ("a list", Says::Json(json!([{ "member": true }]))),
        ("no JSON", Says::Text("{")),
        ("twice", Says::Text("{\"member\":false,\"member\":true}")),
        ("nothing", Says::Nothing),
    ];
    for (n, (what, says)) in rows.into_iter().enumerate() {
        api.say(says);
        let token = of_tenant(&world.idp, &format!("u_{n}"), "org_a");
        let since = Instant::now();
        let reply = world.call("open", &token).await;
        assert_unavailable(&reply, what);
        // Once for each revision.
        assert!(since.elapsed() < Duration::from_secs(13), "{what}");
        // What was no answer is not remembered as one.
        api.say(Says::Json(json!({ "member": true })));
        assert_eq!(world.status("open", &token).await, 200, "{what}");
    }
    assert_eq!(hits.load(Ordering::SeqCst), 0, "no redirect is followed");
}

/// TN-17: (`a:b`, `c`) is not (`a`, `b:c`), nor is the same subject of another tenant.
#[tokio::test]
async fn tn_17_tn_19_a_membership_is_of_one_subject_in_one_tenant() {
    let (world, api) = world().await;
    let pairs = [
        ("a:b", "c"),
        ("a", "b:c"),
        ("a", "c"),
        ("a&tenant=c", "x"),
        ("a", "C"),
    ];
    for (at, (subject, tenant)) in pairs.into_iter().enumerate() {
        let token = of_tenant(&world.idp, subject, tenant);
        assert_eq!(world.status("open", &token).await, 200);
        assert_eq!(api.hits(), at + 1, "{subject} of {tenant} is asked about");
        let query = api.asked.lock().unwrap()[at].0.clone();
        let url = reqwest::Url::parse(&format!("http://localhost/?{query}")).unwrap();
        let told: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let expected = [
            ("issuer", world.idp.issuer()),
            ("subject", subject),
            ("tenant", tenant),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(told, expected);
    }
    // A new token of the same person is no new question, and keeps its own scopes.
    let more = json!({ "sub": "a", "org_id": "c", "scope": "mcp:read mcp:admin" });
    let token = world.idp.token(more);
    assert_eq!(world.status("wipe", &token).await, 200);
    let less = json!({ "sub": "a", "org_id": "c", "scope": "mcp:read" });
    assert_eq!(world.status("wipe", &world.idp.token(less)).await, 403);
    assert_eq!(api.hits(), pairs.len());
}

#[tokio::test]
async fn requests_that_want_to_know_the_same_ask_once() {
    let (world, api) = world().await;
    let server = Arc::new(world.server.clone());
    let calls: Vec<_> = (0..50)
        .map(|_| {
            // Tokens of their own, so that nothing else is shared.
            let token = world.idp.mint().claim("sub", "u").claim("org_id", "org_a");
            let token = token.claim("jti", format!("{:?}", Instant::now())).sign();
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                let ask = crate::identity::bare("open");
                let ask = ask.header("authorization", &format!("Bearer {token}"));
                ask.send(&server).await.status
            })
        })
        .collect();
    for call in calls {
        assert_eq!(within(call).await.unwrap(), 200);
    }
    assert_eq!(api.hits(), 1);
}

#[tokio::test]
async fn what_is_not_safe_is_not_built() {
    let tokens = || Jwt::discover("https://as.example.com");
    for (url, problem) in [
        ("http://api.example.com/m", "https://"),
        ("http://127.0.0.1:1/m", "not encrypted"),
        ("https://10.0.0.1/m", "not public"),
        ("https://u:CNRY@api.example.com/m", "password"),
        ("memberships", "not a URL"),
    ] {
        let server = builder().auth_within(move |auth| Box::new(Membership::new(auth, url)));
        let error = TestServer::new(server.auth(tokens()))
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(problem), "{url}: {error}");
        assert!(!error.contains("CNRY"), "{error}");
    }
    let shown = format!("{:?}", Membership::new(tokens(), RESOURCE).token(SECRET));
    assert!(!shown.contains(SECRET), "{shown}");
}
