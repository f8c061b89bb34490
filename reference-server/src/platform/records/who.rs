//! Who asks, for which tenant, and under which name the request is known.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use mcp_runtime::Tenant;
use tracing::Instrument;

use super::super::answer::Problem;
use super::super::{Platform, auth};
use super::trouble::Trouble;
use crate::random::uuid4;

const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");
const ACTING_USER: HeaderName = HeaderName::from_static("x-acting-user");

/// Whose records: no statement runs without both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Whose {
    pub(super) tenant: String,
    pub(super) owner: String,
}

/// In whose name a request with the service token comes.
#[derive(Clone)]
struct Acting(String);

/// Names the request, and renders what went wrong under that name.
pub(super) async fn correlate(request: Request, next: Next) -> Response {
    let id = correlation(request.headers());
    let span = tracing::info_span!("records", correlation_id = id);
    let mut response = next.run(request).instrument(span).await;
    if let Some(trouble) = response.extensions_mut().remove::<Trouble>() {
        let headers = std::mem::take(response.headers_mut());
        response = trouble.told(&id);
        response.headers_mut().extend(headers);
    }
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(CORRELATION, id);
    }
    response
}

/// Lets a request with the service token through, for the user it names. The tenant is checked
/// after this: both have to be right.
pub(super) async fn authenticate(
    State(platform): State<Platform>,
    mut request: Request,
    next: Next,
) -> Response {
    if !auth::has_service_token(&platform, request.headers()) {
        let message = "present the service token as `Authorization: Bearer <token>`";
        return Trouble::new(StatusCode::UNAUTHORIZED, "unauthorized", message).into_response();
    }
    let Some(user) = acting(request.headers()) else {
        let message = "X-Acting-User must be one value of 1 to 200 visible ASCII characters";
        return Trouble::bad_request("invalid_acting_user", message).into_response();
    };
    request.extensions_mut().insert(Acting(user));
    next.run(request).await
}

impl<S: Sync> FromRequestParts<S> for Whose {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Trouble> {
        let acting = parts.extensions.get::<Acting>();
        let tenant = parts.extensions.get::<Tenant>();
        let (Some(Acting(owner)), Some(tenant)) = (acting, tenant) else {
            return Err(Problem::internal("a handler is mounted outside of authentication").into());
        };
        Ok(Self {
            tenant: tenant.as_str().to_owned(),
            owner: owner.clone(),
        })
    }
}

fn acting(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(ACTING_USER).iter();
    let (value, None) = (values.next()?, values.next()) else {
        return None;
    };
    let fits =
        (1..=200).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic);
    fits.then(|| value.to_str().ok().map(str::to_owned))
        .flatten()
}

/// The caller's id where it can be nothing else in a log line; ours if not.
fn correlation(headers: &HeaderMap) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    headers
        .get(CORRELATION)
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=128).contains(&id.len()) && id.bytes().all(plain))
        .map_or_else(uuid4, str::to_owned)
}
