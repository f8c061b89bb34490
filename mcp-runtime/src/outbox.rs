//! What a call says to its client before it answers.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Messages that wait for the client. More are dropped: whoever writes faster than a client reads
/// does not get to keep the difference in memory.
const MAX_WAITING: usize = 256;

/// A queue between a call, or a subscription, and the transport that carries its messages.
#[derive(Default)]
pub(crate) struct Outbox(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Vec<u8>>,
    reader: Option<Waker>,
    dropped: u64,
}

impl Outbox {
    /// Queues a message of JSON-RPC. `false` when the client does not keep up.
    pub(crate) fn push(&self, message: Vec<u8>) -> bool {
        let mut queue = self.lock();
        if queue.waiting.len() >= MAX_WAITING {
            queue.dropped += 1;
            return false;
        }
        queue.waiting.push_back(message);
        if let Some(reader) = queue.reader.take() {
            drop(queue);
            reader.wake();
        }
        true
    }

    /// The next message; pending until there is one.
    pub(crate) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Vec<u8>> {
        let mut queue = self.lock();
        match queue.waiting.pop_front() {
            Some(message) => Poll::Ready(message),
            None => {
                queue.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Whether there is a message; wakes the caller when there is one later.
    pub(crate) fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.lock();
        if queue.waiting.is_empty() {
            queue.reader = Some(context.waker().clone());
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// Whether a message waits.
    pub(crate) fn has_any(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    /// A message that waits already.
    pub(crate) fn try_next(&self) -> Option<Vec<u8>> {
        self.lock().waiting.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
