//! What the proxy remembers of requests.

use jiff::SignedDuration;
use mcp_runtime::prelude::*;

use crate::proxy::Proxy;
use crate::proxy::logs::{Filter, Level, LogEntry};
use crate::proxy::system::{Inner, stored, whose};

/// An answer stays below this, in bytes.
const MAX_ANSWER: usize = 400 << 10;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Logs {
    /// The newest first.
    pub logs: Vec<LogEntry>,
    pub count: usize,
    /// Whether there are more than these.
    pub truncated: bool,
}

/// Requests that the proxy answered, the newest first: host, path, status, time, and what went
/// wrong. Without a level you get errors only (5xx, targets that did not answer); INFO has all. You
/// see requests for your own hosts; with the scope proxy:admin all.
#[mcp_tool(title = "Requests of the proxy", scope = "proxy:read", read_only)]
#[expect(clippy::too_many_arguments, reason = "the filters of the contract")]
pub async fn get_logs(
    proxy: &Proxy,
    caller: &Caller,
    clock: &Clock,
    /// How many to return at most.
    #[arg(range = 1..=1000, default = 100)]
    lines: u32,
    /// This level and above: WARNING adds requests that were refused (4xx), INFO the others.
    #[arg(default = Level::Error)]
    level: Level,
    /// How far to look back.
    #[arg(range = 1..=168, default = 24)]
    hours: u32,
    /// Only requests for this host.
    #[arg(len = 1..=253)]
    hostname: Option<String>,
    /// Only requests that were answered with this status.
    #[arg(range = 100..=599)]
    status_code: Option<u16>,
) -> ToolResult<Logs> {
    let filter = Filter {
        since: clock.now() - SignedDuration::from_hours(i64::from(hours)),
        severity: level.severity(),
        owner: whose(caller),
        hostname: hostname.map(|name| name.to_ascii_lowercase()),
        status: status_code,
        lines,
    };
    logs(proxy.get()?, &filter).await
}

pub(in crate::proxy) async fn logs(inner: &Inner, filter: &Filter) -> ToolResult<Logs> {
    let (texts, mut truncated) = inner.store.logs(filter).await.map_err(stored)?;
    let mut left = MAX_ANSWER;
    let mut logs = Vec::with_capacity(texts.len());
    for text in texts {
        let Some(rest) = left.checked_sub(text.len()) else {
            truncated = true;
            break;
        };
        left = rest;
        logs.push(serde_json::from_str(&text)?);
    }
    Ok(Logs {
        count: logs.len(),
        logs,
        truncated,
    })
}
