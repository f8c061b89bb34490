//! What the log says of a request and its answer, for those who ask for it.

use std::time::Instant;

use serde_json::Value;

use crate::wire::engine::Request;
use crate::wire::reply::Reply;

/// The longest method that is logged: clients may make some up.
const MAX_METHOD: usize = 64;

/// One line per request (`mcp::request=debug`), around which HTTP says who asks.
pub(super) struct RequestLog(Option<Open>);

struct Open {
    method: String,
    revision: &'static str,
    trace: String,
    since: Instant,
}

impl RequestLog {
    /// Gives a request that names no trace one of its own, so that its lines have the same.
    pub(super) fn begin(request: &mut Request<'_>) -> Self {
        if !tracing::enabled!(target: "mcp::request", tracing::Level::DEBUG) {
            return Self(None);
        }
        let trace = request.trace.get_or_insert_default();
        Self(Some(Open {
            method: request.method.chars().take(MAX_METHOD).collect(),
            revision: request.revision.as_str(),
            trace: trace.trace_id().to_string(),
            since: Instant::now(),
        }))
    }

    pub(super) fn end(self, reply: &Reply) {
        let Some(open) = self.0 else {
            return;
        };
        tracing::debug!(
            target: "mcp::request",
            method = open.method,
            revision = open.revision,
            trace_id = open.trace,
            status = reply.status,
            error = reply.error,
            response_size = reply.body.len(),
            duration_us = u64::try_from(open.since.elapsed().as_micros()).unwrap_or(u64::MAX),
            "request"
        );
    }
}

/// What a list of tools says (`mcp::list=debug`), and all of it (`mcp::list=trace`).
pub(super) fn listed(request: &Request<'_>, reply: &Reply) {
    if request.method != "tools/list"
        || !tracing::enabled!(target: "mcp::list", tracing::Level::DEBUG)
    {
        return;
    }
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let tools = body.pointer("/result/tools").and_then(Value::as_array);
    let names: Vec<&str> = tools
        .into_iter()
        .flatten()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    tracing::debug!(
        target: "mcp::list",
        tools_count = names.len(),
        response_size = reply.body.len(),
        tool_names = names.join(" "),
        "list"
    );
    tracing::trace!(target: "mcp::list", reply = %body, "list in full");
}
