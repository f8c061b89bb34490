//! Tasks on the wire: calls that become one, and the three requests about them. Since 2026-07-28,
//! for clients that declare the extension with the request.

use std::pin::Pin;
use std::sync::Arc;

use crate::call::{self, BackChannel, Call};
use crate::client::Needed;
use crate::error::{Refusal, ToolError};
use crate::json::{Node, Object};
use crate::output::Outcome;
use crate::policy;
use crate::tasks::{Channel, Ending, Task, Tasks};
use crate::tool_set::BoundTool;
use crate::wire::engine::{Engine, Link, Request, invalid_params};
use crate::wire::message::Id;
use crate::wire::reply::{Reply, Results, code};

/// The name under which both sides declare tasks.
pub(crate) const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// A call that owns all that it needs.
type Run = Pin<Box<dyn Future<Output = Result<Outcome, Refusal>> + Send>>;

/// What came of a call while its client waited.
pub(crate) enum Ran {
    /// Its answer.
    Here(Result<Outcome, Refusal>),
    /// It goes on.
    On(Arc<Task>),
}

impl Engine {
    /// Runs a call until it has ended or is a task.
    pub(crate) async fn run_detachable(
        &self,
        found: &BoundTool,
        arguments: Object<'_>,
        call: &Call,
        bytes: usize,
    ) -> Ran {
        let (Some(tasks), BackChannel::Task(channel)) = (&self.tasks, &call.inner().back) else {
            return Ran::Here(call::answer(&found.bound, arguments, call, &|_| None).await);
        };
        let arguments = arguments.into_owned();
        let (of_run, bound) = (call.clone(), Arc::clone(&found.bound));
        let mut run: Run =
            Box::pin(async move { call::answer(&bound, arguments, &of_run, &|_| None).await });
        tokio::select! {
            biased;
            answered = &mut run => return Ran::Here(answered),
            () = channel.wanted() => {}
        }
        // The message, and what was read from it: values take several times the room of their text.
        let size = 8 * bytes;
        let bound = Arc::clone(&found.bound);
        let made = tasks.create(call.caller(), bound, channel.limit, size);
        channel.decide(made.clone());
        match made {
            Ok(task) => {
                go_on(tasks, &task, channel, call.clone(), run);
                Ran::On(task)
            }
            // The body hears of it and ends, or goes on while its client waits.
            Err(_) => Ran::Here(run.await),
        }
    }

    /// The answer to a call that is a task now.
    pub(crate) fn created(&self, id: &Id<'_>, task: &Task) -> Reply {
        self.of_task(id, "task", &task.brief())
    }

    /// Refuses a client that does not know tasks a tool that has no other form. Whoever may not
    /// call hears only that.
    pub(crate) fn without_task(&self, found: &BoundTool, call: &Call) -> Result<Outcome, Refusal> {
        policy::authorize(&found.bound.policy, call.caller(), &|_| None)?;
        let required = crate::client::Client::default().lacks(Needed::Tasks);
        let error = ToolError::missing_capability(required.unwrap_or_default());
        Ok(Outcome::Error(error))
    }

    pub(crate) fn get_task(&self, request: &Request<'_>, link: &Link) -> Reply {
        match self.task(request, link) {
            Ok(task) => self.of_task(&request.id, "complete", &task.detail()),
            Err(reply) => reply,
        }
    }

    pub(crate) fn update_task(&self, mut request: Request<'_>, link: &Link) -> Reply {
        let task = match self.task(&request, link) {
            Ok(task) => task,
            Err(reply) => return reply,
        };
        let Some(Node::Object(answers)) = request.params.take("inputResponses") else {
            return invalid_params(&request.id, 200, "`inputResponses` must be an object");
        };
        let answers = answers.0.into_iter();
        task.answer(answers.map(|(key, value)| (key.into_owned(), value.to_value())));
        self.of_task(&request.id, "complete", "")
    }

    pub(crate) fn cancel_task(&self, request: &Request<'_>, link: &Link) -> Reply {
        match self.task(request, link) {
            Ok(task) => {
                task.cancel();
                self.of_task(&request.id, "complete", "")
            }
            Err(reply) => reply,
        }
    }

    /// The task that a request is about, if its client may know of it.
    fn task(&self, request: &Request<'_>, link: &Link) -> Result<Arc<Task>, Reply> {
        self.knows_tasks(request, link)?;
        let Some(id) = request.params.get("taskId").and_then(Node::as_str) else {
            return Err(invalid_params(
                &request.id,
                200,
                "`taskId` must be a string",
            ));
        };
        let found = self.tasks.as_ref().and_then(|t| t.find(id, &link.caller));
        let Some(task) = found else {
            return Err(unknown(&request.id));
        };
        match policy::authorize(&task.bound.policy, &link.caller, &|_| None) {
            Ok(_) => Ok(task),
            Err(Refusal::Unknown) => Err(unknown(&request.id)),
            Err(refusal) => {
                let call = self.bare_call(request, link);
                let results = self.results(request, &call);
                Err(results.plain_refusal(&request.id, &refusal, None))
            }
        }
    }

    /// Those of the tasks that exist for this caller, to be listened to.
    pub(crate) fn own_tasks<'a>(
        &self,
        ids: impl Iterator<Item = &'a str>,
        link: &Link,
    ) -> Vec<Arc<Task>> {
        let Some(tasks) = &self.tasks else {
            return Vec::new();
        };
        ids.filter_map(|id| tasks.find(id, &link.caller))
            .filter(|task| policy::authorize(&task.bound.policy, &link.caller, &|_| None).is_ok())
            .collect()
    }

    /// Refuses a client that did not declare the extension with this request.
    pub(crate) fn knows_tasks(&self, request: &Request<'_>, link: &Link) -> Result<(), Reply> {
        match self.reach(request, link).client.lacks(Needed::Tasks) {
            None => Ok(()),
            Some(required) => Err(Reply::error_with(
                &request.id,
                400,
                code::MISSING_CAPABILITY,
                "This needs a client that declares tasks with every request about them",
                Some(serde_json::json!({ "requiredCapabilities": required })),
            )),
        }
    }

    /// A result with these members.
    fn of_task(&self, id: &Id<'_>, kind: &str, members: &str) -> Reply {
        let separator = if members.is_empty() { "" } else { "," };
        let meta = std::str::from_utf8(&self.meta).unwrap_or_default();
        let text = format!("{{\"resultType\":\"{kind}\",{members}{separator}{meta}}}");
        Reply::result(id, text.as_bytes())
    }
}

/// Lets a call go on by itself, and keeps what it comes to.
fn go_on(tasks: &Arc<Tasks>, task: &Arc<Task>, channel: &Channel, call: Call, run: Run) {
    let life = tasks.life(channel.limit);
    tracing::info!(target: "mcp::task", request_id = call.request_id(), tool = &*task.bound.name, caller = %call.caller(), "a call goes on as a task");
    // A server that is gone has nobody to tell.
    let (tasks, of_run) = (Arc::downgrade(tasks), Arc::clone(task));
    let running = tokio::spawn(async move {
        let timed_out = Refusal::TimedOut {
            seconds: life.as_secs_f64(),
        };
        let answered = tokio::time::timeout(life, run).await;
        let answered = answered.unwrap_or(Ok(Outcome::Refused(timed_out)));
        let Some(tasks) = tasks.upgrade() else {
            return;
        };
        let results = Results {
            modern: true,
            meta: &tasks.meta,
            call: &call,
        };
        let id = Id::Unsigned(0);
        let reply = match answered {
            Ok(outcome) => results.outcome(&id, of_run.bound.shape, outcome),
            Err(refusal) => results.refusal(&id, &refusal),
        };
        tasks.settle(&of_run, ending(&reply));
    });
    task.started(running.abort_handle());
}

/// What a reply says, without the message around it.
fn ending(reply: &Reply) -> Ending {
    let within = |name: &str| {
        let before = format!("{{\"jsonrpc\":\"2.0\",\"id\":0,\"{name}\":");
        let inner = reply.body.strip_prefix(before.as_bytes())?;
        String::from_utf8(inner.strip_suffix(b"}")?.to_vec()).ok()
    };
    match within("result") {
        Some(result) => Ending::Completed(result),
        None => Ending::Failed(within("error").unwrap_or_else(|| "{}".to_owned())),
    }
}

/// One text for all of them: what was never there, is no longer, or is somebody else's.
fn unknown(id: &Id<'_>) -> Reply {
    invalid_params(
        id,
        200,
        "`taskId` is not a task of yours: it never was, or its time is over",
    )
}
