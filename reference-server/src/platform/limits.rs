//! How often: one bucket per admin for reads, a smaller one for invites and changes.
//!
//! The buckets run on the monotonic clock, so setting the time of day neither opens nor shuts them.
//! Where instances share a store, what one of them lets in counts at the others, too; while the store
//! cannot be used, each of them counts for itself.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use mcp_runtime::Rate;
use mcp_runtime::store::Store;
use sha2::{Digest, Sha256};

use super::answer::{Problem, whole_seconds};
use super::auth::Actor;
use super::{Platform, RateLimits};

/// A limit is not worth making a caller wait for it any longer.
const PATIENCE: Duration = Duration::from_secs(1);
/// After a store could not be used.
const REST: Duration = Duration::from_secs(5);
/// Idle admins are forgotten once in this many requests.
const FORGET_EVERY: u32 = 1_000;

pub(super) struct Limits {
    mode: RateLimits,
    admin: Bucket,
    invite: Bucket,
}

impl Limits {
    pub(super) fn new(mode: RateLimits, shared: Option<&Arc<dyn Store>>) -> Self {
        let clock = DefaultClock::default();
        Self {
            mode,
            admin: Bucket::new("admin_mcp", 60, 10, clock.clone()).shared(shared),
            invite: Bucket::new("admin_mcp_invite", 10, 2, clock).shared(shared),
        }
    }
}

/// Refuses what exceeds the limit (or only says so, in shadow mode), and tells every caller where
/// it stands.
pub(super) async fn limit(
    State(platform): State<Platform>,
    actor: Actor,
    request: Request,
    next: Next,
) -> Response {
    let limits = &platform.0.limits;
    if limits.mode == RateLimits::Off {
        return next.run(request).await;
    }
    let shadow = limits.mode == RateLimits::Shadow;
    let bucket = if request.method() == Method::POST {
        &limits.invite
    } else {
        &limits.admin
    };
    let standing = bucket.take_of_all(&actor.id).await;
    let mut response = match standing.wait {
        Some(wait) if !shadow => too_many(bucket.name, wait).into_response(),
        Some(_) => {
            tracing::warn!(bucket = bucket.name, "over the rate limit (shadow mode)");
            next.run(request).await
        }
        None => next.run(request).await,
    };
    bucket.inform(response.headers_mut(), &standing, shadow);
    response
}

fn too_many(bucket: &'static str, wait: Duration) -> Problem {
    let seconds = whole_seconds(wait).max(1);
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "rate_limited",
        format!("Too many requests; try again in {seconds} s."),
    )
    .details(serde_json::json!({ "bucket": bucket, "retry_after_s": seconds }))
    .retry_after(Duration::from_secs(seconds))
}

pub(super) struct Bucket<C: Clock = DefaultClock> {
    name: &'static str,
    per_minute: u32,
    burst: u32,
    limiter: RateLimiter<String, DefaultKeyedStateStore<String>, C, StateInformationMiddleware>,
    taken: AtomicU32,
    /// Where other instances take from the same bucket.
    shared: Option<Arc<dyn Store>>,
    /// Until when that is left alone.
    rests: Mutex<Option<Instant>>,
}

/// Where an admin stands after a request.
#[derive(Debug, PartialEq)]
pub(super) struct Standing {
    /// Requests that would be let through right now.
    remaining: u32,
    /// Set when this request exceeds the limit: when the next one will not.
    pub(super) wait: Option<Duration>,
}

impl<C: Clock> Bucket<C> {
    pub(super) fn new(name: &'static str, per_minute: u32, burst: u32, clock: C) -> Self {
        let at_least_one = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(at_least_one(per_minute)).allow_burst(at_least_one(burst));
        Self {
            name,
            per_minute,
            burst,
            limiter: RateLimiter::new(quota, DefaultKeyedStateStore::default(), clock),
            taken: AtomicU32::new(0),
            shared: None,
            rests: Mutex::new(None),
        }
    }

    /// The same bucket for all who share this store.
    pub(super) fn shared(mut self, store: Option<&Arc<dyn Store>>) -> Self {
        self.shared = store.cloned();
        self
    }

    /// The store is left alone for a while: not every request is to wait for it, nor to tell of it.
    fn rest(&self) {
        let until = Some(Instant::now() + REST);
        *self.rests.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    fn rests(&self) -> bool {
        let until = *self.rests.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// As [`take`](Self::take), from what all instances have left.
    pub(super) async fn take_of_all(&self, actor: &str) -> Standing {
        let standing = self.take(actor);
        let asks = standing.wait.is_none() && !self.rests();
        let Some(store) = self.shared.as_ref().filter(|_| asks) else {
            return standing;
        };
        // An id is as long as its owner likes, and its name nobody's business.
        let whose = u128::from_be_bytes(Sha256::digest(actor)[..16].try_into().unwrap_or_default());
        let key = format!("platform:limit:{}:{whose:032x}", self.name);
        let rate = Rate::new(self.per_minute, Duration::from_secs(60)).burst(self.burst);
        let trouble = match tokio::time::timeout(PATIENCE, store.take(&key, rate)).await {
            Ok(Ok(Ok(()))) => return standing,
            Ok(Ok(Err(wait))) => {
                return Standing {
                    remaining: 0,
                    wait: Some(wait),
                };
            }
            Ok(Err(error)) => match std::error::Error::source(&error) {
                Some(cause) => cause.to_string(),
                None => error.to_string(),
            },
            Err(_) => "it takes too long".to_owned(),
        };
        self.rest();
        tracing::warn!(
            bucket = self.name,
            trouble,
            "the store of limits cannot be used"
        );
        standing
    }

    pub(super) fn take(&self, actor: &str) -> Standing {
        if self.taken.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            // A full bucket is no different from none: what remains are the admins of the last
            // seconds, however many ids ever came by.
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        match self.limiter.check_key(&actor.to_owned()) {
            Ok(state) => Standing {
                remaining: state.remaining_burst_capacity(),
                wait: None,
            },
            Err(refusal) => Standing {
                remaining: 0,
                wait: Some(refusal.wait_time_from(self.limiter.clock().now())),
            },
        }
    }

    /// `Limit` is the sustained rate per minute, `Remaining` what may come at once, `Reset` the
    /// seconds until the full burst is there again.
    pub(super) fn inform(&self, headers: &mut HeaderMap, standing: &Standing, shadow: bool) {
        let interval = Duration::from_secs(60) / self.per_minute;
        let reset = interval * (self.burst - standing.remaining.min(self.burst));
        headers.insert("x-ratelimit-limit", HeaderValue::from(self.per_minute));
        headers.insert(
            "x-ratelimit-remaining",
            HeaderValue::from(standing.remaining),
        );
        headers.insert("x-ratelimit-reset", HeaderValue::from(whole_seconds(reset)));
        let policy = format!(
            "{};w=60;burst={};name=\"{}\"",
            self.per_minute, self.burst, self.name
        );
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            headers.insert("x-ratelimit-policy", policy);
        }
        headers.insert(
            "x-ratelimit-shadow",
            HeaderValue::from_static(if shadow { "true" } else { "false" }),
        );
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;
    use mcp_runtime::store::MemoryStore;

    use super::*;

    #[test]
    fn a_burst_then_one_per_interval_and_each_admin_alone() {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::new("admin_mcp_invite", 10, 2, clock.clone());
        let open = |remaining| Standing {
            remaining,
            wait: None,
        };
        assert_eq!(bucket.take("ada"), open(1));
        assert_eq!(bucket.take("ada"), open(0));
        assert_eq!(bucket.take("ada").wait, Some(Duration::from_secs(6)));
        assert_eq!(bucket.take("bob"), open(1));
        clock.advance(Duration::from_secs(6));
        assert_eq!(bucket.take("ada"), open(0));
        assert!(bucket.take("ada").wait.is_some());
    }

    #[tokio::test]
    async fn two_who_share_a_store_let_in_as_many_as_one() {
        let store = MemoryStore::new(mcp_runtime::Clock::system(), 100);
        let store: Arc<dyn Store> = Arc::new(store);
        let instance = || Bucket::new("admin_mcp", 60, 10, DefaultClock::default());
        let buckets = [
            instance().shared(Some(&store)),
            instance().shared(Some(&store)),
        ];
        let mut well = 0;
        for n in 0..20 {
            let standing = buckets[n % 2].take_of_all("ada").await;
            well += usize::from(standing.wait.is_none());
        }
        // One comes back each second, should the machine be that slow.
        assert!((10..=12).contains(&well), "{well}");
    }

    #[tokio::test]
    async fn a_store_that_cannot_be_used_is_done_without_and_left_alone() {
        // There is room for one bucket.
        let store = MemoryStore::new(mcp_runtime::Clock::system(), 1);
        let store: Arc<dyn Store> = Arc::new(store);
        let bucket = Bucket::new("admin_mcp", 60, 10, DefaultClock::default());
        let bucket = bucket.shared(Some(&store));
        assert_eq!(bucket.take_of_all("ada").await.wait, None);
        assert!(!bucket.rests());
        assert_eq!(bucket.take_of_all("bob").await.wait, None);
        assert!(bucket.rests());
    }

    #[test]
    fn forgets_admins_who_went_quiet() {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::new("admin_mcp", 60, 10, clock.clone());
        for n in 0..20 * FORGET_EVERY {
            bucket.take(&n.to_string());
            clock.advance(Duration::from_millis(100));
        }
        assert!(bucket.limiter.len() <= 2 * FORGET_EVERY as usize);
    }
}
