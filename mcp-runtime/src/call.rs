//! One call of a function, from its policy to its outcome.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::Span;
use ulid::Ulid;

use crate::audit::Ticket;
use crate::bound::Bound;
use crate::caller::Caller;
use crate::changes::Changes;
use crate::client::{LogLevel, Reach};
use crate::clock::Clock;
use crate::confirmation::{Confirmation, Pending};
use crate::error::{Refusal, ToolResult};
use crate::function::Running;
use crate::json::{self, Node, Object};
use crate::limits::Slot;
use crate::metrics::Metered;
use crate::outbox::Outbox;
use crate::output::Outcome;
use crate::policy::{self, Allowed, Variables};
use crate::result_cache::{self, Look, Origin};
use crate::rounds::Rounds;
use crate::session::Session;
use crate::switches::Switches;
use crate::tasks::{Channel, Task, TaskMode};
use crate::trace_context::{Here, TraceContext};
use crate::wire::revision::Revision;

/// Answers one call of a function. Nothing runs without an [`Allowed`]; arguments are read only for
/// those who may call.
pub(crate) async fn answer(
    bound: &Bound,
    arguments: Object<'_>,
    call: &Call,
    variables: Variables<'_>,
) -> Result<Outcome, Refusal> {
    let _ended = EndsWith(call);
    let metered = Metered::begin(bound);
    let mut ticket = Ticket::new(bound, call, &arguments);
    let (allowed, _slot) = match enter(bound, call, variables).await {
        Ok(entered) => entered,
        Err(refusal) => {
            metered.refused(&refusal);
            ticket.deny(&refusal).await;
            return Err(refusal);
        }
    };
    let log = Log::begin(bound, call);
    let outcome = match result_cache::look(bound, call, &arguments) {
        Look::Hit(outcome) => outcome,
        Look::Run(watch) => {
            let outcome = run(bound, allowed, arguments, call, &mut ticket, &log).await;
            watch.end(&outcome);
            outcome
        }
    };
    log.end(&outcome);
    metered.ended(&outcome);
    ticket.close(&outcome).await;
    Ok(outcome)
}

/// Asks the policy, then the limits.
async fn enter<'call>(
    bound: &'call Bound,
    call: &Call,
    variables: Variables<'_>,
) -> Result<(Allowed<'call>, Option<Slot<'call>>), Refusal> {
    let allowed = policy::authorize(&bound.policy, call.caller(), variables)?;
    let Some(gate) = &bound.gate else {
        return Ok((allowed, None));
    };
    let slot = gate.admit(call.caller(), call.0.reach.address).await?;
    Ok((allowed, Some(slot)))
}

/// Runs the function, once its record is open.
async fn run<'call>(
    bound: &'call Bound,
    allowed: Allowed<'call>,
    arguments: Object<'_>,
    call: &'call Call,
    ticket: &mut Ticket<'_>,
    log: &Log<'_>,
) -> Outcome {
    match start(bound, allowed, arguments, call) {
        Ok(running) => match ticket.open().await {
            Ok(()) => {
                // Who is refused before reads it in the status: a stream begins with 200.
                call.0.outbox.begin();
                supervise(running, bound.timeout, call, log.span()).await
            }
            Err(refusal) => Outcome::Refused(refusal),
        },
        Err(refusal) => Outcome::Refused(refusal),
    }
}

/// Checks and reads the arguments; every problem at once.
fn start<'call>(
    bound: &'call Bound,
    allowed: Allowed<'call>,
    mut arguments: Object<'_>,
    call: &'call Call,
) -> Result<Running<'call>, Refusal> {
    debug_assert!(allowed.is_for(&bound.policy), "a proof is for one policy");
    arguments
        .0
        .retain(|(name, value)| *value != Node::Null || !bound.optional.contains(&name.as_ref()));
    let token = bound
        .confirmation
        .as_ref()
        .map(|_| Confirmation::take_token(&mut arguments))
        .unwrap_or(Ok(None));
    let arguments = Node::Object(arguments);
    // The code of others runs in here too: formats, and `Deserialize` of the input types.
    let started = catch_unwind(AssertUnwindSafe(|| {
        if token.is_err() || !bound.checker.accepts(&arguments) {
            let mut problems = bound.checker.problems(&arguments);
            problems.extend(token.err());
            return Err(problems);
        }
        let none = Object(Vec::new());
        let arguments = arguments.as_object().unwrap_or(&none);
        if let Some(confirmation) = &bound.confirmation {
            let pending = confirmation.of(arguments, token.unwrap_or_default());
            let _ = call.0.confirmation.set(Box::new(pending));
        }
        bound.run.start(allowed, arguments, call)
    }));
    match started {
        Ok(Ok(running)) => Ok(running),
        Ok(Err(problems)) => Err(Refusal::InvalidArguments(problems)),
        Err(_) => Err(Refusal::Panicked),
    }
}

/// Runs a call under its deadline, and survives its panics. A call that is ready at once, as most
/// are, never touches a timer. One that waits for its client, where the client is only reached by
/// an answer, ends here with its questions.
async fn supervise(
    mut running: Running<'_>,
    mut timeout: Duration,
    call: &Call,
    span: &Span,
) -> Outcome {
    let mut deadline: Option<Pin<Box<tokio::time::Sleep>>> = None;
    let mut detached = false;
    std::future::poll_fn(move |context| {
        let _here = (Here::enter(call), span.enter());
        match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context))) {
            Ok(Poll::Ready(outcome)) => return Poll::Ready(outcome),
            Ok(Poll::Pending) => {}
            Err(_) => return Poll::Ready(Outcome::Refused(Refusal::Panicked)),
        }
        if let Some(rounds) = call.0.back.rounds()
            && let Some((questions, answers)) = rounds.take_open()
        {
            return Poll::Ready(Outcome::Ask(questions, answers));
        }
        if !detached
            && let BackChannel::Task(channel) = &call.0.back
            && channel.task().is_some()
        {
            // Nobody waits on a connection any more: time begins anew, and there is more of it.
            (detached, timeout, deadline) = (true, channel.limit, None);
        }
        let deadline = deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        while deadline.as_mut().poll(context).is_ready() {
            // People think longer than tools run.
            if !call.is_asking() {
                return Poll::Ready(Outcome::Refused(Refusal::TimedOut {
                    seconds: timeout.as_secs_f64(),
                }));
            }
            let again = deadline.deadline() + timeout;
            deadline.as_mut().reset(again);
        }
        Poll::Pending
    })
    .await
}

/// How a question reaches the client of a call, and the answer the call.
pub(crate) enum BackChannel {
    /// Not at all.
    None,
    /// As a request of ours, answered by a message of its own.
    Session(Arc<Session>),
    /// As the end of the call, answered by the next one.
    Rounds(Rounds),
    /// As the end of the call, until the call is a task; then as something that the task waits for.
    Task(Box<Channel>),
}

impl BackChannel {
    /// The rounds, where questions end the call.
    fn rounds(&self) -> Option<&Rounds> {
        match self {
            Self::Rounds(rounds) => Some(rounds),
            Self::Task(channel) if channel.task().is_none() => Some(&channel.rounds),
            _ => None,
        }
    }
}

/// The call in progress. Tools borrow it as `&Call`; a clone may leave the function, for work that
/// goes on after it.
#[derive(Clone)]
pub struct Call(Arc<Inner>);

pub(crate) struct Inner {
    caller: Arc<Caller>,
    clock: Clock,
    message: Bytes,
    pub(crate) reach: Reach,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) back: BackChannel,
    switches: Switches,
    /// Set for a tool that asks before it runs.
    pub(crate) confirmation: OnceLock<Box<Pending>>,
    /// Set for a tool whose answers are kept.
    pub(crate) origin: OnceLock<Origin>,
    /// Questions that were not named, so far.
    pub(crate) questions: AtomicU32,
    /// Answers that did not fit, so far.
    pub(crate) asked_again: AtomicU32,
    /// Questions that wait for the client while the call goes on.
    pub(crate) asking: AtomicU32,
    progress: Mutex<Option<(f64, Instant)>>,
    request_id: OnceLock<String>,
    trace: OnceLock<TraceContext>,
    ended: AtomicBool,
    token: OnceLock<CancellationToken>,
}

/// The least time between two notes on the progress of one call.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(20);

impl Call {
    pub(crate) fn new(
        caller: Arc<Caller>,
        clock: Clock,
        message: Bytes,
        reach: Reach,
        outbox: Arc<Outbox>,
        back: BackChannel,
        changes: Changes,
    ) -> Self {
        Self(Arc::new(Inner {
            caller,
            clock,
            message,
            reach,
            outbox,
            back,
            switches: Switches(changes),
            confirmation: OnceLock::new(),
            origin: OnceLock::new(),
            questions: AtomicU32::new(0),
            asked_again: AtomicU32::new(0),
            asking: AtomicU32::new(0),
            progress: Mutex::new(None),
            request_id: OnceLock::new(),
            trace: OnceLock::new(),
            ended: AtomicBool::new(false),
            token: OnceLock::new(),
        }))
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Tells a client that asked for it how far the call is: `done` of `total`, in any unit. What
    /// does not go forward, or comes too fast, is left out. Of a task, the message becomes what its
    /// status says.
    pub fn progress(&self, done: f64, total: Option<f64>, message: Option<&str>) {
        if let Some(task) = self.task() {
            return message.map_or((), |message| task.say(message));
        }
        let Some(token) = &self.0.reach.progress_token else {
            return;
        };
        if self.is_cancelled() || !done.is_finite() {
            return;
        }
        let mut last = self
            .0
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let at_end = total.is_some_and(|total| done >= total);
        if let Some((before, at)) = *last
            && (done <= before || (at.elapsed() < PROGRESS_INTERVAL && !at_end))
        {
            return;
        }
        *last = Some((done, Instant::now()));
        let mut params = format!("{{\"progressToken\":{token},\"progress\":{}", json!(done));
        if let Some(total) = total {
            params += &format!(",\"total\":{}", json!(total));
        }
        if let Some(message) = message {
            params += &format!(",\"message\":{}", json!(message));
        }
        self.notify("notifications/progress", &(params + "}"));
    }

    /// Sends a log message to a client that wants to hear of this severity. For the client, not
    /// for the operator: those use `tracing`. A task has no client that listens, and says nothing.
    pub fn log(&self, level: LogLevel, logger: &str, data: impl Serialize) {
        let wanted = match (&self.0.back, self.0.reach.client.log_level) {
            (BackChannel::Session(session), _) => session.log_level().or(Some(LogLevel::Info)),
            (_, Some(level)) => Some(level),
            (_, None) if self.0.reach.revision.is_modern() => None,
            (_, None) => Some(LogLevel::Info),
        };
        if wanted.is_some_and(|wanted| level >= wanted) && !self.is_cancelled() {
            let params = json!({ "level": level.as_str(), "logger": logger, "data": data });
            self.notify("notifications/message", &params.to_string());
        }
    }

    fn notify(&self, method: &str, params: &str) {
        // Whoever made the request of a task has its answer.
        if self.is_task() {
            return;
        }
        let message =
            format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":{params}}}");
        self.0.outbox.push(message.into_bytes());
    }

    /// Lets go of the client: it is answered with a task, and the call goes on by itself. `false`
    /// where the client waits all the same, because it does not know tasks, or the tool is none of
    /// those that may become one: `#[mcp_tool(task = "detach")]`.
    ///
    /// Questions before this point come out as the result of the request, and the function runs
    /// again with their answers; those behind it wait in the task, and the function with them.
    ///
    /// # Errors
    /// `too_many_tasks`, when the caller or the server has as many as there may be.
    pub async fn detach(&self) -> ToolResult<bool> {
        match &self.0.back {
            BackChannel::Task(channel) => channel.detach().await.map(|()| true),
            _ => Ok(false),
        }
    }

    /// Lets go of the client where the tool says so for every call.
    pub(crate) async fn detach_at_once(&self) -> ToolResult<()> {
        match &self.0.back {
            BackChannel::Task(channel) if self.detaches_at_once() => channel.detach().await,
            _ => Ok(()),
        }
    }

    pub(crate) fn detaches_at_once(&self) -> bool {
        matches!(&self.0.back, BackChannel::Task(channel) if channel.mode != TaskMode::OnDetach)
    }

    /// Whether the call goes on as a task, and its client is told its result when it asks.
    pub fn is_task(&self) -> bool {
        self.task().is_some()
    }

    fn task(&self) -> Option<&Arc<Task>> {
        match &self.0.back {
            BackChannel::Task(channel) => channel.task(),
            _ => None,
        }
    }

    /// Whether a question of this call waits for its client.
    fn is_asking(&self) -> bool {
        self.0.asking.load(Ordering::Relaxed) > 0
    }

    /// Ends the stream of events while the call goes on: the client comes back for the rest, after
    /// the pause that the stream told it (SEP-1699). Good before a long wait, for connections are
    /// dear and proxies cut them.
    ///
    /// Only a client of 2025-11-25 with a session over HTTP can do that; elsewhere nothing happens.
    pub fn close_stream(&self) {
        let resumes = matches!(self.0.back, BackChannel::Session(_));
        if resumes && self.0.reach.revision >= Revision::V2025_11_25 {
            self.0.outbox.hang_up();
        }
    }

    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.0.caller
    }

    /// The time of day of the server.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Where changes are announced.
    pub fn changes(&self) -> &Changes {
        &self.0.switches.0
    }

    /// Where tools, resources and prompts are switched on and off.
    pub fn switches(&self) -> &Switches {
        &self.0.switches
    }

    /// The id under which the log knows this call: a ULID, 26 characters.
    pub fn request_id(&self) -> &str {
        self.0.request_id.get_or_init(|| {
            let now = u64::try_from(self.0.clock.now().as_millisecond()).unwrap_or_default();
            Ulid::from_parts(now, rand::random()).to_string()
        })
    }

    /// The span of this call: in the trace that the client named, else in one of its own.
    pub fn trace(&self) -> TraceContext {
        *self.0.trace.get_or_init(|| match &self.0.reach.trace {
            Some(theirs) => theirs.child(),
            None => TraceContext::new(),
        })
    }

    /// What the client calls itself, where it says so: name and version. Not to be trusted.
    pub fn client(&self) -> Option<(String, String)> {
        let message = json::parse(&self.0.message).ok()?;
        let meta = message
            .as_object()?
            .get("params")?
            .as_object()?
            .get("_meta")?
            .as_object()?;
        let info = meta
            .get("io.modelcontextprotocol/clientInfo")?
            .as_object()?;
        let text = |name| info.get(name).and_then(Node::as_str).map(str::to_owned);
        Some((text("name")?, text("version").unwrap_or_default()))
    }

    /// Whether nobody waits for the result any more: the client hung up or cancelled, or the
    /// deadline has passed.
    pub fn is_cancelled(&self) -> bool {
        self.0.ended.load(Ordering::Acquire)
    }

    /// Waits until nobody waits for the result any more. An async tool need not: it is dropped at
    /// its next await. Work that it started elsewhere should.
    pub async fn cancelled(&self) {
        let token = self.0.token.get_or_init(CancellationToken::new);
        if self.is_cancelled() {
            token.cancel();
        }
        token.cancelled().await;
    }

    fn end(&self) {
        self.0.ended.store(true, Ordering::Release);
        if let Some(token) = self.0.token.get() {
            token.cancel();
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("request_id", &self.request_id())
            .field("caller", &self.0.caller)
            .finish_non_exhaustive()
    }
}

/// Ends the call however it is left: answered, timed out, or dropped with its connection.
struct EndsWith<'call>(&'call Call);

impl Drop for EndsWith<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// One line in the log per call, also for a call that is dropped. Costs nothing unless somebody
/// listens.
struct Log<'call>(Option<Open<'call>>);

struct Open<'call> {
    bound: &'call Bound,
    call: &'call Call,
    since: Instant,
    /// What is logged inside of the call, and sent to collectors of traces.
    span: Span,
}

/// The word for how a call went.
pub(crate) fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Value(_) | Outcome::Reply { .. } | Outcome::Blob(_) | Outcome::Messages(_) => "ok",
        Outcome::Ask(..) => "asks",
        Outcome::Error(error) if error.message().is_none() => "internal",
        Outcome::Error(_) => "failed",
        Outcome::Refused(refusal) => refusal.word(),
    }
}

impl<'call> Log<'call> {
    fn begin(bound: &'call Bound, call: &'call Call) -> Self {
        let listened = tracing::enabled!(target: "mcp::call", tracing::Level::INFO);
        Self(listened.then(|| Open {
            bound,
            call,
            since: Instant::now(),
            span: span_of(bound, call),
        }))
    }

    fn span(&self) -> &Span {
        static NONE: Span = Span::none();
        self.0.as_ref().map_or(&NONE, |open| &open.span)
    }

    fn end(mut self, outcome: &Outcome) {
        if let Some(open) = self.0.take() {
            open.write(word(outcome));
        }
    }
}

fn span_of(bound: &Bound, call: &Call) -> Span {
    let trace = call.trace();
    tracing::info_span!(
        target: "mcp::call",
        "call",
        tool = &*bound.name,
        request_id = call.request_id(),
        trace_id = %trace.trace_id(),
        span_id = %trace.span_id(),
        parent_span_id = trace.parent_id().map(tracing::field::display),
        outcome = tracing::field::Empty,
    )
}

impl Drop for Log<'_> {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            open.write("cancelled");
        }
    }
}

impl Open<'_> {
    fn write(&self, outcome: &str) {
        self.span.record("outcome", outcome);
        tracing::info!(
            target: "mcp::call",
            event = "mcp_tool_called",
            request_id = self.call.request_id(),
            trace_id = %self.call.trace().trace_id(),
            tool = &*self.bound.name,
            caller = %self.call.caller(),
            tenant = self.call.caller().principal().and_then(|p| p.tenant()),
            outcome,
            duration_us = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX),
            "call"
        );
    }
}
