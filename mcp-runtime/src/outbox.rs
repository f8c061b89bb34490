//! What a call says to its client before it answers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::session::Keeper;

/// Messages that wait for the client, and their bytes. More are dropped: whoever writes faster
/// than a client reads does not get to keep the difference in memory.
const MAX_WAITING: usize = 256;
const MAX_WAITING_BYTES: usize = 4 << 20;

/// A queue between a call, or a subscription, and the transport that carries its messages.
///
/// On a stream of a session it also keeps what has been sent, for a client that lost its
/// connection and comes back for the rest.
#[derive(Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// Whether the code of an author runs, so that an answer may take a while.
    begun: AtomicBool,
    /// Whether this is for what belongs to no request.
    feed: bool,
    /// Whether the last message is an error.
    failed: AtomicBool,
    kept: OnceLock<Kept>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    waker: Option<Waker>,
    /// Nothing comes after what waits.
    ended: bool,
    /// Its client is to come back for what comes after what waits.
    hung_up: bool,
    /// Counts readers: only the latest reads.
    reader: u64,
    attached: bool,
    sent: Sent,
}

/// What has been sent on a stream that can be resumed.
#[derive(Default)]
struct Sent {
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
    /// How many were sent: the number of the last one.
    last: u64,
}

/// What makes a queue a stream that can be resumed.
struct Kept {
    id: Box<str>,
    keeper: Arc<Keeper>,
}

impl Outbox {
    /// Queues a message of JSON-RPC. `false` when the client does not keep up.
    pub(crate) fn push(&self, message: Vec<u8>) -> bool {
        let size = message.len();
        let counted = self.count(size);
        if counted == Some(false) {
            return false;
        }
        let mut queue = self.lock();
        if queue.ended
            || queue.waiting.len() >= MAX_WAITING
            || queue.waiting_bytes + size > MAX_WAITING_BYTES
        {
            drop(queue);
            self.give_back(counted, size);
            return false;
        }
        self.count_anyway(counted, size);
        queue.append(message);
        wake(queue);
        true
    }

    /// Says the last message, unless it is empty. `true` when nobody is there to read it.
    pub(crate) fn finish(&self, message: Vec<u8>) -> bool {
        let size = message.len();
        let counted = self.count(size);
        let mut queue = self.lock();
        if queue.ended {
            drop(queue);
            self.give_back(counted, size);
            return false;
        }
        queue.ended = true;
        if counted != Some(false) || queue.attached {
            // On its way to a client, it is not what the bound is for.
            self.count_anyway(counted, size);
            if !message.is_empty() {
                queue.append(message);
            }
        } else {
            tracing::warn!(target: "mcp::session", "an answer is lost: nobody reads its stream, and there is no room to keep it");
        }
        let left = !queue.attached;
        wake(queue);
        left
    }

    /// Ends the stream of HTTP after what waits; its client comes back for the rest.
    pub(crate) fn hang_up(&self) {
        let mut queue = self.lock();
        queue.hung_up = true;
        wake(queue);
    }

    /// From here on the answer depends on an author.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// The answer is an error.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// A queue for what belongs to no request.
    pub(crate) fn feed() -> Self {
        let mut outbox = Self::default();
        outbox.feed = true;
        outbox
    }

    pub(crate) fn is_feed(&self) -> bool {
        self.feed
    }

    /// The next message; pending until there is one.
    pub(crate) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Vec<u8>> {
        let mut queue = self.lock();
        match queue.pop() {
            Some(message) => Poll::Ready(message),
            None => {
                queue.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Whether there is a message; wakes the caller when there is one later.
    pub(crate) fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.lock();
        if queue.waiting.is_empty() {
            queue.waker = Some(context.waker().clone());
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// Whether there is a reason for a stream: a message, or that the call wants to be left alone.
    pub(crate) fn poll_said(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.lock().hung_up {
            return Poll::Ready(());
        }
        self.poll_ready(context)
    }

    /// Whether something was said that has not been read.
    pub(crate) fn has_said(&self) -> bool {
        let queue = self.lock();
        queue.hung_up || !queue.waiting.is_empty()
    }

    /// A message that waits already.
    pub(crate) fn try_next(&self) -> Option<Vec<u8>> {
        self.lock().pop()
    }

    /// Makes this a stream that can be resumed under `id`. Once, and before it is read.
    pub(crate) fn keep(&self, id: &str, keeper: &Arc<Keeper>) {
        let kept = Kept {
            id: id.into(),
            keeper: Arc::clone(keeper),
        };
        let queue = self.lock();
        keeper.take_anyway(queue.waiting_bytes);
        if self.kept.set(kept).is_err() {
            debug_assert!(false, "a stream has one id");
        }
    }

    /// The id of the stream, where it can be resumed.
    pub(crate) fn stream(&self) -> Option<&str> {
        self.kept.get().map(|kept| &*kept.id)
    }

    /// Reads from here on; whoever read before no longer does.
    pub(crate) fn read(self: &Arc<Self>) -> Reader {
        let mut queue = self.lock();
        queue.reader += 1;
        queue.attached = true;
        let number = queue.reader;
        wake(queue);
        Reader {
            outbox: Arc::clone(self),
            number,
        }
    }

    /// Reads what comes after the message of this number. `None` when it has not been sent.
    pub(crate) fn resume(self: &Arc<Self>, after: u64) -> Option<Reader> {
        let mut queue = self.lock();
        if after > queue.sent.last {
            return None;
        }
        queue.hung_up = false;
        while queue.sent.last > after {
            let Some(message) = queue.sent.messages.pop_back() else {
                tracing::warn!(target: "mcp::session", "a client resumes a stream whose beginning is not kept any more");
                break;
            };
            queue.sent.bytes -= message.len();
            queue.sent.last -= 1;
            queue.waiting_bytes += message.len();
            queue.waiting.push_front(message);
        }
        drop(queue);
        Some(self.read())
    }

    /// As [`resume`](Self::resume), for a reader of this number, unless somebody else has read since.
    pub(crate) fn read_on(self: &Arc<Self>, number: u64, after: u64) -> Option<Reader> {
        let current = self.lock().reader;
        if current == number {
            self.resume(after)
        } else {
            None
        }
    }

    /// Whether somebody reads, or an answer still comes.
    pub(crate) fn is_alive(&self) -> bool {
        let queue = self.lock();
        queue.attached || !(queue.ended || self.feed)
    }

    /// How often somebody began to read.
    pub(crate) fn readers(&self) -> u64 {
        self.lock().reader
    }

    /// Whether nobody has read since the reader of this number left.
    pub(crate) fn is_left_since(&self, number: u64) -> bool {
        let queue = self.lock();
        !queue.attached && queue.reader == number
    }

    /// Takes room for a message, before the queue is locked: older streams may have to go for it.
    /// `None` while this is not a stream that is kept; then nothing was counted.
    fn count(&self, size: usize) -> Option<bool> {
        self.kept.get().map(|kept| kept.keeper.take(size))
    }

    /// Counts a message that is about to be queued and was not counted: there was no room, or this
    /// has become a stream that is kept since. The queue is locked.
    fn count_anyway(&self, counted: Option<bool>, size: usize) {
        if let (None | Some(false), Some(kept)) = (counted, self.kept.get()) {
            kept.keeper.take_anyway(size);
        }
    }

    fn give_back(&self, counted: Option<bool>, size: usize) {
        if let (Some(true), Some(kept)) = (counted, self.kept.get()) {
            kept.keeper.give_back(size);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        if let Some(kept) = self.kept.get() {
            let queue = self.queue.get_mut().unwrap_or_else(PoisonError::into_inner);
            kept.keeper
                .give_back(queue.waiting_bytes + queue.sent.bytes);
            kept.keeper.forget_one();
        }
    }
}

impl Queue {
    fn append(&mut self, message: Vec<u8>) {
        self.waiting_bytes += message.len();
        self.waiting.push_back(message);
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        let message = self.waiting.pop_front()?;
        self.waiting_bytes -= message.len();
        Some(message)
    }
}

fn wake(mut queue: MutexGuard<'_, Queue>) {
    let waker = queue.waker.take();
    drop(queue);
    waker.into_iter().for_each(Waker::wake);
}

/// Who reads a queue to its end.
pub(crate) struct Reader {
    pub(crate) outbox: Arc<Outbox>,
    number: u64,
}

impl Reader {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next message, with its number where it can be resumed after; `None` at the end.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<(u64, Vec<u8>)>> {
        let mut queue = self.outbox.lock();
        if queue.reader != self.number {
            return Poll::Ready(None);
        }
        if let Some(message) = queue.pop() {
            if let Some(kept) = self.outbox.kept.get() {
                queue.sent.add(&message, &kept.keeper);
            }
            return Poll::Ready(Some((queue.sent.last, message)));
        }
        if queue.ended || queue.hung_up {
            return Poll::Ready(None);
        }
        queue.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Whether all has been read that there will ever be.
    pub(crate) fn is_through(&self) -> bool {
        let queue = self.outbox.lock();
        queue.reader == self.number && queue.ended && queue.waiting.is_empty()
    }

    /// Whether somebody else reads now.
    pub(crate) fn is_superseded(&self) -> bool {
        self.outbox.lock().reader != self.number
    }

    /// Stops reading. `true` when nothing more would have come.
    pub(crate) fn leave(&self) -> bool {
        let mut queue = self.outbox.lock();
        if queue.reader != self.number {
            return false;
        }
        queue.attached = false;
        queue.waker = None;
        queue.ended
    }
}

impl Sent {
    /// Keeps a message that is being sent, as far as there is room.
    fn add(&mut self, message: &[u8], keeper: &Keeper) {
        self.last += 1;
        self.bytes += message.len();
        self.messages.push_back(message.to_vec());
        while self.messages.len() > MAX_WAITING
            || self.bytes > MAX_WAITING_BYTES
            || (keeper.is_full() && !self.messages.is_empty())
        {
            let Some(oldest) = self.messages.pop_front() else {
                break;
            };
            self.bytes -= oldest.len();
            keeper.give_back(oldest.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::clock::Clock;

    fn read(reader: &mut Reader) -> Vec<(u64, String)> {
        let mut context = Context::from_waker(Waker::noop());
        let mut all = Vec::new();
        while let Poll::Ready(Some((number, message))) = reader.poll_next(&mut context) {
            all.push((number, String::from_utf8(message).unwrap()));
        }
        all
    }

    fn stream(keeper: &Arc<Keeper>) -> Arc<Outbox> {
        let outbox = Arc::new(Outbox::default());
        keeper.count_one();
        outbox.keep("s", keeper);
        outbox
    }

    #[test]
    fn a_stream_goes_on_after_the_message_that_was_seen_last() {
        let keeper = Arc::new(Keeper::new(Clock::system()));
        let outbox = stream(&keeper);
        let mut first = outbox.read();
        for n in 1..=4 {
            outbox.push(format!("m{n}").into_bytes());
        }
        assert_eq!(read(&mut first).len(), 4);
        outbox.push(b"m5".to_vec());
        let mut second = outbox.resume(2).unwrap();
        assert_eq!(read(&mut first), [], "one reader at a time");
        let numbers: Vec<u64> = read(&mut second).iter().map(|(n, _)| *n).collect();
        assert_eq!(numbers, [3, 4, 5]);
        assert!(outbox.resume(6).is_none(), "that was never sent");
        outbox.finish(b"end".to_vec());
        let mut third = outbox.resume(5).unwrap();
        assert_eq!(read(&mut third), [(6, "end".to_owned())]);
        assert!(third.is_through() && third.leave());
        drop((outbox, first, second, third));
        assert_eq!(keeper.taken(), (0, 0), "nothing leaks");
    }

    #[test]
    fn a_message_is_counted_once_also_when_its_stream_becomes_one_that_is_kept() {
        let keeper = Arc::new(Keeper::new(Clock::system()));
        let outbox = Arc::new(Outbox::default());
        // As another thread would between the two halves of `push`.
        let counted = outbox.count(3);
        keeper.count_one();
        outbox.keep("s", &keeper);
        outbox.count_anyway(counted, 3);
        outbox.lock().append(b"abc".to_vec());
        assert_eq!(keeper.taken(), (1, 3));
        assert!(outbox.push(b"de".to_vec()));
        assert_eq!(keeper.taken(), (1, 5));
        drop(outbox);
        assert_eq!(keeper.taken(), (0, 0), "nothing leaks");
    }

    #[test]
    fn what_is_kept_is_bounded_in_messages_and_in_bytes() {
        let keeper = Arc::new(Keeper::new(Clock::system()));
        for size in [1, 1 << 20] {
            let outbox = stream(&keeper);
            let pushed = (0..1000).filter(|_| outbox.push(vec![b'x'; size])).count();
            assert!(pushed <= 256 && pushed * size <= 4 << 20, "{pushed}");
            let mut reader = outbox.read();
            for _ in 0..20 {
                let _ = outbox.push(vec![b'y'; size]);
                read(&mut reader);
            }
            let (_, bytes) = keeper.taken();
            assert!(bytes <= 4 << 20, "{bytes}");
        }
        assert_eq!(keeper.taken(), (0, 0), "nothing leaks");
    }
}
