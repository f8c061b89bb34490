//! How every request ends: `{meta, …}` when it worked, `{"detail": {…}}` when it did not.

use std::error::Error;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::auth::Actor;
use crate::database::Ailment;

/// A good answer.
pub(super) type Answer<T> = Result<Json<Reply<T>>, Problem>;

#[derive(Serialize)]
pub(super) struct Reply<T> {
    meta: Meta,
    #[serde(flatten)]
    body: T,
}

/// The nesting of the analytics, invite and metric answers.
#[derive(Serialize)]
pub(super) struct Data<T> {
    pub(super) data: T,
}

#[derive(Serialize)]
struct Meta {
    request_id: String,
    generated_at: Timestamp,
    actor: MetaActor,
}

#[derive(Serialize)]
struct MetaActor {
    id: String,
    email: Option<String>,
}

pub(super) fn reply<T>(actor: Actor, now: Timestamp, body: T) -> Json<Reply<T>> {
    Json(Reply {
        meta: Meta {
            request_id: actor.request_id,
            generated_at: now,
            actor: MetaActor {
                id: actor.id,
                email: actor.email,
            },
        },
        body,
    })
}

/// A failure, in two voices: code, message and details are for the caller, the cause is for the
/// log. Internals go into the cause only.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
    details: Option<Value>,
    retry_after: Option<Duration>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            details: None,
            retry_after: None,
            cause: None,
        }
    }

    pub(super) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(super) fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub(super) fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "The platform could not answer; its log has the cause under this request id.",
        )
        .caused_by(cause)
    }

    /// The thing we depend on is not there right now; trying again is right.
    pub(super) fn unavailable(
        code: &'static str,
        message: impl Into<String>,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
            .retry_after(Duration::from_secs(1))
            .caused_by(cause)
    }

    pub(super) fn details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    pub(super) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    pub(super) fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// For an API that tells failures in another form: what to tell, the cause being logged.
    pub(super) fn logged(self) -> (StatusCode, &'static str, String, Option<Duration>) {
        self.log();
        (self.status, self.code, self.message, self.retry_after)
    }

    fn log(&self) {
        let cause = self.cause.as_deref().map(chain).unwrap_or_default();
        let (status, code, message) = (self.status.as_u16(), self.code, &self.message);
        if self.status.is_server_error() {
            tracing::error!(status, code, message, cause, "request failed");
        } else {
            tracing::info!(status, code, message, cause, "request refused");
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        match Ailment::of(&error) {
            Ailment::Busy => {
                Self::unavailable("database_busy", "The database is busy; try again.", error)
            }
            Ailment::Down => {
                let message = "The database cannot be used right now; try again later.";
                Self::unavailable("database_unavailable", message, error)
            }
            Ailment::Other => Self::internal(error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.log();
        let mut detail = json!({ "code": self.code, "message": self.message });
        if let Some(details) = self.details {
            detail["details"] = details;
        }
        let mut response = (self.status, Json(json!({ "detail": detail }))).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

pub(super) async fn no_such_path() -> Problem {
    Problem::not_found("path_not_found", "There is no such path.")
}

pub(super) async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This path does not take this method; the Allow header says which.",
    )
}

/// Rounded up: a caller who waits that long has waited long enough.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn chain(error: &(dyn Error + Send + Sync + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
