//! One request in the name of one caller, until there is an answer or no time left.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use mcp_runtime::tenant_signature::Signer;
use mcp_runtime::{Caller, Tenant, ToolError, ToolResult, TraceContext};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::Instrument;

use super::refusal;
use super::{BASE, Backend, Lost};
use crate::random::uuid4;
use crate::traces;

const ACTING_USER: HeaderName = HeaderName::from_static("x-acting-user");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The tool itself ends at the same limit: by answering a moment before, the client gets to say
/// what was slow.
const HEAD_START: Duration = Duration::from_millis(250);

/// A request in the making; [`answer`](Self::answer) sends it.
pub struct Ask<'a> {
    backend: &'a Backend,
    method: Method,
    /// As in the contract, with `{names}`: for messages, without anybody's name or address.
    endpoint: &'static str,
    path: String,
    /// A value stands where it would not stay in its place.
    misplaced: bool,
    tenant: Option<Tenant>,
    signer: Option<&'a Signer>,
    headers: HeaderMap,
    body: Bytes,
    limit: Duration,
    patience: Duration,
}

impl<'a> Ask<'a> {
    pub(super) fn get(backend: &'a Backend, caller: &Caller, endpoint: &'static str) -> Self {
        let limits = backend.0.limits;
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, backend.0.authorization.clone());
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let values = [(REQUEST_ID, uuid4()), (ACTING_USER, acting_user(caller))];
        for (name, value) in values {
            headers.insert(name, HeaderValue::try_from(value).expect("visible ASCII"));
        }
        Self {
            backend,
            method: Method::GET,
            endpoint,
            path: format!("{}{BASE}{endpoint}", backend.prefix()),
            misplaced: false,
            tenant: caller.acts_for().cloned(),
            signer: backend.0.signer.as_ref(),
            headers,
            body: Bytes::new(),
            limit: limits.call,
            patience: limits.call_patience,
        }
    }

    pub(super) fn post(
        backend: &'a Backend,
        caller: &Caller,
        endpoint: &'static str,
        body: Value,
    ) -> Self {
        let mut ask = Self::get(backend, caller, endpoint);
        let json = HeaderValue::from_static("application/json");
        ask.headers.insert(header::CONTENT_TYPE, json);
        ask.method = Method::POST;
        ask.body = body.to_string().into();
        ask.limit = backend.0.limits.invite;
        ask.patience = backend.0.limits.invite_patience;
        ask
    }

    /// A request to the records API, which has a base of its own and wants every one signed.
    pub(super) fn of_records(
        backend: &'a Backend,
        caller: &Caller,
        tenant: &Tenant,
        method: Method,
        endpoint: &'static str,
    ) -> ToolResult<Self> {
        let mut ask = Self::get(backend, caller, endpoint);
        let Some(signer) = &backend.0.record_signer else {
            return Err(refusal::no_records());
        };
        ask.path = format!("{}{endpoint}", backend.prefix());
        ask.method = method;
        ask.tenant = Some(tenant.clone());
        ask.signer = Some(signer);
        Ok(ask)
    }

    /// Sends this along.
    #[must_use]
    pub fn body(mut self, body: impl Serialize) -> Self {
        let json = HeaderValue::from_static("application/json");
        self.headers.insert(header::CONTENT_TYPE, json);
        // What does not serialize is not sent, and the API says that it is missing.
        self.body = serde_json::to_vec(&body).unwrap_or_default().into();
        self
    }

    /// Puts a value into the path, in the place of `{name}`. One that is no name of anything, like
    /// `..`, is answered as if it had been looked for.
    #[must_use]
    pub fn segment(mut self, place: &str, value: &str) -> Self {
        // Every URL parser takes `%2E%2E` for `..`, so there is no way to write it.
        self.misplaced |= matches!(value, "" | "." | "..");
        self.path = self.path.replace(place, &encoded(value));
        self
    }

    /// Adds a query parameter; without a value nothing is added.
    #[must_use]
    pub fn query(mut self, name: &str, value: impl Serialize) -> Self {
        let value = match serde_json::to_value(value) {
            Ok(Value::Null) | Err(_) => return self,
            Ok(Value::String(text)) => text,
            Ok(other) => other.to_string(),
        };
        let sign = if self.path.contains('?') { '&' } else { '?' };
        self.path
            .push_str(&format!("{sign}{name}={}", encoded(&value)));
        self
    }

    /// Adds a header. A value that no header takes is left out.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::try_from(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Sends the request and reads the answer.
    ///
    /// # Errors
    /// What the model is to read: the refusal of the API, or why there is no answer.
    pub async fn answer<T: DeserializeOwned>(&self) -> ToolResult<T> {
        let answer = self.reply().await?;
        if !answer.status().is_success() {
            return Err(refusal::of(self.endpoint, &answer, self.request_id()));
        }
        serde_json::from_slice(answer.body()).map_err(|error| refusal::unreadable(&answer, error))
    }

    /// Sends the request and returns whatever comes back, refusals too.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn reply(&self) -> ToolResult<Response<Bytes>> {
        if self.misplaced {
            return Err(refusal::nothing_there(self.endpoint));
        }
        self.patiently().await
    }

    /// The error for an answer that reads well and says nothing.
    pub fn unreadable(&self, problem: &'static str) -> ToolError {
        refusal::unreadable(&Response::new(Bytes::from_static(b"{}")), problem)
    }

    /// How the log of the API knows this request.
    pub fn request_id(&self) -> &str {
        let id = self.headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        id.unwrap_or_default()
    }

    /// Waits and asks again as long as the API is too busy to listen (429: nothing was done).
    async fn patiently(&self) -> ToolResult<Response<Bytes>> {
        let deadline = Instant::now() + self.limit - HEAD_START.min(self.limit / 10);
        let mut patience = self.patience;
        loop {
            let answer = self.once(deadline).await?;
            if answer.status() != StatusCode::TOO_MANY_REQUESTS {
                return Ok(answer);
            }
            let wait = refusal::retry_after(&answer);
            match wait {
                Some(wait) if wait <= patience && Instant::now() + wait < deadline => {
                    tracing::debug!(endpoint = self.endpoint, ?wait, "the platform asks to wait");
                    patience -= wait;
                    sleep(wait).await;
                }
                _ => return Err(refusal::rate_limited(wait)),
            }
        }
    }

    async fn once(&self, deadline: Instant) -> ToolResult<Response<Bytes>> {
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        *request.uri_mut() = self.path.parse().map_err(ToolError::internal)?;
        // A span of its own, under that of the call: what the API logs is found under it.
        let trace = TraceContext::current().map_or_else(TraceContext::new, |call| call.child());
        let header = trace.to_header(traces::is_sampled(trace.trace_id()));
        let header = HeaderValue::try_from(header).map_err(ToolError::internal)?;
        request.headers_mut().insert(TRACEPARENT, header);
        self.sign(&mut request)?;
        let span = tracing::info_span!(
            target: "mcp::backend",
            "backend",
            endpoint = self.endpoint,
            trace_id = %trace.trace_id(),
            span_id = %trace.span_id(),
            parent_span_id = trace.parent_id().map(tracing::field::display),
            status = tracing::field::Empty,
        );
        let sent = self.backend.send(request).instrument(span.clone());
        let answer = timeout_at(deadline, sent).await;
        if let Ok(Ok(answer)) = &answer {
            span.record("status", answer.status().as_u16());
        }
        let answer = answer.unwrap_or(Err(Lost::TimedOut(self.limit)));
        answer.map_err(|lost| refusal::lost(self.endpoint, lost))
    }
}

impl Ask<'_> {
    /// Says for whom we ask, as of now.
    fn sign(&self, request: &mut Request<Bytes>) -> ToolResult<()> {
        let Some(signer) = self.signer else {
            return Ok(());
        };
        let tenant = self.tenant.as_ref().ok_or_else(refusal::no_tenant)?;
        let body = request.body().clone();
        signer.sign(tenant, request, &body);
        Ok(())
    }
}

/// How the platform knows the caller. A plain name is only good where nobody else can have it: for
/// subjects of this server without a tenant. It must not look like the opaque name of another.
fn acting_user(caller: &Caller) -> String {
    let plain = |id: &&str| {
        (1..=200).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_graphic())
            && !(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let local = caller
        .principal()
        .filter(|p| p.tenant().is_none() && p.issuer() == "local");
    match local.map(|p| p.subject()).filter(plain) {
        Some(subject) => subject.to_owned(),
        None => caller.owner(),
    }
}

/// Everything but letters, digits and `-._~` as `%XX`.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => encoded.push(byte.into()),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_callers_never_act_as_one() {
        let ada = Caller::user("ada");
        assert_eq!(acting_user(&ada), "ada");
        let others = [
            Caller::user("ada").tenant("org_a"),
            Caller::user("ada").tenant("org_b"),
            Caller::user("ada").issuer("https://as.example.com"),
            Caller::user("ada")
                .issuer("https://as.example.com")
                .tenant("org_a"),
            Caller::user("two words"),
            Caller::user("a".repeat(201)),
            // Somebody who calls himself what ada of org_a is called.
            Caller::user(Caller::user("ada").tenant("org_a").owner()),
            Caller::anonymous(),
        ];
        let mut names: Vec<String> = others.iter().map(acting_user).collect();
        names.push(acting_user(&ada));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), others.len() + 1, "{names:?}");
    }

    #[test]
    fn values_cannot_leave_their_place() {
        assert_eq!(
            encoded("a/b?c=d&e#f%g h\u{e9}"),
            "a%2Fb%3Fc%3Dd%26e%23f%25g%20h%C3%A9"
        );
    }
}
