//! What one instance tells the others of its sessions, and does when it is told.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;

use crate::digest;
use crate::instances::Said;
use crate::metrics::SessionEnd;
use crate::session::{Session, Sessions, lock};
use crate::wire::message::Id;

impl Session {
    /// Cancels what another instance runs for this session.
    pub(super) fn cancel_elsewhere(&self, id: &Id<'_>) {
        if let Some(of) = &self.shared {
            of.mention(Said::Cancelled {
                session: of.name.to_string(),
                request: name_of(id),
            });
        }
    }

    fn cancel_named(&self, name: &str) {
        let id = {
            let running = lock(&self.running);
            running.keys().find(|id| name_of(id) == name).cloned()
        };
        let running = id.and_then(|id| lock(&self.running).remove(&id));
        running
            .into_iter()
            .flatten()
            .for_each(|(_, token)| token.cancel());
    }

    /// It is used here for the first time: where it was opened for a stream, it is to outlive that.
    pub(super) fn is_used_here(&self) {
        if let Some(of) = &self.shared {
            of.tell(Said::Used {
                session: of.name.to_string(),
            });
        }
    }

    /// Whether what is remembered matters here before it is used the next time.
    fn is_busy(&self) -> bool {
        lock(&self.listening).is_some() || !lock(&self.running).is_empty()
    }
}

impl Sessions {
    /// Does what another instance says. `false` when it is not about sessions.
    pub(crate) async fn hear(&self, said: &Said) -> bool {
        match said {
            Said::Cancelled { session, request } => {
                if let Some(session) = self.named(session) {
                    session.cancel_named(request);
                }
            }
            Said::Used { session } => {
                if let Some(session) = self.named(session) {
                    session.provisional.store(false, Ordering::Relaxed);
                }
            }
            Said::Ended { session } => {
                if let Some(session) = self.named(session) {
                    self.drop_session(&session.id, SessionEnd::Closed);
                }
            }
            Said::Learned { session } => {
                if let Some(session) = self.named(session) {
                    self.learn_again(&session).await;
                }
            }
            Said::Answered { question } => {
                if let Some(shared) = &self.shared {
                    shared.is_answered(*question);
                }
            }
            _ => return false,
        }
        true
    }

    /// Something was said that was not heard: anything may have happened to any session.
    pub(crate) async fn missed(&self) {
        if let Some(shared) = &self.shared {
            shared.may_be_answered();
        }
        self.doubt.notify_waiters();
        let open: Vec<Arc<Session>> = lock(&self.open).sessions.values().cloned().collect();
        for session in open {
            self.learn_again(&session).await;
        }
    }

    /// The session that others call by this name, if it is here.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<Session>> {
        lock(&self.open).named.get(name).cloned()
    }

    /// A stream that is open, and a call that runs, hear of what they are to hear of from now on.
    /// Other sessions learn when they are used.
    async fn learn_again(&self, session: &Session) {
        if let (Some(shared), true) = (&self.shared, session.is_busy())
            && let Ok(facts) = shared.facts(&session.id).await
        {
            session.learn(facts);
        }
    }
}

/// What other instances are told of a request instead of its id.
fn name_of(id: &Id<'_>) -> String {
    digest::short(match id {
        Id::Unsigned(number) => number.to_string(),
        Id::Signed(number) => number.to_string(),
        Id::Text(text) => json!(text).to_string(),
    })
}
