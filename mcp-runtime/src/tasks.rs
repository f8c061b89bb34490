//! Tasks: calls that go on after their request is answered, and are asked about later.
//!
//! A call becomes a task where its body is told to let go of its client ([`Channel`]). Until then
//! it is an ordinary call, and whatever ends it is an ordinary answer; from then on it runs by
//! itself, and its [`Task`] knows how far it is. Tasks live in memory, as long as the process;
//! other instances see what they write down of them.

mod away;

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use crate::bound::Bound;
use crate::caller::Caller;
use crate::changes::{self, Changes};
use crate::clock::Clock;
use crate::digest;
use crate::error::{ToolError, ToolResult};
use crate::instances::Voice;
use crate::metrics::{Figures, TaskFigure};
use crate::outbox::Outbox;
use crate::rounds::Rounds;

pub(crate) use away::{Away, NotDone};

/// Questions that one task may ask.
const MAX_QUESTIONS: usize = 64;
/// Characters of what a task says about its progress.
const MAX_SAID: usize = 1000;
/// The least time between two notes on the progress of one task.
const SAY_INTERVAL: Duration = Duration::from_millis(100);
/// What is said of a task that came to an error instead of a result.
const FAILED: &str = "The call came to an error of the protocol.";

/// When a call of a tool becomes a task, for a client that knows tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskMode {
    /// As soon as it may run. For other clients it is an ordinary call.
    AtOnce,
    /// As soon as it may run. Other clients are refused.
    Required,
    /// Where its body says so.
    OnDetach,
}

/// How many tasks there may be, and for how long.
///
/// ```
/// use std::time::Duration;
/// use mcp_runtime::TaskLimits;
///
/// let limits = TaskLimits::default().running_per_caller(5).lifetime(Duration::from_secs(600));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TaskLimits {
    pub(crate) total: usize,
    pub(crate) running_per_caller: usize,
    pub(crate) per_caller: usize,
    pub(crate) bytes: usize,
    pub(crate) lifetime: Duration,
    pub(crate) keep: Duration,
    pub(crate) poll: Duration,
}

impl Default for TaskLimits {
    fn default() -> Self {
        Self {
            total: 1000,
            running_per_caller: 20,
            per_caller: 100,
            bytes: 64 << 20,
            lifetime: Duration::from_secs(60 * 60),
            keep: Duration::from_secs(10 * 60),
            poll: Duration::from_secs(1),
        }
    }
}

impl TaskLimits {
    /// Tasks of all callers, running and ended; 1,000 unless said otherwise. Callers without a
    /// token cannot be told apart: together they get half of them.
    #[must_use]
    pub fn total(mut self, tasks: usize) -> Self {
        self.total = tasks;
        self
    }

    /// Running tasks of one caller; 20 unless said otherwise.
    #[must_use]
    pub fn running_per_caller(mut self, tasks: usize) -> Self {
        self.running_per_caller = tasks;
        self
    }

    /// Tasks of one caller, running and ended; 100 unless said otherwise.
    #[must_use]
    pub fn per_caller(mut self, tasks: usize) -> Self {
        self.per_caller = tasks;
        self
    }

    /// Bytes that all tasks may hold: requests while they run, results when they have ended. 64 MiB
    /// unless said otherwise; one caller gets a quarter, those without a token together half.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// How long a task lives from its creation; an hour unless said otherwise. It may run as long
    /// when its tool names no `timeout`, and lives longer when its tool names a longer one.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// How long a result is kept at least, however late it came; ten minutes unless said otherwise.
    #[must_use]
    pub fn keep(mut self, keep: Duration) -> Self {
        self.keep = keep;
        self
    }

    /// How often clients are told to ask; every second unless said otherwise.
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll = interval;
        self
    }

    pub(crate) fn problem(&self) -> Option<&'static str> {
        let counts = [
            self.total,
            self.running_per_caller,
            self.per_caller,
            self.bytes,
        ];
        if counts.contains(&0) {
            Some("one of the limits of tasks is zero: no call could become a task")
        } else if self.lifetime.as_millis() == 0 || self.poll.as_millis() == 0 {
            Some("tasks live, and are asked about, in whole milliseconds: one at least")
        } else {
            None
        }
    }
}

/// Why a call cannot become a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// This caller has enough of them.
    Caller,
    /// The server has.
    Server,
    /// The store does not say.
    Unavailable,
}

impl Full {
    fn error(self) -> ToolError {
        let text = match self {
            Self::Caller => {
                "You have too many tasks: wait until one ends, or cancel one, and call again."
            }
            Self::Server => "The server has too many tasks: call again later.",
            Self::Unavailable => {
                return ToolError::new("Tasks cannot be kept at the moment: call again later.")
                    .code("tasks_unavailable");
            }
        };
        ToolError::new(text).code("too_many_tasks")
    }
}

/// How a call that may become a task reaches its client: by ending with its questions while it is
/// none, and through its task once it is one.
pub(crate) struct Channel {
    pub(crate) rounds: Rounds,
    pub(crate) mode: TaskMode,
    /// How long the tool may run as a task.
    pub(crate) limit: Duration,
    decision: OnceLock<Result<Arc<Task>, Full>>,
    wanted: Notify,
    decided: Notify,
}

impl Channel {
    pub(crate) fn new(rounds: Rounds, mode: TaskMode, limit: Duration) -> Self {
        Self {
            rounds,
            mode,
            limit,
            decision: OnceLock::new(),
            wanted: Notify::new(),
            decided: Notify::new(),
        }
    }

    /// The task that the call has become.
    pub(crate) fn task(&self) -> Option<&Arc<Task>> {
        self.decision.get()?.as_ref().ok()
    }

    /// Waits until the call is a task.
    pub(crate) async fn detach(&self) -> ToolResult<()> {
        loop {
            let mut decided = pin!(self.decided.notified());
            decided.as_mut().enable();
            match self.decision.get() {
                Some(Ok(_)) => return Ok(()),
                Some(Err(full)) => return Err(full.error()),
                None => self.wanted.notify_one(),
            }
            decided.await;
        }
    }

    /// Ready when the body wants to be a task.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    pub(crate) fn decide(&self, decision: Result<Arc<Task>, Full>) {
        let _ = self.decision.set(decision);
        self.decided.notify_waiters();
    }
}

/// All tasks of a server.
pub(crate) struct Tasks {
    pub(crate) limits: TaskLimits,
    clock: Clock,
    changes: Changes,
    /// `"_meta":{…}` of results, with the identity of the server.
    pub(crate) meta: Vec<u8>,
    figures: Option<Arc<Figures>>,
    table: Mutex<Table>,
    /// Where other instances are to know of them.
    voice: Option<Voice>,
    /// What keeps the records of tasks up.
    mirrors: TaskTracker,
}

#[derive(Default)]
struct Table {
    tasks: HashMap<String, Arc<Task>>,
    closed: bool,
}

/// What tasks hold, of all callers and of one.
#[derive(Default)]
struct Usage {
    bytes: usize,
    own: usize,
    own_running: usize,
    own_bytes: usize,
}

impl Tasks {
    pub(crate) fn new(
        limits: TaskLimits,
        clock: Clock,
        changes: Changes,
        meta: Vec<u8>,
        figures: Option<Arc<Figures>>,
    ) -> Self {
        Self {
            limits,
            clock,
            voice: changes.voice().cloned(),
            changes,
            meta,
            figures,
            table: Mutex::default(),
            mirrors: TaskTracker::new(),
        }
    }

    /// How long a task of a tool with this deadline may run.
    pub(crate) fn limit(&self, timeout: Option<Duration>) -> Duration {
        timeout.unwrap_or(self.limits.lifetime)
    }

    /// How long a task that may run for `limit` lives.
    pub(crate) fn life(&self, limit: Duration) -> Duration {
        limit.max(self.limits.lifetime)
    }

    /// Makes a task that holds `bytes` while it runs. From now on it can be found.
    pub(crate) fn create(
        &self,
        caller: &Caller,
        bound: Arc<Bound>,
        limit: Duration,
        bytes: usize,
    ) -> Result<Arc<Task>, Full> {
        let now = self.clock.now();
        let owner = caller.owner();
        let mut table = lock(&self.table);
        if table.closed {
            return Err(Full::Server);
        }
        sweep(&mut table, now);
        self.has_room(&table, caller, &owner, bytes)?;
        let life = milliseconds(self.life(limit));
        // 256 random bits: whoever has the id is not thereby its owner, but nobody guesses it.
        let id = format!(
            "{:032x}{:032x}",
            rand::random::<u128>(),
            rand::random::<u128>()
        );
        let task = Arc::new(Task {
            name: digest::short(&id),
            id,
            owner,
            dirty: OnceLock::new(),
            writing: tokio::sync::Mutex::new(()),
            bound,
            clock: self.clock.clone(),
            changes: self.changes.clone(),
            created: now,
            poll_ms: milliseconds(self.limits.poll),
            keep_ms: milliseconds(self.limits.keep),
            expires_ms: AtomicI64::new(now.as_millisecond().saturating_add(life)),
            running: AtomicBool::new(true),
            figure: self.figures.as_ref().map(TaskFigure::begin),
            bytes: AtomicUsize::new(bytes),
            state: Mutex::new(State {
                phase: Phase::Running,
                updated: now,
                said: None,
                told: None,
                open: Vec::new(),
                used: HashSet::new(),
                run: None,
            }),
        });
        table.tasks.insert(task.id.clone(), Arc::clone(&task));
        Ok(task)
    }

    fn has_room(
        &self,
        table: &Table,
        caller: &Caller,
        owner: &str,
        bytes: usize,
    ) -> Result<(), Full> {
        let limits = &self.limits;
        let usage = usage(table, owner);
        let (own, own_running) = if caller.is_anonymous() {
            // One at least, where the server may have one at all.
            let share = limits.total.div_ceil(2);
            (share, share)
        } else {
            (limits.per_caller, limits.running_per_caller)
        };
        if table.tasks.len() >= limits.total || usage.bytes + bytes > limits.bytes {
            return Err(Full::Server);
        }
        if usage.own >= own
            || usage.own_running >= own_running
            || usage.own_bytes + bytes > self.share_of_bytes(owner)
        {
            return Err(Full::Caller);
        }
        Ok(())
    }

    fn share_of_bytes(&self, owner: &str) -> usize {
        let anonymous = owner == Caller::anonymous().owner();
        self.limits.bytes / if anonymous { 2 } else { 4 }
    }

    /// The task of this id, if it is this caller's and lives.
    pub(crate) fn find(&self, id: &str, caller: &Caller) -> Option<Arc<Task>> {
        let now = self.clock.now();
        let mut table = lock(&self.table);
        let task = Arc::clone(table.tasks.get(id)?);
        if task.is_over(now) {
            table.tasks.remove(id);
            task.stop();
            return None;
        }
        drop(table);
        if task.owner != caller.owner() {
            tracing::warn!(target: "mcp::task", caller = %caller, outcome = "task_principal_mismatch", "request refused");
            return None;
        }
        Some(task)
    }

    /// Ends a task with its result, or with the error of JSON-RPC that it came to.
    pub(crate) fn settle(&self, task: &Task, ending: Ending) {
        let mut table = lock(&self.table);
        task.bytes.store(0, Ordering::Relaxed);
        let size = ending.len();
        let (ending, size) = if self.voice.is_some() && size > away::MAX_ENDING {
            tracing::warn!(target: "mcp::task", tool = &*task.bound.name, bytes = size, outcome = "result_too_large", "a result was not kept");
            let ending = away::too_large();
            let size = ending.len();
            (ending, size)
        } else {
            (ending, size)
        };
        let fits = |table: &Table| {
            let usage = usage(table, &task.owner);
            usage.bytes + size <= self.limits.bytes
                && usage.own_bytes + size <= self.share_of_bytes(&task.owner)
        };
        if !fits(&table) {
            sweep(&mut table, self.clock.now());
        }
        let ending = if fits(&table) {
            ending
        } else {
            tracing::warn!(target: "mcp::task", tool = &*task.bound.name, bytes = size, outcome = "too_many_tasks", "a result was not kept");
            not_kept()
        };
        // Before the table is free again, so that what was found to fit still does.
        task.settle(ending);
    }

    /// Ends all tasks: the server stops. Whoever listens is told.
    pub(crate) fn close(&self) {
        let tasks = {
            let mut table = lock(&self.table);
            table.closed = true;
            table.tasks.values().cloned().collect::<Vec<_>>()
        };
        for task in tasks {
            task.settle(Ending::Failed(
                json!({ "code": -32603, "message": "The server stopped before the task ended" })
                    .to_string(),
            ));
            task.stop();
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        lock(&self.table)
            .tasks
            .values()
            .for_each(|task| task.stop());
    }
}

/// Forgets what has outlived its time.
fn sweep(table: &mut Table, now: Timestamp) {
    table.tasks.retain(|_, task| {
        let over = task.is_over(now);
        if over {
            task.stop();
        }
        !over
    });
}

fn usage(table: &Table, owner: &str) -> Usage {
    let mut usage = Usage::default();
    for task in table.tasks.values() {
        let bytes = task.bytes.load(Ordering::Relaxed);
        usage.bytes += bytes;
        if task.owner == owner {
            usage.own += 1;
            usage.own_running += usize::from(task.running.load(Ordering::Relaxed));
            usage.own_bytes += bytes;
        }
    }
    usage
}

/// What stands in for a result that there is no room for.
fn not_kept() -> Ending {
    let text = "The tool has run, but its result could not be kept: the results of too many tasks are. \
                Ask for less, or fetch results before you start more.";
    Ending::Completed(
        json!({
            "resultType": "complete",
            "content": [{ "type": "text", "text": text }],
            "structuredContent": { "code": "too_many_tasks", "message": text },
            "isError": true,
        })
        .to_string(),
    )
}

/// How a task ended, as JSON: of the result, or of the error.
pub(crate) enum Ending {
    Completed(String),
    Failed(String),
}

impl Ending {
    fn len(&self) -> usize {
        match self {
            Self::Completed(json) | Self::Failed(json) => json.len(),
        }
    }
}

/// One call that goes on by itself.
pub(crate) struct Task {
    pub(crate) id: String,
    /// What it is called where its id is nobody's business.
    pub(crate) name: String,
    owner: String,
    /// Has it written down again, where other instances are to know of it.
    dirty: OnceLock<mpsc::Sender<()>>,
    /// Held while it is written down, so that what is written last is what is so.
    writing: tokio::sync::Mutex<()>,
    pub(crate) bound: Arc<Bound>,
    clock: Clock,
    changes: Changes,
    created: Timestamp,
    poll_ms: i64,
    keep_ms: i64,
    expires_ms: AtomicI64,
    running: AtomicBool,
    figure: Option<TaskFigure>,
    /// What it counts for: its request while it runs, its result then.
    bytes: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    updated: Timestamp,
    /// What the tool said last about its progress.
    said: Option<String>,
    /// When that was told to listeners.
    told: Option<Instant>,
    /// In the order in which they were asked.
    open: Vec<Question>,
    /// All keys that questions ever had.
    used: HashSet<String>,
    run: Option<AbortHandle>,
}

enum Phase {
    Running,
    Ended(Ending),
    Cancelled,
}

struct Question {
    key: String,
    request: Value,
    answer: oneshot::Sender<Value>,
}

impl Task {
    /// Knows what to stop. The run may be over already.
    pub(crate) fn started(&self, run: AbortHandle) {
        let mut state = lock(&self.state);
        match state.phase {
            Phase::Running => state.run = Some(run),
            _ => run.abort(),
        }
    }

    /// Asks the client something and waits for its answer.
    pub(crate) async fn ask(&self, key: &str, request: Value) -> ToolResult<Value> {
        let (key, answer) = self.open(key, request)?;
        // However the wait ends, the question is closed.
        let _closed = Closes { task: self, key };
        answer.await.map_err(|_| ended())
    }

    fn open(&self, key: &str, request: Value) -> ToolResult<(String, oneshot::Receiver<Value>)> {
        let mut state = lock(&self.state);
        if !matches!(state.phase, Phase::Running) {
            // Asked by work that outlives its function.
            return Err(ended());
        }
        if state.used.len() >= MAX_QUESTIONS {
            return Err(
                ToolError::new("The task asks more questions than one task may.")
                    .code("too_many_questions"),
            );
        }
        // A key stands for one question, as long as the task lives.
        let key = std::iter::once(key.to_owned())
            .chain((2..).map(|number| format!("{key}_{number}")))
            .find(|key| !state.used.contains(key))
            .unwrap_or_default();
        let (answer, answered) = oneshot::channel();
        state.used.insert(key.clone());
        state.open.push(Question {
            key: key.clone(),
            request,
            answer,
        });
        self.changed(&mut state);
        Ok((key, answered))
    }

    /// Takes answers. Those to what is not asked, or no longer, are ignored.
    pub(crate) fn answer(&self, answers: impl IntoIterator<Item = (String, Value)>) {
        let mut state = lock(&self.state);
        let mut any = false;
        for (key, value) in answers {
            if let Some(at) = state.open.iter().position(|question| question.key == key) {
                let _ = state.open.remove(at).answer.send(value);
                any = true;
            }
        }
        if any {
            self.changed(&mut state);
        }
    }

    /// Notes how far the tool says it is.
    pub(crate) fn say(&self, text: &str) {
        let mut state = lock(&self.state);
        if matches!(state.phase, Phase::Running) {
            state.said = Some(text.chars().take(MAX_SAID).collect());
            // Listeners that are told of every step would miss the end.
            if state.told.is_none_or(|told| told.elapsed() >= SAY_INTERVAL) {
                state.told = Some(Instant::now());
                self.changed(&mut state);
            } else {
                state.updated = self.clock.now();
                self.is_dirty();
            }
        }
    }

    /// Stops the call, if it still runs.
    pub(crate) fn cancel(&self) {
        let mut state = lock(&self.state);
        if matches!(state.phase, Phase::Running) {
            self.end(&mut state, Phase::Cancelled, 0);
        }
        drop(state);
        self.stop();
    }

    fn settle(&self, ending: Ending) {
        let mut state = lock(&self.state);
        if matches!(state.phase, Phase::Running) {
            let now = self.clock.now().as_millisecond();
            self.expires_ms
                .fetch_max(now.saturating_add(self.keep_ms), Ordering::Relaxed);
            let size = ending.len();
            self.end(&mut state, Phase::Ended(ending), size);
        }
    }

    fn end(&self, state: &mut State, phase: Phase, bytes: usize) {
        if let Some(figure) = &self.figure {
            figure.end(match &phase {
                Phase::Ended(Ending::Completed(_)) => "completed",
                Phase::Cancelled => "cancelled",
                Phase::Running | Phase::Ended(Ending::Failed(_)) => "failed",
            });
        }
        state.phase = phase;
        state.open = Vec::new();
        state.used = HashSet::new();
        self.running.store(false, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.changed(state);
    }

    /// Drops the call, wherever it is.
    fn stop(&self) {
        if let Some(run) = lock(&self.state).run.take() {
            run.abort();
        }
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now.as_millisecond() >= self.expires_ms.load(Ordering::Relaxed)
    }

    /// Tells whoever listens. Under the lock of the state, so that what is told last is true.
    fn changed(&self, state: &mut State) {
        state.updated = self.clock.now();
        self.changes.task(&self.name, || self.rest(state, true));
        self.is_dirty();
    }

    fn is_dirty(&self) {
        if let Some(dirty) = self.dirty.get() {
            // One that waits already is enough: it will find the latest.
            let _ = dirty.try_send(());
        }
    }

    /// Tells one listener how the task is.
    pub(crate) fn tell(&self, outbox: &Outbox, tag: &Value) {
        let state = lock(&self.state);
        outbox.push(changes::task_note(&self.members(&state, true), Some(tag)));
    }

    /// The members of the JSON of a task that has just been made.
    pub(crate) fn brief(&self) -> String {
        self.members(&lock(&self.state), false)
    }

    /// The members of the JSON of a task, with what it asks or came to.
    pub(crate) fn detail(&self) -> String {
        self.members(&lock(&self.state), true)
    }

    fn members(&self, state: &State, detailed: bool) -> String {
        format!("\"taskId\":\"{}\",{}", self.id, self.rest(state, detailed))
    }

    /// All of them but the id.
    fn rest(&self, state: &State, detailed: bool) -> String {
        let (status, said) = match &state.phase {
            Phase::Running if state.open.is_empty() => ("working", state.said.as_deref()),
            Phase::Running => ("input_required", state.said.as_deref()),
            Phase::Ended(Ending::Completed(_)) => ("completed", None),
            Phase::Ended(Ending::Failed(_)) => ("failed", Some(FAILED)),
            Phase::Cancelled => ("cancelled", Some("The client cancelled the task.")),
        };
        let ttl_ms = self.expires_ms.load(Ordering::Relaxed) - self.created.as_millisecond();
        let mut text = format!("\"status\":\"{status}\"");
        if let Some(said) = said {
            text += &format!(",\"statusMessage\":{}", json!(said));
        }
        text += &format!(
            ",\"createdAt\":\"{}\",\"lastUpdatedAt\":\"{}\",\"ttlMs\":{ttl_ms},\"pollIntervalMs\":{}",
            self.created, state.updated, self.poll_ms
        );
        if !detailed {
            return text;
        }
        match &state.phase {
            Phase::Running if !state.open.is_empty() => {
                let asked = state.open.iter();
                let asked: Vec<String> = asked
                    .map(|question| format!("{}:{}", json!(question.key), question.request))
                    .collect();
                text += &format!(",\"inputRequests\":{{{}}}", asked.join(","));
            }
            Phase::Ended(Ending::Completed(json)) => text += &format!(",\"result\":{json}"),
            Phase::Ended(Ending::Failed(json)) => text += &format!(",\"error\":{json}"),
            Phase::Running | Phase::Cancelled => {}
        }
        text
    }
}

struct Closes<'a> {
    task: &'a Task,
    key: String,
}

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.task.state);
        // An answered question is closed already, and its change is told.
        if let Some(at) = state.open.iter().position(|open| open.key == self.key) {
            state.open.remove(at);
            self.task.changed(&mut state);
        }
    }
}

fn ended() -> ToolError {
    ToolError::new("The task has ended.").code("task_ended")
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
