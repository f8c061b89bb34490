//! One peer on a connection of its own: messages in, messages out, whatever carries them.
//!
//! The connection is its own session. Its transport hands over each message as it comes
//! ([`Connection::receive`]) and writes what comes out of the channel it opened the connection
//! with; everything between is the same for pipes, WebSockets and the transport of 2024-11-05.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use crate::caller::Caller;
use crate::client::Client;
use crate::json::Node;
use crate::outbox::Outbox;
use crate::session::Session;
use crate::wire::engine::{Engine, Link};
use crate::wire::message::{self, Id, Message};
use crate::wire::reply::Reply;

/// Kibibytes of messages that are under way or wait for their turn. Reading pauses only when there
/// are so many, because a message that is not read may be the one that cancels.
const MAX_WAITING: u32 = 4 << 10;
/// What the shortest message counts for: its task and its answer take room too.
const MIN_WEIGHT: u32 = 4;

pub(crate) struct Connection {
    engine: Arc<Engine>,
    caller: Arc<Caller>,
    session: Arc<Session>,
    frames: mpsc::Sender<Vec<u8>>,
    calls: Arc<Calls>,
    slots: Arc<Semaphore>,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    feeder: AbortHandle,
    /// Where the peer is, where that matters.
    address: Option<IpAddr>,
}

impl Connection {
    /// A connection to `caller` that writes to `frames`, and answers as many messages at the same
    /// time as there is room for. `name` is that of its session.
    pub(crate) fn open(
        engine: Arc<Engine>,
        caller: Arc<Caller>,
        name: &str,
        frames: mpsc::Sender<Vec<u8>>,
    ) -> Self {
        let now = engine.clock.now();
        let session = Arc::new(Session::new(
            name.to_owned(),
            caller.owner(),
            Client::default(),
            now,
        ));
        let feed = Arc::new(Outbox::default());
        session.attach(&engine.changes, Arc::clone(&feed), Arc::clone(&caller));
        let slots = Semaphore::new(frames.max_capacity());
        let feeder = feed_into(feed, frames.clone(), Arc::clone(&session));
        let feeder = tokio::spawn(feeder).abort_handle();
        Self {
            engine,
            caller,
            session,
            frames,
            calls: Arc::default(),
            slots: Arc::new(slots),
            places: Arc::new(Semaphore::new(MAX_WAITING as usize)),
            tasks: TaskTracker::new(),
            feeder,
            address: None,
        }
    }

    /// The peer is at this address.
    pub(crate) fn at(mut self, address: Option<IpAddr>) -> Self {
        self.address = address;
        self
    }

    /// Takes a message; waits while too many are under way.
    pub(crate) async fn receive(&self, bytes: Bytes) {
        let Some(call) = self.enter(&bytes) else {
            return;
        };
        if let Ok(place) = Arc::clone(&self.places)
            .acquire_many_owned(weight(&bytes))
            .await
        {
            self.start(bytes, call, place);
        }
    }

    /// Takes a message, unless too many are under way.
    pub(crate) fn try_receive(&self, bytes: Bytes) -> bool {
        // What cancels is heard however busy we are.
        let Ok(place) = Arc::clone(&self.places).try_acquire_many_owned(weight(&bytes)) else {
            return matches!(peek(&bytes), Peek::Cancel(_)) && self.enter(&bytes).is_none();
        };
        if let Some(call) = self.enter(&bytes) {
            self.start(bytes, call, place);
        }
        true
    }

    /// Answers what is no message.
    pub(crate) async fn refuse(&self, code: i32, why: &str) {
        let _ = self.frames.send(Reply::malformed(code, why).body).await;
    }

    /// Ready when nobody reads what is written any more.
    pub(crate) async fn unread(&self) {
        self.frames.closed().await;
    }

    /// Ready when the session has ended: its client said so, or we did.
    pub(crate) async fn over(&self) {
        self.session.ended().await;
    }

    /// Ready when the server stops.
    pub(crate) async fn stopping(&self) {
        self.engine.changes.closed().await;
    }

    /// Lets calls in flight finish within `grace`, and ends what is left.
    pub(crate) async fn finish(&self, grace: Duration) {
        // Subscriptions of this connection are answered; those of others go on.
        self.session.conclude();
        self.feeder.abort();
        self.tasks.close();
        let _ = tokio::time::timeout(grace, self.tasks.wait()).await;
        self.calls.abort_all();
    }

    /// Notes a call before the next message can cancel it; `None` when the message was itself a
    /// cancellation, and is done with.
    fn enter(&self, bytes: &Bytes) -> Option<Entry> {
        match peek(bytes) {
            Peek::Cancel(id) => {
                // Those of a batch are known to the session alone.
                self.session.cancel(&id);
                self.calls.abort(&id);
                None
            }
            Peek::Request(id) => Some(self.calls.open(Some(id))),
            Peek::Other => Some(self.calls.open(None)),
        }
    }

    fn start(&self, bytes: Bytes, call: Entry, place: OwnedSemaphorePermit) {
        let (slots, engine) = (Arc::clone(&self.slots), Arc::clone(&self.engine));
        let (frames, calls) = (self.frames.clone(), Arc::clone(&self.calls));
        let link = Link {
            caller: Arc::clone(&self.caller),
            outbox: Arc::default(),
            streams: true,
            session: Some(Arc::clone(&self.session)),
            opens_sessions: false,
            address: self.address,
            trace: None,
        };
        let done = call.clone();
        let task = self.tasks.spawn(async move {
            let slot = slots.acquire().await;
            let reply = answer(&engine, &bytes, &link, &frames).await;
            if !reply.body.is_empty() {
                let _ = frames.send(reply.body).await;
            }
            calls.close(&done);
            drop((slot, place));
        });
        self.calls.started(&call, task.abort_handle());
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.session.conclude();
        self.feeder.abort();
        self.calls.abort_all();
    }
}

/// Passes on what belongs to no request. Only clients that began with `initialize` hear it: since
/// 2026-07-28 they hear what they listen for.
async fn feed_into(feed: Arc<Outbox>, frames: mpsc::Sender<Vec<u8>>, session: Arc<Session>) {
    loop {
        let note = std::future::poll_fn(|context| feed.poll_next(context)).await;
        if session.revision().is_some() && frames.send(note).await.is_err() {
            return;
        }
    }
}

/// Answers a message, and passes on what its call says meanwhile.
async fn answer(
    engine: &Engine,
    bytes: &Bytes,
    link: &Link,
    frames: &mpsc::Sender<Vec<u8>>,
) -> Reply {
    let mut running = pin!(engine.handle(bytes, None, link));
    loop {
        let reply = std::future::poll_fn(|context| {
            if let Poll::Ready(reply) = running.as_mut().poll(context) {
                return Poll::Ready(Some(reply));
            }
            link.outbox.poll_ready(context).map(|()| None)
        })
        .await;
        while let Some(note) = link.outbox.try_next() {
            let _ = frames.send(note).await;
        }
        if let Some(reply) = reply {
            return reply;
        }
    }
}

/// What a message counts for, in kibibytes. The longest one has to fit when nothing else waits.
fn weight(bytes: &Bytes) -> u32 {
    let kibibytes = u32::try_from(bytes.len() >> 10).unwrap_or(u32::MAX);
    kibibytes.clamp(MIN_WEIGHT, MAX_WAITING)
}

/// What a connection has to know of a message before it is handled.
enum Peek {
    Request(Id<'static>),
    /// `notifications/cancelled`. What it names may be unknown or long done.
    Cancel(Id<'static>),
    Other,
}

fn peek(bytes: &Bytes) -> Peek {
    match message::read(bytes) {
        Ok(Message::Request { id, .. }) => Peek::Request(id.into_owned()),
        Ok(Message::Notification { method, params }) if method == "notifications/cancelled" => {
            match params.get("requestId") {
                Some(Node::Number(n)) => n
                    .as_u64()
                    .map(Id::Unsigned)
                    .or_else(|| n.as_i64().map(Id::Signed))
                    .map_or(Peek::Other, Peek::Cancel),
                Some(Node::String(text)) => Peek::Cancel(Id::Text(text.clone()).into_owned()),
                _ => Peek::Other,
            }
        }
        _ => Peek::Other,
    }
}

/// What is in flight, by its id where it has one. Clients that use one id twice get two answers.
#[derive(Default)]
struct Calls(Mutex<Table>);

#[derive(Default)]
struct Table {
    next: u64,
    open: HashMap<Option<Id<'static>>, Vec<(u64, Option<AbortHandle>)>>,
}

#[derive(Clone)]
struct Entry {
    id: Option<Id<'static>>,
    number: u64,
}

impl Calls {
    fn open(&self, id: Option<Id<'static>>) -> Entry {
        let mut table = self.lock();
        table.next += 1;
        let number = table.next;
        table
            .open
            .entry(id.clone())
            .or_default()
            .push((number, None));
        Entry { id, number }
    }

    fn started(&self, entry: &Entry, task: AbortHandle) {
        let mut table = self.lock();
        let calls = table.open.get_mut(&entry.id);
        let call =
            calls.and_then(|calls| calls.iter_mut().find(|(number, _)| *number == entry.number));
        match call {
            Some(call) => call.1 = Some(task),
            // Done already, or ended with all others before it could begin.
            None => task.abort(),
        }
    }

    fn close(&self, entry: &Entry) {
        let mut table = self.lock();
        if let Some(calls) = table.open.get_mut(&entry.id) {
            calls.retain(|(number, _)| *number != entry.number);
            if calls.is_empty() {
                table.open.remove(&entry.id);
            }
        }
    }

    fn abort(&self, id: &Id<'static>) {
        let calls = self.lock().open.remove(&Some(id.clone()));
        calls
            .into_iter()
            .flatten()
            .filter_map(|(_, task)| task)
            .for_each(|task| task.abort());
    }

    fn abort_all(&self) {
        let open = std::mem::take(&mut self.lock().open);
        open.into_values()
            .flatten()
            .filter_map(|(_, task)| task)
            .for_each(|task| task.abort());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
