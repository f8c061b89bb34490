//! What a server counts beside its tools, resources and prompts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Counter, Gauge, Histogram, Metrics};
use crate::limits::TooMany;
use crate::wire::reply::code;
use crate::wire::revision::Revision;

/// What a client may ask for. What it makes up counts as `other`.
const METHODS: [&str; 22] = [
    "tools/call",
    "tools/list",
    "resources/read",
    "resources/list",
    "resources/templates/list",
    "resources/subscribe",
    "resources/unsubscribe",
    "resources/directory/read",
    "prompts/get",
    "prompts/list",
    "skills/list",
    "skills/get",
    "completion/complete",
    "server/discover",
    "subscriptions/listen",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
    "initialize",
    "ping",
    "logging/setLevel",
    "other",
];

const CODES: [i32; 14] = [
    code::PARSE_ERROR,
    code::INVALID_REQUEST,
    code::METHOD_NOT_FOUND,
    code::INVALID_PARAMS,
    code::INTERNAL,
    code::HEADER_MISMATCH,
    code::MISSING_CAPABILITY,
    code::RESOURCE_NOT_FOUND,
    code::SESSION_NOT_FOUND,
    code::UNSUPPORTED_VERSION,
    code::TOO_MANY,
    code::UNAVAILABLE,
    code::UNAUTHENTICATED,
    code::FORBIDDEN,
];

/// What [`TooMany::what`] says, and the label for it.
const LIMITS: [(&str, &str); 6] = [
    ("requests", "requests"),
    ("calls that change something", "writes"),
    ("calls of this kind", "tool_rate"),
    ("calls of this kind at once", "tool_concurrency"),
    ("calls at once", "caller_concurrency"),
    ("access tokens that are not good", "failed_authentications"),
];

/// Upper bounds of what a stream sent, in bytes.
const BYTES: &[f64] = &[
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
];
/// Upper bounds of how long sessions and streams lasted, in seconds.
const LIVES: &[f64] = &[
    0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 14_400.0, 86_400.0,
];

const KINDS: [&str; 4] = ["none", "jwt", "opaque", "process"];
const AUTHS: [&str; 6] = [
    "ok",
    "missing",
    "invalid",
    "denied",
    "unavailable",
    "too_many",
];

/// How the question who calls was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    Ok,
    /// No token, where there has to be one.
    Missing,
    Invalid,
    Denied,
    Unavailable,
    TooMany,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionEnd {
    Closed,
    Expired,
    /// It was there for a stream, and its client has left that.
    StreamLeft,
    Shutdown,
    /// The store did not take it.
    StoreFailed,
}

impl SessionEnd {
    const ALL: [Self; 5] = [
        Self::Closed,
        Self::Expired,
        Self::StreamLeft,
        Self::Shutdown,
        Self::StoreFailed,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Expired => "expired",
            Self::StreamLeft => "stream_left",
            Self::Shutdown => "server_shutdown",
            Self::StoreFailed => "store_failed",
        }
    }
}

/// Why a stream of events is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    Completed,
    ClientClosed,
    Shutdown,
    SessionExpired,
    WriteTimeout,
    Error,
}

impl StreamEnd {
    const ALL: [Self; 6] = [
        Self::Completed,
        Self::ClientClosed,
        Self::Shutdown,
        Self::SessionExpired,
        Self::WriteTimeout,
        Self::Error,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::ClientClosed => "client_closed",
            Self::Shutdown => "server_shutdown",
            Self::SessionExpired => "session_expired",
            Self::WriteTimeout => "write_timeout",
            Self::Error => "error",
        }
    }
}

/// All that is counted of one server, or of several that share it.
pub(crate) struct Figures {
    methods: [Method; METHODS.len()],
    in_flight: Gauge,
    errors: [Counter; CODES.len() + 1],
    statuses: [Counter; 5],
    auth: [[Counter; AUTHS.len()]; KINDS.len()],
    limited: [Counter; LIMITS.len()],
    unknown: [Counter; 3],
    pub(crate) connections: Gauge,
    sessions: Lives,
    streams: Lives,
    stream_bytes: Histogram,
    stream_events: Counter,
    tasks: Gauge,
    tasks_created: Counter,
    tasks_ended: [Counter; 4],
}

struct Method {
    revisions: [Counter; Revision::ALL.len()],
    duration: Histogram,
}

/// What begins, lasts and ends for a reason.
struct Lives {
    open: Gauge,
    opened: Counter,
    ended: Vec<Counter>,
    duration: Histogram,
}

impl Figures {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let one =
            |name, help, label, value: &str| metrics.quiet_counter(name, help, &[(label, value)]);
        Self {
            methods: METHODS.map(|method| Method::new(metrics, method)),
            in_flight: metrics.gauge(
                "mcp_requests_in_flight",
                "Requests that are being answered.",
                &[],
            ),
            errors: std::array::from_fn(|at| {
                let code = CODES.get(at).map_or("other".to_owned(), i32::to_string);
                let help = "Requests answered with an error of JSON-RPC, by its code.";
                one("mcp_errors_total", help, "code", &code)
            }),
            statuses: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(|class| {
                let help = "Answers over HTTP by the class of their status.";
                one("mcp_http_responses_total", help, "class", class)
            }),
            auth: KINDS.map(|kind| {
                AUTHS.map(|outcome| {
                    metrics.quiet_counter(
                        "mcp_auth_total",
                        "Requests by the kind of their access token and what came of it.",
                        &[("kind", kind), ("outcome", outcome)],
                    )
                })
            }),
            limited: LIMITS.map(|(_, limit)| {
                let help = "What was refused because it was asked too often.";
                one("mcp_rate_limited_total", help, "limit", limit)
            }),
            unknown: ["tool", "resource", "prompt"].map(|kind| {
                let help = "Requests for a tool, resource or prompt that does not exist.";
                one("mcp_unknown_names_total", help, "kind", kind)
            }),
            connections: metrics.gauge("mcp_connections_open", "Open connections.", &[]),
            sessions: Lives::new(
                metrics,
                [
                    "mcp_sessions_open",
                    "mcp_sessions_opened_total",
                    "mcp_sessions_ended_total",
                    "mcp_session_duration_seconds",
                ],
                [
                    "Sessions that this instance holds.",
                    "Sessions opened by this instance.",
                    "Sessions that this instance no longer holds, by the reason.",
                    "How long sessions lasted.",
                ],
                SessionEnd::ALL.map(SessionEnd::as_str).as_slice(),
            ),
            streams: Lives::new(
                metrics,
                [
                    "mcp_streams_open",
                    "mcp_streams_opened_total",
                    "mcp_streams_ended_total",
                    "mcp_stream_duration_seconds",
                ],
                [
                    "Open streams of events.",
                    "Streams of events that were opened.",
                    "Streams of events that ended, by the reason.",
                    "How long streams of events lasted.",
                ],
                StreamEnd::ALL.map(StreamEnd::as_str).as_slice(),
            ),
            stream_bytes: metrics.histogram(
                "mcp_stream_bytes",
                "Bytes sent on a stream of events.",
                &[],
                BYTES,
            ),
            stream_events: metrics.counter(
                "mcp_stream_events_total",
                "Events sent on streams, comments among them.",
                &[],
            ),
            tasks: metrics.gauge("mcp_tasks_running", "Tasks that run.", &[]),
            tasks_created: metrics.counter("mcp_tasks_created_total", "Tasks that began.", &[]),
            tasks_ended: ["completed", "failed", "cancelled", "expired"].map(|status| {
                let help = "Tasks that ended, by how.";
                one("mcp_tasks_ended_total", help, "status", status)
            }),
        }
    }

    /// Counts an answer over HTTP.
    pub(crate) fn answered(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.statuses[class].count();
    }

    /// Counts an error of JSON-RPC.
    pub(crate) fn error(&self, code: i32) {
        let known = CODES.iter().position(|known| *known == code);
        self.errors[known.unwrap_or(CODES.len())].count();
    }

    /// Counts whose token was looked at, and what came of it. The kind is read off its shape.
    pub(crate) fn authenticated(&self, token: Option<&str>, outcome: Auth) {
        let kind = match token {
            None => 0,
            Some(token) if token.bytes().filter(|byte| *byte == b'.').count() == 2 => 1,
            Some(_) => 2,
        };
        self.auth[kind][outcome as usize].count();
    }

    /// Counts a caller that code of this process vouches for.
    pub(crate) fn vouched_for(&self) {
        self.auth[3][Auth::Ok as usize].count();
    }

    pub(crate) fn limited(&self, too_many: &TooMany) {
        let known = LIMITS.iter().position(|(what, _)| *what == too_many.what);
        debug_assert!(
            known.is_some(),
            "a limit without a label: {}",
            too_many.what
        );
        if let Some(limit) = known {
            self.limited[limit].count();
        }
    }

    pub(crate) fn unknown_tool(&self) {
        self.unknown[0].count();
    }

    pub(crate) fn unknown_resource(&self) {
        self.unknown[1].count();
    }

    pub(crate) fn unknown_prompt(&self) {
        self.unknown[2].count();
    }

    pub(crate) fn session_held(&self) {
        self.sessions.open.up();
    }

    pub(crate) fn session_opened(&self) {
        self.sessions.opened.count();
    }

    pub(crate) fn session_ended(&self, why: SessionEnd, lasted: Duration) {
        self.sessions.end(why as usize, lasted);
    }

    pub(crate) fn stream_opened(&self) {
        self.streams.open.up();
        self.streams.opened.count();
    }

    pub(crate) fn stream_ended(&self, why: StreamEnd, lasted: Duration, bytes: u64, events: u64) {
        self.streams.end(why as usize, lasted);
        self.stream_bytes.observe(bytes as f64);
        self.stream_events.add(events);
    }
}

impl Method {
    fn new(metrics: &Metrics, method: &'static str) -> Self {
        Self {
            revisions: Revision::ALL.map(|revision| {
                metrics.quiet_counter(
                    "mcp_requests_total",
                    "Requests by method and revision of the protocol.",
                    &[("method", method), ("revision", revision.as_str())],
                )
            }),
            duration: metrics.durations(
                "mcp_request_duration_seconds",
                "How long requests took.",
                &[("method", method)],
            ),
        }
    }
}

impl Lives {
    fn new(metrics: &Metrics, names: [&str; 4], help: [&'static str; 4], reasons: &[&str]) -> Self {
        let ended =
            |reason: &&str| metrics.quiet_counter(names[2], help[2], &[("reason", *reason)]);
        Self {
            open: metrics.gauge(names[0], help[0], &[]),
            opened: metrics.counter(names[1], help[1], &[]),
            ended: reasons.iter().map(ended).collect(),
            duration: metrics.histogram(names[3], help[3], &[], LIVES),
        }
    }

    fn end(&self, reason: usize, lasted: Duration) {
        self.open.down();
        self.ended[reason].count();
        self.duration.took(lasted);
    }
}

/// A request that is being answered. Counted when it is over, however that comes.
pub(crate) struct InFlight<'a> {
    figures: &'a Figures,
    method: &'a Method,
    since: Instant,
}

impl<'a> InFlight<'a> {
    pub(crate) fn begin(figures: &'a Figures, method: &str, revision: Revision) -> Self {
        let known = METHODS.iter().position(|known| *known == method);
        let method = &figures.methods[known.unwrap_or(METHODS.len() - 1)];
        let revision = Revision::ALL.iter().position(|known| *known == revision);
        method.revisions[revision.unwrap_or_default()].count();
        figures.in_flight.up();
        Self {
            figures,
            method,
            since: Instant::now(),
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.figures.in_flight.down();
        self.method.duration.took(self.since.elapsed());
    }
}

/// A task that is counted: once when it begins, once when it ends.
pub(crate) struct TaskFigure {
    figures: Arc<Figures>,
    ended: AtomicBool,
}

impl TaskFigure {
    pub(crate) fn begin(figures: &Arc<Figures>) -> Self {
        figures.tasks.up();
        figures.tasks_created.count();
        Self {
            figures: Arc::clone(figures),
            ended: AtomicBool::new(false),
        }
    }

    /// `how` is a status of the protocol: `completed`, `failed` or `cancelled`.
    pub(crate) fn end(&self, how: &str) {
        let status = match how {
            "completed" => 0,
            "failed" => 1,
            "cancelled" => 2,
            _ => 3,
        };
        if !self.ended.swap(true, Ordering::Relaxed) {
            self.figures.tasks.down();
            self.figures.tasks_ended[status].count();
        }
    }
}

impl Drop for TaskFigure {
    fn drop(&mut self) {
        self.end("expired");
    }
}
