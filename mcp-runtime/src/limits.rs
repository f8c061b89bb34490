//! How often, and how many at once: what one caller may ask of a server, and what all of them may
//! ask of one tool.
//!
//! The buckets run on the monotonic clock, are those of a principal (not of a token or a session)
//! or of an address, and are bounded in number. Where instances share a store for it, what one of
//! them lets in the others count, too.

mod buckets;
mod rate;
mod tally;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[cfg(feature = "auth")]
pub(crate) use self::buckets::{Room as Bucket, network as network_of};
pub use self::rate::Rate;
pub(crate) use self::tally::{Tally, kind_of};

use crate::caller::Caller;
use crate::error::Refusal;
use crate::limits::buckets::{Buckets, Key, Room, network};

/// What each caller may ask of a server. Nothing is limited unless it is said.
///
/// A caller is a principal (issuer, subject and tenant), however many tokens and sessions it has.
/// Callers without a token are told apart by their address, of IPv6 by its first 64 bits.
///
/// ```
/// use mcp_runtime::Limits;
///
/// # fn main() -> Result<(), String> {
/// let limits = Limits::none()
///     .requests("60/min, burst 10".parse()?)
///     .writes("10/min, burst 2".parse()?)
///     .concurrent(8);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    requests: Option<Rate>,
    anonymous: Option<Rate>,
    writes: Option<Rate>,
    concurrent: Option<u32>,
    failed_authentications: Option<Rate>,
}

impl Limits {
    /// No limits, which is also the default.
    pub fn none() -> Self {
        Self::default()
    }

    /// Requests of one caller: calls of tools, resources and prompts, lists and suggestions.
    /// Greetings, pings and notifications do not count.
    #[must_use]
    pub fn requests(mut self, rate: Rate) -> Self {
        self.requests = Some(rate);
        self
    }

    /// Requests without a token from one address; those of [`requests`](Self::requests) unless
    /// said otherwise.
    #[must_use]
    pub fn anonymous(mut self, rate: Rate) -> Self {
        self.anonymous = Some(rate);
        self
    }

    /// Calls of one caller of tools that are not read-only, all such tools together.
    #[must_use]
    pub fn writes(mut self, rate: Rate) -> Self {
        self.writes = Some(rate);
        self
    }

    /// Calls of one caller that run at the same time. More are refused at once: waiting would only
    /// hide from the caller that it asks too much.
    #[must_use]
    pub fn concurrent(mut self, calls: u32) -> Self {
        self.concurrent = Some(calls);
        self
    }

    /// Tokens from one address that are not good. Beyond it they are answered with 429 instead of
    /// 401 and no longer logged one by one. Good tokens from the same address are never affected.
    #[must_use]
    pub fn failed_authentications(mut self, rate: Rate) -> Self {
        self.failed_authentications = Some(rate);
        self
    }

    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// With a `tally`, what other instances let in counts, too.
    pub(crate) fn build(&self, tally: Option<&Arc<Tally>>) -> Result<Shared, Vec<String>> {
        self.build_as("", tally)
    }

    /// Those of some tools that count by themselves.
    pub(crate) fn build_for(
        &self,
        name: &str,
        tally: Option<&Arc<Tally>>,
    ) -> Result<Shared, Vec<String>> {
        if self.concurrent.is_some() || self.failed_authentications.is_some() {
            return Err(vec![format!(
                "limits of `{name}`: tools of their own count requests and writes; the rest is for `Server::limits`"
            )]);
        }
        self.build_as(&kind_of("", name), tally)
    }

    fn build_as(&self, of: &str, tally: Option<&Arc<Tally>>) -> Result<Shared, Vec<String>> {
        let mut problems = Vec::new();
        let mut room = |rate: Option<Rate>, kind: &str| {
            let room = rate.map(Room::new).transpose();
            let room = room.unwrap_or_else(|problem| {
                problems.push(format!("limits: {problem}"));
                None
            });
            room.map(|room| room.together(&format!("{kind}{of}"), tally))
        };
        let shared = Shared {
            requests: room(self.requests, "requests"),
            anonymous: room(self.anonymous.or(self.requests), "anonymous"),
            failures: room(self.failed_authentications, "failed-authentication"),
            writes: self
                .writes
                .map(|rate| Buckets::new(rate, &format!("writes{of}"), tally))
                .transpose()
                .unwrap_or_else(|problem| {
                    problems.push(format!("limits: {problem}"));
                    None
                }),
            concurrent: self.concurrent.map(InFlight::new),
        };
        if self.concurrent == Some(0) {
            problems.push("limits: no call may run: allow one or more".to_owned());
        }
        if problems.is_empty() {
            Ok(shared)
        } else {
            Err(problems)
        }
    }
}

/// The limits that all offers of a server share.
pub(crate) struct Shared {
    requests: Option<Room>,
    anonymous: Option<Room>,
    failures: Option<Room>,
    writes: Option<Buckets>,
    concurrent: Option<InFlight>,
}

impl Shared {
    /// Counts a request of this caller.
    pub(crate) async fn request(
        &self,
        caller: &Caller,
        address: Option<IpAddr>,
    ) -> Result<(), TooMany> {
        let room = if caller.is_anonymous() {
            &self.anonymous
        } else {
            &self.requests
        };
        let Some(room) = room else { return Ok(()) };
        let (Key::Principal(key) | Key::Address(key)) = Key::of(caller, address);
        let too_many = |wait| TooMany::new("requests", wait);
        room.take(key).map_err(too_many)?;
        match room.take_together(key) {
            Some(taking) => taking.await.map_err(too_many),
            None => Ok(()),
        }
    }

    /// Counts a token that is not good.
    pub(crate) async fn failure(&self, address: Option<IpAddr>) -> Result<(), TooMany> {
        let Some(room) = &self.failures else {
            return Ok(());
        };
        let too_many = |wait| TooMany::new("access tokens that are not good", wait);
        let key = network(address);
        room.take(key).map_err(too_many)?;
        match room.take_together(key) {
            Some(taking) => taking.await.map_err(too_many),
            None => Ok(()),
        }
    }
}

/// What was asked too often, and when to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany {
    pub(crate) what: &'static str,
    pub(crate) retry_after_s: u64,
}

impl TooMany {
    fn new(what: &'static str, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self {
            what,
            retry_after_s: seconds.max(1),
        }
    }

    /// For whoever asked.
    pub(crate) fn text(&self) -> String {
        format!(
            "Too many {}: wait {} s, then try again.",
            self.what, self.retry_after_s
        )
    }
}

/// What one offer says about how often, and how many at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// Per caller.
    pub(crate) rate: Option<Rate>,
    /// Of all callers.
    pub(crate) concurrency: Option<u32>,
}

/// The rate of an attribute. Called by expansions.
pub fn rate(count: u32, per_seconds: u64, burst: u32) -> Rate {
    Rate::new(count, Duration::from_secs(per_seconds)).burst(burst)
}

/// The way into one function: who is over a limit is turned away here, after the policy has let
/// them in and before their arguments are read.
#[derive(Default)]
pub(crate) struct Gate {
    shared: Option<Arc<Shared>>,
    /// In whose buckets calls count that change something.
    writes: Option<Arc<Shared>>,
    rate: Option<Buckets>,
    running: Option<Running>,
}

struct Running {
    max: u32,
    now: AtomicU32,
}

impl Gate {
    /// `None` where nothing is limited. `writes` are the limits by which its calls count as such that
    /// change something. `kind` is what the rate of this function is called where instances count
    /// together.
    pub(crate) fn new(
        share: Share,
        writes: Option<&Arc<Shared>>,
        shared: Option<&Arc<Shared>>,
        kind: &str,
        tally: Option<&Arc<Tally>>,
    ) -> Result<Option<Box<Self>>, String> {
        if share.concurrency == Some(0) {
            return Err("its concurrency is zero: no call could run".to_owned());
        }
        let shared = shared.filter(|shared| shared.concurrent.is_some());
        let writes = writes.filter(|writes| writes.writes.is_some());
        if shared.is_none() && writes.is_none() && share == Share::default() {
            return Ok(None);
        }
        Ok(Some(Box::new(Self {
            shared: shared.cloned(),
            writes: writes.cloned(),
            rate: share
                .rate
                .map(|rate| Buckets::new(rate, kind, tally))
                .transpose()?,
            running: share.concurrency.map(|max| Running {
                max,
                now: AtomicU32::new(0),
            }),
        })))
    }

    /// Lets a call in for as long as the slot lives.
    pub(crate) async fn admit(
        &self,
        caller: &Caller,
        address: Option<IpAddr>,
    ) -> Result<Slot<'_>, Refusal> {
        let key = Key::of(caller, address);
        let mut slot = Slot {
            running: None,
            caller: None,
        };
        // Places first: a call that finds none has not used up a rate.
        if let Some(running) = &self.running {
            slot.running = Some(running.enter().map_err(Refusal::TooMany)?);
        }
        let shared = self.shared.as_ref();
        if let Some(concurrent) = shared.and_then(|shared| shared.concurrent.as_ref()) {
            slot.caller = Some(concurrent.enter(key).map_err(Refusal::TooMany)?);
        }
        let writes = self.writes.as_ref();
        let writes = writes.and_then(|writes| writes.writes.as_ref());
        let rates = [
            (writes, "calls that change something"),
            (self.rate.as_ref(), "calls of this kind"),
        ];
        for (buckets, what) in rates {
            if let Some(buckets) = buckets {
                buckets.take(key).map_err(|wait| over(what, wait))?;
            }
        }
        // Then what the other instances let in: who is turned away here costs no way to a store.
        for (buckets, what) in rates {
            if let Some(taking) = buckets.and_then(|buckets| buckets.take_together(key)) {
                taking.await.map_err(|wait| over(what, wait))?;
            }
        }
        Ok(slot)
    }
}

fn over(what: &'static str, wait: Duration) -> Refusal {
    Refusal::TooMany(TooMany::new(what, wait))
}

/// A call that was let in.
pub(crate) struct Slot<'gate> {
    running: Option<Leaves<'gate>>,
    caller: Option<Lands<'gate>>,
}

impl Running {
    fn enter(&self) -> Result<Leaves<'_>, TooMany> {
        let entered = self
            .now
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                (now < self.max).then_some(now + 1)
            });
        match entered {
            Ok(_) => Ok(Leaves(self)),
            Err(_) => Err(TooMany::new("calls of this kind at once", Duration::ZERO)),
        }
    }
}

struct Leaves<'gate>(&'gate Running);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The calls of each caller that run now. There is an entry for who has one, and for nobody else.
struct InFlight {
    max: u32,
    now: Mutex<HashMap<Key, u32>>,
}

impl InFlight {
    fn new(max: u32) -> Self {
        Self {
            max,
            now: Mutex::default(),
        }
    }

    fn enter(&self, key: Key) -> Result<Lands<'_>, TooMany> {
        let mut now = self.lock();
        let count = now.entry(key).or_insert(0);
        if *count >= self.max {
            return Err(TooMany::new("calls at once", Duration::ZERO));
        }
        *count += 1;
        Ok(Lands {
            in_flight: self,
            key,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, u32>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Lands<'gate> {
    in_flight: &'gate InFlight,
    key: Key,
}

impl Drop for Lands<'_> {
    fn drop(&mut self) {
        let mut now = self.in_flight.lock();
        if let Some(count) = now.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                now.remove(&self.key);
            }
        }
    }
}
