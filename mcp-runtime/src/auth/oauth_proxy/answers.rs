//! Answers, none of which is kept by anybody.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

pub(crate) type Answer = Response<Bytes>;

/// An error of OAuth: a code for the client, a sentence for whoever debugs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) text: &'static str,
}

impl Fault {
    pub(super) const fn new(status: u16, code: &'static str, text: &'static str) -> Self {
        Self { status, code, text }
    }

    pub(super) fn answer(self) -> Answer {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        json_answer(
            status,
            &json!({ "error": self.code, "error_description": self.text }),
        )
    }
}

/// The provider cannot be reached, or makes no sense.
pub(super) const BAD_GATEWAY: Fault = Fault::new(
    502,
    "server_error",
    "the identity provider gave no usable answer: try again",
);
pub(super) const STORE_DOWN: Fault = Fault::new(
    503,
    "temporarily_unavailable",
    "this cannot be kept at the moment: try again later",
);

pub(super) fn json_answer(status: StatusCode, body: &Value) -> Answer {
    raw(status, "application/json", body.to_string())
}

pub(super) fn raw(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    set(&mut answer, header::CONTENT_TYPE, kind);
    set(&mut answer, header::CACHE_CONTROL, "no-store");
    set(&mut answer, header::PRAGMA, "no-cache");
    set(&mut answer, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(&mut answer, header::REFERRER_POLICY, "no-referrer");
    answer
}

pub(super) fn redirect(status: StatusCode, to: &str) -> Answer {
    let mut answer = raw(status, "text/plain; charset=utf-8", "");
    match HeaderValue::try_from(to) {
        Ok(to) => {
            answer.headers_mut().insert(header::LOCATION, to);
            answer
        }
        Err(_) => raw(
            StatusCode::BAD_REQUEST,
            "text/plain; charset=utf-8",
            "That is not an address\n",
        ),
    }
}

pub(super) fn not_allowed(allow: &'static str) -> Answer {
    let mut answer = Fault::new(
        405,
        "invalid_request",
        "this method is not for this address",
    )
    .answer();
    set(&mut answer, header::ALLOW, allow);
    answer
}

pub(super) fn too_many(wait: std::time::Duration) -> Answer {
    let mut answer = Fault::new(
        429,
        "temporarily_unavailable",
        "too many requests from this address: wait",
    )
    .answer();
    let seconds = HeaderValue::from(wait.as_secs() + 1);
    answer.headers_mut().insert(header::RETRY_AFTER, seconds);
    answer
}

pub(super) fn set(answer: &mut Answer, name: HeaderName, value: &'static str) {
    answer
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
}
