//! Sessions of the revisions before 2026-07-28: a record, not a task.
//!
//! A session remembers what its client declared, and which of our questions it has not answered
//! yet. It is bound to its caller: to everybody else it does not exist. Where the server has a
//! store, the record is kept there, and any instance that shares the store goes on with it.

mod away;
mod elsewhere;
mod shared;
mod streams;

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use crate::caller::Caller;
use crate::changes::{Changes, Filter, Listening};
use crate::client::{Client, LogLevel};
use crate::clock::Clock;
use crate::instances::Voice;
use crate::metrics::{Figures, SessionEnd};
use crate::outbox::{Outbox, Reader};
use crate::wire::message::Id;
use crate::wire::revision::Revision;

pub(crate) use away::Away;
use shared::{Record, Shared};
pub(crate) use streams::Keeper;

/// Resources that one session may watch, and the bytes of their URIs.
const MAX_SUBSCRIPTIONS: usize = 100;
const MAX_SUBSCRIPTION_BYTES: usize = 64 << 10;
/// Ours have 64 characters.
const MAX_ID: usize = 128;
/// How often sessions that are over are looked for, when there is no room.
const SWEEP_MS: i64 = 1000;

/// How many sessions of the revisions before 2026-07-28 one instance of a server holds, and for
/// how long.
#[derive(Clone, Copy, Debug)]
#[must_use = "give them to `Server::session_limits`"]
pub struct SessionLimits {
    pub(crate) total: usize,
    pub(crate) per_caller: usize,
    pub(crate) idle: Duration,
    pub(crate) life: Duration,
}

impl SessionLimits {
    /// Sessions at once, of all callers; 10,000 unless said otherwise. Callers without a token
    /// cannot be told apart, and get half of them together.
    pub fn total(mut self, sessions: usize) -> Self {
        self.total = sessions;
        self
    }

    /// Sessions at once of one caller with a token; 100 unless said otherwise.
    pub fn per_caller(mut self, sessions: usize) -> Self {
        self.per_caller = sessions;
        self
    }

    /// How long a session lives without a request, a running call or an open stream; 30 minutes
    /// unless said otherwise.
    pub fn idle(mut self, time: Duration) -> Self {
        self.idle = time;
        self
    }

    /// How long a session lives at most; 24 hours unless said otherwise.
    pub fn life(mut self, time: Duration) -> Self {
        self.life = time;
        self
    }
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

/// Why there is no session to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSession {
    /// There is none of this id for this caller.
    Unknown,
    TooMany,
    /// The store does not say.
    Unavailable,
}

/// What a session remembers of its client.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Facts {
    client: Client,
    /// What `initialize` agreed on.
    revision: Option<Revision>,
    log_level: Option<String>,
    /// URIs about whose changes the client wants to hear.
    subscriptions: BTreeSet<String>,
}

/// One client of an earlier revision.
pub(crate) struct Session {
    pub(crate) id: Arc<str>,
    owner: Box<str>,
    facts: Mutex<Facts>,
    /// There while a stream is open for what belongs to no request.
    listening: Mutex<Option<(Arc<Outbox>, Listening)>>,
    /// Streams that can be resumed.
    streams: Mutex<Vec<Arc<Outbox>>>,
    /// Requests under way, by their id, to be cancelled.
    running: Mutex<HashMap<Id<'static>, Vec<(u64, CancellationToken)>>>,
    next_number: AtomicU64,
    questions: Mutex<HashMap<u64, oneshot::Sender<Result<Value, Value>>>>,
    /// Cancelled when the session ends; made when somebody waits for that.
    ended: OnceLock<CancellationToken>,
    is_ended: AtomicBool,
    /// Whether nothing goes on in it any more. What was asked before a connection ends may still.
    is_cut_off: AtomicBool,
    /// Opened for a stream, by a client that may never use its id.
    provisional: AtomicBool,
    readers: AtomicU64,
    created_ms: i64,
    used_ms: AtomicI64,
    shared: Option<Of>,
}

/// What a session shares with other instances, and under which name.
#[derive(Clone)]
struct Of {
    shared: Arc<Shared>,
    name: Box<str>,
}

impl std::ops::Deref for Of {
    type Target = Arc<Shared>;

    fn deref(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Session {
    pub(crate) fn new(id: String, owner: String, client: Client, now: Timestamp) -> Self {
        let facts = Facts {
            client,
            ..Facts::default()
        };
        Self::with(id.into(), owner.into(), facts, now.as_millisecond(), None)
    }

    fn with(
        id: Arc<str>,
        owner: Box<str>,
        facts: Facts,
        now_ms: i64,
        shared: Option<&Arc<Shared>>,
    ) -> Self {
        let shared = shared.map(|shared| Of {
            shared: Arc::clone(shared),
            name: shared::name(&id).into(),
        });
        Self {
            id,
            owner,
            facts: Mutex::new(facts),
            listening: Mutex::default(),
            streams: Mutex::default(),
            running: Mutex::default(),
            next_number: AtomicU64::new(1),
            questions: Mutex::default(),
            ended: OnceLock::new(),
            is_ended: AtomicBool::new(false),
            is_cut_off: AtomicBool::new(false),
            provisional: AtomicBool::new(false),
            readers: AtomicU64::new(0),
            created_ms: now_ms,
            used_ms: AtomicI64::new(now_ms),
            shared,
        }
    }

    /// As much of the id as a log may show: enough to find its lines, too little to use it.
    pub(crate) fn shown(&self) -> &str {
        self.id.get(..8).unwrap_or_default()
    }

    /// What the client declared.
    pub(crate) fn client(&self) -> Client {
        lock(&self.facts).client.clone()
    }

    /// Learns who the client is, on a connection that is its own session.
    pub(crate) fn introduce(&self, client: Client, revision: Revision) {
        let mut facts = lock(&self.facts);
        facts.client = client;
        facts.revision = Some(revision);
    }

    /// The revision that `initialize` agreed on; `None` before it.
    pub(crate) fn revision(&self) -> Option<Revision> {
        lock(&self.facts).revision
    }

    pub(crate) fn log_level(&self) -> Option<LogLevel> {
        LogLevel::parse(lock(&self.facts).log_level.as_deref()?)
    }

    pub(crate) async fn set_log_level(&self, level: LogLevel) -> Result<(), NoSession> {
        let name = level.as_str();
        self.change(|facts| {
            facts.log_level = Some(name.to_owned());
            true
        })
        .await
        .map(|_| ())
    }

    /// Hears of the changes of a resource, or no longer. `false` when there are too many.
    pub(crate) async fn subscribe(&self, uri: &str, on: bool) -> Result<bool, NoSession> {
        self.change(|facts| {
            let subscriptions = &mut facts.subscriptions;
            if on {
                let bytes: usize = subscriptions.iter().map(String::len).sum();
                let fits = subscriptions.len() < MAX_SUBSCRIPTIONS
                    && bytes + uri.len() <= MAX_SUBSCRIPTION_BYTES;
                return subscriptions.contains(uri) || fits && subscriptions.insert(uri.to_owned());
            }
            subscriptions.remove(uri);
            true
        })
        .await
    }

    /// Changes what is remembered, here and in the store; `false` when `change` says so.
    async fn change(
        &self,
        change: impl Fn(&mut Facts) -> bool + Send + Sync,
    ) -> Result<bool, NoSession> {
        let Some(shared) = &self.shared else {
            let mut facts = self.facts();
            if !change(&mut facts) {
                return Ok(false);
            }
            self.learn(facts);
            return Ok(true);
        };
        let Some(record) = shared.change(&self.id, change).await? else {
            return Ok(false);
        };
        self.learn(record.facts);
        Ok(true)
    }

    fn facts(&self) -> Facts {
        lock(&self.facts).clone()
    }

    /// Takes over what is remembered, and listens accordingly.
    fn learn(&self, facts: Facts) {
        let before = std::mem::replace(&mut *lock(&self.facts), facts.clone());
        if before.subscriptions != facts.subscriptions
            && let Some((_, listening)) = &*lock(&self.listening)
        {
            let (before, after) = (&before.subscriptions, &facts.subscriptions);
            before
                .difference(after)
                .for_each(|uri| listening.watch(uri, false));
            after
                .difference(before)
                .for_each(|uri| listening.watch(uri, true));
        }
    }

    /// Sends what belongs to no request to `outbox` from now on; an earlier stream falls silent.
    /// It hears of what `caller` may see.
    pub(crate) fn attach(&self, changes: &Changes, outbox: Arc<Outbox>, caller: Arc<Caller>) {
        let filter = Filter {
            tools: true,
            prompts: true,
            resources: true,
            uris: self.facts().subscriptions,
            caller,
            ..Filter::default()
        };
        let listening = changes.listen(Arc::clone(&outbox), filter, None);
        *lock(&self.listening) = Some((outbox, listening));
    }

    /// Whether this is where the session sends what belongs to no request, or did.
    fn detach(&self, outbox: &Arc<Outbox>) {
        let mut listening = lock(&self.listening);
        if listening
            .as_ref()
            .is_some_and(|(current, _)| Arc::ptr_eq(current, outbox))
        {
            *listening = None;
        }
    }

    fn streams(&self) -> MutexGuard<'_, Vec<Arc<Outbox>>> {
        lock(&self.streams)
    }

    /// The stream that an event belongs to, read from the next event on. Streams of others, and
    /// events that were never sent, are not found.
    pub(crate) fn resume(&self, stream: &str, after: u64) -> Option<Reader> {
        let found = self
            .streams()
            .iter()
            .find(|known| known.stream() == Some(stream))
            .cloned();
        found?.resume(after)
    }

    /// Notes that a request is under way; the token says when its client has cancelled it.
    pub(crate) fn begin(&self, id: &Id<'_>) -> Running<'_> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let (id, token) = (id.clone().into_owned(), CancellationToken::new());
        lock(&self.running)
            .entry(id.clone())
            .or_default()
            .push((number, token.clone()));
        if self.is_cut_off.load(Ordering::Acquire) {
            token.cancel();
        }
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
        if running.is_none() {
            self.cancel_elsewhere(id);
        }
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
        let id = match &self.shared {
            None => self.next_number.fetch_add(1, Ordering::Relaxed),
            // Unique among all instances, and a number that JavaScript can hold.
            Some(_) => rand::random::<u64>() >> 12,
        };
        let (answer, answered) = oneshot::channel();
        lock(&self.questions).insert(id, answer);
        // However the wait ends, the question is closed.
        let _closed = Closes { session: self, id };
        let question = match &self.shared {
            None => None,
            Some(shared) => Some(shared.ask(&self.id, id).await.ok()?),
        };
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        if !outbox.push(message.to_string().into_bytes()) {
            return None;
        }
        match question {
            None => answered.await.ok(),
            Some(question) => {
                let answer = tokio::select! {
                    answer = answered => answer.ok(),
                    answer = question.answered() => answer,
                };
                question.close().await;
                answer
            }
        }
    }

    /// Takes the answer of the client to one of our questions. Unknown ids are ignored: the
    /// question may have been given up.
    pub(crate) async fn answered(
        &self,
        id: u64,
        answer: Result<Value, Value>,
    ) -> Result<(), NoSession> {
        let question = lock(&self.questions).remove(&id);
        match (question, &self.shared) {
            (Some(question), _) => {
                let _ = question.send(answer);
                Ok(())
            }
            // Asked by another instance, perhaps.
            (None, Some(shared)) => shared.answer(&self.id, id, &answer).await,
            (None, None) => Ok(()),
        }
    }

    /// Tells whoever waits for it that the session has ended. Calls under way may finish.
    pub(crate) fn conclude(&self) {
        self.is_ended.store(true, Ordering::Release);
        if let Some(ended) = self.ended.get() {
            ended.cancel();
        }
    }

    /// Ends what goes on in the session.
    fn end(&self) {
        self.is_cut_off.store(true, Ordering::Release);
        self.conclude();
        let running = std::mem::take(&mut *lock(&self.running));
        running
            .into_values()
            .flatten()
            .for_each(|(_, token)| token.cancel());
        *lock(&self.listening) = None;
        let streams = std::mem::take(&mut *self.streams());
        for stream in streams {
            stream.finish(Vec::new());
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.is_ended.load(Ordering::Acquire)
    }

    pub(crate) async fn ended(&self) {
        let ended = self.ended.get_or_init(CancellationToken::new);
        if self.has_ended() {
            ended.cancel();
        }
        ended.cancelled().await;
    }

    fn is_over(&self, now_ms: i64, limits: &SessionLimits) -> bool {
        let since = |ms: i64| u128::try_from(now_ms.saturating_sub(ms)).unwrap_or(0);
        let busy = || self.readers.load(Ordering::Relaxed) > 0 || !lock(&self.running).is_empty();
        since(self.created_ms) >= limits.life.as_millis()
            || since(self.used_ms.load(Ordering::Relaxed)) >= limits.idle.as_millis() && !busy()
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

/// A session whose id nobody has heard yet. It goes with the request that opens it, unless that comes
/// to its end.
struct Nameless<'a>(&'a Sessions, Option<&'a str>);

impl Nameless<'_> {
    fn keep(mut self) {
        self.1 = None;
    }
}

impl Drop for Nameless<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.1 {
            self.0.drop_session(id, SessionEnd::StoreFailed);
        }
    }
}

/// All sessions of a server.
pub(crate) struct Sessions {
    limits: SessionLimits,
    clock: Clock,
    open: Mutex<Open>,
    pub(crate) keeper: Arc<Keeper>,
    shared: Option<Arc<Shared>>,
    figures: Option<Arc<Figures>>,
    /// Woken when sessions may have ended elsewhere without our being told.
    doubt: Notify,
}

#[derive(Default)]
struct Open {
    sessions: HashMap<Arc<str>, Arc<Session>>,
    /// Those that are shared, by what other instances call them.
    named: HashMap<Box<str>, Arc<Session>>,
    /// How many each caller has.
    of: HashMap<Box<str>, usize>,
    swept_ms: i64,
}

impl Sessions {
    pub(crate) fn new(limits: SessionLimits, clock: Clock, voice: Option<Voice>) -> Self {
        Self {
            limits,
            keeper: Arc::new(Keeper::new(clock.clone())),
            shared: voice.map(|voice| Arc::new(Shared::new(voice, clock.clone(), limits))),
            clock,
            open: Mutex::default(),
            figures: None,
            doubt: Notify::new(),
        }
    }

    /// Counts them.
    pub(crate) fn counted(mut self, figures: Option<Arc<Figures>>) -> Self {
        self.figures = figures;
        self
    }

    /// Opens a session.
    pub(crate) async fn open(
        &self,
        caller: &Caller,
        client: Client,
        revision: Option<Revision>,
    ) -> Result<Arc<Session>, NoSession> {
        // 256 random bits: whoever has the id is not thereby its owner, but nobody guesses it.
        let id = format!(
            "{:032x}{:032x}",
            rand::random::<u128>(),
            rand::random::<u128>()
        );
        let session = Session::with(
            id.into(),
            caller.owner().into(),
            Facts {
                client,
                revision,
                ..Facts::default()
            },
            self.clock.now().as_millisecond(),
            self.shared.as_ref(),
        );
        let session = self.admit(caller, session)?;
        if let Some(shared) = &self.shared {
            let nameless = Nameless(self, Some(&session.id));
            shared.create(&session.id, &Record::of(&session)).await?;
            nameless.keep();
        }
        if let Some(figures) = &self.figures {
            figures.session_opened();
        }
        tracing::info!(target: "mcp::session", event = "mcp_session_created", session_id = session.shown(), %caller, "session created");
        Ok(session)
    }

    /// Opens a session for a stream of its own; it ends with the stream, unless it is used.
    pub(crate) async fn open_for_stream(&self, caller: &Caller) -> Result<Arc<Session>, NoSession> {
        let session = self.open(caller, Client::default(), None).await?;
        session.provisional.store(true, Ordering::Relaxed);
        Ok(session)
    }

    /// Adds a session, if there is room. One of the same id that is there already stays.
    fn admit(&self, caller: &Caller, session: Session) -> Result<Arc<Session>, NoSession> {
        let mut open = lock(&self.open);
        if let Some(known) = open.sessions.get(&session.id) {
            return Ok(Arc::clone(known));
        }
        let mut over = Vec::new();
        if !self.has_room(&open, caller, &session.owner) {
            over = self.sweep(&mut open);
            if !self.has_room(&open, caller, &session.owner) {
                drop(open);
                self.end_all(&over, SessionEnd::Expired);
                return Err(NoSession::TooMany);
            }
        }
        let session = Arc::new(session);
        *open.of.entry(session.owner.clone()).or_default() += 1;
        open.sessions
            .insert(Arc::clone(&session.id), Arc::clone(&session));
        if let Some(of) = &session.shared {
            open.named.insert(of.name.clone(), Arc::clone(&session));
        }
        drop(open);
        if let Some(figures) = &self.figures {
            figures.session_held();
        }
        self.end_all(&over, SessionEnd::Expired);
        Ok(session)
    }

    fn has_room(&self, open: &Open, caller: &Caller, owner: &str) -> bool {
        // Callers without a token cannot be told apart: together they get half of all sessions.
        let share = if caller.is_anonymous() {
            self.limits.total / 2
        } else {
            self.limits.per_caller
        };
        open.sessions.len() < self.limits.total
            && open.of.get(owner).copied().unwrap_or_default() < share
    }

    /// Takes out the sessions that are over. Not more often than it is worth: who is refused asks
    /// again.
    fn sweep(&self, open: &mut Open) -> Vec<Arc<Session>> {
        let now_ms = self.clock.now().as_millisecond();
        if now_ms.abs_diff(open.swept_ms) < SWEEP_MS.unsigned_abs() {
            return Vec::new();
        }
        open.swept_ms = now_ms;
        let over: Vec<_> = open
            .sessions
            .values()
            .filter(|session| session.is_over(now_ms, &self.limits))
            .cloned()
            .collect();
        over.iter().for_each(|session| open.remove(&session.id));
        over
    }

    /// The session of this id, if it is this caller's.
    pub(crate) async fn find(&self, id: &str, caller: &Caller) -> Result<Arc<Session>, NoSession> {
        if id.len() > MAX_ID {
            return Err(NoSession::Unknown);
        }
        self.keeper.sweep();
        let found = lock(&self.open).sessions.get(id).cloned();
        if let Some(session) = &found {
            check_owner(&session.owner, caller)?;
        }
        let now_ms = self.clock.now().as_millisecond();
        let session = match &self.shared {
            None => {
                let session = found.ok_or(NoSession::Unknown)?;
                if session.is_over(now_ms, &self.limits) {
                    self.drop_session(id, SessionEnd::Expired);
                    return Err(NoSession::Unknown);
                }
                session
            }
            Some(shared) => self.find_shared(shared, id, caller, found).await?,
        };
        session.used_ms.store(now_ms, Ordering::Relaxed);
        session.provisional.store(false, Ordering::Relaxed);
        Ok(session)
    }

    /// The store says whether a session lives, whatever is in memory.
    async fn find_shared(
        &self,
        shared: &Arc<Shared>,
        id: &str,
        caller: &Caller,
        found: Option<Arc<Session>>,
    ) -> Result<Arc<Session>, NoSession> {
        let record = match shared.look(id).await {
            Ok(record) => record,
            Err(error) => {
                if error == NoSession::Unknown {
                    self.drop_session(id, SessionEnd::Expired);
                }
                return Err(error);
            }
        };
        check_owner(&record.owner, caller)?;
        let session = match found {
            Some(session) => {
                session.learn(record.facts);
                session
            }
            None => {
                let session = Session::with(
                    id.into(),
                    record.owner.into(),
                    record.facts,
                    record.created,
                    Some(shared),
                );
                let session = self.admit(caller, session)?;
                session.is_used_here();
                session
            }
        };
        Ok(session)
    }

    /// Ends a session of this caller.
    pub(crate) async fn close(&self, id: &str, caller: &Caller) -> Result<(), NoSession> {
        self.find(id, caller).await?;
        if let Some(shared) = &self.shared {
            shared.remove(id).await?;
        }
        self.drop_session(id, SessionEnd::Closed);
        Ok(())
    }

    /// A client has left a stream. What nobody will come back for ends with it.
    pub(crate) fn left(&self, session: &Arc<Session>, reader: &Reader, is_feed: bool) {
        session.readers.fetch_sub(1, Ordering::Relaxed);
        self.used(session);
        if reader.is_superseded() {
            // The client is back already: what is left of the stream is what it reads now.
            return;
        }
        let ended = reader.leave();
        if is_feed {
            session.detach(&reader.outbox);
        }
        if is_feed && session.provisional.load(Ordering::Relaxed) {
            self.drop_session(&session.id, SessionEnd::StreamLeft);
            if let (Some(shared), Ok(runtime)) =
                (&self.shared, tokio::runtime::Handle::try_current())
            {
                let (shared, id) = (Arc::clone(shared), Arc::clone(&session.id));
                // Should that fail, the record expires by itself.
                runtime.spawn(async move { shared.remove(&id).await });
            }
        } else if reader.outbox.stream().is_some() && (is_feed || ended) {
            self.keeper.is_over(session, &reader.outbox);
        }
    }

    /// A request of the session is over.
    pub(crate) fn used(&self, session: &Session) {
        let now_ms = self.clock.now().as_millisecond();
        session.used_ms.fetch_max(now_ms, Ordering::Relaxed);
    }

    /// While a request runs, its session is in use; a store has to know it. Never ready.
    pub(crate) async fn in_use(&self, session: &Session) -> Infallible {
        match &self.shared {
            // In a box, for few requests wait so long.
            Some(shared) => Box::pin(shared.in_use(&session.id)).await,
            None => std::future::pending().await,
        }
    }

    /// A client reads a stream.
    pub(crate) fn joined(&self, session: &Session) {
        session.readers.fetch_add(1, Ordering::Relaxed);
    }

    /// Ready when the session has ended, here or elsewhere, or its time has come.
    pub(crate) async fn over(&self, session: &Session) {
        // Whoever ends a shared one elsewhere tells us; that its time has come nobody does.
        let pause = Duration::from_secs(if self.shared.is_some() { 20 } else { 60 });
        loop {
            tokio::select! {
                () = session.ended() => return,
                () = tokio::time::sleep(pause) => {}
                () = self.doubt.notified() => {}
            }
            let gone = match &self.shared {
                None => session.is_over(self.clock.now().as_millisecond(), &self.limits),
                Some(shared) => matches!(shared.look(&session.id).await, Err(NoSession::Unknown)),
            };
            if gone {
                self.drop_session(&session.id, SessionEnd::Expired);
                return;
            }
        }
    }

    /// Ends all sessions here: the server has stopped. Those in a store live on.
    pub(crate) fn stop(&self) {
        let open = std::mem::take(&mut *lock(&self.open));
        let all: Vec<_> = open.sessions.into_values().collect();
        self.end_all(&all, SessionEnd::Shutdown);
    }

    /// Ends sessions that have been taken out.
    fn end_all(&self, sessions: &[Arc<Session>], why: SessionEnd) {
        let now_ms = self.clock.now().as_millisecond();
        for session in sessions {
            session.end();
            let lasted = u64::try_from(now_ms - session.created_ms).unwrap_or_default();
            if let Some(figures) = &self.figures {
                figures.session_ended(why, Duration::from_millis(lasted));
            }
            tracing::info!(target: "mcp::session", event = "mcp_session_ended", session_id = session.shown(), reason = why.as_str(), duration_ms = lasted, "session ended");
        }
    }

    fn drop_session(&self, id: &str, why: SessionEnd) {
        let session = {
            let mut open = lock(&self.open);
            let session = open.sessions.get(id).cloned();
            open.remove(id);
            session
        };
        self.end_all(session.as_slice(), why);
    }
}

impl Open {
    fn remove(&mut self, id: &str) {
        let Some(session) = self.sessions.remove(id) else {
            return;
        };
        if let Some(of) = &session.shared {
            self.named.remove(&of.name);
        }
        if let Some(count) = self.of.get_mut(&session.owner) {
            *count -= 1;
            if *count == 0 {
                self.of.remove(&session.owner);
            }
        }
    }
}

/// A session of somebody else is answered like one that is not there.
fn check_owner(owner: &str, caller: &Caller) -> Result<(), NoSession> {
    if owner == caller.owner() {
        return Ok(());
    }
    tracing::warn!(target: "mcp::session", caller = %caller, outcome = "session_principal_mismatch", "request refused");
    Err(NoSession::Unknown)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions() -> Sessions {
        Sessions::new(SessionLimits::default(), Clock::system(), None)
    }

    #[tokio::test]
    async fn a_stream_that_its_client_has_left_hears_nothing() {
        let (sessions, changes) = (sessions(), Changes::default());
        let session = sessions
            .open(&Caller::anonymous(), Client::default(), None)
            .await
            .unwrap();
        let [first, second] = [(); 2].map(|()| Arc::new(Outbox::feed()));
        session.attach(&changes, Arc::clone(&first), Arc::default());
        session.attach(&changes, Arc::clone(&second), Arc::default());
        sessions.joined(&session);
        let reader = second.read();
        // Leaving the first, which has fallen silent, does not end the second.
        sessions.joined(&session);
        sessions.left(&session, &first.read(), true);
        changes.tools();
        assert_eq!(
            (first.has_said(), second.try_next().is_some()),
            (false, true)
        );
        sessions.left(&session, &reader, true);
        changes.tools();
        assert!(!second.has_said());
        assert!(lock(&session.listening).is_none());
    }

    #[tokio::test]
    async fn a_client_that_is_back_before_it_has_left_goes_on_hearing() {
        let (sessions, changes) = (sessions(), Changes::default());
        let caller = Caller::anonymous();
        let session = sessions.open(&caller, Client::default(), None).await;
        let session = session.unwrap();
        let feed = Arc::new(Outbox::feed());
        assert!(sessions.keeper.admit(&session, &feed));
        session.attach(&changes, Arc::clone(&feed), Arc::default());
        sessions.joined(&session);
        let lost = feed.read();
        let stream = feed.stream().unwrap();
        let back = session.resume(stream, 0).unwrap();
        session.attach(&changes, Arc::clone(&feed), Arc::default());
        sessions.joined(&session);
        sessions.left(&session, &lost, true);
        changes.tools();
        assert!(
            feed.has_said(),
            "the end of the old connection took the subscription with it"
        );
        sessions.left(&session, &back, true);
        assert!(lock(&session.listening).is_none());
    }

    #[tokio::test]
    async fn a_stream_that_was_left_twice_is_kept_from_the_second_time_on() {
        let begin = Timestamp::UNIX_EPOCH;
        let clock = Clock::manual(begin);
        let after = |seconds| clock.set(begin + Duration::from_secs(seconds));
        let sessions = Sessions::new(SessionLimits::default(), clock.clone(), None);
        let caller = Caller::anonymous();
        let session = sessions.open(&caller, Client::default(), None).await;
        let session = session.unwrap();
        let feed = Arc::new(Outbox::feed());
        assert!(sessions.keeper.admit(&session, &feed));
        let stream = feed.stream().unwrap().to_owned();
        let mut reader = feed.read();
        for (left, again) in [(0, 10), (59, 90)] {
            sessions.joined(&session);
            after(left);
            sessions.left(&session, &reader, true);
            after(again);
            sessions.keeper.sweep();
            let back = session.resume(&stream, 0);
            reader = back.unwrap_or_else(|| panic!("left at {left} s, gone at {again} s"));
        }
        sessions.joined(&session);
        sessions.left(&session, &reader, true);
        after(150);
        sessions.keeper.sweep();
        assert!(session.resume(&stream, 0).is_none(), "kept for ever");
    }

    #[tokio::test]
    async fn what_all_streams_keep_together_is_bounded_and_the_oldest_goes_first() {
        let sessions = sessions();
        let mut kept = Vec::new();
        for _ in 0..3 {
            let session = sessions
                .open(&Caller::anonymous(), Client::default(), None)
                .await
                .unwrap();
            for _ in 0..10 {
                let outbox = Arc::new(Outbox::default());
                assert!(sessions.keeper.admit(&session, &outbox));
                assert!(outbox.finish(vec![b'x'; 4 << 20]));
                sessions.keeper.is_over(&session, &outbox);
                let stream = outbox.stream().unwrap().to_owned();
                kept.push((Arc::clone(&session), stream));
            }
        }
        let (streams, bytes) = sessions.keeper.taken();
        assert_eq!((streams, bytes), (16, 64 << 20));
        let found: Vec<bool> = kept
            .iter()
            .map(|(session, stream)| session.resume(stream, 0).is_some())
            .collect();
        let expected: Vec<bool> = (0..30).map(|n| n >= 14).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_session_is_small() {
        let size = size_of::<Session>();
        assert!(size <= 768, "{size} bytes");
    }
}
