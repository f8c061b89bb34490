//! Streams of sessions that a client may come back to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::clock::Clock;
use crate::digest;
use crate::outbox::Outbox;
use crate::session::Session;

/// Streams of one session that can be resumed, and those of all.
const MAX_STREAMS: usize = 16;
const MAX_STREAMS_IN_ALL: usize = 10_000;
/// What all of them may hold, in bytes.
const MAX_BYTES: usize = 64 << 20;
/// How long a stream is kept after its end.
const KEPT: Duration = Duration::from_secs(60);

/// Keeps the streams of all sessions within bounds: where there is no room, a stream is served
/// all the same, but not kept.
pub(crate) struct Keeper {
    clock: Clock,
    bytes: AtomicUsize,
    streams: AtomicUsize,
    /// Over, and unread by anybody; oldest first.
    over: Mutex<VecDeque<Over>>,
}

struct Over {
    since_ms: i64,
    session: Weak<Session>,
    outbox: Weak<Outbox>,
    /// The last one who read it.
    reader: u64,
}

impl Keeper {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            bytes: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            over: Mutex::default(),
        }
    }

    /// Makes `outbox` a stream of the session that can be resumed, if there is room for one more.
    pub(crate) fn admit(self: &Arc<Self>, session: &Session, outbox: &Arc<Outbox>) -> bool {
        self.sweep();
        if self.streams.load(Ordering::Relaxed) >= MAX_STREAMS_IN_ALL && !self.drop_oldest() {
            return false;
        }
        let mut streams = session.streams();
        if streams.len() >= MAX_STREAMS {
            let Some(oldest) = streams.iter().position(|stream| !stream.is_alive()) else {
                return false;
            };
            streams.remove(oldest);
        }
        self.count_one();
        // 128 random bits: nobody resumes what he was not given.
        outbox.keep(&digest::hex(&digest::random::<16>()), self);
        streams.push(Arc::clone(outbox));
        true
    }

    /// Notes that a stream is over and nobody reads it.
    pub(crate) fn is_over(&self, session: &Arc<Session>, outbox: &Arc<Outbox>) {
        let over = Over {
            since_ms: self.clock.now().as_millisecond(),
            session: Arc::downgrade(session),
            outbox: Arc::downgrade(outbox),
            reader: outbox.readers(),
        };
        self.lock().push_back(over);
        self.sweep();
    }

    /// Drops the streams whose time has come.
    pub(crate) fn sweep(&self) {
        let now_ms = self.clock.now().as_millisecond();
        loop {
            let mut over = self.lock();
            let due = over.front().is_some_and(|oldest| {
                let age = u128::try_from(now_ms - oldest.since_ms).unwrap_or(0);
                age >= KEPT.as_millis()
            });
            let oldest = if due { over.pop_front() } else { None };
            drop(over);
            match oldest {
                Some(oldest) => oldest.forget(),
                None => return,
            }
        }
    }

    /// Takes room for a message; older streams make way for it.
    pub(crate) fn take(&self, size: usize) -> bool {
        loop {
            let taken = self
                .bytes
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bytes| {
                    (bytes + size <= MAX_BYTES).then_some(bytes + size)
                });
            if taken.is_ok() {
                return true;
            }
            if !self.drop_oldest() {
                return false;
            }
        }
    }

    pub(crate) fn take_anyway(&self, size: usize) {
        self.bytes.fetch_add(size, Ordering::Relaxed);
    }

    pub(crate) fn give_back(&self, size: usize) {
        self.bytes.fetch_sub(size, Ordering::Relaxed);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > MAX_BYTES
    }

    pub(crate) fn count_one(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn forget_one(&self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn taken(&self) -> (usize, usize) {
        let of = |number: &AtomicUsize| number.load(Ordering::Relaxed);
        (of(&self.streams), of(&self.bytes))
    }

    /// `false` when there is none to drop.
    fn drop_oldest(&self) -> bool {
        let oldest = self.lock().pop_front();
        let found = oldest.is_some();
        oldest.into_iter().for_each(Over::forget);
        found
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Over>> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Over {
    /// Drops the stream, unless somebody has come back to it. One who has left it again has put it
    /// at the end of the line.
    fn forget(self) {
        let (Some(session), Some(outbox)) = (self.session.upgrade(), self.outbox.upgrade()) else {
            return;
        };
        if outbox.is_left_since(self.reader) {
            session
                .streams()
                .retain(|stream| !Arc::ptr_eq(stream, &outbox));
        }
    }
}
