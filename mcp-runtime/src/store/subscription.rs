use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;

/// What instances tell each other, as [`Store::subscribe`](super::Store::subscribe) gives it.
#[derive(Debug)]
pub struct Subscription {
    messages: mpsc::Receiver<Notice>,
    missed: Arc<AtomicBool>,
}

/// The other end of a [`Subscription`], for those who write a store.
#[derive(Clone, Debug)]
pub struct Publisher {
    messages: mpsc::Sender<Notice>,
    missed: Arc<AtomicBool>,
}

/// What a [`Subscription`] brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Somebody said this.
    Message(Vec<u8>),
    /// Something was said that did not arrive: the listener was too slow, or the connection was
    /// lost for a while. What was derived from messages has to be read again.
    Gap,
}

impl Subscription {
    /// Both ends. At most `capacity` messages wait; what comes then is a gap.
    pub fn channel(capacity: usize) -> (Publisher, Self) {
        let (sender, receiver) = mpsc::channel(capacity);
        let missed = Arc::new(AtomicBool::new(false));
        let publisher = Publisher {
            messages: sender,
            missed: Arc::clone(&missed),
        };
        let subscription = Self {
            messages: receiver,
            missed,
        };
        (publisher, subscription)
    }

    /// The next notice; `None` when the store is closed.
    pub async fn next(&mut self) -> Option<Notice> {
        if self.missed.swap(false, Ordering::AcqRel) {
            return Some(Notice::Gap);
        }
        self.messages.recv().await
    }
}

impl Publisher {
    /// Passes a message on; `false` when nobody listens any more.
    pub fn send(&self, message: &[u8]) -> bool {
        self.pass(Notice::Message(message.to_vec()))
    }

    /// Says that something was missed; `false` when nobody listens any more.
    pub fn gap(&self) -> bool {
        self.pass(Notice::Gap)
    }

    fn pass(&self, notice: Notice) -> bool {
        match self.messages.try_send(notice) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.missed.store(true, Ordering::Release);
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }

    /// Whether nobody listens any more.
    pub fn is_closed(&self) -> bool {
        self.messages.is_closed()
    }

    /// Returns when nobody listens any more.
    pub async fn closed(&self) {
        self.messages.closed().await;
    }
}
