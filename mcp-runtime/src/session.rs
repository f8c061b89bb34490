//! Sessions of the revisions before 2026-07-28: a record, not a task.
//!
//! A session remembers what its client declared, and which of our questions it has not answered
//! yet. It is bound to its caller: to everybody else it does not exist.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::caller::Caller;
use crate::client::{Client, LogLevel};
use crate::clock::Clock;
use crate::outbox::Outbox;
use crate::wire::revision::Revision;

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
    pub(crate) revision: Revision,
    pub(crate) client: Client,
    log_level: Mutex<Option<LogLevel>>,
    /// URIs about whose changes the client wants to hear.
    pub(crate) subscriptions: Mutex<HashSet<String>>,
    /// What belongs to no request: the stream that a client opens with GET carries it.
    pub(crate) feed: Arc<Outbox>,
    next_question: AtomicU64,
    questions: Mutex<HashMap<u64, oneshot::Sender<Result<Value, Value>>>>,
    created_ms: i64,
    used_ms: AtomicI64,
}

impl Session {
    pub(crate) fn new(id: String, owner: String, revision: Revision, client: Client, now: Timestamp) -> Self {
        Self {
            id,
            owner,
            revision,
            client,
            log_level: Mutex::default(),
            subscriptions: Mutex::default(),
            feed: Arc::default(),
            next_question: AtomicU64::new(1),
            questions: Mutex::default(),
            created_ms: now.as_millisecond(),
            used_ms: AtomicI64::new(now.as_millisecond()),
        }
    }

    pub(crate) fn log_level(&self) -> Option<LogLevel> {
        *lock(&self.log_level)
    }

    pub(crate) fn set_log_level(&self, level: LogLevel) {
        *lock(&self.log_level) = Some(level);
    }

    /// Sends a request to the client over `outbox` and waits for its answer: a result, or the
    /// error object. `None` when the client cannot be reached.
    pub(crate) async fn ask(&self, outbox: &Outbox, method: &str, params: &Value) -> Option<Result<Value, Value>> {
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
        Self { limits, clock, open: Mutex::default() }
    }

    /// Opens a session; `None` when there are too many.
    pub(crate) fn open(&self, caller: &Caller, revision: Revision, client: Client) -> Option<Arc<Session>> {
        let now = self.clock.now();
        let owner = caller.owner();
        let mut open = lock(&self.open);
        if open.len() >= self.limits.total {
            open.retain(|_, session| !session.is_over(now.as_millisecond(), &self.limits));
        }
        let own = open.values().filter(|session| session.owner == owner);
        if open.len() >= self.limits.total || own.count() >= self.limits.per_caller {
            let over: Vec<String> = open
                .values()
                .filter(|session| session.is_over(now.as_millisecond(), &self.limits))
                .map(|session| session.id.clone())
                .collect();
            for id in &over {
                open.remove(id);
            }
            let own = open.values().filter(|session| session.owner == owner).count();
            if open.len() >= self.limits.total || own >= self.limits.per_caller {
                return None;
            }
        }
        // 256 random bits: whoever has the id is not thereby its owner, but nobody guesses it.
        let id = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
        let session = Arc::new(Session::new(id.clone(), owner, revision, client, now));
        open.insert(id, Arc::clone(&session));
        Some(session)
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
