use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::{
    Bucket, Publisher, Store, StoreError, StoreFuture, Subscription, check_message, check_size,
};
use crate::Clock;
use crate::limits::Rate;

/// A [`Store`] that forgets when the process ends.
///
/// It holds a bounded number of entries and refuses new ones when all of them live: evicting a
/// used token to make room would make it usable again.
#[derive(Debug)]
pub struct MemoryStore {
    clock: Clock,
    capacity: usize,
    entries: Mutex<Entries>,
    listeners: Mutex<Vec<Publisher>>,
}

/// Messages that wait for one who listens.
const WAITING: usize = 1024;

impl MemoryStore {
    /// A store for at most `capacity` entries.
    pub fn new(clock: Clock, capacity: usize) -> Self {
        Self {
            clock,
            capacity,
            entries: Mutex::default(),
            listeners: Mutex::default(),
        }
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Publisher>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> (MutexGuard<'_, Entries>, i64) {
        // No operation leaves the map half changed, so a poisoned lock is as good as any.
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        (entries, self.clock.now().as_microsecond())
    }
}

impl Store for MemoryStore {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let (entries, now) = self.lock();
            Ok(entries.live(key, now).map(|entry| entry.value.clone()))
        })
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        expires_at: Timestamp,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            check_size(key, value)?;
            let (mut entries, now) = self.lock();
            entries.insert(key, value, expires_at, now, self.capacity)
        })
    }

    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        expires_at: Timestamp,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            check_size(key, value)?;
            let (mut entries, now) = self.lock();
            if entries.live(key, now).is_some() {
                return Ok(false);
            }
            entries.insert(key, value, expires_at, now, self.capacity)?;
            Ok(true)
        })
    }

    fn replace<'a>(
        &'a self,
        key: &'a str,
        expected: &'a [u8],
        value: &'a [u8],
        expires_at: Timestamp,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            check_size(key, value)?;
            let (mut entries, now) = self.lock();
            if entries
                .live(key, now)
                .is_none_or(|entry| entry.value != expected)
            {
                return Ok(false);
            }
            entries.insert(key, value, expires_at, now, self.capacity)?;
            Ok(true)
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let (mut entries, now) = self.lock();
            Ok(entries
                .map
                .remove(key)
                .is_some_and(|entry| entry.lives(now)))
        })
    }

    fn take<'a>(&'a self, key: &'a str, rate: Rate) -> StoreFuture<'a, Result<(), Duration>> {
        Box::pin(async move {
            check_size(key, &[])?;
            let (mut entries, now) = self.lock();
            let bucket = Bucket::of(rate, now);
            let end = match entries.live(key, now).map_or(now, |entry| entry.expires_at) {
                wrong if wrong > bucket.impossible => bucket.empty,
                end if end > bucket.latest => return Ok(Err(bucket.wait(end))),
                end => end.saturating_add(bucket.interval),
            };
            let end = Timestamp::from_microsecond(end).unwrap_or(Timestamp::MAX);
            entries.insert(key, &[], end, now, self.capacity)?;
            Ok(Ok(()))
        })
    }

    fn publish<'a>(&'a self, message: &'a [u8]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            check_message(message)?;
            self.listeners().retain(|listener| listener.send(message));
            Ok(())
        })
    }

    fn subscribe(&self) -> StoreFuture<'_, Subscription> {
        Box::pin(async move {
            let (publisher, subscription) = Subscription::channel(WAITING);
            let mut listeners = self.listeners();
            listeners.retain(|listener| !listener.is_closed());
            listeners.push(publisher);
            Ok(subscription)
        })
    }
}

#[derive(Debug)]
struct Entries {
    map: HashMap<String, Entry>,
    /// No entry expires before this. Lets a full store refuse without looking at every entry
    /// each time, which would be a cheap way to keep it busy.
    earliest: i64,
}

struct Entry {
    value: Vec<u8>,
    expires_at: i64,
}

impl Entries {
    fn live(&self, key: &str, now: i64) -> Option<&Entry> {
        self.map.get(key).filter(|entry| entry.lives(now))
    }

    fn insert(
        &mut self,
        key: &str,
        value: &[u8],
        expires_at: Timestamp,
        now: i64,
        capacity: usize,
    ) -> Result<(), StoreError> {
        if self.map.len() >= capacity && !self.map.contains_key(key) {
            self.drop_expired(now);
            if self.map.len() >= capacity {
                return Err(StoreError::full());
            }
        }
        let expires_at = expires_at.as_microsecond();
        self.earliest = self.earliest.min(expires_at);
        self.map.insert(
            key.to_owned(),
            Entry {
                value: value.to_vec(),
                expires_at,
            },
        );
        Ok(())
    }

    fn drop_expired(&mut self, now: i64) {
        if now < self.earliest {
            return;
        }
        self.map.retain(|_, entry| entry.lives(now));
        self.earliest = self
            .map
            .values()
            .map(|entry| entry.expires_at)
            .min()
            .unwrap_or(i64::MAX);
    }
}

impl Default for Entries {
    fn default() -> Self {
        Self {
            map: HashMap::new(),
            earliest: i64::MAX,
        }
    }
}

impl Entry {
    fn lives(&self, now: i64) -> bool {
        now < self.expires_at
    }
}

/// Values may be confidential results.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
