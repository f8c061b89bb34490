//! How a request of the records API fails: `{error, message, correlation_id, …}`.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::answer::{Problem, whole_seconds};
use super::entity::Payload;

/// A failure. What it says is for the caller; causes are in the log.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    status: StatusCode,
    error: &'static str,
    message: String,
    /// What else a program may want to know: the version there is, the epoch.
    more: Payload,
    retry_after: Option<Duration>,
}

impl Trouble {
    pub(super) fn new(status: StatusCode, error: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            error,
            message: message.into(),
            more: Payload::new(),
            retry_after: None,
        }
    }

    pub(super) fn bad_request(error: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, message)
    }

    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "there is no record with this uid",
        )
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The word for it, where one answer has several.
    pub(super) fn error(&self) -> &'static str {
        self.error
    }

    pub(super) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Whether the request as a whole cannot go on.
    pub(super) fn is_ours(&self) -> bool {
        self.status.is_server_error()
    }

    /// The whole answer, once it is known what the request is called.
    pub(super) fn told(self, correlation: &str) -> Response {
        let mut body = self.more;
        body.insert("error".to_owned(), json!(self.error));
        body.insert("message".to_owned(), json!(self.message));
        body.insert("correlation_id".to_owned(), json!(correlation));
        let mut response = (self.status, Json(body)).into_response();
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

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        let (status, error, message, retry_after) = problem.logged();
        Self {
            retry_after,
            ..Self::new(status, error, message)
        }
    }
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Problem::from(error).into()
    }
}

/// Carried to where the correlation id is known.
impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}
