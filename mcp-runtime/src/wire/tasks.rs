//! Tasks on the wire: calls that become one, and the three requests about them. Since 2026-07-28,
//! for clients that declare the extension with the request.

use std::pin::Pin;
use std::sync::Arc;

use crate::call::{self, BackChannel, Call};
use crate::changes::task_note;
use crate::client::Needed;
use crate::error::{Refusal, ToolError};
use crate::instances::Said;
use crate::json::{Node, Object};
use crate::output::Outcome;
use crate::policy::{self, Policy};
use crate::store::StoreError;
use crate::tasks::{Away, Channel, Ending, NotDone, Task, Tasks};
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

/// A task that a request is about.
pub(crate) enum Found {
    Here(Arc<Task>),
    /// Another instance runs it.
    Away(Away),
}

impl Found {
    /// Its name and its id.
    pub(crate) fn named(&self) -> (String, String) {
        match self {
            Self::Here(task) => (task.name.clone(), task.id.clone()),
            Self::Away(task) => (task.name.clone(), task.id.clone()),
        }
    }
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
        let made = match tasks.create(call.caller(), bound, channel.limit, size) {
            Ok(task) => tasks.show(task).await,
            full => full,
        };
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

    pub(crate) async fn get_task(&self, request: &Request<'_>, link: &Link) -> Reply {
        match self.task(request, link).await {
            Ok(Found::Here(task)) => self.of_task(&request.id, "complete", &task.detail()),
            Ok(Found::Away(task)) => self.of_task(&request.id, "complete", &task.detail()),
            Err(reply) => reply,
        }
    }

    pub(crate) async fn update_task(&self, request: &mut Request<'_>, link: &Link) -> Reply {
        let task = match self.task(request, link).await {
            Ok(task) => task,
            Err(reply) => return reply,
        };
        let Some(Node::Object(answers)) = request.params.take("inputResponses") else {
            return invalid_params(&request.id, 200, "`inputResponses` must be an object");
        };
        let answers = answers.0.into_iter();
        let answers = answers.map(|(key, value)| (key.into_owned(), value.to_value()));
        match task {
            Found::Here(task) => {
                task.answer(answers);
                self.write_down(&task).await;
            }
            Found::Away(task) => {
                let said = Said::UpdateTask {
                    task: task.name.clone(),
                    answers: answers.collect(),
                };
                if let Err(reply) = self.ask_away(&request.id, &task, said).await {
                    return reply;
                }
            }
        }
        self.of_task(&request.id, "complete", "")
    }

    pub(crate) async fn cancel_task(&self, request: &Request<'_>, link: &Link) -> Reply {
        match self.task(request, link).await {
            Ok(Found::Here(task)) => {
                task.cancel();
                self.write_down(&task).await;
            }
            Ok(Found::Away(task)) => {
                let said = Said::CancelTask {
                    task: task.name.clone(),
                };
                if let Err(reply) = self.ask_away(&request.id, &task, said).await {
                    return reply;
                }
            }
            Err(reply) => return reply,
        }
        self.of_task(&request.id, "complete", "")
    }

    async fn write_down(&self, task: &Task) {
        if let Some(tasks) = &self.tasks {
            tasks.write_down(task).await;
        }
    }

    async fn ask_away(&self, id: &Id<'_>, task: &Away, said: Said) -> Result<(), Reply> {
        let Some(tasks) = &self.tasks else {
            return Err(unknown(id));
        };
        tasks.ask(task, said).await.map_err(|why| match why {
            NotDone::Unknown => unknown(id),
            NotDone::Silent => {
                tracing::warn!(target: "mcp::task", "the instance that runs a task does not answer");
                unavailable(id)
            }
        })
    }

    /// Tells one listener how a task is that another instance runs.
    pub(crate) async fn tell_away(&self, id: &str, link: &Link, tag: &serde_json::Value) {
        if let Some(tasks) = &self.tasks
            && let Ok(Some(task)) = tasks.away(id, &link.caller).await
        {
            link.outbox.push(task_note(&task.detail(), Some(tag)));
        }
    }

    /// The task that a request is about, if its client may know of it.
    async fn task(&self, request: &Request<'_>, link: &Link) -> Result<Found, Reply> {
        self.knows_tasks(request, link)?;
        let Some(id) = request.params.get("taskId").and_then(Node::as_str) else {
            return Err(invalid_params(
                &request.id,
                200,
                "`taskId` must be a string",
            ));
        };
        let found = match self.find_task(id, link).await {
            Ok(found) => found,
            Err(_) => return Err(unavailable(&request.id)),
        };
        let Some(policy) = found.as_ref().and_then(|task| self.policy_of(task)) else {
            return Err(unknown(&request.id));
        };
        match policy::authorize(policy, &link.caller, &|_| None) {
            Ok(_) => found.ok_or_else(|| unknown(&request.id)),
            Err(Refusal::Unknown) => Err(unknown(&request.id)),
            Err(refusal) => {
                let call = self.bare_call(request, link);
                let results = self.results(request, &call);
                Err(results.plain_refusal(&request.id, &refusal, None))
            }
        }
    }

    /// Those of the tasks that exist for this caller, to be listened to.
    pub(crate) async fn own_tasks(
        &self,
        ids: &[&str],
        link: &Link,
    ) -> Result<Vec<Found>, StoreError> {
        let mut own = Vec::new();
        for id in ids {
            if let Some(task) = self.find_task(id, link).await?
                && let Some(policy) = self.policy_of(&task)
                && policy::authorize(policy, &link.caller, &|_| None).is_ok()
            {
                own.push(task);
            }
        }
        Ok(own)
    }

    /// The task of this id that belongs to this caller, whoever runs it.
    async fn find_task(&self, id: &str, link: &Link) -> Result<Option<Found>, StoreError> {
        let Some(tasks) = &self.tasks else {
            return Ok(None);
        };
        if let Some(task) = tasks.find(id, &link.caller) {
            return Ok(Some(Found::Here(task)));
        }
        let away = tasks.away(id, &link.caller).await?;
        Ok(away.map(Found::Away))
    }

    /// Who may know of a task. Another version of this server may run tools that this one has not.
    fn policy_of<'a>(&'a self, task: &'a Found) -> Option<&'a Policy> {
        match task {
            Found::Here(task) => Some(&task.bound.policy),
            Found::Away(task) => self.tools.switched(&task.tool).map(|(_, policy)| policy),
        }
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

/// The store, or the instance that runs a task, does not answer.
pub(crate) fn unavailable(id: &Id<'_>) -> Reply {
    Reply::error(
        id,
        503,
        code::UNAVAILABLE,
        "The task cannot be reached at the moment: try again later",
    )
}

/// One text for all of them: what was never there, is no longer, or is somebody else's.
fn unknown(id: &Id<'_>) -> Reply {
    invalid_params(
        id,
        200,
        "`taskId` is not a task of yours: it never was, or its time is over",
    )
}
