//! Who asks: the service token, and the admin it acts for.

use std::borrow::Cow;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use mcp_runtime::Clock;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tracing::Instrument;

use super::answer::Problem;
use super::db::{Db, millis, new_id};
use super::{Platform, Settings};
use crate::random::uuid4;

const ACTING_USER: &str = "x-acting-user";
const REQUEST_ID: &str = "x-request-id";

/// The admin behind a request. Handlers take it as a parameter; only [`authenticate`] makes one.
#[derive(Clone, Debug)]
pub(super) struct Actor {
    pub(super) id: String,
    /// Unknown for an acting user whom the platform does not know by that id.
    pub(super) email: Option<String>,
    pub(super) role: Cow<'static, str>,
    pub(super) request_id: String,
}

#[derive(Clone)]
pub(super) struct ServiceAccount {
    id: String,
    email: String,
}

/// Lets a request with the service token through, as the admin it names.
pub(super) async fn authenticate(
    State(platform): State<Platform>,
    mut request: Request,
    next: Next,
) -> Response {
    let request_id = request_id(request.headers());
    let span = tracing::info_span!("platform", request_id, actor = tracing::field::Empty);
    let id_header = HeaderValue::from_str(&request_id).ok();
    let mut response = async {
        match identify(&platform, request.headers(), request_id).await {
            Ok(actor) => {
                tracing::Span::current().record("actor", &actor.id);
                request.extensions_mut().insert(actor);
                next.run(request).await
            }
            Err(problem) => problem.into_response(),
        }
    }
    .instrument(span)
    .await;
    if let Some(id) = id_header {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Problem::internal("a handler is mounted outside of authentication"))
    }
}

async fn identify(
    platform: &Platform,
    headers: &HeaderMap,
    request_id: String,
) -> Result<Actor, Problem> {
    let inner = &platform.0;
    if !has_service_token(platform, headers) {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "invalid_service_token",
            "Present the service token as `Authorization: Bearer <token>`.",
        ));
    }
    // Believed because the service token is: whoever holds it may act for any admin.
    let mut acting = headers.get_all(ACTING_USER).iter();
    let Some(named) = acting.next() else {
        return Ok(Actor {
            id: inner.service_account.id.clone(),
            email: Some(inner.service_account.email.clone()),
            role: "service_account".into(),
            request_id,
        });
    };
    let id = named
        .to_str()
        .ok()
        .filter(|id| (1..=200).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()))
        .filter(|_| acting.next().is_none())
        .ok_or_else(|| {
            Problem::bad_request(
                "invalid_acting_user",
                "X-Acting-User must be one value of 1 to 200 visible ASCII characters.",
            )
        })?;
    Ok(Actor {
        id: id.to_owned(),
        email: email_of(&inner.db, id).await?,
        role: "admin".into(),
        request_id,
    })
}

async fn email_of(db: &Db, id: &str) -> Result<Option<String>, Problem> {
    if id.contains('@') {
        return Ok(Some(id.to_owned()));
    }
    let row: Option<(String,)> = sqlx::query_as("SELECT email FROM users WHERE id = $1")
        .bind(id.to_owned())
        .fetch_optional(db.pool())
        .await?;
    Ok(row.map(|(email,)| email))
}

/// The user row of the service account, made on first start.
pub(super) async fn ensure_service_account(
    db: &Db,
    clock: &Clock,
    settings: &Settings,
) -> sqlx::Result<ServiceAccount> {
    let email = settings.service_account.trim().to_lowercase();
    let now = clock.now();
    sqlx::query(
        "INSERT INTO users (id, first_name, last_name, name_folded, email, role, created_at)
         VALUES ($1, 'Service', 'Account', 'service account', $2, 'admin', $3)
         ON CONFLICT (email) DO NOTHING",
    )
    .bind(new_id(now))
    .bind(email.clone())
    .bind(millis(now))
    .execute(db.pool())
    .await?;
    let (id,): (String,) = sqlx::query_as("SELECT id FROM users WHERE email = $1")
        .bind(email.clone())
        .fetch_one(db.pool())
        .await?;
    Ok(ServiceAccount { id, email })
}

pub(super) fn has_service_token(platform: &Platform, headers: &HeaderMap) -> bool {
    let expected = platform.0.settings.service_token.reveal();
    bearer(headers).is_some_and(|token| same(token, expected))
}

/// The scheme in any capitalisation, as the RFC asks; two headers are none.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Compared as digests, in constant time: neither length nor content shows in the timing.
fn same(a: &str, b: &str) -> bool {
    Sha256::digest(a).ct_eq(&Sha256::digest(b)).into()
}

/// The caller's id when it is a version 4 UUID, so that a log line holds nothing else; ours if not.
fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_uuid4(id))
        .map_or_else(uuid4, str::to_ascii_lowercase)
}

fn is_uuid4(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            14 => b == b'4',
            19 => matches!(b.to_ascii_lowercase(), b'8' | b'9' | b'a' | b'b'),
            _ => b.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_request_ids_are_version_4_uuids() {
        for _ in 0..100 {
            assert!(is_uuid4(&uuid4()));
        }
    }

    #[test]
    fn other_texts_are_not() {
        for text in [
            "",
            "6f1c2d3e-4b5a-1c7d-8e9f-0a1b2c3d4e5f", // version 1
            "6f1c2d3e-4b5a-4c7d-ce9f-0a1b2c3d4e5f", // wrong variant
            "6f1c2d3e4b5a4c7d8e9f0a1b2c3d4e5f",
            "6f1c2d3e-4b5a-4c7d-8e9f-0a1b2c3d4e5g",
        ] {
            assert!(!is_uuid4(text), "{text}");
        }
    }
}
