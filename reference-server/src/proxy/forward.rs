//! From a request to its target and back, streaming both ways.

use std::borrow::Cow;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use mcp_runtime::{AuthError, Authenticate, Caller, TraceContext};

use super::Inner;
use super::hostname;
use super::logs::{Entry, Level, LogEntry, tame};
use super::pace::{Download, Patience, Side};
use super::redact::{redacted_path, redacted_text};
use super::routes::Live;
use crate::random;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Headers that are meant for the next hop alone (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// What only the proxy may say: a client that sends them is not believed.
const OURS: [&str; 3] = ["forwarded", "x-real-ip", "proxy-connection"];
/// How the names of the others begin.
const OURS_BEGIN: [&str; 2] = ["x-auth-", "x-forwarded-"];
/// What the proxy answers for, whatever the method.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

const UNREACHABLE: &str = "The target cannot be reached.\n";

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    pub(super) secure: bool,
}

/// Why the proxy answers itself.
struct Refused {
    status: u16,
    text: &'static str,
    /// For the log of the owner.
    error: Option<&'static str>,
}

/// Answers one request, and remembers it when its answer has ended.
pub(super) async fn answer(
    inner: &Arc<Inner>,
    peer: Peer,
    request: Request<Incoming>,
) -> Response<Answer> {
    let (head, body) = request.into_parts();
    let hostname = named(&head);
    let live = match &hostname {
        Some(name) => inner.find(name).await,
        None => None,
    };
    // Its owner reads of it, also where it is not answered.
    let mut record = Record::new(inner, peer, &head, hostname, live.as_deref());
    let live = live.filter(|live| match peer.secure {
        true => live.route.enable_https,
        false => live.route.enable_http,
    });
    let answered = match &live {
        _ if head.method == Method::CONNECT => Err(refused(405, "No tunnels are dug here.\n")),
        None => Err(refused(404, "This host is not served here.\n")),
        Some(live) => {
            let entry = &mut record.entry;
            forward(inner, peer, live, head, body, entry).await
        }
    };
    match answered {
        Ok(response) => {
            record.entry.status_code = response.status().as_u16();
            response.map(|body| Answer {
                body: Inside::Passed(body),
                record,
            })
        }
        Err(refused) => {
            record.entry.status_code = refused.status;
            record.entry.error = refused.error.map(str::to_owned);
            refused.response(record)
        }
    }
}

/// The host that a request is for: exactly one.
fn named(head: &Parts) -> Option<String> {
    if let Some(authority) = head.uri.authority() {
        return hostname::of_authority(authority.as_str());
    }
    let mut hosts = head.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => hostname::of_authority(host.to_str().ok()?),
        _ => None,
    }
}

async fn forward(
    inner: &Arc<Inner>,
    peer: Peer,
    live: &Live,
    head: Parts,
    body: Incoming,
    entry: &mut LogEntry,
) -> Result<Response<Download>, Refused> {
    let Some(target) = &live.target else {
        return Err(refused(502, UNREACHABLE)
            .because("the target is no longer allowed by the configuration"));
    };
    if came_by(&head.headers, &inner.pseudonym) {
        return Err(refused(508, "The request goes in a circle.\n")
            .because("the target leads back to the proxy"));
    }
    let path = head.uri.path_and_query();
    let path = path.map_or("/", |path| path.as_str());
    if climbs(head.uri.path()) {
        return Err(refused(400, "The path may not hold `.` or `..`.\n"));
    }
    let url = format!("{}{path}", target.url).parse::<reqwest::Url>();
    let url = url.map_err(|_| refused(400, "The path cannot be used.\n"))?;
    let caller = match live.route.auth_enabled {
        true => Some(admitted(inner, live, &head.headers, entry).await?),
        false => None,
    };
    let headers = onward(inner, peer, live, &head, caller.as_deref(), entry);
    let mut ask = inner
        .targets
        .client(target)
        .request(head.method, url)
        .headers(headers);
    let mut patience = Patience::new(inner.answer);
    if !body.is_end_stream() {
        ask = ask.body(reqwest::Body::wrap(patience.watch(body)));
    }
    let answered = patience.wait(ask.send()).await.map_err(late)?;
    let mut response: Response<reqwest::Body> = answered.map_err(lost)?.into();
    // No upgrade is handed on, so none was asked for.
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(refused(502, UNREACHABLE).because("the target switched protocols unasked"));
    }
    // Of this hop, like the headers: not what the target speaks.
    *response.version_mut() = Version::HTTP_11;
    drop_hop_by_hop(response.headers_mut());
    via(response.headers_mut(), inner);
    Ok(response.map(|body| patience.watched(body)))
}

/// Who calls a host that asks for a token: only people of the tenant that the host belongs to.
async fn admitted(
    inner: &Inner,
    live: &Live,
    headers: &HeaderMap,
    entry: &mut LogEntry,
) -> Result<Arc<Caller>, Refused> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let (Some(token), Some(tokens)) = (token, &inner.tokens) else {
        return Err(refused(401, "Send an access token.\n"));
    };
    let caller = match tokens.authenticate(token).await {
        Ok(caller) => caller,
        Err(AuthError::Unavailable) => {
            return Err(refused(503, "Tokens cannot be checked now.\n"));
        }
        Err(_) => return Err(refused(401, "The access token is not valid.\n")),
    };
    entry.user_id = caller.subject().map(|name| tame(name, 128));
    let tenant = caller.principal().and_then(|principal| principal.tenant());
    let same = tenant == live.route.tenant.as_deref() && tenant.is_some();
    match same || caller.owner() == live.route.owner {
        true => Ok(caller),
        false => Err(refused(403, "This host is for others.\n")),
    }
}

/// The headers of the request to the target.
fn onward(
    inner: &Inner,
    peer: Peer,
    live: &Live,
    head: &Parts,
    caller: Option<&Caller>,
    entry: &LogEntry,
) -> HeaderMap {
    let mut headers = head.headers.clone();
    drop_hop_by_hop(&mut headers);
    let ours: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_ours(name))
        .cloned()
        .collect();
    for name in ours {
        headers.remove(name);
    }
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    put("host", &live.route.hostname);
    put("x-forwarded-host", &live.route.hostname);
    put("x-forwarded-for", &peer.address.to_string());
    put(
        "x-forwarded-proto",
        if peer.secure { "https" } else { "http" },
    );
    put("x-request-id", &entry.request_id);
    if let Some(principal) = caller.and_then(|caller| caller.principal()) {
        put("x-auth-user", principal.subject());
        put("x-auth-tenant", principal.tenant().unwrap_or_default());
        // The token is for this proxy, not for what stands behind it.
        headers.remove(header::AUTHORIZATION);
    }
    via(&mut headers, inner);
    headers
}

/// Whether a header is one that only the proxy may send. Many targets take `_` for `-`.
fn is_ours(name: &HeaderName) -> bool {
    // The names of headers are in lower case already.
    let name = name.as_str().replace('_', "-");
    OURS.contains(&name.as_str()) || OURS_BEGIN.iter().any(|start| name.starts_with(start))
}

fn via(headers: &mut HeaderMap, inner: &Inner) {
    if let Ok(via) = HeaderValue::from_str(&format!("1.1 {}", inner.pseudonym)) {
        headers.append(header::VIA, via);
    }
}

fn came_by(headers: &HeaderMap, pseudonym: &str) -> bool {
    let mut via = headers.get_all(header::VIA).iter();
    via.any(|value| value.to_str().is_ok_and(|value| value.contains(pseudonym)))
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Whether a path has segments that would leave the path of the target, also of one that decodes
/// slashes, or takes what follows a `;` for no part of the name.
fn climbs(path: &str) -> bool {
    let mut path = path.to_ascii_lowercase();
    for (code, sign) in [("%2e", "."), ("%2f", "/"), ("%5c", "\\"), ("%3b", ";")] {
        path = path.replace(code, sign);
    }
    path.split(['/', '\\'])
        .map(|segment| segment.split(';').next().unwrap_or_default())
        .any(|name| matches!(name, "." | ".."))
}

fn refused(status: u16, text: &'static str) -> Refused {
    Refused {
        status,
        text,
        error: None,
    }
}

/// What the owner may read: not which addresses were tried.
fn lost(error: reqwest::Error) -> Refused {
    let lost = if error.is_timeout() {
        silent()
    } else if error.is_connect() {
        refused(502, UNREACHABLE).because("no connection to the target")
    } else {
        refused(502, UNREACHABLE).because("the target broke off")
    };
    let why = lost.error;
    tracing::debug!(error = %error.without_url(), why, "a request was not forwarded");
    lost
}

fn late(side: Side) -> Refused {
    match side {
        Side::Client => refused(408, "The request does not come in time.\n"),
        Side::Target => silent(),
    }
}

fn silent() -> Refused {
    refused(504, "The target does not answer in time.\n")
        .because("the target did not answer in time")
}

impl Refused {
    fn because(mut self, error: &'static str) -> Self {
        self.error = Some(error);
        self
    }

    fn response(self, record: Record) -> Response<Answer> {
        let body = Full::new(Bytes::from_static(self.text.as_bytes()));
        let mut response = Response::new(Answer {
            body: Inside::Own(body),
            record,
        });
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        match self.status {
            401 => headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            405 => headers.insert(header::ALLOW, HeaderValue::from_static(METHODS)),
            _ => None,
        };
        response
    }
}

/// What will be remembered of a request; written when it is dropped, however it ends.
pub(super) struct Record {
    inner: Arc<Inner>,
    owner: String,
    /// Whether the host is one of ours.
    served: bool,
    since: Instant,
    entry: LogEntry,
}

impl Record {
    fn new(
        inner: &Arc<Inner>,
        peer: Peer,
        head: &Parts,
        hostname: Option<String>,
        live: Option<&Live>,
    ) -> Self {
        let text = |name: HeaderName| {
            let value = head.headers.get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()))
        };
        let request_id = text(HeaderName::from_static("x-request-id")).filter(|id| is_id(id));
        let trace = TraceContext::of_headers(&head.headers);
        let without_query = |text: &str| {
            let path = text.split(['?', '#']).next().unwrap_or_default();
            tame(&redacted_path(path), 128)
        };
        Self {
            inner: Arc::clone(inner),
            owner: live
                .map(|live| live.route.owner.clone())
                .unwrap_or_default(),
            served: live.is_some(),
            since: Instant::now(),
            entry: LogEntry {
                timestamp: inner.clock.now(),
                level: Level::Info,
                component: "proxy".to_owned(),
                client_ip: peer.address.to_string(),
                client_fqdn: None,
                hostname: tame(&hostname.unwrap_or_default(), 253),
                method: tame(head.method.as_str(), 16),
                path: tame(&redacted_path(head.uri.path()), 256),
                // 499: the client went away before there was an answer.
                status_code: 499,
                response_time_ms: 0,
                user_id: None,
                user_agent: text(header::USER_AGENT).map(|text| tame(&redacted_text(&text), 128)),
                referrer: text(header::REFERER).map(|text| without_query(&text)),
                bytes_sent: 0,
                error: None,
                request_id: request_id.map_or_else(random::uuid4, Cow::into_owned),
                trace_id: trace.map(|trace| trace.trace_id().to_string()),
                session_id: None,
            },
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let mut shown = self.entry.clone();
        let took = self.since.elapsed();
        shown.response_time_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if let Some(figures) = self.inner.figures.get() {
            figures.count(&shown, took, self.served);
        }
        shown.level = Level::of(shown.status_code, shown.error.is_some());
        self.inner.store.log(Entry {
            owner: std::mem::take(&mut self.owner),
            shown,
        });
    }
}

fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// The body of an answer, counted while it passes.
pub(super) struct Answer {
    body: Inside,
    record: Record,
}

enum Inside {
    Passed(Download),
    Own(Full<Bytes>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match &mut self.body {
            Inside::Passed(body) => ready!(Pin::new(body).poll_frame(context)),
            Inside::Own(body) => {
                ready!(Pin::new(body).poll_frame(context)).map(|frame| frame.map_err(Into::into))
            }
        };
        match &frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                self.record.entry.bytes_sent += length as u64;
            }
            Some(Err(_)) => {
                self.record.entry.error = Some("the target broke off its answer".to_owned());
            }
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Inside::Passed(body) => body.is_end_stream(),
            Inside::Own(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Inside::Passed(body) => body.size_hint(),
            Inside::Own(body) => body.size_hint(),
        }
    }
}
