//! How often: 600 requests a minute for each user of each tenant, 120 of them at once.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::DefaultClock;
use mcp_runtime::store::Store;

use super::super::limits::Bucket;
use super::super::{Platform, RateLimits};
use super::trouble::Trouble;
use super::who::Whose;

const BURST: u32 = 120;

/// One bucket per user.
pub(in super::super) struct Often(Bucket);

impl Often {
    pub(in super::super) fn new(shared: Option<&Arc<dyn Store>>) -> Self {
        let bucket = Bucket::new("records", 600, BURST, DefaultClock::default());
        Self(bucket.shared(shared))
    }
}

pub(super) async fn limit(
    State(platform): State<Platform>,
    whose: Whose,
    request: Request,
    next: Next,
) -> Response {
    let mode = platform.0.settings.rate_limits;
    if mode == RateLimits::Off {
        return next.run(request).await;
    }
    let Often(bucket) = &platform.0.record_limits;
    let shadow = mode == RateLimits::Shadow;
    // No tenant id has a bar.
    let user = format!("{}|{}", whose.tenant, whose.owner);
    let standing = bucket.take_of_all(&user).await;
    let mut response = match standing.wait {
        Some(wait) if !shadow => Trouble::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "too many requests; Retry-After says when to try again",
        )
        .retry_after(wait.max(std::time::Duration::from_secs(1)))
        .into_response(),
        _ => next.run(request).await,
    };
    bucket.inform(response.headers_mut(), &standing, shadow);
    response
        .headers_mut()
        .insert("x-ratelimit-burst", HeaderValue::from(BURST));
    response
}
