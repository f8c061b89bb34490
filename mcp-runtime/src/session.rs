//! Sessions of the revisions before 2026-07-28: a record, not a task.
//!
//! A session remembers what its client declared, and which of our questions it has not answered
//! yet. It is bound to its caller: to everybody else it does not exist.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::caller::Caller;
use crate::changes::{Changes, Filter, Listening};
use crate::client::{Client, LogLevel};
use crate::clock::Clock;
use crate::outbox::Outbox;
use crate::wire::message::Id;
use crate::wire::revision::Revision;

/// Resources that one session may watch.
const MAX_SUBSCRIPTIONS: usize = 100;

/// How many sessions there may be, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionLimits {
    pub(crate) total: usize,
    pub(crate) per_caller: usize,
    pub(crate) idle: Duration,
    pub(crate) life: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            total: 10_000,
            per_caller: 100,
            idle: Duration::from_secs(30 * 60),
            life: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// One client of an earlier revision.
pub(crate) struct Session {
    pub(crate) id: String,
    owner: String,
    client: Mutex<Client>,
    /// What `initialize` agreed on.
    revision: Mutex<Option<Revision>>,
    ended: CancellationToken,
    log_level: Mutex<Option<LogLevel>>,
    /// URIs about whose changes the client wants to hear.
    subscriptions: Mutex<BTreeSet<String>>,
    /// There while a stream is open for what belongs to no request.
    listening: Mutex<Option<Listening>>,
    /// Requests under way, by their id, to be cancelled.
    running: Mutex<HashMap<Id<'static>, Vec<(u64, CancellationToken)>>>,
    next_question: AtomicU64,
    questions: Mutex<HashMap<u64, oneshot::Sender<Result<Value, Value>>>>,
    created_ms: i64,
    used_ms: AtomicI64,
}

impl Session {
    pub(crate) fn new(id: String, owner: String, client: Client, now: Timestamp) -> Self {
        Self {
            id,
            owner,
            client: Mutex::new(client),
            revision: Mutex::default(),
            ended: CancellationToken::new(),
            log_level: Mutex::default(),
            subscriptions: Mutex::default(),
            listening: Mutex::default(),
            running: Mutex::default(),
            next_question: AtomicU64::new(1),
            questions: Mutex::default(),
            created_ms: now.as_millisecond(),
            used_ms: AtomicI64::new(now.as_millisecond()),
        }
    }

    /// What the client declared.
    pub(crate) fn client(&self) -> Client {
        lock(&self.client).clone()
    }

    /// Learns what the client declared, on a connection that is its own session.
    pub(crate) fn introduce(&self, client: Client) {
        *lock(&self.client) = client;
    }

    /// The revision that `initialize` agreed on; `None` before it.
    pub(crate) fn revision(&self) -> Option<Revision> {
        *lock(&self.revision)
    }

    pub(crate) fn agree_on(&self, revision: Revision) {
        *lock(&self.revision) = Some(revision);
    }

    /// Ends what waits for the end of the session.
    pub(crate) fn end(&self) {
        self.ended.cancel();
    }

    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    pub(crate) fn log_level(&self) -> Option<LogLevel> {
        *lock(&self.log_level)
    }

    pub(crate) fn set_log_level(&self, level: LogLevel) {
        *lock(&self.log_level) = Some(level);
    }

    /// Hears of the changes of a resource, or no longer. `false` when there are too many.
    pub(crate) fn subscribe(&self, uri: &str, on: bool) -> bool {
        let mut subscriptions = lock(&self.subscriptions);
        if on && subscriptions.len() >= MAX_SUBSCRIPTIONS {
            return false;
        }
        if on {
            subscriptions.insert(uri.to_owned());
        } else {
            subscriptions.remove(uri);
        }
        if let Some(listening) = &*lock(&self.listening) {
            listening.watch(uri, on);
        }
        true
    }

    /// Sends what belongs to no request to `outbox` from now on; an earlier stream falls silent.
    pub(crate) fn attach(&self, changes: &Changes, outbox: Arc<Outbox>) {
        let uris = lock(&self.subscriptions).clone();
        let filter = Filter {
            tools: true,
            prompts: true,
            resources: true,
            uris,
        };
        *lock(&self.listening) = Some(changes.listen(outbox, filter, None));
    }

    /// Notes that a request is under way; the token says when its client has cancelled it.
    pub(crate) fn begin(&self, id: &Id<'_>) -> Running<'_> {
        let number = self.next_question.fetch_add(1, Ordering::Relaxed);
        let (id, token) = (id.clone().into_owned(), CancellationToken::new());
        lock(&self.running)
            .entry(id.clone())
            .or_default()
            .push((number, token.clone()));
        Running {
            session: self,
            id,
            number,
            token,
        }
    }

    /// Cancels the requests of this id. It may be unknown, or long answered.
    pub(crate) fn cancel(&self, id: &Id<'static>) {
        let running = lock(&self.running).remove(id);
        running
            .into_iter()
            .flatten()
            .for_each(|(_, token)| token.cancel());
    }

    /// Sends a request to the client over `outbox` and waits for its answer: a result, or the
    /// error object. `None` when the client cannot be reached.
    pub(crate) async fn ask(
        &self,
        outbox: &Outbox,
        method: &str,
        params: &Value,
    ) -> Option<Result<Value, Value>> {
        let id = self.next_question.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        lock(&self.questions).insert(id, answer);
        // However the wait ends, the question is closed.
        let _closed = Closes { session: self, id };
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        if !outbox.push(message.to_string().into_bytes()) {
            return None;
        }
        answered.await.ok()
    }

    /// Takes the answer of the client to one of our questions. Unknown ids are ignored: the
    /// question may have been given up.
    pub(crate) fn answered(&self, id: u64, answer: Result<Value, Value>) {
        if let Some(question) = lock(&self.questions).remove(&id) {
            let _ = question.send(answer);
        }
    }

    fn is_over(&self, now_ms: i64, limits: &SessionLimits) -> bool {
        let since = |ms: i64| u128::try_from(now_ms.saturating_sub(ms)).unwrap_or(0);
        since(self.created_ms) >= limits.life.as_millis()
            || since(self.used_ms.load(Ordering::Relaxed)) >= limits.idle.as_millis()
    }
}

/// A request under way.
pub(crate) struct Running<'a> {
    session: &'a Session,
    id: Id<'static>,
    number: u64,
    pub(crate) token: CancellationToken,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut running = lock(&self.session.running);
        if let Some(requests) = running.get_mut(&self.id) {
            requests.retain(|(number, _)| *number != self.number);
            if requests.is_empty() {
                running.remove(&self.id);
            }
        }
    }
}

struct Closes<'a> {
    session: &'a Session,
    id: u64,
}

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        lock(&self.session.questions).remove(&self.id);
    }
}

/// All sessions of a server.
pub(crate) struct Sessions {
    pub(crate) limits: SessionLimits,
    clock: Clock,
    open: Mutex<HashMap<String, Arc<Session>>>,
}

impl Sessions {
    pub(crate) fn new(limits: SessionLimits, clock: Clock) -> Self {
        Self {
            limits,
            clock,
            open: Mutex::default(),
        }
    }

    /// Opens a session; `None` when there are too many.
    pub(crate) fn open(&self, caller: &Caller, client: Client) -> Option<Arc<Session>> {
        let now = self.clock.now();
        let owner = caller.owner();
        let mut open = lock(&self.open);
        if !self.has_room(&open, caller, &owner) {
            open.retain(|_, session| !session.is_over(now.as_millisecond(), &self.limits));
            if !self.has_room(&open, caller, &owner) {
                return None;
            }
        }
        // 256 random bits: whoever has the id is not thereby its owner, but nobody guesses it.
        let id = format!(
            "{:032x}{:032x}",
            rand::random::<u128>(),
            rand::random::<u128>()
        );
        let session = Arc::new(Session::new(id.clone(), owner, client, now));
        open.insert(id, Arc::clone(&session));
        Some(session)
    }

    fn has_room(&self, open: &HashMap<String, Arc<Session>>, caller: &Caller, owner: &str) -> bool {
        // Callers without a token cannot be told apart: together they get half of all sessions.
        let share = if caller.is_anonymous() {
            self.limits.total / 2
        } else {
            self.limits.per_caller
        };
        // Counting is only worth it where a caller could have that many.
        open.len() < self.limits.total
            && (open.len() < share
                || open
                    .values()
                    .filter(|session| session.owner == owner)
                    .count()
                    < share)
    }

    /// The session of this id, if it is this caller's.
    pub(crate) fn find(&self, id: &str, caller: &Caller) -> Option<Arc<Session>> {
        let now = self.clock.now().as_millisecond();
        let mut open = lock(&self.open);
        let session = Arc::clone(open.get(id)?);
        if session.is_over(now, &self.limits) {
            open.remove(id);
            return None;
        }
        if session.owner != caller.owner() {
            tracing::warn!(target: "mcp::session", caller = %caller, outcome = "session_principal_mismatch", "request refused");
            return None;
        }
        session.used_ms.store(now, Ordering::Relaxed);
        Some(session)
    }

    /// Ends a session of this caller. `false` when there is none.
    pub(crate) fn close(&self, id: &str, caller: &Caller) -> bool {
        self.find(id, caller).is_some() && lock(&self.open).remove(id).is_some()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
