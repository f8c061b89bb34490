//! `reference-server serve --demo-identity`: from no token at all to one, as a client goes.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::program::{Place, Reply};

const CALLBACK: &str = "http://127.0.0.1:9/callback";
const SEND: &str = "instainstru_invites_send";
const METRIC: &str = "instainstru_metrics_describe";

#[tokio::test]
async fn the_demo_identities_log_in_and_step_up() {
    let place = Place::alone().env("MCP_IDENTITY__PROVIDER_LISTEN", "127.0.0.1:0");
    let server = place.serve(&["--demo-identity"]).await;
    let ask = json!({"metric_name": "founding.cap"});
    let params = json!({"name": METRIC, "arguments": ask});
    let none = server.ask(None, "tools/call", params).await;
    assert_eq!(none.status, 401);
    let document = parameter(&none, "resource_metadata");
    let resource = get(&document).await;
    assert_eq!(resource["resource"], format!("{}/mcp", server.url));
    let issuer = resource["authorization_servers"][0]
        .as_str()
        .expect("an issuer");
    let metadata = get(&format!("{issuer}/.well-known/oauth-authorization-server")).await;

    let reader = login(&metadata, "reader", &parameter(&none, "scope")).await;
    assert_eq!(server.call(&reader, METRIC, ask.clone()).await.status, 200);
    let low = server.call(&reader, SEND, json!({})).await;
    assert_eq!(low.status, 403);
    // A reader is not granted what it lacks, however it asks; the admin is.
    let wanted = format!("copilot:read {}", parameter(&low, "scope"));
    let reader = login(&metadata, "reader", &wanted).await;
    assert_eq!(server.call(&reader, SEND, json!({})).await.status, 403);
    let admin = login(&metadata, "admin", &wanted).await;
    let allowed = server.call(&admin, SEND, json!({})).await;
    assert_eq!(allowed.code(), "invalid_arguments");
    // Tokens of the command line go on.
    let token = place.token(&["--as", "reader"]);
    assert_eq!(server.call(&token, METRIC, ask).await.status, 200);
}

/// `(variables, what the error says)`
const REFUSED: &[(&[(&str, &str)], &str)] = &[
    (
        &[("MCP_PUBLIC_URL", "https://mcp.example.com/mcp")],
        "lets everybody in",
    ),
    (
        &[
            ("MCP_LISTEN", "0.0.0.0:0"),
            ("MCP_ALLOWED_HOSTS", "mcp.example.com"),
        ],
        "lets everybody in",
    ),
    (
        &[("MCP_IDENTITY__PROVIDER_LISTEN", "0.0.0.0:0")],
        "loopback",
    ),
    (
        &[("MCP_IDENTITY__PROVIDER_LISTEN", "nonsense")],
        "127.0.0.1:8789",
    ),
];

#[test]
fn the_provider_stays_on_this_machine() {
    for (variables, expected) in REFUSED {
        let place = Place::new()
            .env("MCP_LISTEN", "127.0.0.1:0")
            .env("MCP_IDENTITY__PROVIDER", "true");
        let place = variables.iter().fold(place, |place, (name, value)| {
            place.without(name).env(name, value)
        });
        let output = place.run(&["serve"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && error.contains(expected),
            "{error}"
        );
    }
}

async fn login(metadata: &Value, user: &str, scope: &str) -> String {
    let url = |name: &str| metadata[name].as_str().expect(name).to_owned();
    let client = json!({"client_name": "A test", "redirect_uris": [CALLBACK]}).to_string();
    let client = post(&url("registration_endpoint"), "application/json", client).await;
    let id = client.body["client_id"]
        .as_str()
        .expect("a client")
        .to_owned();
    // The pair of appendix B of RFC 7636.
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let form = |fields: &[(&str, &str)]| {
        let mut url = reqwest::Url::parse("http://x").expect("a URL");
        url.query_pairs_mut().extend_pairs(fields);
        url.query().unwrap_or_default().to_owned()
    };
    let asked = form(&[
        ("response_type", "code"),
        ("client_id", &id),
        ("redirect_uri", CALLBACK),
        ("scope", scope),
        ("state", "s"),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
        ("user", user),
    ]);
    let kind = "application/x-www-form-urlencoded";
    let page = post(&url("authorization_endpoint"), kind, asked).await;
    let to = page.headers["location"].to_str().expect("a redirect");
    let to = reqwest::Url::parse(to).expect("a URL");
    let code = to.query_pairs().find(|(name, _)| name == "code");
    let code = code.expect("a code").1.into_owned();
    let redeemed = form(&[
        ("grant_type", "authorization_code"),
        ("client_id", &id),
        ("redirect_uri", CALLBACK),
        ("code", &code),
        ("code_verifier", verifier),
    ]);
    let tokens = post(&url("token_endpoint"), kind, redeemed).await;
    let token = tokens.body["access_token"].as_str();
    token.expect("a token").to_owned()
}

fn request(method: Method, url: &str) -> RequestBuilder {
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build();
    client.expect("a client").request(method, url)
}

async fn get(url: &str) -> Value {
    Reply::of(request(Method::GET, url)).await.body
}

async fn post(url: &str, kind: &str, body: String) -> Reply {
    let request = request(Method::POST, url);
    Reply::of(request.header("content-type", kind).body(body)).await
}

/// What a challenge says of this.
fn parameter(reply: &Reply, name: &str) -> String {
    let header = reply.headers["www-authenticate"].to_str().expect("text");
    let (_, rest) = header.split_once(&format!("{name}=\"")).expect(header);
    rest.split('"').next().unwrap_or_default().to_owned()
}
