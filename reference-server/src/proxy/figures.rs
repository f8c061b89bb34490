//! What the reverse proxy counts. Host names are not labels: anybody with a scope makes some up.

use std::sync::{Arc, Weak};
use std::time::Duration;

use mcp_runtime::{Counter, Histogram, Metrics};

use super::Inner;
use super::logs::LogEntry;

const OUTCOMES: [&str; 8] = [
    "1xx",
    "2xx",
    "3xx",
    "4xx",
    "5xx",
    "client_closed",
    "target_failed",
    "not_served",
];
const CLIENT_CLOSED: usize = 5;
const TARGET_FAILED: usize = 6;
const NOT_SERVED: usize = 7;

pub(super) struct Figures {
    requests: [Counter; OUTCOMES.len()],
    duration: Histogram,
    bytes: Counter,
}

impl Figures {
    pub(super) fn new(metrics: &Metrics, inner: &Arc<Inner>) -> Self {
        let of = |read: fn(&Inner) -> f64| {
            let inner: Weak<Inner> = Arc::downgrade(inner);
            move || inner.upgrade().map_or(f64::NAN, |inner| read(&inner))
        };
        let hosts = "Host names that the proxy answers for.";
        metrics.gauge_of(
            "proxy_hosts",
            hosts,
            &[],
            of(|inner| inner.routes.count(None) as f64),
        );
        let help = "Certificates of the proxy by their state.";
        let active = of(|inner| inner.certificates.count(inner.clock.now()).0 as f64);
        metrics.gauge_of("proxy_certificates", help, &[("status", "active")], active);
        let expired = of(|inner| inner.certificates.count(inner.clock.now()).1 as f64);
        metrics.gauge_of(
            "proxy_certificates",
            help,
            &[("status", "expired")],
            expired,
        );
        Self {
            requests: OUTCOMES.map(|outcome| {
                let help = "Requests to hosts of the proxy: the class of the status that the target \
                            gave, or why it gave none.";
                metrics.counter("proxy_requests_total", help, &[("outcome", outcome)])
            }),
            duration: metrics.durations(
                "proxy_request_duration_seconds",
                "How long requests to hosts of the proxy took, to the last byte.",
                &[],
            ),
            bytes: metrics.counter(
                "proxy_sent_bytes_total",
                "Bytes of answers that the proxy handed on.",
                &[],
            ),
        }
    }

    /// Counts a request that is over. `served` says whether its host is one of ours.
    pub(super) fn count(&self, entry: &LogEntry, took: Duration, served: bool) {
        let outcome = match entry.status_code {
            _ if !served => NOT_SERVED,
            499 => CLIENT_CLOSED,
            502 | 504 if entry.error.is_some() => TARGET_FAILED,
            status => usize::from(status / 100).clamp(1, 5) - 1,
        };
        self.requests[outcome].count();
        self.duration.took(took);
        self.bytes.add(entry.bytes_sent);
    }
}
