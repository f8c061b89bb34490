//! The endpoints.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State as Extract};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use jiff::Timestamp;
use reqwest::Url;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::mint::{Mint, own_claims};
use super::{Endpoint, Fault, Shared, User, find, remember, take};
use crate::digest::{hex, random};
use crate::http::guard::Guard;

/// The one client that may ask about tokens.
pub(super) const INTROSPECTION_CLIENT: (&str, &str) = ("resource-server", "resource-server-secret");

const MAX_BODY: usize = 64 << 10;
const CODE_LIVES: Duration = Duration::from_mins(1);
const TOKEN_LIVES: i64 = 600;

type Idp = Extract<Arc<Shared>>;
type Form = BTreeMap<String, String>;

/// A client that registered itself.
pub(super) struct Registered {
    redirect_uris: Vec<String>,
    name: String,
}

/// What a user let a client do, under a code that is good once.
#[derive(Clone)]
pub(super) struct Grant {
    client: String,
    redirect_uri: String,
    challenge: String,
    subject: String,
    scope: String,
    until: Timestamp,
}

/// A refresh token; once used it stays known, so that using it again gives the thief away.
pub(super) struct Refresh {
    family: String,
    used: bool,
    grant: Grant,
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route(Endpoint::Metadata.path(), get(metadata))
        .route("/.well-known/oauth-authorization-server", get(metadata))
        .route(Endpoint::Jwks.path(), get(jwks))
        .route(Endpoint::Registration.path(), post(register))
        .route(Endpoint::Authorization.path(), get(login).post(logged_in))
        .route(Endpoint::Token.path(), post(token))
        .route(Endpoint::Userinfo.path(), get(userinfo).post(userinfo))
        .route(Endpoint::Introspection.path(), post(introspect))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), gate))
        .with_state(shared)
}

/// Counts, and fails what is to fail. Pages that had their name rebound to this machine stay out.
async fn gate(Extract(idp): Idp, request: Request, next: Next) -> Response {
    if Guard::default()
        .check(request.uri(), request.headers())
        .is_err()
    {
        return plain(StatusCode::FORBIDDEN, "text/plain", "Not from here\n");
    }
    // Clients in a page, on this machine like everything that comes this far.
    let origin = request.headers().get(header::ORIGIN).cloned();
    let preflight = origin.is_some() && request.method() == Method::OPTIONS;
    let mut answer = match preflight {
        true => plain(StatusCode::NO_CONTENT, "text/plain", ""),
        false => counted(&idp, request, next).await,
    };
    if let Some(origin) = origin {
        let headers = answer.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        let any = HeaderValue::from_static("Authorization, Content-Type, MCP-Protocol-Version");
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, any);
    }
    answer
}

async fn counted(idp: &Shared, request: Request, next: Next) -> Response {
    let endpoint = match request.uri().path() {
        "/.well-known/oauth-authorization-server" => Some(Endpoint::Metadata),
        path => ENDPOINTS.into_iter().find(|known| known.path() == path),
    };
    let Some(endpoint) = endpoint else {
        return next.run(request).await;
    };
    let fault = {
        let mut state = idp.state();
        *state.hits.entry(endpoint).or_default() += 1;
        state.faults.get(&endpoint).cloned()
    };
    match fault {
        None => next.run(request).await,
        Some(fault) => fail(fault).await,
    }
}

const ENDPOINTS: [Endpoint; 7] = [
    Endpoint::Metadata,
    Endpoint::Jwks,
    Endpoint::Registration,
    Endpoint::Authorization,
    Endpoint::Token,
    Endpoint::Userinfo,
    Endpoint::Introspection,
];

async fn fail(fault: Fault) -> Response {
    match fault {
        Fault::Status(status) => plain(
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            "text/plain",
            "",
        ),
        Fault::Hang => {
            tokio::time::sleep(Duration::from_mins(1)).await;
            plain(StatusCode::GATEWAY_TIMEOUT, "text/plain", "")
        }
        Fault::Html => plain(StatusCode::OK, "text/html", "<h1>Be right back</h1>"),
        Fault::Json(body) => plain(StatusCode::OK, "application/json", body),
        Fault::Redirect(to) => redirect(StatusCode::FOUND, &to),
        Fault::Huge => plain(
            StatusCode::OK,
            "application/json",
            format!("[\"{}\"]", "x".repeat(10 << 20)),
        ),
    }
}

async fn metadata(Extract(idp): Idp) -> Response {
    let url = |endpoint: Endpoint| format!("{}{}", idp.issuer, endpoint.path());
    json_answer(
        StatusCode::OK,
        &json!({
            "issuer": idp.issuer,
            "jwks_uri": url(Endpoint::Jwks),
            "registration_endpoint": url(Endpoint::Registration),
            "authorization_endpoint": url(Endpoint::Authorization),
            "token_endpoint": url(Endpoint::Token),
            "userinfo_endpoint": url(Endpoint::Userinfo),
            "introspection_endpoint": url(Endpoint::Introspection),
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "authorization_response_iss_parameter_supported": true,
        }),
    )
}

async fn jwks(Extract(idp): Idp) -> Response {
    let published = idp.state().published.clone();
    let keys: Vec<Value> = published.into_iter().map(super::mint::jwk).collect();
    json_answer(StatusCode::OK, &json!({ "keys": keys }))
}

async fn register(Extract(idp): Idp, body: Body) -> Response {
    let body = read(body).await;
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let uris = asked["redirect_uris"].as_array().into_iter().flatten();
    let uris: Vec<String> = uris
        .filter_map(|uri| uri.as_str().map(str::to_owned))
        .collect();
    if uris.is_empty() || !uris.iter().all(|uri| may_be_sent_to(uri)) {
        return oauth_error(StatusCode::BAD_REQUEST, "invalid_redirect_uri");
    }
    let id = format!("client-{}", hex(&random::<12>()));
    let name = asked["client_name"].as_str().unwrap_or("A client");
    let client = Registered {
        redirect_uris: uris.clone(),
        name: name.chars().take(100).collect(),
    };
    let answer = json!({
        "client_id": id,
        "client_name": client.name,
        "redirect_uris": uris,
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
    });
    remember(&mut idp.state().clients, id, client);
    json_answer(StatusCode::CREATED, &answer)
}

/// `https`, or a client on this machine.
fn may_be_sent_to(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| {
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        url.fragment().is_none() && (url.scheme() == "https" || url.scheme() == "http" && local)
    })
}

/// The login page: a list of users to be.
async fn login(Extract(idp): Idp, uri: Uri) -> Response {
    let asked = form(uri.query().unwrap_or_default());
    let client = match request_of(&idp, &asked) {
        Ok(client) => client,
        Err(problem) => return plain(StatusCode::BAD_REQUEST, "text/plain", problem),
    };
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><title>Sign in</title><h1>Sign in</h1>\
         <p>{} asks for: {}</p><form method=\"post\">",
        escaped(&client),
        escaped(asked.get("scope").map_or("what you may", String::as_str)),
    );
    // Writing to a `String` cannot fail.
    for (name, value) in &asked {
        let (name, value) = (escaped(name), escaped(value));
        let _ = write!(
            page,
            "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">"
        );
    }
    for user in &idp.state().users {
        let subject = escaped(&user.subject);
        let _ = write!(
            page,
            "<p><button name=\"user\" value=\"{subject}\">{subject} ({})</button></p>",
            escaped(&user.email)
        );
    }
    page += "</form></html>";
    plain(StatusCode::OK, "text/html; charset=utf-8", page)
}

/// What is wrong with a request for authorization is said here, never at an address that the
/// request itself brought along; else the name of the client.
fn request_of(idp: &Shared, asked: &Form) -> Result<String, &'static str> {
    let get = |name: &str| asked.get(name).map(String::as_str);
    let state = idp.state();
    let client = get("client_id").and_then(|id| find(&state.clients, id));
    let client = client.ok_or("This client is not registered\n")?;
    let known = |uri: &str| client.redirect_uris.iter().any(|known| known == uri);
    if !get("redirect_uri").is_some_and(known) {
        return Err("This redirect URI is not registered\n");
    }
    if get("response_type") != Some("code") {
        return Err("Ask for response_type=code\n");
    }
    let challenge = get("code_challenge").is_some_and(|challenge| challenge.len() == 43);
    if !challenge || get("code_challenge_method") != Some("S256") {
        return Err("Use PKCE with code_challenge_method=S256\n");
    }
    if get("resource").is_some_and(|resource| !is_resource(idp, resource)) {
        return Err("This resource is not known\n");
    }
    Ok(client.name.clone())
}

fn is_resource(idp: &Shared, asked: &str) -> bool {
    asked.trim_end_matches('/') == idp.resource.trim_end_matches('/')
}

async fn logged_in(Extract(idp): Idp, body: Body) -> Response {
    let asked = form(&String::from_utf8_lossy(&read(body).await));
    if let Err(problem) = request_of(&idp, &asked) {
        return plain(StatusCode::BAD_REQUEST, "text/plain", problem);
    }
    let get = |name: &str| asked.get(name).cloned().unwrap_or_default();
    let user = {
        let state = idp.state();
        let chosen = asked.get("user");
        let mut users = state.users.iter();
        users
            .find(|user| Some(&user.subject) == chosen)
            .map(|user| (user.subject.clone(), granted(user, &get("scope"))))
    };
    let Some((subject, scope)) = user else {
        return plain(StatusCode::BAD_REQUEST, "text/plain", "No such user\n");
    };
    let code = hex(&random::<24>());
    let grant = Grant {
        client: get("client_id"),
        redirect_uri: get("redirect_uri"),
        challenge: get("code_challenge"),
        subject,
        scope,
        until: idp.now() + CODE_LIVES,
    };
    let Ok(mut to) = Url::parse(&grant.redirect_uri) else {
        return plain(StatusCode::BAD_REQUEST, "text/plain", "No such place\n");
    };
    {
        let mut query = to.query_pairs_mut();
        query.append_pair("code", &code);
        query.append_pair("iss", &idp.issuer);
        if let Some(state) = asked.get("state") {
            query.append_pair("state", state);
        }
    }
    remember(&mut idp.state().codes, code, grant);
    redirect(StatusCode::SEE_OTHER, to.as_str())
}

/// What is asked for and can be granted; all of it where nothing is asked for.
fn granted(user: &User, asked: &str) -> String {
    let any = user.scopes.iter().any(|scope| scope == "*");
    let asked: Vec<&str> = asked.split_whitespace().collect();
    let all = user.scopes.iter().map(String::as_str);
    let granted: Vec<&str> = match asked.is_empty() {
        true => all.filter(|scope| *scope != "*").collect(),
        false => asked
            .into_iter()
            .filter(|scope| any || user.scopes.iter().any(|known| known == scope))
            .collect(),
    };
    granted.join(" ")
}

async fn token(Extract(idp): Idp, body: Body) -> Response {
    let asked = form(&String::from_utf8_lossy(&read(body).await));
    let get = |name: &str| asked.get(name).map_or("", String::as_str);
    if asked.contains_key("resource") && !is_resource(&idp, get("resource")) {
        return oauth_error(StatusCode::BAD_REQUEST, "invalid_target");
    }
    let outcome = match get("grant_type") {
        "authorization_code" => redeem(&idp, &get),
        "refresh_token" => refresh(&idp, &get),
        _ => return oauth_error(StatusCode::BAD_REQUEST, "unsupported_grant_type"),
    };
    match outcome {
        Some((grant, family)) => issue(&idp, &grant, family),
        None => oauth_error(StatusCode::BAD_REQUEST, "invalid_grant"),
    }
}

fn redeem<'a>(idp: &Shared, get: &dyn Fn(&str) -> &'a str) -> Option<(Grant, String)> {
    // Taken out whatever comes of it: a code is good once.
    let grant = take(&mut idp.state().codes, get("code"))?;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(get("code_verifier")));
    let good = grant.client == get("client_id")
        && grant.redirect_uri == get("redirect_uri")
        && grant.challenge == challenge
        && idp.now() < grant.until;
    good.then(|| (grant, hex(&random::<12>())))
}

fn refresh<'a>(idp: &Shared, get: &dyn Fn(&str) -> &'a str) -> Option<(Grant, String)> {
    let mut state = idp.state();
    let (_, sent) = state
        .refreshes
        .iter_mut()
        .find(|(name, _)| name == get("refresh_token"))?;
    if sent.grant.client != get("client_id") {
        return None;
    }
    if sent.used {
        // It was stolen, from the client or by it: nothing of this family is good any more.
        let family = sent.family.clone();
        state.refreshes.retain(|(_, other)| other.family != family);
        return None;
    }
    sent.used = true;
    Some((sent.grant.clone(), sent.family.clone()))
}

fn issue(idp: &Shared, grant: &Grant, family: String) -> Response {
    let refresh = hex(&random::<24>());
    let mut state = idp.state();
    let mut mint = Mint::new(idp.base_claims(), state.signing.clone())
        .claim("sub", grant.subject.as_str())
        .claim("client_id", grant.client.as_str())
        .claim("scope", grant.scope.as_str());
    if let Some(user) = state
        .users
        .iter()
        .find(|user| user.subject == grant.subject)
    {
        mint = mint
            .claim("email", user.email.as_str())
            .claim("email_verified", user.email_verified);
        for (name, value) in &user.claims {
            mint = mint.claim(name, value.clone());
        }
    }
    let grant = grant.clone();
    let answer = json!({
        "access_token": mint.sign(),
        "token_type": "Bearer",
        "expires_in": TOKEN_LIVES,
        "scope": grant.scope,
        "refresh_token": refresh,
    });
    let issued = Refresh {
        family,
        used: false,
        grant,
    };
    remember(&mut state.refreshes, refresh, issued);
    json_answer(StatusCode::OK, &answer)
}

async fn userinfo(Extract(idp): Idp, headers: HeaderMap) -> Response {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let claims = token.and_then(|token| known_claims(&idp, token));
    let state = idp.state();
    let user = claims.and_then(|claims| {
        let mut users = state.users.iter();
        users.find(|user| claims["sub"] == user.subject.as_str())
    });
    match user {
        Some(user) => json_answer(
            StatusCode::OK,
            &json!({
                "sub": user.subject,
                "email": user.email,
                "email_verified": user.email_verified,
            }),
        ),
        None => oauth_error(StatusCode::UNAUTHORIZED, "invalid_token"),
    }
}

async fn introspect(Extract(idp): Idp, headers: HeaderMap, body: Body) -> Response {
    let (id, secret) = INTROSPECTION_CLIENT;
    let expected = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    if headers
        .get(header::AUTHORIZATION)
        .is_none_or(|sent| sent != expected.as_str())
    {
        return oauth_error(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let asked = form(&String::from_utf8_lossy(&read(body).await));
    let claims = asked
        .get("token")
        .and_then(|token| known_claims(&idp, token))
        .filter(|claims| {
            claims["exp"]
                .as_i64()
                .is_none_or(|end| idp.now().as_second() < end)
        });
    let answer = match claims {
        Some(Value::Object(mut claims)) => {
            claims.entry("active").or_insert(json!(true));
            Value::Object(claims)
        }
        _ => json!({ "active": false }),
    };
    json_answer(StatusCode::OK, &answer)
}

/// The claims of a token of this provider, opaque or not.
fn known_claims(idp: &Shared, token: &str) -> Option<Value> {
    let opaque = find(&idp.state().opaque, token).cloned();
    opaque.or_else(|| own_claims(token))
}

async fn read(body: Body) -> Bytes {
    axum::body::to_bytes(body, MAX_BODY)
        .await
        .unwrap_or_default()
}

fn form(text: &str) -> Form {
    let mut url = Url::parse("http://localhost/").ok();
    let pairs = url.as_mut().map(|url| {
        url.set_query(Some(text));
        url.query_pairs().into_owned().collect()
    });
    pairs.unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

fn oauth_error(status: StatusCode, code: &str) -> Response {
    json_answer(status, &json!({ "error": code }))
}

fn json_answer(status: StatusCode, body: &Value) -> Response {
    plain(status, "application/json", body.to_string())
}

fn plain(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // The login page is nobody's frame.
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    answer
}

fn redirect(status: StatusCode, to: &str) -> Response {
    let mut answer = plain(status, "text/plain", "");
    if let Ok(to) = HeaderValue::try_from(to) {
        answer.headers_mut().insert(header::LOCATION, to);
    }
    answer
}
