//! Buckets by caller and by address, in bounded memory.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use crate::caller::Caller;
use crate::limits::Rate;
use crate::limits::tally::{Taking, Tally, Together};

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// Issuer, subject and tenant: the same for every token and every session of theirs.
    Principal([u8; 16]),
    /// Where a caller without a token calls from.
    Address([u8; 16]),
}

impl Key {
    pub(crate) fn of(caller: &Caller, address: Option<IpAddr>) -> Self {
        match caller.owner_digest() {
            Some(digest) => Self::Principal(digest),
            None => Self::Address(network(address)),
        }
    }

    fn bytes(self) -> [u8; 16] {
        match self {
            Self::Principal(bytes) | Self::Address(bytes) => bytes,
        }
    }
}

/// The part of an address that its owner cannot choose: of IPv6 the first 64 bits. Callers without
/// an address cannot be told apart.
pub(crate) fn network(address: Option<IpAddr>) -> [u8; 16] {
    match address.map(|address| address.to_canonical()) {
        None => [0; 16],
        Some(IpAddr::V4(address)) => address.to_ipv6_mapped().octets(),
        Some(IpAddr::V6(address)) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).octets(),
    }
}

/// The buckets of one rate. Addresses are many and free to have, so they have a room of their own:
/// however many there are, they do not crowd principals.
pub(crate) struct Buckets {
    principals: Room,
    addresses: Room,
}

impl Buckets {
    /// `kind` is what the rate is called where instances count together.
    pub(crate) fn new(rate: Rate, kind: &str, tally: Option<&Arc<Tally>>) -> Result<Self, String> {
        Ok(Self {
            principals: Room::new(rate)?.together(kind, tally),
            addresses: Room::new(rate)?.together(&format!("{kind}-anonymous"), tally),
        })
    }

    /// Takes one, or says how long to wait for it.
    pub(crate) fn take(&self, key: Key) -> Result<(), Duration> {
        self.room(key).take(key.bytes())
    }

    /// As [`Room::take_together`].
    pub(crate) fn take_together(&self, key: Key) -> Option<Taking<'_>> {
        self.room(key).take_together(key.bytes())
    }

    fn room(&self, key: Key) -> &Room {
        match key {
            Key::Principal(_) => &self.principals,
            Key::Address(_) => &self.addresses,
        }
    }
}

/// Buckets of one kind of key.
pub(crate) struct Room {
    limiter: RateLimiter<[u8; 16], Shelves, Monotonic, NoOpMiddleware<Duration>>,
    shelves: Shelves,
    rate: Rate,
    together: Option<Together>,
    sweep_every: Duration,
    /// In milliseconds of the clock.
    next_sweep: AtomicU64,
}

impl Room {
    pub(crate) fn new(rate: Rate) -> Result<Self, String> {
        let quota: Quota = rate.quota()?;
        let sweep_every = rate.window().clamp(SWEEP_AT_LEAST, SWEEP_AT_MOST);
        let shelves = Shelves::new(MAX_KEYS);
        Ok(Self {
            shelves: shelves.clone(),
            limiter: RateLimiter::new(quota, shelves, Monotonic::new()),
            rate,
            together: None,
            sweep_every,
            next_sweep: AtomicU64::new(millis(sweep_every)),
        })
    }

    pub(crate) fn take(&self, key: [u8; 16]) -> Result<(), Duration> {
        self.sweep();
        self.limiter
            .check_key(&key)
            .map_err(|refused| refused.wait_time_from(self.limiter.clock().now()))
    }

    /// Counts in a store, too.
    pub(crate) fn together(mut self, kind: &str, tally: Option<&Arc<Tally>>) -> Self {
        self.together = tally.map(|tally| Together::new(tally, kind, self.rate));
        self
    }

    /// Takes one from the bucket that is that of all instances, if there is one. For a key for
    /// which there was one here.
    pub(crate) fn take_together(&self, key: [u8; 16]) -> Option<Taking<'_>> {
        let together = self.together.as_ref()?;
        // Keys that share a bucket here do so there, too: the store is as bounded as this is.
        Some(together.take(self.shelves.state_of(key)))
    }

    /// A bucket that is full again is no different from none: what remains are the callers of the
    /// last while, however many ever came by.
    fn sweep(&self) {
        let now = millis(self.limiter.clock().now());
        let due = self.next_sweep.load(Ordering::Relaxed);
        if now < due {
            return;
        }
        let next = now + millis(self.sweep_every);
        let mine =
            self.next_sweep
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
        if mine.is_ok() {
            self.limiter.retain_recent();
        }
    }
}

/// Keys of one kind at most. More share buckets.
const MAX_KEYS: usize = 100_000;
const SHARED: u64 = 64;
const SHELVES: usize = 16;
const SWEEP_AT_LEAST: Duration = Duration::from_secs(1);
const SWEEP_AT_MOST: Duration = Duration::from_secs(60);

/// The states of all keys. When there is no room for a new key, it shares one of a few states with
/// other late ones: it is limited all the same, and so is the memory.
#[derive(Clone)]
struct Shelves(Arc<Inner>);

struct Inner {
    shelves: [Mutex<HashMap<[u8; 16], Nanos>>; SHELVES],
    /// Callers do not know which key lies where.
    hasher: RandomState,
    max: usize,
}

impl Shelves {
    fn new(max: usize) -> Self {
        Self(Arc::new(Inner {
            shelves: Default::default(),
            hasher: RandomState::new(),
            max: max / SHELVES,
        }))
    }

    /// The key under which the state of a key lies.
    fn state_of(&self, key: [u8; 16]) -> [u8; 16] {
        let (shelf, shared) = self.place(&key);
        if shelf.contains_key(&key) {
            key
        } else {
            shared
        }
    }

    /// The shelf of a key, and the key that it shares when there is no room.
    fn place(&self, key: &[u8; 16]) -> (MutexGuard<'_, HashMap<[u8; 16], Nanos>>, [u8; 16]) {
        let hash = self.0.hasher.hash_one(key);
        let shelf = usize::try_from(hash % SHELVES as u64).unwrap_or_default();
        let mut shared = [0xff; 16];
        shared[..8].copy_from_slice(&(hash / SHELVES as u64 % SHARED).to_be_bytes());
        (lock(&self.0.shelves[shelf]), shared)
    }

    fn each(&self) -> impl Iterator<Item = MutexGuard<'_, HashMap<[u8; 16], Nanos>>> {
        self.0.shelves.iter().map(lock)
    }
}

impl StateStore for Shelves {
    type Key = [u8; 16];

    fn measure_and_replace<T, F, E>(&self, key: &[u8; 16], f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (mut shelf, shared) = self.place(key);
        let full = shelf.len() >= self.0.max && !shelf.contains_key(key);
        let key = if full { shared } else { *key };
        let (outcome, state) = f(shelf.get(&key).copied())?;
        shelf.insert(key, state);
        Ok(outcome)
    }
}

impl ShrinkableKeyedStateStore<[u8; 16]> for Shelves {
    fn retain_recent(&self, drop_below: Nanos) {
        for mut shelf in self.each() {
            shelf.retain(|_, state| *state > drop_below);
            if shelf.capacity() > 4 * shelf.len() {
                let room = 2 * shelf.len();
                shelf.shrink_to(room);
            }
        }
    }

    fn len(&self) -> usize {
        self.each().map(|shelf| shelf.len()).sum()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The monotonic clock of the async runtime: setting the time of day neither opens nor shuts a
/// bucket, and tests turn it by hand.
#[derive(Clone)]
struct Monotonic(Instant);

impl Monotonic {
    fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for Monotonic {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> [u8; 16] {
        let mut key = [1; 16];
        key[..4].copy_from_slice(&n.to_be_bytes());
        key
    }

    #[tokio::test(start_paused = true)]
    async fn rl_08_200_000_keys_stay_within_bounds_are_limited_and_are_forgotten() {
        let room = Room::new("60/min, burst 2".parse().unwrap()).unwrap();
        for n in 0..200_000 {
            let _ = room.take(key(n));
        }
        let most = MAX_KEYS + usize::try_from(SHARED).unwrap() * SHELVES;
        assert!(room.limiter.len() <= most, "{} keys", room.limiter.len());
        assert!(
            room.limiter.len() >= MAX_KEYS / 2,
            "most keys have a bucket"
        );
        // A key that came too late is limited, too.
        let late = (0..10).filter(|_| room.take(key(199_999)).is_ok()).count();
        assert!(late <= 2, "{late} of 10 were let in");
        let capacity =
            |room: &Room| -> usize { room.shelves.each().map(|shelf| shelf.capacity()).sum() };
        let before = capacity(&room);
        // 24 bytes of key and state, one of the table, and a table is at most half empty.
        assert!(before * 2 * 25 <= 32 << 20, "room for {before} keys");
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(room.take(key(0)), Ok(()));
        assert!(room.limiter.len() <= 2, "{} keys", room.limiter.len());
        assert!(
            capacity(&room) * 100 < before,
            "{} of {before}",
            capacity(&room)
        );
    }

    #[test]
    fn an_address_is_known_by_what_its_owner_cannot_choose() {
        let of = |text: &str| network(Some(text.parse().unwrap()));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }
}
