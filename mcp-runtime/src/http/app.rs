//! One HTTP request, from its head to its answer.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use axum::Router;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Body;
use tower_service::Service;
use tracing::Instrument;

#[cfg(feature = "auth")]
use crate::auth::oauth_proxy::{Proxy, Route};
use crate::auth::{AuthError, Authenticate};
use crate::caller::Caller;
use crate::http::accept::{self, Accepted, Replies};
use crate::http::body::{self, BodyError};
use crate::http::challenge::Challenges;
use crate::http::feed;
use crate::http::guard::{Guard, Outside};
use crate::http::legacy_sse::Streams;
use crate::http::peer::Proxies;
use crate::http::peers::Peers;
use crate::http::resource_metadata::ResourceMetadata;
use crate::http::stream::{AnswerBody, EndEvent, Events, Running, Seat};
use crate::http::tally::Tally;
use crate::http::ways::{Way, Ways, preflight};
use crate::metrics::Auth;
use crate::outbox::Outbox;
use crate::session::Session;
use crate::trace_context::TraceContext;
use crate::wire::engine::{Engine, Link};
use crate::wire::headers::Once;
use crate::wire::message;
use crate::wire::reply::{Challenge, Reply, code};

/// Which session of the earlier revisions a request belongs to.
pub(super) static SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// Nothing here takes a query; clients that send one put little into it.
const MAX_QUERY: usize = 8 << 10;

/// Headers of a request whose memory is kept for the next one. Clients send a dozen.
const MAX_ROOM: usize = 32;

/// The largest answer of a route that the server was given.
const MAX_ROUTED: usize = 64 << 20;

/// A server as seen from HTTP.
pub(crate) struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) auth: Option<Arc<dyn Authenticate>>,
    pub(crate) mode: AuthMode,
    pub(crate) challenges: Challenges,
    pub(crate) metadata: Option<ResourceMetadata>,
    #[cfg(feature = "auth")]
    pub(crate) oauth: Option<Arc<dyn Proxy>>,
    pub(crate) guard: Guard,
    /// Where messages are posted, without a slash at its end.
    pub(crate) path: String,
    pub(crate) max_body: usize,
    pub(crate) replies: Replies,
    pub(crate) strict_accept: bool,
    pub(crate) end_event: EndEvent,
    /// Where addresses matter: whom to believe about them.
    pub(crate) proxies: Option<Proxies>,
    pub(crate) service: String,
    pub(crate) version: String,
    pub(crate) ways: Ways,
    /// What a request may name its tenant with; it has to be that of its token.
    pub(crate) tenant_header: Option<HeaderName>,
    /// Who answers at other paths.
    pub(crate) routes: Option<Router>,
    /// Connections that outlive their request.
    pub(crate) peers: Arc<Peers>,
    pub(crate) streams: Arc<Streams>,
    /// Set while the server drains: load balancers are to look elsewhere.
    pub(crate) stopping: AtomicBool,
}

/// What requests without a token may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthMode {
    /// Everything public. Nobody is asked for a token, and none is taken.
    Open,
    /// Look around, and whatever is public. The rest asks for a token.
    #[default]
    Mixed,
    /// Nothing.
    Required,
}

pub(crate) type Answer = Response<AnswerBody>;

/// What a request is for, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Endpoint,
    ResourceMetadata,
    #[cfg(feature = "auth")]
    OAuth(Route),
    /// Another way to the same server.
    Way(Way),
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
            _ if self.metadata.as_ref().is_some_and(|it| it.is_at(path)) => Place::ResourceMetadata,
            #[cfg(feature = "auth")]
            _ if let Some(route) = self.oauth.as_ref().and_then(|it| it.find(path)) => {
                Place::OAuth(route)
            }
            _ => self
                .ways
                .find(path, &self.path)
                .map_or(Place::Elsewhere, Place::Way),
        }
    }

    pub(crate) async fn answer<B: Body<Data = Bytes>>(&self, request: Request<B>) -> Answer {
        let query = request.uri().query().unwrap_or_default();
        // In boxes is what is rare, so that it does not make every other request larger.
        let answer = match self.place(request.uri().path()) {
            _ if query.len() > MAX_QUERY => {
                close(plain(StatusCode::URI_TOO_LONG, "The URI is too long\n"))
            }
            Place::Endpoint => self.endpoint(None, request).await,
            Place::Way(way) => self.endpoint(Some(way), request).await,
            Place::ResourceMetadata => self.resource_metadata(request.method(), request.headers()),
            #[cfg(feature = "auth")]
            Place::OAuth(route) => Box::pin(self.oauth(route, request)).await,
            Place::Health => self.health(request.method(), true),
            Place::Ready => self.health(request.method(), !self.stopping.load(Ordering::Relaxed)),
            Place::Elsewhere => Box::pin(self.elsewhere(request)).await,
        };
        if let Some(figures) = &self.engine.figures {
            figures.answered(answer.status().as_u16());
        }
        answer
    }

    /// A path that is none of ours: what the server was given routes for, which see the head alone.
    async fn elsewhere<B>(&self, request: Request<B>) -> Answer {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let Some(routes) = self.routes.as_ref().filter(|_| reads) else {
            return plain(StatusCode::NOT_FOUND, "Not found\n");
        };
        if let Err(outside) = self.guard.check(request.uri(), request.headers()) {
            return refused(outside);
        }
        let request = request.map(|_| axum::body::Body::empty());
        let answer = match routes.clone().call(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let (head, body) = answer.into_parts();
        match axum::body::to_bytes(body, MAX_ROUTED).await {
            Ok(body) => Response::from_parts(head, Full::new(body).into()),
            Err(error) => {
                tracing::error!(target: "mcp::http", %error, "the answer of a route is lost");
                plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal error\n")
            }
        }
    }

    /// The checks in their order: name and origin before anything is known of the caller, the
    /// caller before anything is read of the body.
    async fn endpoint<B: Body<Data = Bytes>>(
        &self,
        way: Option<Way>,
        request: Request<B>,
    ) -> Answer {
        self.engine.join().await;
        let (mut head, body) = request.into_parts();
        let origin = match self.guard.check(&head.uri, &head.headers) {
            Ok(origin) => origin.cloned(),
            Err(outside) => return refused(outside),
        };
        let mut answer = match head.method {
            _ if let Some(way) = way => Box::pin(self.go(way, head, body, origin.is_some())).await,
            Method::POST => self.post(&mut head, body, true).await,
            Method::OPTIONS => {
                let (allow, methods) = if self.has_sessions() {
                    ("GET, POST, DELETE, OPTIONS", "GET, POST, DELETE")
                } else {
                    ("POST, OPTIONS", "POST")
                };
                preflight(allow, methods, &head.headers, origin.is_some())
            }
            Method::GET if self.has_sessions() => Box::pin(self.feed(&head)).await,
            Method::HEAD if self.has_sessions() && head.headers.contains_key(&SESSION) => {
                Box::pin(self.head(&head)).await
            }
            Method::DELETE if self.has_sessions() => Box::pin(self.end_session(&head)).await,
            _ => not_allowed(self.has_sessions() && !feed::is_modern(&head.headers)),
        };
        if let Some(origin) = origin {
            share_with(origin, answer.headers_mut());
        }
        answer
    }

    pub(super) async fn post<B: Body<Data = Bytes>>(
        &self,
        head: &mut http::request::Parts,
        body: B,
        opens_sessions: bool,
    ) -> Answer {
        if !is_json(&head.headers) {
            return plain(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Send a JSON-RPC message with Content-Type: application/json\n",
            );
        }
        // The way that always answers JSON is not asked for more.
        let strict = self.strict_accept && opens_sessions;
        let Some(accepted) = accept::accepted(&head.headers, strict) else {
            return plain(
                StatusCode::NOT_ACCEPTABLE,
                if self.strict_accept {
                    "Accept application/json and text/event-stream, both\n"
                } else {
                    "Accept application/json, text/event-stream, or both\n"
                },
            );
        };
        let address = self.address(head);
        let caller = match self.tenants_caller(head).await {
            Ok(caller) => caller,
            Err(answer) => return answer,
        };
        let session = self.session(&head.headers, &caller).await;
        let bytes = match body::read(&head.headers, body, self.max_body).await {
            Ok(bytes) => bytes,
            Err(BodyError::TooLarge) => return close(self.too_large()),
            Err(BodyError::Broken) => {
                return close(plain(StatusCode::BAD_REQUEST, "The body ended early\n"));
            }
        };
        let session = match session {
            Ok(session) => session,
            // Whoever begins anew need not know that the old one is gone.
            Err(_) if message::is_initialize(&bytes) => None,
            Err(answer) => return answer,
        };
        let listens = self.replies == Replies::Json && listens(&head.headers);
        let form = accepted.form(self.replies, listens);
        let outbox = Arc::new(Outbox::default());
        let link = Link {
            caller,
            outbox: Arc::clone(&outbox),
            streams: form != Replies::Json,
            session: session.clone(),
            opens_sessions,
            address,
            trace: TraceContext::of_headers(&head.headers),
        };
        let engine = Arc::clone(&self.engine);
        let primes = session.is_some() && feed::primes(feed::version(&head.headers));
        let span = self.request_span(head, session.as_deref());
        let headers = std::mem::take(&mut head.headers);
        let handle = move || async move {
            let mut reply = engine.handle(&bytes, Some(&headers), &link).await;
            reply.request = Some(Box::new(headers));
            reply
        };
        let mut running: Running = match span.is_none() {
            true => boxed(handle),
            false => boxed(|| handle().instrument(span)),
        };
        let mut first = first(&mut running, &outbox, form).await;
        if let Some(reply) = &mut first {
            self.challenges.deliver(reply);
        }
        match first {
            Some(reply) if is_whole(&reply, accepted, form, &outbox) => self.respond(reply),
            Some(mut reply) => {
                if reply.error.is_some() {
                    outbox.fail();
                }
                let message = std::mem::take(&mut reply.body);
                let of_session = session.filter(|_| reply.status == 200);
                let answer = self.stream(of_session, Call::Over(message), outbox, primes);
                self.challenged(reply.challenge.take(), dress(answer, reply))
            }
            None => self.stream(session, Call::Running(running), outbox, primes),
        }
    }

    /// The stream of a call. In a session the call does not depend on it: a client that loses the
    /// connection can come back for the rest.
    fn stream(
        &self,
        session: Option<Arc<Session>>,
        call: Call,
        outbox: Arc<Outbox>,
        primes: bool,
    ) -> Answer {
        let Some(session) = session else {
            let body = Events::of_call(call.running(), outbox, self.end_event, self.tally());
            return streaming(body);
        };
        if !self.engine.sessions.keeper.admit(&session, &outbox) {
            let body = Events::of_call(call.running(), outbox, self.end_event, self.tally());
            return feed::in_session(&session, body);
        }
        let seat = Seat::of_call(&self.engine, &session, outbox.read());
        match call {
            Call::Over(message) => {
                outbox.finish(message);
            }
            Call::Running(running) => {
                let (engine, session) = (Arc::clone(&self.engine), Arc::clone(&session));
                tokio::spawn(finish(engine, session, running, outbox));
            }
        }
        let body = Events::of_session(seat, primes, self.end_event, self.tally());
        feed::in_session(&session, body)
    }

    /// The tally of a stream that begins.
    pub(super) fn tally(&self) -> Tally {
        Tally::begin(&self.engine.changes, self.engine.figures.as_ref())
    }

    /// Where a request comes from, if somebody wants to know.
    pub(super) fn address(&self, head: &http::request::Parts) -> Option<IpAddr> {
        self.proxies.as_ref()?.client(head)
    }

    /// The answer to one more token that is not good, after too many from the same address.
    async fn too_many_failures(&self, head: &http::request::Parts) -> Option<Answer> {
        let limits = self.engine.limits.as_ref()?;
        let too_many = limits.failure(self.address(head)).await.err()?;
        if let Some(figures) = &self.engine.figures {
            figures.limited(&too_many);
        }
        tracing::debug!(target: "mcp::auth", outcome = "too_many_failures", "request refused");
        let mut reply = Reply::malformed(code::TOO_MANY, &too_many.text());
        reply.status = 429;
        reply.retry_after_s = Some(too_many.retry_after_s);
        Some(respond(reply))
    }

    /// Who sends this request. A token that is not good is refused, never overlooked.
    pub(super) async fn caller(&self, head: &http::request::Parts) -> Result<Arc<Caller>, Answer> {
        // Put there by code of this process: a test, or the middleware of a larger application.
        if let Some(caller) = head.extensions.get::<Arc<Caller>>() {
            if let Some(figures) = &self.engine.figures {
                figures.vouched_for();
            }
            return Ok(Arc::clone(caller));
        }
        let counted = |token: Option<&str>, outcome: Auth| {
            if let Some(figures) = &self.engine.figures {
                figures.authenticated(token, outcome);
            }
        };
        let said = Once::of(&head.headers, &header::AUTHORIZATION);
        if said == Once::Never {
            return match self.mode {
                AuthMode::Required => {
                    counted(None, Auth::Missing);
                    Err(self.unauthenticated(
                        None,
                        "This server wants to know who calls: send an access token",
                    ))
                }
                AuthMode::Open | AuthMode::Mixed => {
                    counted(None, Auth::Ok);
                    Ok(anonymous())
                }
            };
        }
        let token = said.value().and_then(bearer);
        let outcome = match (token, &self.auth) {
            (Some(token), Some(auth)) if self.mode != AuthMode::Open => {
                auth.authenticate(token).await
            }
            _ => Err(AuthError::Invalid),
        };
        if outcome.is_ok() {
            counted(token, Auth::Ok);
        }
        if let Err(AuthError::Invalid) = outcome
            && let Some(answer) = self.too_many_failures(head).await
        {
            counted(token.or(Some("")), Auth::TooMany);
            return Err(answer);
        }
        outcome.map_err(|error| match error {
            AuthError::Invalid => {
                counted(token.or(Some("")), Auth::Invalid);
                tracing::info!(target: "mcp::auth", outcome = "invalid_token", "request refused");
                self.unauthenticated(
                    Some("invalid_token"),
                    "The access token is not valid here: get a new one",
                )
            }
            AuthError::Denied => {
                counted(token, Auth::Denied);
                tracing::info!(target: "mcp::auth", outcome = "denied", "request refused");
                let mut reply = Reply::malformed(code::FORBIDDEN, "Access denied");
                reply.status = 403;
                respond(reply)
            }
            AuthError::Unavailable => {
                counted(token, Auth::Unavailable);
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

    pub(super) fn unauthenticated(&self, error: Option<&'static str>, message: &str) -> Answer {
        let mut reply = Reply::malformed(code::UNAUTHENTICATED, message);
        reply.status = 401;
        reply.challenge = Some(Challenge {
            error,
            scope: String::new(),
        });
        self.respond(reply)
    }

    /// Puts a reply into HTTP, with the challenge that it carries.
    pub(super) fn respond(&self, mut reply: Reply) -> Answer {
        self.challenged(reply.challenge.take(), respond(reply))
    }

    fn challenged(&self, challenge: Option<Challenge>, mut answer: Answer) -> Answer {
        if let Some(value) = challenge.and_then(|it| self.challenges.header(&it)) {
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
        answer
    }

    /// Read by pages of any origin: it says nothing that is not public.
    fn resource_metadata(&self, method: &Method, headers: &HeaderMap) -> Answer {
        let Some(metadata) = &self.metadata else {
            return plain(StatusCode::NOT_FOUND, "Not found\n");
        };
        let mut answer = match *method {
            Method::GET => json(StatusCode::OK, metadata.body.clone()),
            Method::HEAD => json(StatusCode::OK, Bytes::new()),
            Method::OPTIONS => preflight("GET, HEAD, OPTIONS", "GET, HEAD", headers, true),
            _ => {
                let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "");
                answer.headers_mut().insert(
                    header::ALLOW,
                    HeaderValue::from_static("GET, HEAD, OPTIONS"),
                );
                answer
            }
        };
        let headers = answer.headers_mut();
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            HeaderValue::from_static("*"),
        );
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=3600"),
        );
        answer
    }

    pub(super) fn too_large(&self) -> Answer {
        let mut reply = Reply::malformed(
            code::INVALID_REQUEST,
            &format!("The message is larger than {} bytes", self.max_body),
        );
        reply.status = 413;
        respond(reply)
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
pub(crate) fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = Once::of(headers, &header::CONTENT_TYPE).value() else {
        return false;
    };
    let kind = value
        .as_bytes()
        .split(|b| *b == b';')
        .next()
        .unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

/// A future that is made where it is to stay: two kilobytes that are not moved there.
fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), make()))
}

/// Waits for the answer, or for a reason to begin a stream before it: `None`.
async fn first(running: &mut Running, outbox: &Outbox, form: Replies) -> Option<Reply> {
    std::future::poll_fn(|context| {
        if let Poll::Ready(reply) = running.as_mut().poll(context) {
            return Poll::Ready(Some(reply));
        }
        match form {
            Replies::Json => Poll::Pending,
            Replies::Sse if outbox.has_begun() => Poll::Ready(None),
            _ => outbox.poll_said(context).map(|()| None),
        }
    })
    .await
}

/// Whether an answer that came at once is one body.
fn is_whole(reply: &Reply, accepted: Accepted, form: Replies, outbox: &Outbox) -> bool {
    let only_events = accepted == Accepted::Events;
    reply.body.is_empty()
        // A stream has begun well; an error of HTTP has not.
        || reply.status != 200 && !only_events
        || match form {
            Replies::Json => true,
            Replies::Sse => false,
            Replies::Negotiate => !outbox.has_said(),
        }
}

/// A call whose answer is a stream.
enum Call {
    /// With the last message, before which others may wait.
    Over(Vec<u8>),
    Running(Running),
}

impl Call {
    fn running(self) -> Running {
        match self {
            Self::Over(body) => Box::pin(std::future::ready(Reply {
                body,
                ..Reply::accepted()
            })),
            Self::Running(running) => running,
        }
    }
}

/// Runs a call of a session to its end, whoever reads its stream.
async fn finish(engine: Arc<Engine>, session: Arc<Session>, running: Running, outbox: Arc<Outbox>) {
    // Readers must not wait for what never comes, whatever happens to the call.
    let ends = Ends(&outbox);
    let message = tokio::select! {
        biased;
        reply = running => {
            if reply.error.is_some() {
                outbox.fail();
            }
            reply.body
        }
        () = engine.sessions.over(&session) => Vec::new(),
    };
    if outbox.finish(message) {
        engine.sessions.keeper.is_over(&session, &outbox);
    }
    drop(ends);
}

struct Ends<'outbox>(&'outbox Outbox);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.finish(Vec::new());
    }
}

/// Whether a request is for a stream. Its header is compared with the body where it counts.
fn listens(headers: &HeaderMap) -> bool {
    headers
        .get("mcp-method")
        .is_some_and(|method| method == "subscriptions/listen")
}

/// Puts a reply into HTTP.
pub(super) fn respond(mut reply: Reply) -> Answer {
    let body = std::mem::take(&mut reply.body);
    let answer = if body.is_empty() {
        Response::new(AnswerBody::default())
    } else {
        json_in(emptied(reply.request.take()), StatusCode::OK, body.into())
    };
    dress(answer, reply)
}

/// The headers of a request as those of its answer, without what is in them. hyper takes those of
/// an answer for the next request of the connection, so that there they find their memory again.
fn emptied(headers: Option<Box<HeaderMap>>) -> HeaderMap {
    let headers = headers.filter(|headers| headers.capacity() <= MAX_ROOM);
    let mut headers = headers.map_or_else(HeaderMap::new, |headers| *headers);
    headers.clear();
    headers
}

/// Gives an answer the status and the headers of a reply.
fn dress(mut answer: Answer, reply: Reply) -> Answer {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *answer.status_mut() = status;
    if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = HeaderValue::from(reply.retry_after_s.unwrap_or(5));
        answer.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    if let Some(session) = &reply.session {
        named(&mut answer, session);
    }
    answer
}

/// Names the session of an answer.
pub(super) fn named(answer: &mut Answer, session: &str) {
    if let Ok(session) = HeaderValue::try_from(session) {
        answer.headers_mut().insert(&SESSION, session);
    }
}

pub(super) fn json(status: StatusCode, body: Bytes) -> Answer {
    json_in(HeaderMap::new(), status, body)
}

fn json_in(mut headers: HeaderMap, status: StatusCode, body: Bytes) -> Answer {
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
    let mut answer = Response::new(Full::new(body).into());
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

pub(super) fn streaming(body: AnswerBody) -> Answer {
    let mut answer = json(StatusCode::OK, Bytes::new());
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store, must-revalidate, private"),
    );
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer.map(|_| body)
}

pub(super) fn plain(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = json(status, Bytes::from_static(text.as_bytes()));
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    answer
}

/// The rest of a body that is not wanted is not read: the connection goes with it.
pub(super) fn close(mut answer: Answer) -> Answer {
    answer
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

pub(super) fn refused(outside: Outside) -> Answer {
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
    close(respond(reply))
}

/// Which methods there are, with sessions and without.
fn methods(sessions: bool) -> HeaderValue {
    HeaderValue::from_static(if sessions {
        "GET, POST, DELETE, OPTIONS"
    } else {
        "POST, OPTIONS"
    })
}

pub(super) fn not_allowed(sessions: bool) -> Answer {
    let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "Send messages with POST\n");
    answer
        .headers_mut()
        .insert(header::ALLOW, methods(sessions));
    answer
}

fn share_with(origin: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(
            "mcp-session-id, mcp-protocol-version, www-authenticate, retry-after",
        ),
    );
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
}
