//! In front of a provider that can do everything itself.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::answers::{Answer, BAD_GATEWAY, Fault, json_answer, raw, redirect, set, too_many};
use super::clients::is_dangerous;
use super::params::Params;
use super::upstream::{Metadata, Upstream};
use super::{Asked, Base, REGISTRATIONS, Route};
use crate::auth::egress;
use crate::http::app::bearer;
use crate::limits::{Bucket, Rate, network_of};

pub(super) struct Relay {
    upstream: Upstream,
    base: Base,
    own_issuer: bool,
    registrations: Bucket,
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

impl Relay {
    pub(super) fn new(upstream: Upstream, base: Base, own_issuer: bool) -> Result<Self, String> {
        Ok(Self {
            upstream,
            base,
            own_issuer,
            registrations: Bucket::new(Rate::new(REGISTRATIONS, Duration::from_mins(1)))?,
        })
    }

    pub(super) async fn answer(&self, asked: Asked<'_>) -> Answer {
        let metadata = match self.upstream.metadata().await {
            Ok(metadata) => metadata,
            Err(fault) => return fault.answer(),
        };
        let answer = match asked.route {
            Route::Metadata => Ok(json_answer(StatusCode::OK, &self.document(&metadata))),
            Route::OpenId => Ok(self.openid(&metadata)),
            Route::Register => self.register(&metadata, &asked).await,
            Route::Token => self.token(&metadata, &asked).await,
            Route::Authorize => hand_over(&metadata, &asked),
            Route::Userinfo => self.userinfo(&metadata, &asked).await,
            Route::Jwks | Route::Consent | Route::Callback | Route::Revoke => {
                Err(Fault::new(404, "invalid_request", "nothing is here"))
            }
        };
        answer.unwrap_or_else(Fault::answer)
    }

    /// The metadata of the provider, put together anew: what is not named here is not passed on.
    fn document(&self, metadata: &Metadata) -> Value {
        let mut document = Map::new();
        let mut say = |name: &str, value: Value| _ = document.insert(name.to_owned(), value);
        if self.own_issuer {
            say("issuer", json!(self.base.origin));
            let ours = self.base.at("/oauth2/authorize");
            say("authorization_endpoint", json!(ours));
        } else {
            say("issuer", json!(metadata.issuer));
            let theirs = metadata.authorization.as_str();
            say("authorization_endpoint", json!(theirs));
            if metadata.names_itself {
                say(
                    "authorization_response_iss_parameter_supported",
                    json!(true),
                );
            }
        }
        say("token_endpoint", json!(self.base.at("/oauth2/token")));
        if metadata.registration.is_some() {
            let ours = self.base.at("/oauth2/register");
            say("registration_endpoint", json!(ours));
        }
        if metadata.userinfo.is_some() {
            let ours = self.base.at("/oauth2/userinfo");
            say("userinfo_endpoint", json!(ours));
        }
        if let Some(jwks) = &metadata.jwks {
            say("jwks_uri", json!(jwks.as_str()));
        }
        for (name, list) in &metadata.lists {
            say(name, json!(list));
        }
        Value::Object(document)
    }

    /// Not every provider is one of OpenID Connect.
    fn openid(&self, metadata: &Metadata) -> Answer {
        let is_openid =
            metadata.jwks.is_some() && metadata.list("subject_types_supported").is_some();
        if is_openid {
            return json_answer(StatusCode::OK, &self.document(metadata));
        }
        redirect(StatusCode::FOUND, &self.base.at(super::METADATA))
    }

    async fn register(&self, metadata: &Metadata, asked: &Asked<'_>) -> Result<Answer, Fault> {
        let at = metadata.registration.as_ref().ok_or(Fault::new(
            404,
            "invalid_request",
            "the identity provider does not register clients",
        ))?;
        // To the provider, all of them would come from one address: ours.
        if let Err(wait) = self.registrations.take(network_of(asked.address)) {
            return Ok(too_many(wait));
        }
        let invalid = |text| Fault::new(400, "invalid_client_metadata", text);
        let sent: Value = serde_json::from_slice(&asked.body)
            .map_err(|_| invalid("send the metadata of the client as a JSON object"))?;
        let sent = sent
            .as_object()
            .ok_or(invalid("send the metadata of the client as a JSON object"))?;
        let uris = sent.get("redirect_uris").and_then(Value::as_array);
        let uris = uris.into_iter().flatten();
        // The provider has rules of its own; a page of ours is not where a script is run by them.
        if uris.filter_map(Value::as_str).any(is_dangerous) {
            return Err(Fault::new(
                400,
                "invalid_redirect_uri",
                "a redirect URI is not one that a browser may be sent to",
            ));
        }
        let outcome = self
            .upstream
            .egress
            .post(at, JSON, None, asked.body.clone());
        relayed(outcome.await)
    }

    async fn token(&self, metadata: &Metadata, asked: &Asked<'_>) -> Result<Answer, Fault> {
        let kind = match kind(asked.headers) {
            None | Some(FORM) => FORM,
            Some(_) => {
                return Err(Fault::new(
                    415,
                    "invalid_request",
                    "send a form (application/x-www-form-urlencoded)",
                ));
            }
        };
        Params::of_form(&asked.body)?;
        let credentials = asked.headers.get(header::AUTHORIZATION).filter(|value| {
            let scheme = value.as_bytes().get(..6);
            scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic "))
        });
        let sent =
            self.upstream
                .egress
                .post(&metadata.token, kind, credentials, asked.body.clone());
        relayed(sent.await)
    }

    async fn userinfo(&self, metadata: &Metadata, asked: &Asked<'_>) -> Result<Answer, Fault> {
        let at = metadata.userinfo.as_ref().ok_or(Fault::new(
            404,
            "invalid_request",
            "the identity provider has no userinfo",
        ))?;
        let token = asked.headers.get(header::AUTHORIZATION).and_then(bearer);
        let token = token.ok_or(Fault::new(
            401,
            "invalid_request",
            "send the access token in the Authorization header",
        ));
        let token = match token {
            Ok(token) => token,
            Err(fault) => return Ok(challenged(fault.answer())),
        };
        let answer = match self.upstream.egress.get(at, Some(token)).await {
            Ok(answer) if answer.status == 401 || answer.status == 403 => {
                let fault = Fault::new(401, "invalid_token", "the access token is not valid");
                return Ok(challenged(fault.answer()));
            }
            other => other,
        };
        relayed(answer)
    }
}

fn challenged(mut answer: Answer) -> Answer {
    set(&mut answer, header::WWW_AUTHENTICATE, "Bearer");
    answer
}

/// Sends the browser on to the provider, with what it brought.
fn hand_over(metadata: &Metadata, asked: &Asked<'_>) -> Result<Answer, Fault> {
    let query = asked.query.unwrap_or_default();
    Params::read(query)?;
    let mut to = metadata.authorization.clone();
    let own = to.query().map(|own| format!("{own}&"));
    to.set_query(Some(&format!("{}{query}", own.unwrap_or_default())));
    Ok(redirect(StatusCode::FOUND, to.as_str()))
}

/// Status and document of an answer; nothing else of it, and nothing of what is none.
fn relayed(answer: Result<egress::Answer, egress::Lost>) -> Result<Answer, Fault> {
    let answer = answer.map_err(|error| {
        tracing::warn!(target: "mcp::auth", %error, "the identity provider gave no usable answer");
        BAD_GATEWAY
    })?;
    let document = answer
        .json
        .filter(|json| serde_json::from_slice::<Map<String, Value>>(json).is_ok());
    match (answer.status, document) {
        (200 | 201, Some(document)) => {
            let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
            Ok(raw(status, JSON, document))
        }
        (status @ 400..=499, document) => Ok(refusal(status, document.as_deref())),
        (status, _) => {
            tracing::warn!(target: "mcp::auth", status, "the identity provider gave no usable answer");
            Err(BAD_GATEWAY)
        }
    }
}

/// A refusal of the provider: its code, and not its words.
fn refusal(status: u16, document: Option<&[u8]>) -> Answer {
    let document: Option<Value> = document.and_then(|json| serde_json::from_slice(json).ok());
    let code = document
        .as_ref()
        .and_then(|document| document["error"].as_str())
        .filter(|code| code.len() <= 64)
        .filter(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    json_answer(
        status,
        &json!({
            "error": code.unwrap_or("invalid_request"),
            "error_description": "the identity provider refused this",
        }),
    )
}

/// The content type, without its parameters.
pub(super) fn kind(headers: &HeaderMap) -> Option<&str> {
    let value: &HeaderValue = headers.get(header::CONTENT_TYPE)?;
    let kind = value.to_str().ok()?.split(';').next()?.trim();
    match kind {
        _ if kind.eq_ignore_ascii_case(FORM) => Some(FORM),
        _ if kind.eq_ignore_ascii_case(JSON) => Some(JSON),
        other => Some(other),
    }
}
