//! In front of a provider that knows this server alone: an authorization server of our own.
//!
//! A login goes from the client to `/oauth2/authorize`, which asks the user; from the answer to
//! the provider; from there to `/oauth2/callback`; and from there, with a code of ours, back to
//! the client. Nothing is kept before the user has agreed: the page that asks carries the request,
//! sealed for the browser that it was shown to.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answers::{Answer, BAD_GATEWAY, Fault, json_answer, raw, redirect, too_many};
use super::clients::{Client, Clients, NoClient, is_registered};
use super::grants::{Admission, Grants, Person, Wish, challenge, unhex};
use super::page::{self, Question};
use super::params::{Params, form, with_query};
use super::relay::kind;
use super::ring::{Label, Ring};
use super::tokens::{OwnTokens, Signer};
use super::upstream::{Metadata, Upstream};
use super::{Asked, Base, Place, Route, Settings};
use crate::auth::claims::{Flaw, Rules};
use crate::digest::{hex, random, sha256_hex};
use crate::json::{self, Node};
use crate::limits::{Bucket, Rate, network_of};
use crate::secret::Secret;

/// How long a user has for the question, and then for the login.
const LOGIN: Duration = Duration::from_mins(10);
/// Logins that may begin at one address.
const LOGINS: (u32, Duration) = (30, Duration::from_mins(1));
/// The prefix binds it to this host and to encrypted connections.
const COOKIE: &str = "__Host-mcp-oauth";
const MAX_STATE: usize = 2 << 10;
/// What a provider may send as a code.
const MAX_CODE: usize = 4 << 10;

pub(super) struct Facade {
    upstream: Upstream,
    base: Base,
    clients: Clients,
    logins: Bucket,
    grants: Arc<Grants>,
    signer: Arc<Signer>,
    rules: Rules,
    server: String,
    client_id: String,
    client_secret: Secret<String>,
    upstream_scope: String,
}

/// A user on the way through the provider.
#[derive(Serialize, Deserialize)]
struct Login {
    wish: Wish,
    browser: String,
    until: Timestamp,
}

/// What the page that asks carries.
#[derive(Serialize, Deserialize)]
struct Ticket {
    wish: Wish,
    until: Timestamp,
}

/// Where a problem is told.
enum Trouble {
    /// To the user, because nobody else can be trusted with it.
    Here(u16, &'static str),
    /// To the client.
    There(String, Option<String>, &'static str),
    TooMany(Duration),
}

impl Facade {
    pub(super) fn new(
        settings: Settings,
        upstream: Upstream,
        base: Base,
        place: &Place<'_>,
    ) -> Result<Self, String> {
        if settings.client_id.is_empty() || settings.client_secret.expose().is_empty() {
            return Err(
                "a facade needs the client id and the secret that its provider gave".into(),
            );
        }
        let scopes = settings
            .scopes
            .iter()
            .chain(settings.scopes_for.values().flatten());
        if let Some(scope) = scopes.into_iter().find(|scope| !is_scope(scope)) {
            return Err(format!("{scope:?} is not a scope"));
        }
        let longest = Duration::from_hours(366 * 24);
        let lives = settings.lives;
        let zero = lives.token.is_zero() || lives.login.is_zero();
        if zero || lives.token > Duration::from_hours(24) || lives.login > longest {
            return Err(
                "tokens live for more than nothing and at most a day, logins at most a year".into(),
            );
        }
        if lives.unused_client > longest {
            return Err("unused clients are kept for at most a year".into());
        }
        if settings.emails.as_ref().is_some_and(Vec::is_empty) {
            tracing::warn!(target: "mcp::auth", "the OAuth proxy lets nobody in: say who with `allow_emails`");
        }
        let clients = Clients::new(
            Arc::clone(&place.store),
            place.clock.clone(),
            upstream.egress.clone(),
            (
                settings.registrations,
                settings.max_clients,
                lives.unused_client,
            ),
        )?;
        let ring = Ring::new(place.keys);
        let signer = Signer::new(&ring, &base.origin, &base.resource, place.clock.clone());
        let signer = Arc::new(signer.map_err(|error| error.to_string())?);
        let grants = Arc::new(Grants {
            store: Arc::clone(&place.store),
            clock: place.clock.clone(),
            ring,
            signer: Arc::clone(&signer),
            admission: Admission {
                emails: settings.emails,
                scopes: settings.scopes,
                scopes_for: settings.scopes_for,
            },
            lives,
        });
        Ok(Self {
            upstream,
            base,
            clients,
            logins: Bucket::new(Rate::new(LOGINS.0, LOGINS.1))?,
            grants,
            signer,
            rules: settings.rules,
            server: place.name.clone(),
            client_id: settings.client_id,
            client_secret: settings.client_secret,
            upstream_scope: settings.upstream_scopes.join(" "),
        })
    }

    pub(super) fn tokens(&self) -> OwnTokens {
        OwnTokens::new(Arc::clone(&self.signer), Arc::clone(&self.grants))
    }

    pub(super) async fn answer(&self, asked: Asked<'_>) -> Answer {
        match asked.route {
            Route::Metadata => self.metadata(),
            Route::OpenId => redirect(StatusCode::FOUND, &self.base.at(super::METADATA)),
            Route::Jwks => json_answer(StatusCode::OK, &self.signer.jwks()),
            Route::Register => self.register(&asked).await,
            Route::Token => self.token(&asked).await.unwrap_or_else(Fault::answer),
            Route::Revoke => self.revoke(&asked).await.unwrap_or_else(Fault::answer),
            Route::Authorize => self.told(self.authorize(&asked).await),
            Route::Consent => self.told(self.consent(&asked).await),
            Route::Callback => self.told(self.callback(&asked).await),
            Route::Userinfo => Fault::new(404, "invalid_request", "nothing is here").answer(),
        }
    }

    /// RFC 8414. Made of the public URL alone.
    fn metadata(&self) -> Answer {
        let at = |path| self.base.at(path);
        let mut scopes: Vec<&String> = self.grants.admission.every_scope().collect();
        scopes.sort();
        scopes.dedup();
        json_answer(
            StatusCode::OK,
            &json!({
                "issuer": self.base.origin,
                "authorization_endpoint": at("/oauth2/authorize"),
                "token_endpoint": at("/oauth2/token"),
                "registration_endpoint": at("/oauth2/register"),
                "revocation_endpoint": at("/oauth2/revoke"),
                "jwks_uri": at("/.well-known/jwks.json"),
                "scopes_supported": scopes,
                "response_types_supported": ["code"],
                "response_modes_supported": ["query"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "token_endpoint_auth_methods_supported": ["none"],
                "revocation_endpoint_auth_methods_supported": ["none"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": true,
                "client_id_metadata_document_supported": true,
            }),
        )
    }

    async fn register(&self, asked: &Asked<'_>) -> Answer {
        match self.clients.register(&asked.body, asked.address).await {
            Ok(client) => json_answer(StatusCode::CREATED, &client),
            Err(NoClient::TooMany(wait)) => too_many(wait),
            Err(NoClient::Fault(fault)) => fault.answer(),
            Err(NoClient::Unknown) => {
                Fault::new(400, "invalid_client_metadata", "this is no client").answer()
            }
        }
    }

    /// Asks the user.
    async fn authorize(&self, asked: &Asked<'_>) -> Result<Answer, Trouble> {
        let params = Params::read(asked.query.unwrap_or_default())
            .map_err(|fault| Trouble::Here(400, fault.text))?;
        let id = params.get("client_id");
        let id = id.ok_or(Trouble::Here(
            400,
            "The request names no client (client_id).",
        ))?;
        let client = self.client(id, asked).await?;
        let redirect_uri = params
            .get("redirect_uri")
            .filter(|uri| is_registered(&client, uri))
            .ok_or(Trouble::Here(
                400,
                "The redirect URI of the request is not one that the client registered.",
            ))?;
        let wish = self.wish(&params, id, redirect_uri)?;
        let (browser, cookie) = self.browser(asked.headers);
        let now = self.grants.clock.now();
        let ticket = Ticket {
            wish,
            until: now + LOGIN,
        };
        let request = serde_json::to_vec(&ticket).map_err(|_| BROKEN)?;
        let request = URL_SAFE_NO_PAD.encode(request);
        let csrf = self.grants.ring.seal(Label::Consent, &[&browser, &request]);
        let mut answer = Question {
            server: &self.server,
            client: &client,
            redirect_uri,
            scope: &ticket.wish.scope,
            request: &request,
            csrf: &hex(&csrf),
        }
        .page();
        if let Some(cookie) = cookie {
            answer.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        Ok(answer)
    }

    async fn client(&self, id: &str, asked: &Asked<'_>) -> Result<Client, Trouble> {
        let found = self.clients.find(id, asked.address).await;
        found.map_err(|error| match error {
            NoClient::Unknown => Trouble::Here(
                400,
                "The client is not known here (invalid_client): let it register again.",
            ),
            NoClient::Fault(fault) => Trouble::Here(fault.status, fault.text),
            NoClient::TooMany(wait) => Trouble::TooMany(wait),
        })
    }

    /// What the client asks for, once it is known where to answer.
    fn wish(&self, params: &Params, id: &str, redirect_uri: &str) -> Result<Wish, Trouble> {
        let state = params.get("state").map(str::to_owned);
        if state.as_ref().is_some_and(|state| state.len() > MAX_STATE) {
            return Err(Trouble::Here(400, "The state of the request is too long."));
        }
        let told = |code| Trouble::There(redirect_uri.to_owned(), state.clone(), code);
        match params.get("response_type") {
            Some("code") => {}
            Some(_) => return Err(told("unsupported_response_type")),
            None => return Err(told("invalid_request")),
        }
        let challenge = params.get("code_challenge").filter(|it| is_challenge(it));
        let (Some(challenge), Some("S256")) = (challenge, params.get("code_challenge_method"))
        else {
            return Err(told("invalid_request"));
        };
        let resource = params.get("resource");
        if resource.is_some_and(|resource| !self.is_resource(resource)) {
            return Err(told("invalid_target"));
        }
        let known = |scope: &str| self.grants.admission.every_scope().any(|it| it == scope);
        let scope: Vec<&str> = match params.get("scope") {
            // What is not to be had here is not asked for either.
            Some(scope) => scope.split_whitespace().filter(|it| known(it)).collect(),
            None => self
                .grants
                .admission
                .scopes
                .iter()
                .map(String::as_str)
                .collect(),
        };
        Ok(Wish {
            client: id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            challenge: challenge.to_owned(),
            scope: scope.join(" "),
            state: state.clone(),
        })
    }

    fn is_resource(&self, resource: &str) -> bool {
        crate::http::resource_metadata::canonical(resource) == self.base.resource
    }

    /// Takes the answer of the user.
    async fn consent(&self, asked: &Asked<'_>) -> Result<Answer, Trouble> {
        let stranger = Trouble::Here(
            403,
            "This answer does not come from the page that asked: begin again in the client.",
        );
        let origin = asked.headers.get(header::ORIGIN);
        // `null` is what browsers say of a page that sends no referrer.
        if origin.is_some_and(|origin| origin != self.base.origin.as_str() && origin != "null") {
            return Err(stranger);
        }
        let form = Params::of_form(&asked.body).map_err(|fault| Trouble::Here(400, fault.text))?;
        let (Some(request), Some(csrf)) = (form.get("request"), form.get("csrf")) else {
            return Err(stranger);
        };
        let Some(browser) = self.known_browser(asked.headers) else {
            return Err(stranger);
        };
        let sealed = unhex(csrf).is_some_and(|sent| {
            self.grants
                .ring
                .made(Label::Consent, &[&browser, request], &sent)
        });
        if !sealed {
            return Err(stranger);
        }
        let ticket: Option<Ticket> = URL_SAFE_NO_PAD
            .decode(request)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        let ticket = ticket.filter(|ticket| self.grants.clock.now() < ticket.until);
        let Ticket { wish, .. } = ticket.ok_or(Trouble::Here(
            400,
            "This took too long: begin again in the client.",
        ))?;
        match form.get("action") {
            Some("approve") => {
                // Whoever agrees with a script would fill the store.
                let taken = self.logins.take(network_of(asked.address));
                taken.map_err(Trouble::TooMany)?;
                self.send_to_provider(wish, &browser).await
            }
            Some("deny") => Err(Trouble::There(
                wish.redirect_uri,
                wish.state,
                "access_denied",
            )),
            _ => Err(Trouble::Here(400, "The answer is neither yes nor no.")),
        }
    }

    async fn send_to_provider(&self, wish: Wish, browser: &str) -> Result<Answer, Trouble> {
        let there = |code| Trouble::There(wish.redirect_uri.clone(), wish.state.clone(), code);
        let metadata = self.upstream.metadata().await;
        let metadata = metadata.map_err(|_| there("temporarily_unavailable"))?;
        let state = URL_SAFE_NO_PAD.encode(random::<32>());
        let login = Login {
            browser: sha256_hex(browser),
            until: self.grants.clock.now() + LOGIN,
            wish: wish.clone(),
        };
        let kept = self
            .grants
            .put(&login_key(&state), &login, login.until)
            .await;
        kept.map_err(|_| there("temporarily_unavailable"))?;
        let to = with_query(
            metadata.authorization.as_str(),
            &[
                ("response_type", "code"),
                ("client_id", &self.client_id),
                ("redirect_uri", &self.base.at("/oauth2/callback")),
                ("scope", &self.upstream_scope),
                ("state", &state),
                ("code_challenge", &challenge(&self.verifier(&state))),
                ("code_challenge_method", "S256"),
            ],
        );
        let to = to.ok_or_else(|| there("server_error"))?;
        Ok(redirect(StatusCode::SEE_OTHER, &to))
    }

    /// Our half of PKCE with the provider, which need not be kept: only we can make it again.
    fn verifier(&self, state: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.grants.ring.seal(Label::Verifier, &[state]))
    }

    /// Takes the user back from the provider.
    async fn callback(&self, asked: &Asked<'_>) -> Result<Answer, Trouble> {
        let params = Params::read(asked.query.unwrap_or_default())
            .map_err(|fault| Trouble::Here(400, fault.text))?;
        let state = params.get("state").unwrap_or_default();
        let login = self.login(state, asked.headers).await?;
        let wish = login.wish;
        let there = |code| Trouble::There(wish.redirect_uri.clone(), wish.state.clone(), code);
        let metadata = self.upstream.metadata().await;
        let metadata = metadata.map_err(|_| there("temporarily_unavailable"))?;
        let named = params.get("iss");
        let as_it_should = match named {
            Some(named) => named == metadata.issuer,
            None => !metadata.names_itself,
        };
        if !as_it_should {
            tracing::warn!(target: "mcp::auth", "a login came back from another provider");
            return Err(Trouble::Here(
                400,
                "The login came back from somebody else: begin again in the client.",
            ));
        }
        if params.get("error").is_some() {
            return Err(there("access_denied"));
        }
        let code = params.get("code").filter(|code| code.len() <= MAX_CODE);
        let code = code.ok_or_else(|| there("server_error"))?;
        let person = self.person(&metadata, state, code).await;
        let person = person.map_err(|_| there("server_error"))?;
        if !self.grants.admission.lets_in(person.email.as_deref()) {
            tracing::info!(target: "mcp::auth", subject = person.subject, "logged in at the provider, and is not let in");
            return Err(there("access_denied"));
        }
        let code = self.grants.code(&wish, person).await;
        let code = code.map_err(|_| there("temporarily_unavailable"))?;
        let mut parameters = vec![("code", &*code), ("iss", &*self.base.origin)];
        parameters.extend(wish.state.as_deref().map(|state| ("state", state)));
        let to = with_query(&wish.redirect_uri, &parameters).ok_or(BROKEN)?;
        Ok(redirect(StatusCode::SEE_OTHER, &to))
    }

    /// The login of a state, which is good once, and in the browser that began it.
    async fn login(&self, state: &str, headers: &HeaderMap) -> Result<Login, Trouble> {
        let unknown = || {
            Trouble::Here(
                400,
                "This login is not under way (any more): begin again in the client.",
            )
        };
        let told = |fault: Fault| Trouble::Here(fault.status, fault.text);
        let key = login_key(state);
        let kept = self.grants.get::<Login>(&key).await.map_err(told)?;
        let (_, login) = kept.ok_or_else(unknown)?;
        let browser = self.known_browser(headers).map(sha256_hex);
        if browser.as_deref() != Some(&login.browser) {
            tracing::warn!(target: "mcp::auth", "a login came back in another browser");
            return Err(Trouble::Here(
                403,
                "This login was begun in another browser: begin again in the client.",
            ));
        }
        let removed = self.grants.store.remove(&key).await;
        match removed {
            Ok(true) => Ok(login),
            Ok(false) => Err(unknown()),
            Err(_) => Err(BROKEN),
        }
    }

    /// Who logged in. The tokens of the provider end here.
    async fn person(&self, metadata: &Metadata, state: &str, code: &str) -> Result<Person, Fault> {
        let lost = |why: &dyn std::fmt::Display| {
            tracing::warn!(target: "mcp::auth", %why, "the identity provider does not say who logged in");
            BAD_GATEWAY
        };
        let methods = metadata
            .list("token_endpoint_auth_methods_supported")
            .unwrap_or_default();
        let knows = |method: &str| methods.iter().any(|known| known == method);
        let secret = self.client_secret.expose();
        let (callback, verifier) = (self.base.at("/oauth2/callback"), self.verifier(state));
        let mut parameters = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &callback),
            ("client_id", &self.client_id),
            ("code_verifier", &verifier),
        ];
        let mut credentials = None;
        if knows("client_secret_post") && !knows("client_secret_basic") {
            parameters.push(("client_secret", secret));
        } else {
            credentials = Some(basic(&self.client_id, secret).ok_or(BAD_GATEWAY)?);
        }
        let sent = self.upstream.egress.post(
            &metadata.token,
            "application/x-www-form-urlencoded",
            credentials.as_ref(),
            form(&parameters).into(),
        );
        let document = sent.await.and_then(|answer| answer.document());
        let document = document.map_err(|error| lost(&error))?;
        let Ok(Node::Object(tokens)) = json::parse(&document) else {
            return Err(lost(&"the token answer is not a JSON object"));
        };
        let token = tokens.get("access_token").and_then(Node::as_str);
        let token = token.ok_or_else(|| lost(&"there is no access token"))?;
        let userinfo = metadata.userinfo.as_ref();
        let userinfo = userinfo.ok_or_else(|| lost(&"it has no userinfo endpoint"))?;
        let answer = self.upstream.egress.get(userinfo, Some(token)).await;
        let document = answer.and_then(|answer| answer.document());
        let document = document.map_err(|error| lost(&error))?;
        let Ok(Node::Object(claims)) = json::parse(&document) else {
            return Err(lost(&"userinfo is not a JSON object"));
        };
        let caller = self.rules.caller(&metadata.issuer, &claims, None);
        let caller = caller.map_err(|Flaw(why)| lost(&why))?;
        let who = caller.principal().ok_or(BAD_GATEWAY)?;
        Ok(Person {
            subject: who.subject().to_owned(),
            email: who.email().map(str::to_ascii_lowercase),
            tenant: who.tenant().map(str::to_owned),
            roles: who.roles().map(str::to_owned).collect(),
        })
    }

    async fn token(&self, asked: &Asked<'_>) -> Result<Answer, Fault> {
        let form = read_form(asked)?;
        let resource = form.get("resource");
        if resource.is_some_and(|resource| !self.is_resource(resource)) {
            return Err(Fault::new(
                400,
                "invalid_target",
                "tokens are not for this resource",
            ));
        }
        let tokens = match form.get("grant_type") {
            Some("authorization_code") => {
                let tokens = self.grants.redeem(&form).await?;
                if let Some(client) = form.get("client_id") {
                    self.clients.used(client).await?;
                }
                tokens
            }
            Some("refresh_token") => self.grants.refresh(&form).await?,
            Some(_) => {
                return Err(Fault::new(
                    400,
                    "unsupported_grant_type",
                    "use authorization_code or refresh_token",
                ));
            }
            None => {
                return Err(Fault::new(
                    400,
                    "invalid_request",
                    "`grant_type` is missing",
                ));
            }
        };
        Ok(json_answer(StatusCode::OK, &tokens))
    }

    /// What is no token of this client is answered like one that is.
    async fn revoke(&self, asked: &Asked<'_>) -> Result<Answer, Fault> {
        let form = read_form(asked)?;
        let (Some(token), Some(client)) = (form.get("token"), form.get("client_id")) else {
            return Err(Fault::new(
                400,
                "invalid_request",
                "send `token` and `client_id`",
            ));
        };
        self.grants.revoke(token, client).await?;
        Ok(raw(StatusCode::OK, "application/json", "{}"))
    }

    fn told(&self, outcome: Result<Answer, Trouble>) -> Answer {
        let trouble = match outcome {
            Ok(answer) => return answer,
            Err(trouble) => trouble,
        };
        match trouble {
            Trouble::Here(status, text) => page::problem(status, text),
            Trouble::TooMany(wait) => too_many(wait),
            Trouble::There(uri, state, code) => {
                let mut parameters = vec![("error", code), ("iss", &*self.base.origin)];
                parameters.extend(state.as_deref().map(|state| ("state", state)));
                match with_query(&uri, &parameters) {
                    Some(to) => redirect(StatusCode::SEE_OTHER, &to),
                    None => page::problem(400, "The redirect URI is none."),
                }
            }
        }
    }

    /// The browser of a request, and the cookie that makes it known where it is not.
    fn browser(&self, headers: &HeaderMap) -> (String, Option<HeaderValue>) {
        if let Some(known) = self.known_browser(headers) {
            return (known, None);
        }
        let id = hex(&random::<16>());
        let seal = hex(&self.grants.ring.seal(Label::Browser, &[&id]));
        let cookie =
            format!("{COOKIE}={id}.{seal}; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Lax");
        let mut cookie = HeaderValue::try_from(cookie).ok();
        if let Some(cookie) = &mut cookie {
            cookie.set_sensitive(true);
        }
        (id, cookie)
    }

    fn known_browser(&self, headers: &HeaderMap) -> Option<String> {
        let cookies = headers.get_all(header::COOKIE).iter();
        let mut named = cookies
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == COOKIE);
        let (Some((_, value)), None) = (named.next(), named.next()) else {
            return None;
        };
        let (id, seal) = value.split_once('.')?;
        let seal = unhex(seal)?;
        self.grants
            .ring
            .made(Label::Browser, &[id], &seal)
            .then(|| id.to_owned())
    }
}

const BROKEN: Trouble = Trouble::Here(503, "This cannot be kept at the moment: try again later.");

fn login_key(state: &str) -> String {
    format!("mcp:oauth:state:{}", sha256_hex(state))
}

fn read_form(asked: &Asked<'_>) -> Result<Params, Fault> {
    if kind(asked.headers) != Some("application/x-www-form-urlencoded") {
        return Err(Fault::new(
            415,
            "invalid_request",
            "send a form (application/x-www-form-urlencoded)",
        ));
    }
    Params::of_form(&asked.body)
}

/// RFC 6749, 2.3.1: each half encoded as in a form.
fn basic(id: &str, secret: &str) -> Option<HeaderValue> {
    let encoded = |text: &str| {
        let pair = form(&[("", text)]);
        pair.trim_start_matches('=').to_owned()
    };
    let pair = format!("{}:{}", encoded(id), encoded(secret));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn is_challenge(text: &str) -> bool {
    text.len() == 43
        && URL_SAFE_NO_PAD
            .decode(text)
            .is_ok_and(|digest| digest.len() == 32)
}

fn is_scope(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_goes_into_its_header_encoded() {
        let header = basic("our id", "a:b%+").unwrap();
        assert!(header.is_sensitive());
        let pair = header.to_str().unwrap().strip_prefix("Basic ").unwrap();
        let pair = STANDARD.decode(pair).unwrap();
        assert_eq!(pair, b"our+id:a%3Ab%25%2B");
    }
}
