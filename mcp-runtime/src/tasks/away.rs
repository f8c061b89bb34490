//! Tasks that other instances run: each has a record in the store, kept up by the instance that
//! runs it, from which any other answers.

use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::{Ending, Full, Phase, Task, Tasks, lock};
use crate::caller::Caller;
use crate::digest;
use crate::instances::{Answer, Said, Voice};
use crate::store::{MAX_VALUE, StoreError, StoreErrorKind};

/// The largest result, where others are to know it: the rest is for what is said around it.
pub(super) const MAX_ENDING: usize = MAX_VALUE - (64 << 10);
/// The least time between two records of one task, and the most between two attempts.
const PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// How long the instance that runs a task has to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the last records may take when the server stops.
const LAST: Duration = Duration::from_secs(2);
/// Ours have 64 characters.
const MAX_ID: usize = 128;

/// A task that another instance runs, or has run.
pub(crate) struct Away {
    pub(crate) id: String,
    pub(crate) name: String,
    /// The name of its tool.
    pub(crate) tool: String,
    instance: String,
    running: bool,
    /// The members of its JSON, without its id.
    rest: String,
}

/// What comes before the members in a record.
#[derive(Serialize, Deserialize)]
struct Head {
    owner: String,
    tool: String,
    instance: String,
    running: bool,
}

/// Why the instance that runs a task did not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotDone {
    /// It has no such task any more.
    Unknown,
    Silent,
}

impl Tasks {
    /// Shows a task that has just been made to the other instances, if there are any. What cannot
    /// be shown is none.
    pub(crate) async fn show(self: &Arc<Self>, task: Arc<Task>) -> Result<Arc<Task>, Full> {
        let Some(voice) = &self.voice else {
            return Ok(task);
        };
        // The client may leave meanwhile.
        let mut hidden = Hidden(self, Some(task.id.clone()));
        let shown = async {
            voice.live().await?;
            record(voice, &task).await
        };
        if let Err(error) = shown.await {
            warn(&error);
            return Err(Full::Unavailable);
        }
        hidden.1 = None;
        let (dirty, changed) = mpsc::channel(1);
        let _ = task.dirty.set(dirty);
        let mirror = mirror(voice.clone(), Arc::downgrade(&task), changed);
        self.mirrors.spawn(mirror);
        Ok(task)
    }

    /// The task of this id that another instance runs, if it is this caller's and lives.
    pub(crate) async fn away(&self, id: &str, caller: &Caller) -> Result<Option<Away>, StoreError> {
        let Some(voice) = &self.voice else {
            return Ok(None);
        };
        if id.len() > MAX_ID || lock(&self.table).tasks.contains_key(id) {
            return Ok(None);
        }
        let Some(mut away) = self.look(voice, id, caller).await? else {
            return Ok(None);
        };
        if away.running && !voice.lives(&away.instance).await? {
            // Its last word may have come with its end.
            let Some(last) = self.look(voice, id, caller).await? else {
                return Ok(None);
            };
            away = last;
            if away.running {
                away.is_lost(self.clock.now());
            }
        }
        Ok(Some(away))
    }

    async fn look(
        &self,
        voice: &Voice,
        id: &str,
        caller: &Caller,
    ) -> Result<Option<Away>, StoreError> {
        let name = digest::short(id);
        let Some(bytes) = voice.store().get(&voice.key("task", &name)).await? else {
            return Ok(None);
        };
        let text = String::from_utf8(bytes).map_err(StoreError::unavailable)?;
        let (head, rest) = text.split_once('\n').unwrap_or_default();
        let head: Head = serde_json::from_str(head).map_err(StoreError::unavailable)?;
        if head.owner != caller.owner() {
            tracing::warn!(target: "mcp::task", caller = %caller, outcome = "task_principal_mismatch", "request refused");
            return Ok(None);
        }
        Ok(Some(Away {
            id: id.to_owned(),
            name,
            tool: head.tool,
            instance: head.instance,
            running: head.running,
            rest: rest.to_owned(),
        }))
    }

    /// Has the instance that runs a task do something with it.
    pub(crate) async fn ask(&self, away: &Away, said: Said) -> Result<(), NotDone> {
        // What has ended takes no answers, and is not cancelled: that is no error.
        let Some(voice) = self.voice.as_ref().filter(|_| away.running) else {
            return Ok(());
        };
        match voice.ask(Some(&away.instance), said, PATIENCE).await {
            Some(Said::Done { found: true }) => Ok(()),
            Some(Said::Done { found: false }) => Err(NotDone::Unknown),
            _ => Err(NotDone::Silent),
        }
    }

    /// Does what another instance asks for.
    pub(crate) async fn hear(&self, said: Said, answer: Answer) {
        let found = match said {
            Said::CancelTask { task } => self.named(&task).inspect(|task| task.cancel()),
            Said::UpdateTask { task, answers } => {
                self.named(&task).inspect(|task| task.answer(answers))
            }
            _ => return,
        };
        if let Some(task) = &found {
            self.write_down(task).await;
        }
        answer.with(Said::Done {
            found: found.is_some(),
        });
    }

    /// Writes down how a task is before its client hears that something was done with it: the next
    /// request may reach an instance that reads it.
    pub(crate) async fn write_down(&self, task: &Task) {
        if let Some(voice) = &self.voice
            && let Err(error) = record(voice, task).await
        {
            // Whoever writes it down after each change tries on.
            warn(&error);
        }
    }

    /// Tells those who listen here how a task is that another instance runs.
    pub(crate) async fn has_changed(&self, name: &str) -> Result<(), StoreError> {
        let Some(voice) = self
            .voice
            .as_ref()
            .filter(|_| self.changes.awaits_task(name))
        else {
            return Ok(());
        };
        if let Some(bytes) = voice.store().get(&voice.key("task", name)).await? {
            let text = String::from_utf8(bytes).map_err(StoreError::unavailable)?;
            let (_, rest) = text.split_once('\n').unwrap_or_default();
            self.changes.task(name, || rest.to_owned());
        }
        Ok(())
    }

    /// Something was said that was not heard: any task may have changed.
    pub(crate) async fn missed(&self) {
        for name in self.changes.awaited_tasks() {
            // Those that run here are told by what changes them.
            if self.named(&name).is_none()
                && let Err(error) = self.has_changed(&name).await
            {
                warn(&error);
            }
        }
    }

    /// Waits until the other instances know how all tasks have ended, but not for long.
    pub(crate) async fn shown(&self) {
        self.mirrors.close();
        let _ = tokio::time::timeout(LAST, self.mirrors.wait()).await;
    }

    fn named(&self, name: &str) -> Option<Arc<Task>> {
        let now = self.clock.now();
        let table = lock(&self.table);
        let mut tasks = table.tasks.values();
        tasks
            .find(|task| task.name == name && !task.is_over(now))
            .cloned()
    }
}

impl Away {
    /// The members of its JSON, with what it asks or came to.
    pub(crate) fn detail(&self) -> String {
        format!("\"taskId\":{},{}", json!(self.id), self.rest)
    }

    /// Its instance is gone, and with it the call.
    fn is_lost(&mut self, now: Timestamp) {
        let members: Map<String, Value> =
            serde_json::from_str(&format!("{{{}}}", self.rest)).unwrap_or_default();
        let mut members: Map<String, Value> = members
            .into_iter()
            .filter(|(name, _)| name != "inputRequests")
            .collect();
        members.insert("status".into(), json!("failed"));
        members.insert("statusMessage".into(), json!(super::FAILED));
        members.insert("lastUpdatedAt".into(), json!(now.to_string()));
        let error = json!({ "code": -32603, "message": "The instance that ran the task is gone" });
        members.insert("error".into(), error);
        let text = Value::Object(members).to_string();
        self.rest = text[1..text.len() - 1].to_owned();
        self.running = false;
    }
}

/// Takes a task back that nobody knows of, when dropped with it.
struct Hidden<'a>(&'a Tasks, Option<String>);

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        if let Some(id) = &self.1 {
            lock(&self.0.table).tasks.remove(id);
        }
    }
}

/// Writes down how a task is, each time that changes, until it has ended.
async fn mirror(voice: Voice, task: Weak<Task>, mut changed: mpsc::Receiver<()>) {
    while changed.recv().await.is_some() {
        let mut pause = PAUSE;
        loop {
            let Some(task) = task.upgrade() else {
                return;
            };
            match record(&voice, &task).await {
                Ok(true) => {
                    voice.tell(Said::Task {
                        task: task.name.clone(),
                    });
                    break;
                }
                Ok(false) => {
                    voice.tell(Said::Task {
                        task: task.name.clone(),
                    });
                    return;
                }
                Err(error) => {
                    warn(&error);
                    if error.kind() == StoreErrorKind::TooLarge {
                        break;
                    }
                }
            }
            drop(task);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Writes down how a task is; tells whether it still runs.
async fn record(voice: &Voice, task: &Task) -> Result<bool, StoreError> {
    let _writing = task.writing.lock().await;
    let (bytes, running) = {
        let state = lock(&task.state);
        let running = matches!(state.phase, Phase::Running);
        let head = Head {
            owner: task.owner.clone(),
            tool: task.bound.name.to_string(),
            instance: voice.name().to_owned(),
            running,
        };
        let head = serde_json::to_string(&head).map_err(StoreError::unavailable)?;
        let text = format!("{head}\n{}", task.rest(&state, true));
        (text.into_bytes(), running)
    };
    let end = task.expires_ms.load(std::sync::atomic::Ordering::Relaxed);
    let end = Timestamp::from_millisecond(end).unwrap_or(Timestamp::MAX);
    let key = voice.key("task", &task.name);
    voice.store().put(&key, &bytes, end).await?;
    Ok(running)
}

/// What stands in for a result that other instances could not be told.
pub(super) fn too_large() -> Ending {
    let text = "The tool has run, but its result is larger than what a task can keep (about 1 MiB). \
                Ask for less.";
    Ending::Completed(
        json!({
            "resultType": "complete",
            "content": [{ "type": "text", "text": text }],
            "structuredContent": { "code": "result_too_large", "message": text },
            "isError": true,
        })
        .to_string(),
    )
}

fn warn(error: &StoreError) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(target: "mcp::task", %error, cause, "other instances cannot be shown a task");
}
