//! One HTTP request, from its head to its answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Body;

use crate::auth::{AuthError, Authenticate};
use crate::caller::Caller;
use crate::http::accept::{self, Form};
use crate::http::body::{self, BodyError};
use crate::http::guard::{Guard, Outside};
use crate::http::peer::Proxies;
use crate::http::stream::{AnswerBody, Events, event};
use crate::outbox::Outbox;
use crate::session::Session;
use crate::wire::engine::{Engine, Link, SessionMode};
use crate::wire::headers::Routing;
use crate::wire::reply::{Challenge, Reply, code};
use crate::wire::revision::Revision;

/// Which session of the earlier revisions a request belongs to.
const SESSION: &str = "mcp-session-id";

/// Nothing here takes a query; clients that send one put little into it.
const MAX_QUERY: usize = 8 << 10;

/// A server as seen from HTTP.
pub(crate) struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) auth: Option<Arc<dyn Authenticate>>,
    pub(crate) guard: Guard,
    /// Where messages are posted, without a slash at its end.
    pub(crate) path: String,
    pub(crate) max_body: usize,
    /// Where addresses matter: whom to believe about them.
    pub(crate) proxies: Option<Proxies>,
    pub(crate) service: String,
    pub(crate) version: String,
    /// Set while the server drains: load balancers are to look elsewhere.
    pub(crate) stopping: AtomicBool,
}

pub(crate) type Answer = Response<AnswerBody>;

/// What a request is for, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Endpoint,
    Health,
    Ready,
    Elsewhere,
}

impl App {
    pub(crate) fn place(&self, path: &str) -> Place {
        let endpoint = path
            .strip_prefix(self.path.as_str())
            .is_some_and(|rest| rest.is_empty() || rest == "/");
        match path {
            _ if endpoint => Place::Endpoint,
            "/api/v1/health" => Place::Health,
            "/api/v1/ready" => Place::Ready,
            _ => Place::Elsewhere,
        }
    }

    pub(crate) async fn answer<B: Body<Data = Bytes>>(&self, request: Request<B>) -> Answer {
        if request
            .uri()
            .query()
            .is_some_and(|query| query.len() > MAX_QUERY)
        {
            return close(plain(StatusCode::URI_TOO_LONG, "The URI is too long\n"));
        }
        match self.place(request.uri().path()) {
            Place::Endpoint => self.endpoint(request).await,
            Place::Health => self.health(request.method(), true),
            Place::Ready => self.health(request.method(), !self.stopping.load(Ordering::Relaxed)),
            Place::Elsewhere => plain(StatusCode::NOT_FOUND, "Not found\n"),
        }
    }

    /// The checks in their order: name and origin before anything is known of the caller, the
    /// caller before anything is read of the body.
    async fn endpoint<B: Body<Data = Bytes>>(&self, request: Request<B>) -> Answer {
        let (head, body) = request.into_parts();
        let origin = match self.guard.check(&head.uri, &head.headers) {
            Ok(origin) => origin.cloned(),
            Err(outside) => return refused(outside),
        };
        let mut answer = match head.method {
            Method::POST => self.post(head, body).await,
            Method::OPTIONS => preflight(origin.is_some()),
            Method::GET if self.has_sessions() => self.feed(&head).await,
            Method::DELETE if self.has_sessions() => self.end_session(&head).await,
            _ => not_allowed(),
        };
        if let Some(origin) = origin {
            share_with(origin, answer.headers_mut());
        }
        answer
    }

    async fn post<B: Body<Data = Bytes>>(&self, head: http::request::Parts, body: B) -> Answer {
        if !is_json(&head.headers) {
            return plain(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Send a JSON-RPC message with Content-Type: application/json\n",
            );
        }
        let Some(accepted) = accept::accepted(&head.headers) else {
            return plain(
                StatusCode::NOT_ACCEPTABLE,
                "Accept application/json, text/event-stream, or both\n",
            );
        };
        let address = self.address(&head);
        let caller = match self.caller(&head).await {
            Ok(caller) => caller,
            Err(answer) => return answer,
        };
        let session = match self.session(&head.headers, &caller) {
            Ok(session) => session,
            Err(answer) => return answer,
        };
        let bytes = match body::read(&head.headers, body, self.max_body).await {
            Ok(bytes) => bytes,
            Err(BodyError::TooLarge) => return close(self.too_large()),
            Err(BodyError::Broken) => {
                return close(plain(StatusCode::BAD_REQUEST, "The body ended early\n"));
            }
        };
        let outbox = Arc::new(Outbox::default());
        let link = Link {
            caller,
            outbox: Arc::clone(&outbox),
            streams: accepted.events,
            session,
            opens_sessions: true,
            address,
        };
        let engine = Arc::clone(&self.engine);
        let headers = head.headers;
        let mut running =
            Box::pin(async move { engine.handle(&bytes, Some(&headers), &link).await });
        // An answer that comes before anything else is said is one body; else it ends a stream.
        let first = std::future::poll_fn(|context| {
            if let Poll::Ready(reply) = running.as_mut().poll(context) {
                return Poll::Ready(Some(reply));
            }
            if accepted.events {
                return outbox.poll_ready(context).map(|()| None);
            }
            Poll::Pending
        })
        .await;
        match first {
            // What was said and never read: the client takes no events, or the call was too quick.
            Some(reply) if accepted.events && outbox.has_any() => {
                streaming(Events::body(Box::pin(std::future::ready(reply)), outbox))
            }
            Some(reply) => respond(reply, accepted.form),
            None => streaming(Events::body(running, outbox)),
        }
    }

    fn has_sessions(&self) -> bool {
        self.engine.modes.sessions != SessionMode::Stateless
    }

    /// The session that a request names, where that means something: not since 2026-07-28, and not
    /// where there are none.
    #[expect(clippy::result_large_err, reason = "an answer is made once, and sent")]
    fn session(
        &self,
        headers: &HeaderMap,
        caller: &Caller,
    ) -> Result<Option<Arc<Session>>, Answer> {
        let Some(id) = headers.get(SESSION) else {
            return Ok(None);
        };
        let version = Routing(headers)
            .version()
            .ok()
            .flatten()
            .and_then(Revision::parse);
        if !self.has_sessions() || version.is_some_and(Revision::is_modern) {
            return Ok(None);
        }
        let session = id
            .to_str()
            .ok()
            .and_then(|id| self.engine.sessions.find(id, caller));
        session.map(Some).ok_or_else(no_session)
    }

    /// The caller of a request without a body, and the session that it names.
    async fn named_session(
        &self,
        head: &http::request::Parts,
    ) -> Result<(Arc<Caller>, Arc<Session>), Answer> {
        let caller = self.caller(head).await?;
        let session = self.session(&head.headers, &caller)?;
        session
            .map(|session| (caller, session))
            .ok_or_else(not_allowed)
    }

    /// The stream of what belongs to no request of a session.
    async fn feed(&self, head: &http::request::Parts) -> Answer {
        let session = match self.named_session(head).await {
            Ok((_, session)) => session,
            Err(answer) => return answer,
        };
        let outbox = Arc::new(Outbox::default());
        let changes = self.engine.changes.clone();
        session.attach(&changes, Arc::clone(&outbox));
        let open = async move {
            // Kept alive by its stream, and the stream by the server.
            let _session = session;
            changes.closed().await;
            Reply::accepted()
        };
        streaming(Events::body(Box::pin(open), outbox))
    }

    async fn end_session(&self, head: &http::request::Parts) -> Answer {
        let (caller, session) = match self.named_session(head).await {
            Ok(named) => named,
            Err(answer) => return answer,
        };
        self.engine.sessions.close(&session.id, &caller);
        let mut answer = Response::new(AnswerBody::default());
        *answer.status_mut() = StatusCode::NO_CONTENT;
        answer
    }

    /// Where a request comes from, if somebody wants to know.
    fn address(&self, head: &http::request::Parts) -> Option<IpAddr> {
        self.proxies.as_ref()?.client(head)
    }

    /// The answer to one more token that is not good, after too many from the same address.
    fn too_many_failures(&self, head: &http::request::Parts) -> Option<Answer> {
        let limits = self.engine.limits.as_ref()?;
        let too_many = limits.failure(self.address(head)).err()?;
        tracing::debug!(target: "mcp::auth", outcome = "too_many_failures", "request refused");
        let mut reply = Reply::malformed(code::TOO_MANY, &too_many.text());
        reply.status = 429;
        reply.retry_after_s = Some(too_many.retry_after_s);
        Some(respond(reply, Form::Json))
    }

    /// Who sends this request. A token that is not good is refused, never overlooked.
    async fn caller(&self, head: &http::request::Parts) -> Result<Arc<Caller>, Answer> {
        // Put there by code of this process: a test, or the middleware of a larger application.
        if let Some(caller) = head.extensions.get::<Arc<Caller>>() {
            return Ok(Arc::clone(caller));
        }
        let mut values = head.headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Ok(anonymous());
        };
        let token = bearer(value).filter(|_| values.next().is_none());
        let outcome = match (token, &self.auth) {
            (Some(token), Some(auth)) => auth.authenticate(token).await,
            _ => Err(AuthError::Invalid),
        };
        outcome.map_err(|error| match error {
            AuthError::Invalid => {
                if let Some(answer) = self.too_many_failures(head) {
                    return answer;
                }
                tracing::info!(target: "mcp::auth", outcome = "invalid_token", "request refused");
                let mut reply = Reply::malformed(
                    code::UNAUTHENTICATED,
                    "The access token is not valid here: get a new one",
                );
                reply.status = 401;
                reply.challenge = Some(Challenge {
                    error: Some("invalid_token"),
                    scope: String::new(),
                });
                respond(reply, Form::Json)
            }
            AuthError::Unavailable => {
                let mut answer = plain(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "Access tokens cannot be checked at the moment\n",
                );
                answer
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
                answer
            }
        })
    }

    fn too_large(&self) -> Answer {
        let mut reply = Reply::malformed(
            code::INVALID_REQUEST,
            &format!("The message is larger than {} bytes", self.max_body),
        );
        reply.status = 413;
        respond(reply, Form::Json)
    }

    fn health(&self, method: &Method, well: bool) -> Answer {
        if method != Method::GET && method != Method::HEAD {
            let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "");
            answer
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        let status = if well { "ok" } else { "stopping" };
        let body = serde_json::json!({ "status": status, "service": self.service, "version": self.version });
        let mut answer = json(
            if well {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            },
            body.to_string().into(),
        );
        if method == Method::HEAD {
            *answer.body_mut() = AnswerBody::default();
        }
        answer
    }
}

fn anonymous() -> Arc<Caller> {
    static ANONYMOUS: std::sync::LazyLock<Arc<Caller>> = std::sync::LazyLock::new(Arc::default);
    Arc::clone(&ANONYMOUS)
}

/// The token of `Bearer <token>`; the scheme in any capitals.
fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let kind = value
        .as_bytes()
        .split(|b| *b == b';')
        .next()
        .unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

/// Puts a reply into HTTP.
fn respond(reply: Reply, form: Form) -> Answer {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = match (reply.body.is_empty(), form) {
        (true, _) => Response::new(AnswerBody::default()),
        (_, Form::Json) => json(status, reply.body.into()),
        (_, Form::Sse) => one_event(&reply.body),
    };
    *answer.status_mut() = status;
    if let Some(session) = reply.session
        && let Ok(session) = HeaderValue::try_from(session)
    {
        answer.headers_mut().insert(SESSION, session);
    }
    if let Some(seconds) = reply.retry_after_s {
        let seconds = HeaderValue::from(seconds);
        answer.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    if let Some(challenge) = reply.challenge {
        let mut text = String::from("Bearer realm=\"mcp\"");
        if let Some(error) = challenge.error {
            text += &format!(", error=\"{error}\"");
        }
        if !challenge.scope.is_empty() {
            text += &format!(", scope=\"{}\"", challenge.scope);
        }
        // Scopes are checked when the server is built, so this is a header value.
        if let Ok(value) = HeaderValue::try_from(text) {
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
    }
    answer
}

fn json(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body).into());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.reserve(4);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    answer
}

/// A stream of one event.
fn one_event(message: &[u8]) -> Answer {
    streaming(Full::new(event(message)).into())
}

fn streaming(body: AnswerBody) -> Answer {
    let mut answer = json(StatusCode::OK, Bytes::new());
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer.map(|_| body)
}

fn no_session() -> Answer {
    let mut reply = Reply::malformed(
        code::SESSION_NOT_FOUND,
        "Session not found: begin a new one with `initialize`",
    );
    reply.status = 404;
    respond(reply, Form::Json)
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = json(status, Bytes::from_static(text.as_bytes()));
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    answer
}

/// The rest of a body that is not wanted is not read: the connection goes with it.
fn close(mut answer: Answer) -> Answer {
    answer
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

fn refused(outside: Outside) -> Answer {
    let (status, message, log) = match outside {
        Outside::BadRequest => (400, "Send exactly one Host header", "host_missing"),
        Outside::Host => (
            403,
            "This server does not answer to that host name",
            "host_rejected",
        ),
        Outside::Origin => (
            403,
            "This server does not take requests from that origin",
            "origin_rejected",
        ),
    };
    tracing::warn!(target: "mcp::http", outcome = log, "request refused");
    let mut reply = Reply::malformed(code::FORBIDDEN, message);
    reply.status = status;
    close(respond(reply, Form::Json))
}

fn not_allowed() -> Answer {
    let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "Send messages with POST\n");
    answer
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    answer
}

fn preflight(from_page: bool) -> Answer {
    let mut answer = Response::new(AnswerBody::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    if from_page {
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("POST"),
        );
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static(
                "accept, authorization, content-type, last-event-id, mcp-method, mcp-name, \
                 mcp-protocol-version, mcp-session-id",
            ),
        );
        headers.insert(
            header::ACCESS_CONTROL_MAX_AGE,
            HeaderValue::from_static("600"),
        );
    }
    answer
}

fn share_with(origin: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("mcp-session-id, retry-after, www-authenticate"),
    );
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
}
