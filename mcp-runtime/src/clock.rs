//! The time of day, as a parameter.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

/// How far a sleep may lie beside the clock of the machine, which people set.
const LOOK: Duration = Duration::from_secs(15);

/// Where a server reads the time of day. Tools borrow it as `&Clock`, tests set it by hand.
///
/// Deadlines are not read from here: they run on the monotonic clock of the async runtime.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    now: Mutex<Timestamp>,
    moved: Notify,
}

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until [`set`](Self::set) or [`advance`](Self::advance) moves it.
    /// Clones share their time.
    pub fn manual(now: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(Manual {
            now: Mutex::new(now),
            moved: Notify::new(),
        })))
    }

    /// The current instant, in UTC.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the door")]
            Source::System => Timestamp::now(),
            Source::Manual(manual) => *manual.now.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Moves a manual clock to `now`; a system clock is left alone.
    pub fn set(&self, now: Timestamp) {
        if let Source::Manual(manual) = &self.0 {
            *manual.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
            manual.moved.notify_waiters();
        }
    }

    /// Moves a manual clock forward by `by`; a system clock is left alone.
    pub fn advance(&self, by: Duration) {
        self.set(self.now() + by);
    }

    /// Ready when this instant is past, at most a few seconds late where the clock was set.
    pub(crate) async fn reached(&self, at: Timestamp) {
        loop {
            let moved = match &self.0 {
                Source::System => None,
                Source::Manual(manual) => {
                    let mut moved = Box::pin(manual.moved.notified());
                    // From here on no move is missed.
                    moved.as_mut().enable();
                    Some(moved)
                }
            };
            let Ok(left) = Duration::try_from(at.duration_since(self.now())) else {
                return;
            };
            match moved {
                _ if left.is_zero() => return,
                Some(moved) => moved.await,
                None => tokio::time::sleep(left.min(LOOK)).await,
            }
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}
