//! What is remembered of a request.

use jiff::Timestamp;
use mcp_runtime::prelude::*;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

impl Level {
    pub(super) fn of(status: u16, error: bool) -> Self {
        match status {
            _ if error => Self::Error,
            500.. => Self::Error,
            400..=499 => Self::Warning,
            _ => Self::Info,
        }
    }

    pub(super) fn severity(self) -> i64 {
        match self {
            Self::Debug => 10,
            Self::Info => 20,
            Self::Warning => 30,
            Self::Error => 40,
        }
    }
}

/// A request that the proxy answered. Queries are left out: they often hold secrets.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LogEntry {
    pub timestamp: Timestamp,
    pub level: Level,
    pub component: String,
    pub client_ip: String,
    /// Always null: addresses are not looked up.
    pub client_fqdn: Option<String>,
    pub hostname: String,
    pub method: String,
    pub path: String,
    pub status_code: u16,
    pub response_time_ms: u64,
    /// Who called, where the host asks for a token.
    pub user_id: Option<String>,
    pub user_agent: Option<String>,
    pub referrer: Option<String>,
    pub bytes_sent: u64,
    /// What went wrong between the proxy and the target.
    pub error: Option<String>,
    pub request_id: String,
    /// Of the traceparent header, where there was one.
    pub trace_id: Option<String>,
    pub session_id: Option<String>,
}

/// With whom it belongs to; to nobody, when it is empty.
pub(super) struct Entry {
    pub(super) owner: String,
    pub(super) shown: LogEntry,
}

/// A command that ran, or was refused.
pub(super) struct Ran {
    pub(super) at: Timestamp,
    pub(super) subject: String,
    pub(super) request_id: String,
    /// Without secrets.
    pub(super) argv: Vec<String>,
    pub(super) outcome: &'static str,
    pub(super) exit_code: Option<i32>,
    pub(super) duration_ms: u64,
    pub(super) bytes: u64,
}

/// Which requests are wanted.
pub(super) struct Filter {
    pub(super) since: Timestamp,
    pub(super) severity: i64,
    /// All, when it is `None`.
    pub(super) owner: Option<String>,
    pub(super) hostname: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) lines: u32,
}

/// What strangers send, so that it can be shown: short, and without characters that steer a
/// terminal or turn text around.
pub(super) fn tame(text: &str, most: usize) -> String {
    text.chars()
        .map(|c| if hides(c) { '\u{fffd}' } else { c })
        .take(most)
        .collect()
}

/// Control characters, and those that turn or hide text.
pub(super) fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
