//! What an engine does with what other instances say.

use std::sync::Arc;

use crate::instances::{Answer, Ear, Said};
use crate::result_cache;
use crate::switches::Switches;
use crate::tenant::Tenant;
use crate::wire::engine::Engine;

impl Engine {
    /// Hears the other instances, if there are any, before it answers.
    pub(crate) async fn join(self: &Arc<Self>) {
        if !self.instances.has_joined() {
            // In a box: it happens once, and every request would carry it.
            Box::pin(self.instances.join(self)).await;
        }
    }

    /// Takes leave of the other instances: the server has stopped.
    pub(crate) async fn leave(&self) {
        if let Some(tasks) = &self.tasks {
            tasks.shown().await;
        }
        self.instances.leave().await;
    }
}

impl Ear for Engine {
    async fn hear(self: Arc<Self>, said: Said, answer: Answer) {
        if self.sessions.hear(&said).await {
            return;
        }
        match said {
            Said::Changed { list } => self.changes.changed(list),
            Said::Updated { uri, tenant } => match tenant.as_deref().map(Tenant::new) {
                None => self.changes.updated(&uri, None),
                Some(Ok(tenant)) => self.changes.updated(&uri, Some(&tenant)),
                // What is no tenant here is nobody's.
                Some(Err(_)) => {}
            },
            Said::UpdatedOf { uri, owner } => self.changes.updated_of(&owner, &uri),
            Said::Dropped { family } => {
                if let Some(cache) = &self.result_cache {
                    cache.drop_family(&family);
                }
            }
            Said::Task { task } => {
                if let Some(tasks) = &self.tasks
                    && let Err(error) = tasks.has_changed(&task).await
                {
                    tracing::warn!(target: "mcp::task", %error, "who listens is not told of a task");
                }
            }
            Said::CancelTask { .. } | Said::UpdateTask { .. } => {
                if let Some(tasks) = &self.tasks {
                    tasks.hear(said, answer).await;
                }
            }
            Said::Resume {
                session,
                stream,
                after,
                reader,
            } => {
                // It may wait for an event, and others may not wait for that.
                if let Some(kept) = self.sessions.kept(&session, &stream) {
                    tokio::spawn(async move {
                        let batch = self.sessions.lend(&kept, after, reader).await;
                        answer.with(match batch {
                            Some(batch) => Said::Events(batch),
                            None => Said::Done { found: false },
                        });
                    });
                } else if reader.is_some() {
                    answer.with(Said::Done { found: false });
                }
            }
            _ => {}
        }
    }

    async fn missed(self: Arc<Self>) {
        tracing::info!(target: "mcp::instances", "messages were missed: everything is looked at again");
        self.changes.anything();
        if let Some(cache) = &self.result_cache {
            cache.drop_family(result_cache::ALL);
        }
        if let Some(tasks) = &self.tasks {
            tasks.missed().await;
        }
        self.sessions.missed().await;
    }

    fn switched(&self, kind: &str, name: &str, on: bool) {
        Switches(self.changes.clone()).set(kind, name, on);
    }
}
