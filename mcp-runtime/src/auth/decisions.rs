//! What was decided about tokens a moment ago.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::OnceCell;

use super::AuthError;
use crate::caller::Caller;

/// The SHA-256 digest of a whole token: no part of a token says anything about the rest.
pub(super) type Digest = [u8; 32];

/// How long a grant is kept unless said otherwise; never longer than its token lives.
pub(super) const KEEP: Duration = Duration::from_secs(55);

/// How long a refusal is kept that was expensive to come by.
const KEEP_REFUSAL: Duration = Duration::from_secs(5);

const SHARDS: usize = 8;
const PER_SHARD: usize = 125;
const REFUSALS: usize = 256;

/// At most 1,000 grants and, apart from them, 256 refusals: no flood of bad tokens can push a good
/// one out. Readers do not wait for each other.
pub(super) struct Decisions {
    keep: Duration,
    grants: [RwLock<HashMap<Digest, Grant>>; SHARDS],
    refusals: RwLock<HashMap<Digest, (AuthError, Timestamp)>>,
    flights: Mutex<HashMap<Digest, Arc<Flight>>>,
}

type Flight = OnceCell<Result<Arc<Caller>, AuthError>>;

struct Grant {
    caller: Arc<Caller>,
    since: Timestamp,
    until: Timestamp,
}

impl Decisions {
    pub(super) fn new(keep: Duration) -> Self {
        Self {
            keep,
            grants: Default::default(),
            refusals: RwLock::default(),
            flights: Mutex::default(),
        }
    }

    pub(super) fn granted(&self, digest: &Digest, now: Timestamp) -> Option<Arc<Caller>> {
        let shard = self.shard(digest).read();
        let shard = shard.unwrap_or_else(PoisonError::into_inner);
        let grant = shard.get(digest)?;
        (grant.since <= now && now < grant.until).then(|| Arc::clone(&grant.caller))
    }

    /// Remembers a grant for as long as it may be, and not beyond the end of its token or `limit`.
    pub(super) fn grant(
        &self,
        digest: Digest,
        caller: &Arc<Caller>,
        now: Timestamp,
        limit: Option<Timestamp>,
    ) {
        let expires = caller.principal().and_then(|who| who.expires());
        let until = [now.checked_add(self.keep).ok(), expires, limit]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(now);
        if until <= now {
            return;
        }
        let grant = Grant {
            caller: Arc::clone(caller),
            since: now,
            until,
        };
        let shard = self.shard(&digest).write();
        let mut shard = shard.unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= PER_SHARD {
            shard.retain(|_, grant| now < grant.until);
        }
        if shard.len() >= PER_SHARD
            && let Some(first) = shard.iter().min_by_key(|(_, grant)| grant.until)
        {
            let first = *first.0;
            shard.remove(&first);
        }
        shard.insert(digest, grant);
    }

    /// What was decided about a token, or what `decide` decides. Callers with the same token wait
    /// for one decision, and share it.
    pub(super) async fn or_decide(
        &self,
        digest: Digest,
        now: Timestamp,
        decide: impl Future<Output = Result<Arc<Caller>, AuthError>>,
    ) -> Result<Arc<Caller>, AuthError> {
        if let Some(refusal) = self.refused(&digest, now) {
            return Err(refusal);
        }
        let landing = Landing {
            flight: Arc::clone(lock(&self.flights).entry(digest).or_default()),
            flights: &self.flights,
            digest,
        };
        let decided = landing.flight.get_or_init(|| async {
            let outcome = decide.await;
            match &outcome {
                Ok(caller) => self.grant(digest, caller, now, None),
                Err(AuthError::Unavailable) => {}
                Err(refusal) => self.refuse(digest, *refusal, now),
            }
            outcome
        });
        decided.await.clone()
    }

    fn refused(&self, digest: &Digest, now: Timestamp) -> Option<AuthError> {
        let refusals = self.refusals.read();
        let refusals = refusals.unwrap_or_else(PoisonError::into_inner);
        let (refusal, since) = refusals.get(digest)?;
        is_recent(*since, now).then_some(*refusal)
    }

    fn refuse(&self, digest: Digest, refusal: AuthError, now: Timestamp) {
        let refusals = self.refusals.write();
        let mut refusals = refusals.unwrap_or_else(PoisonError::into_inner);
        if refusals.len() >= REFUSALS {
            refusals.retain(|_, (_, since)| is_recent(*since, now));
        }
        if refusals.len() < REFUSALS {
            refusals.insert(digest, (refusal, now));
        }
    }

    fn shard(&self, digest: &Digest) -> &RwLock<HashMap<Digest, Grant>> {
        &self.grants[usize::from(digest[0]) % SHARDS]
    }
}

fn is_recent(since: Timestamp, now: Timestamp) -> bool {
    since <= now && now < since + KEEP_REFUSAL
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a flight off the board when its last passenger leaves, also one who gives up: there are
/// never more flights than requests.
struct Landing<'a> {
    flight: Arc<Flight>,
    flights: &'a Mutex<HashMap<Digest, Arc<Flight>>>,
    digest: Digest,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        let mut flights = lock(self.flights);
        // The board and this passenger hold it, or nobody needs it any more: it has an outcome,
        // which whoever comes now finds among the decisions.
        let last = Arc::strong_count(&self.flight) <= 2 || self.flight.initialized();
        let same = |flight: &Arc<Flight>| Arc::ptr_eq(flight, &self.flight);
        if last && flights.get(&self.digest).is_some_and(same) {
            flights.remove(&self.digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn ada() -> Arc<Caller> {
        Arc::new(Caller::user("ada").expires(at(10_000)))
    }

    fn digest(n: u32) -> Digest {
        super::super::token_digest(&n.to_string())
    }

    /// JW-38: five thousand good tokens leave a thousand grants at most.
    #[test]
    fn grants_are_bounded() {
        let decisions = Decisions::new(KEEP);
        for n in 0..5_000 {
            decisions.grant(digest(n), &ada(), at(0), None);
        }
        let kept = |shard: &RwLock<HashMap<Digest, Grant>>| shard.read().unwrap().len();
        let kept: usize = decisions.grants.iter().map(kept).sum();
        assert!((900..=1_000).contains(&kept), "{kept}");
        assert!(
            decisions.granted(&digest(4_999), at(0)).is_some(),
            "the newest is there"
        );
    }

    /// JW-37: neither the time to keep nor the token is outlived, and no clock that was set back
    /// makes a grant valid for longer.
    #[test]
    fn a_grant_ends_with_its_token() {
        let decisions = Decisions::new(KEEP);
        let brief = Arc::new(Caller::user("ada").expires(at(5)));
        decisions.grant(digest(1), &brief, at(0), None);
        decisions.grant(digest(2), &ada(), at(0), None);
        decisions.grant(digest(3), &ada(), at(0), Some(at(7)));
        for (token, second, kept) in [
            (1, 4, true),
            (1, 5, false),
            (2, 54, true),
            (2, 55, false),
            (3, 6, true),
            (3, 7, false),
            (2, -1, false),
        ] {
            assert_eq!(
                decisions.granted(&digest(token), at(second)).is_some(),
                kept,
                "token {token} at {second} s"
            );
        }
    }

    /// JW-39: refusals have a place of their own, and not much of it.
    #[tokio::test]
    async fn refusals_push_nobody_out() {
        let decisions = Decisions::new(KEEP);
        decisions.grant(digest(0), &ada(), at(0), None);
        for n in 1..5_000 {
            let refused = decisions.or_decide(digest(n), at(0), async { Err(AuthError::Invalid) });
            assert_eq!(refused.await, Err(AuthError::Invalid));
        }
        assert!(decisions.granted(&digest(0), at(0)).is_some());
        assert!(decisions.refusals.read().unwrap().len() <= REFUSALS);
        assert!(lock(&decisions.flights).is_empty(), "every flight landed");
    }

    #[tokio::test]
    async fn one_decision_serves_everybody_who_waits_for_it() {
        let decisions = Decisions::new(KEEP);
        let asked = Mutex::new(0);
        let decide = || async {
            *lock(&asked) += 1;
            tokio::task::yield_now().await;
            Ok(ada())
        };
        let (a, b) = tokio::join!(
            decisions.or_decide(digest(1), at(0), decide()),
            decisions.or_decide(digest(1), at(0), decide()),
        );
        assert!(a.is_ok() && b.is_ok());
        assert_eq!(*lock(&asked), 1);
        assert!(lock(&decisions.flights).is_empty(), "the flight landed");
    }
}
