//! `[auth.oauth_proxy]`: from no token at all to one, through the server itself.

use mcp_runtime::Clock;
use mcp_runtime::testing::{Endpoint, IdentityProvider, User};
use reqwest::{Method, RequestBuilder, Url};
use serde_json::{Value, json};

use super::program::{Place, Reply, Running};

const ORIGIN: &str = "https://mcp.example.com";
const RESOURCE: &str = "https://mcp.example.com/mcp";
const CALLBACK: &str = "http://127.0.0.1:9/callback";
const SECRET: &str = "CNRY-UPSTREAM-9c1e";
const METRIC: &str = "instainstru_metrics_describe";
const SEND: &str = "instainstru_invites_send";
// The pair of appendix B of RFC 7636.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const FORM: &str = "application/x-www-form-urlencoded";

fn form(fields: &[(&str, &str)]) -> String {
    let mut url = Url::parse("http://x").expect("a URL");
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_owned()
}

/// A browser and a client in one, to whom the server is at its public URL. Goes nowhere by itself.
struct Visitor<'a> {
    server: &'a Running,
}

impl Visitor<'_> {
    fn to(&self, method: Method, url: &str) -> RequestBuilder {
        match url.strip_prefix(ORIGIN) {
            Some(path) => self
                .server
                .request(method, path)
                .header("host", "mcp.example.com"),
            None => reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .expect("a client")
                .request(method, url),
        }
    }

    async fn get(&self, url: &str) -> Reply {
        Reply::of(self.to(Method::GET, url)).await
    }

    async fn post(&self, url: &str, kind: &str, body: String) -> Reply {
        let request = self.to(Method::POST, url).header("content-type", kind);
        Reply::of(request.body(body)).await
    }

    async fn metadata(&self) -> Value {
        let refused = self
            .server
            .ask(None, "tools/call", json!({"name": METRIC, "arguments": {}}))
            .await;
        assert_eq!(refused.status, 401, "{}", refused.body);
        let document = format!("{ORIGIN}/.well-known/oauth-protected-resource/mcp");
        let challenge = refused.headers["www-authenticate"].to_str().expect("text");
        assert!(challenge.contains(&document), "{challenge}");
        let resource = self.get(&document).await.body;
        assert_eq!(resource["authorization_servers"], json!([ORIGIN]));
        let at = format!("{ORIGIN}/.well-known/oauth-authorization-server");
        self.get(&at).await.body
    }

    async fn register(&self, metadata: &Value) -> String {
        let client = json!({"client_name": "A test", "redirect_uris": [CALLBACK]}).to_string();
        let at = metadata["registration_endpoint"].as_str().expect("a place");
        let reply = self.post(at, "application/json", client).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.body["client_id"].as_str().expect("an id").to_owned()
    }

    /// Where the provider asks who it is, with everything of a request.
    fn authorization(&self, metadata: &Value, client: &str, scope: &str) -> String {
        let at = metadata["authorization_endpoint"]
            .as_str()
            .expect("a place");
        let query = form(&[
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", CALLBACK),
            ("scope", scope),
            ("state", "s"),
            ("resource", RESOURCE),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]);
        format!("{at}?{query}")
    }

    /// Where the provider sends a user who has logged in.
    async fn log_in(&self, at: &str, user: &str) -> String {
        let (place, query) = at.split_once('?').expect("a query");
        let asked = format!("{query}&user={user}");
        location(&self.post(place, FORM, asked).await)
    }

    async fn redeem(&self, metadata: &Value, client: &str, to: &str) -> Value {
        let to = Url::parse(to).expect("a URL");
        let code = to.query_pairs().find(|(name, _)| name == "code");
        let code = code
            .unwrap_or_else(|| panic!("a code: {to}"))
            .1
            .into_owned();
        let at = metadata["token_endpoint"].as_str().expect("a place");
        let redeemed = form(&[
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("redirect_uri", CALLBACK),
            ("code", &code),
            ("code_verifier", VERIFIER),
        ]);
        let reply = self.post(at, FORM, redeemed).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.body
    }

    /// The page that asks the user, and the cookie that belongs to it: yes.
    async fn consent(&self, page: &Reply) -> (String, String) {
        assert_eq!(page.status, 200, "{}", page.body);
        let cookie = page.headers["set-cookie"].to_str().expect("text");
        assert!(cookie.starts_with("__Host-"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        let field = |name: &str| {
            let html = page.body.as_str().expect("a page");
            let mark = format!("name=\"{name}\" value=\"");
            let (_, rest) = html.split_once(&mark).expect("a field");
            rest.split('"').next().unwrap_or_default().to_owned()
        };
        let (request, csrf) = (field("request"), field("csrf"));
        let yes = form(&[
            ("request", &request),
            ("csrf", &csrf),
            ("action", "approve"),
        ]);
        let answer = self
            .to(Method::POST, &format!("{ORIGIN}/oauth2/consent"))
            .header("content-type", FORM)
            .header("cookie", &cookie)
            .body(yes);
        (cookie, location(&Reply::of(answer).await))
    }
}

#[track_caller]
fn location(reply: &Reply) -> String {
    let to = reply.headers.get("location");
    let to = to.unwrap_or_else(|| panic!("a redirect: {} {}", reply.status, reply.body));
    to.to_str().expect("text").to_owned()
}

async fn provider() -> IdentityProvider {
    let idp = IdentityProvider::start(Clock::system(), RESOURCE)
        .await
        .expect("an identity provider");
    idp.set_users([
        User::new("ada", ["copilot:read", "copilot:write"]),
        User::new("eve", ["copilot:read", "copilot:write"]),
    ]);
    idp
}

/// As an operator registers this server at the provider.
async fn registered(idp: &IdentityProvider) -> String {
    let ours = json!({"client_name": "Us", "redirect_uris": [format!("{ORIGIN}/oauth2/callback")]});
    let request = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let request = request
        .post(idp.url(Endpoint::Registration))
        .body(ours.to_string());
    let reply = Reply::of(request).await;
    reply.body["client_id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_facade_takes_a_client_from_registration_to_a_call() {
    let idp = provider().await;
    let client_id = registered(&idp).await;
    let place = Place::new().env("UPSTREAM", SECRET);
    let config = format!(
        r#"
        public_url = "{RESOURCE}"
        [identity]
        demo = false
        [auth]
        allow_emails = ["ada@example.com"]
        [auth.oauth_proxy]
        mode = "facade"
        upstream = "{issuer}"
        client_id = "{client_id}"
        client_secret_env = "UPSTREAM"
        scopes = ["copilot:read"]
        scopes_for = {{ "ada@example.com" = ["copilot:write"] }}
        allow_loopback = true
        "#,
        issuer = idp.issuer()
    );
    std::fs::write(place.path().join("config.toml"), config).expect("written");
    let server = place.serve(&["--config", "config.toml"]).await;
    let visitor = Visitor { server: &server };
    let metadata = visitor.metadata().await;
    assert_eq!(metadata["issuer"], ORIGIN);
    let client = visitor.register(&metadata).await;
    assert_ne!(client, client_id);

    let asked = visitor.authorization(&metadata, &client, "copilot:read");
    let (cookie, at) = visitor.consent(&visitor.get(&asked).await).await;
    assert!(at.starts_with(&idp.url(Endpoint::Authorization)), "{at}");
    let back = visitor.log_in(&at, "ada").await;
    let back = visitor.to(Method::GET, &back).header("cookie", &cookie);
    let to = location(&Reply::of(back).await);
    assert!(to.starts_with(CALLBACK) && to.contains("state=s"), "{to}");
    let tokens = visitor.redeem(&metadata, &client, &to).await;
    let token = tokens["access_token"].as_str().expect("a token");
    let arguments = json!({"metric_name": "founding.cap"});
    let reply = server.call(token, METRIC, arguments.clone()).await;
    assert_eq!(reply.structured()["data"]["metric"], "founding.cap");
    assert_eq!(server.call(token, SEND, json!({})).await.status, 403);
    // What the provider issues is nobody's business here.
    let theirs = idp.token(json!({"sub": "ada", "scope": "copilot:read"}));
    assert_eq!(server.call(&theirs, METRIC, arguments).await.status, 401);

    // Who is not listed gets no further than the login.
    let (cookie, at) = visitor.consent(&visitor.get(&asked).await).await;
    let back = visitor.log_in(&at, "eve").await;
    let back = visitor.to(Method::GET, &back).header("cookie", &cookie);
    let to = location(&Reply::of(back).await);
    assert!(to.contains("error=access_denied"), "{to}");
    for hidden in [SECRET, token] {
        assert!(!server.log().contains(hidden), "{}", server.log());
    }
}

#[tokio::test]
async fn a_relay_takes_a_client_from_registration_to_a_call() {
    let idp = provider().await;
    let place = Place::new();
    let config = format!(
        r#"
        public_url = "{RESOURCE}"
        [identity]
        demo = false
        [[auth.issuer]]
        issuer = "{issuer}"
        allow_loopback = true
        [auth.oauth_proxy]
        mode = "relay"
        upstream = "{issuer}"
        allow_loopback = true
        "#,
        issuer = idp.issuer()
    );
    std::fs::write(place.path().join("config.toml"), config).expect("written");
    let server = place.serve(&["--config", "config.toml"]).await;
    let visitor = Visitor { server: &server };
    let metadata = visitor.metadata().await;
    assert_eq!(metadata["issuer"], idp.issuer());
    assert_eq!(metadata["token_endpoint"], format!("{ORIGIN}/oauth2/token"));
    let client = visitor.register(&metadata).await;
    let asked = visitor.authorization(&metadata, &client, "copilot:read");
    assert!(
        asked.starts_with(&idp.url(Endpoint::Authorization)),
        "{asked}"
    );
    let to = visitor.log_in(&asked, "ada").await;
    let tokens = visitor.redeem(&metadata, &client, &to).await;
    let token = tokens["access_token"].as_str().expect("a token");
    let arguments = json!({"metric_name": "founding.cap"});
    let reply = server.call(token, METRIC, arguments).await;
    assert_eq!(reply.structured()["data"]["metric"], "founding.cap");
    assert_eq!(server.call(token, SEND, json!({})).await.status, 403);
    assert!(!server.log().contains(token));
}

/// OA-42: what the provider issues for somebody else is relayed, and is good for nothing here.
#[tokio::test]
async fn oa_42_a_relayed_token_for_another_audience_opens_nothing() {
    let idp = IdentityProvider::start(Clock::system(), "https://other.example.com/mcp")
        .await
        .expect("an identity provider");
    let place = Place::new();
    let issuer = format!("[{{ issuer = '{}', allow_loopback = true }}]", idp.issuer());
    let place = place
        .env("MCP_PUBLIC_URL", RESOURCE)
        .env("MCP_AUTH__ISSUER", &issuer)
        .env("MCP_AUTH__OAUTH_PROXY__MODE", "relay")
        .env("MCP_AUTH__OAUTH_PROXY__UPSTREAM", idp.issuer())
        .env("MCP_AUTH__OAUTH_PROXY__ALLOW_LOOPBACK", "true");
    let server = place.serve(&[]).await;
    let visitor = Visitor { server: &server };
    let metadata = visitor.metadata().await;
    let client = visitor.register(&metadata).await;
    // The provider only knows its own resource.
    let asked = visitor.authorization(&metadata, &client, "copilot:read");
    let asked = asked.replace(&form(&[("resource", RESOURCE)]), "");
    let to = visitor.log_in(&asked, "ada").await;
    let tokens = visitor.redeem(&metadata, &client, &to).await;
    let token = tokens["access_token"].as_str().expect("relayed");
    let refused = server
        .call(token, METRIC, json!({"metric_name": "founding.cap"}))
        .await;
    assert_eq!(refused.status, 401, "{}", refused.body);
}

const FACADE: &[(&str, &str)] = &[
    ("MODE", "facade"),
    ("UPSTREAM", "https://login.example.com"),
    ("CLIENT_ID", "us"),
    ("CLIENT_SECRET_ENV", "S"),
    ("SCOPES", "copilot:read"),
    ("ALLOW_EVERYBODY", "true"),
];
const RELAY: &[(&str, &str)] = &[("MODE", "relay"), ("UPSTREAM", "https://login.example.com")];

/// `(what is good, what is changed in it, what the error says)`; an empty value is left out.
type Row = (
    &'static [(&'static str, &'static str)],
    &'static [(&'static str, &'static str)],
    &'static str,
);

const REFUSED: &[Row] = &[
    (FACADE, &[("MODE", "")], "has no `mode`"),
    (FACADE, &[("MODE", "both")], "oauth_proxy"),
    (FACADE, &[("UPSTREAM", "")], "has no `upstream`"),
    (
        FACADE,
        &[("UPSTREAM", "http://login.example.com")],
        "does not start with https://",
    ),
    (
        FACADE,
        &[("UPSTREAM", "http://127.0.0.1:9")],
        "allow_loopback",
    ),
    (FACADE, &[("CLIENT_ID", "")], "has no `client_id`"),
    (FACADE, &[("CLIENT_SECRET_ENV", "")], "has no secret"),
    (
        FACADE,
        &[("CLIENT_SECRET_ENV", "NOWHERE")],
        "NOWHERE is not set",
    ),
    (FACADE, &[("CLIENT_SECRET_ENV", "BLANK")], "is empty"),
    (FACADE, &[("CLIENT_SECRET_FILE", "f")], "keep one"),
    (FACADE, &[("CLIENT_SECRET", SECRET)], "no setting"),
    (FACADE, &[("ALLOW_EVERYBODY", "")], "lets nobody in"),
    (FACADE, &[("SCOPES", "")], "grants no scope"),
    (FACADE, &[("OWN_ISSUER", "true")], "is for a relay"),
    (FACADE, &[("TOKEN_LIFE", "15m")], "both or neither"),
    (
        FACADE,
        &[("TOKEN_LIFE", "2h"), ("LOGIN_LIFE", "1h")],
        "not shorter",
    ),
    (RELAY, &[], "nobody here checks"),
    (RELAY, &[("CLIENT_ID", "us")], "client_id is for a facade"),
    (
        RELAY,
        &[("SCOPES", "copilot:read")],
        "scopes is for a facade",
    ),
];

#[test]
fn hi_04_a_proxy_that_would_not_be_safe_does_not_start() {
    let start = |chosen: &[(String, String)]| {
        let place = Place::new().env("S", SECRET).env("BLANK", " ");
        let place = place.env("MCP_LISTEN", "127.0.0.1:0");
        let place = chosen
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .fold(place, |place, (name, value)| place.env(name, value));
        let output = place.run(&["serve"]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{chosen:?}");
        let refused = error
            .lines()
            .filter(|line| line.starts_with("reference-server:"));
        assert_eq!(refused.count(), 1, "one clear line: {error}");
        assert!(!error.contains(SECRET), "{error}");
        error
    };
    let full = |name: &str| format!("MCP_AUTH__OAUTH_PROXY__{name}");
    let mut rows: Vec<(Vec<(String, String)>, &str)> = Vec::new();
    for (good, changed, expected) in REFUSED {
        let kept = good
            .iter()
            .filter(|(name, _)| changed.iter().all(|(other, _)| other != name));
        let all = kept.chain(*changed);
        let mut all: Vec<_> = all
            .map(|(name, value)| (full(name), (*value).to_owned()))
            .collect();
        all.push(("MCP_PUBLIC_URL".to_owned(), RESOURCE.to_owned()));
        rows.push((all, expected));
    }
    let facade = |more: &[(&str, &str)]| {
        let mut all: Vec<_> = FACADE
            .iter()
            .map(|(name, value)| (full(name), (*value).to_owned()))
            .collect();
        let more = more.iter();
        all.extend(more.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        all
    };
    rows.push((facade(&[]), "needs public_url"));
    rows.push((
        facade(&[("MCP_PUBLIC_URL", "http://mcp.example.com/mcp")]),
        "https://",
    ));
    rows.push((
        facade(&[("MCP_PUBLIC_URL", RESOURCE), ("MCP_AUTH__MODE", "open")]),
        "takes none",
    ));
    rows.push((
        facade(&[
            ("MCP_PUBLIC_URL", RESOURCE),
            ("MCP_AUTH__ALLOW_EMAILS", "ada@example.com"),
        ]),
        "keep one",
    ));
    for (chosen, expected) in rows {
        let error = start(&chosen);
        assert!(error.contains(expected), "{chosen:?}: {error}");
    }
}
