//! What the REST APIs count and log of every request.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use mcp_runtime::{Counter, Histogram, Metrics, TraceContext};
use tracing::Instrument;

const APIS: [&str; 3] = ["admin", "records", "other"];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

struct Figures([Api; APIS.len()]);

struct Api {
    classes: [Counter; CLASSES.len()],
    duration: Histogram,
}

/// Puts figures on the APIs of a router.
pub(crate) fn counted(router: Router, metrics: &Metrics) -> Router {
    let figures = APIS.map(|api| Api {
        classes: CLASSES.map(|class| {
            let help = "Requests to the REST APIs by the class of their status.";
            let labels = [("api", api), ("class", class)];
            metrics.counter("platform_requests_total", help, &labels)
        }),
        duration: metrics.durations(
            "platform_request_duration_seconds",
            "How long requests to the REST APIs took.",
            &[("api", api)],
        ),
    });
    router.layer(from_fn_with_state(Arc::new(Figures(figures)), count))
}

async fn count(State(figures): State<Arc<Figures>>, request: Request, next: Next) -> Response {
    let api = match request.uri().path() {
        path if path.starts_with("/api/v1/admin/mcp/") => 0,
        path if path.starts_with("/v1/") => 1,
        _ => 2,
    };
    let since = Instant::now();
    let response = next.run(request).await;
    let Api { classes, duration } = &figures.0[api];
    let class = usize::from(response.status().as_u16() / 100).clamp(1, 5) - 1;
    classes[class].count();
    duration.took(since.elapsed());
    response
}

/// Puts all that is logged of a request into the trace that it names.
pub(super) fn traced(router: Router) -> Router {
    router.layer(from_fn(trace))
}

async fn trace(request: Request, next: Next) -> Response {
    let theirs = TraceContext::of_headers(request.headers());
    let trace = theirs.map_or_else(TraceContext::new, |theirs| theirs.child());
    let span = tracing::info_span!(
        target: "platform::request",
        "rest",
        trace_id = %trace.trace_id(),
        span_id = %trace.span_id(),
        parent_span_id = trace.parent_id().map(tracing::field::display),
        status = tracing::field::Empty,
    );
    let (since, method) = (Instant::now(), request.method().clone());
    async {
        let response = next.run(request).await;
        let status = response.status().as_u16();
        tracing::Span::current().record("status", status);
        // The path has names and addresses of people in it.
        let duration_us = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::debug!(target: "platform::request", %method, status, duration_us, "request");
        response
    }
    .instrument(span)
    .await
}
