//! One call of a tool, from its name to its outcome.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::caller::Caller;
use crate::clock::Clock;
use crate::error::Refusal;
use crate::json::{self, Node, Object};
use crate::output::{Outcome, Shape};
use crate::policy::{self, Allowed};
use crate::schema::Checker;
use crate::tool::{Runnable, Running, Tool};
use crate::tool_set::Tools;

/// A tool of a running server.
pub(crate) struct BoundTool {
    pub(crate) tool: Tool,
    /// Its entry in `tools/list`.
    pub(crate) listed: Map<String, Value>,
    /// Whether its output schema can be shown to clients that only know objects.
    pub(crate) object_output: bool,
    pub(crate) checker: Checker,
    /// Inputs for which `null` means absent.
    pub(crate) optional: Vec<&'static str>,
    pub(crate) shape: Shape,
    pub(crate) run: Box<dyn Runnable>,
}

/// Answers one call. Unknown and hidden tools look alike; nothing runs without an [`Allowed`];
/// arguments are read only for those who may call.
pub(crate) async fn answer(
    tools: &Tools,
    name: &str,
    arguments: Object<'_>,
    call: &Call,
) -> Result<(Shape, Outcome), Refusal> {
    let _ended = EndsWith(call);
    let bound = tools.find(name).ok_or(Refusal::UnknownTool)?;
    let allowed = policy::authorize(&bound.tool, call.caller())?;
    let log = Log::begin(&bound.tool, call);
    let outcome = match start(bound, allowed, arguments, call) {
        Ok(running) => supervise(running, bound.tool.timeout).await,
        Err(refusal) => Outcome::Refused(refusal),
    };
    log.end(&outcome);
    Ok((bound.shape, outcome))
}

/// Checks and reads the arguments; every problem at once.
fn start<'call>(
    bound: &'call BoundTool,
    allowed: Allowed<'call>,
    mut arguments: Object<'_>,
    call: &'call Call,
) -> Result<Running<'call>, Refusal> {
    debug_assert!(
        std::ptr::eq(allowed.tool(), &bound.tool),
        "a proof is for one tool"
    );
    arguments
        .0
        .retain(|(name, value)| *value != Node::Null || !bound.optional.contains(&name.as_ref()));
    let arguments = Node::Object(arguments);
    // The code of others runs in here too: formats, and `Deserialize` of the input types.
    let started = catch_unwind(AssertUnwindSafe(|| {
        if !bound.checker.accepts(&arguments) {
            return Err(bound.checker.problems(&arguments));
        }
        bound.run.start(
            allowed,
            arguments.as_object().unwrap_or(&Object(Vec::new())),
            call,
        )
    }));
    match started {
        Ok(Ok(running)) => Ok(running),
        Ok(Err(problems)) => Err(Refusal::InvalidArguments(problems)),
        Err(_) => Err(Refusal::Panicked),
    }
}

/// Runs a call under its deadline, and survives its panics. A call that is ready at once, as most
/// are, never touches a timer.
async fn supervise(mut running: Running<'_>, timeout: Duration) -> Outcome {
    let mut deadline: Option<Pin<Box<tokio::time::Sleep>>> = None;
    std::future::poll_fn(move |context| {
        match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context))) {
            Ok(Poll::Ready(outcome)) => return Poll::Ready(outcome),
            Ok(Poll::Pending) => {}
            Err(_) => return Poll::Ready(Outcome::Refused(Refusal::Panicked)),
        }
        let deadline = deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        deadline.as_mut().poll(context).map(|()| {
            Outcome::Refused(Refusal::TimedOut {
                seconds: timeout.as_secs_f64(),
            })
        })
    })
    .await
}

/// The call in progress. Tools borrow it as `&Call`; a clone may leave the function, for work that
/// goes on after it.
#[derive(Clone)]
pub struct Call(Arc<Inner>);

struct Inner {
    caller: Arc<Caller>,
    clock: Clock,
    message: Bytes,
    request_id: OnceLock<String>,
    ended: AtomicBool,
    token: OnceLock<CancellationToken>,
}

impl Call {
    pub(crate) fn new(caller: Arc<Caller>, clock: Clock, message: Bytes) -> Self {
        Self(Arc::new(Inner {
            caller,
            clock,
            message,
            request_id: OnceLock::new(),
            ended: AtomicBool::new(false),
            token: OnceLock::new(),
        }))
    }

    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.0.caller
    }

    /// The time of day of the server.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The id under which the log knows this call: a ULID, 26 characters.
    pub fn request_id(&self) -> &str {
        self.0.request_id.get_or_init(|| {
            let now = u64::try_from(self.0.clock.now().as_millisecond()).unwrap_or_default();
            Ulid::from_parts(now, rand::random()).to_string()
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
    tool: &'call Tool,
    call: &'call Call,
    since: Instant,
}

impl<'call> Log<'call> {
    fn begin(tool: &'call Tool, call: &'call Call) -> Self {
        let listened = tracing::enabled!(target: "mcp::call", tracing::Level::INFO);
        Self(listened.then(|| Open {
            tool,
            call,
            since: Instant::now(),
        }))
    }

    fn end(mut self, outcome: &Outcome) {
        let word = match outcome {
            Outcome::Value(_) | Outcome::Reply(_) => "ok",
            Outcome::Error(error) if error.message().is_none() => "internal",
            Outcome::Error(_) => "failed",
            Outcome::Refused(refusal) => refusal.word(),
        };
        if let Some(open) = self.0.take() {
            open.write(word);
        }
    }
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
        tracing::info!(
            target: "mcp::call",
            request_id = self.call.request_id(),
            tool = self.tool.name(),
            caller = %self.call.caller(),
            tenant = self.call.caller().principal().and_then(|p| p.tenant()),
            outcome,
            duration_us = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX),
            "call"
        );
    }
}
