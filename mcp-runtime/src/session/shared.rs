//! Sessions in a store: any instance that shares it goes on with any of them.
//!
//! The record in the store decides whether a session lives. Streams, running calls and open
//! questions belong to the instance where they began; an answer that arrives at another one is
//! laid down in the store, and the one that asked is told. Whatever is told here is written before.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::digest;
use crate::instances::{Said, Voice};
use crate::session::{Facts, NoSession, Session, SessionLimits};
use crate::store::StoreError;

/// How often the one that asked looks for an answer that it is not told of.
const LOOK: Duration = Duration::from_secs(1);
/// An answer is waited for ten minutes.
const QUESTION_LIVES: Duration = Duration::from_secs(11 * 60);
/// What stands in for an answer that is not there yet. No JSON is like it.
const OPEN: &[u8] = b"?";
/// Changes at the same moment from many sides; each try is one of them less.
const MAX_TRIES: usize = 16;

/// A store with sessions in it.
pub(super) struct Shared {
    voice: Voice,
    clock: Clock,
    limits: SessionLimits,
    /// Who waits for an answer, by the number of the question.
    waiting: Mutex<HashMap<u64, Arc<Notify>>>,
}

/// A session as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) owner: String,
    #[serde(flatten)]
    pub(super) facts: Facts,
    /// Milliseconds since 1970.
    pub(super) created: i64,
    used: i64,
}

impl Record {
    pub(super) fn of(session: &Session) -> Self {
        Self {
            owner: session.owner.to_string(),
            facts: session.facts(),
            created: session.created_ms,
            used: session.created_ms,
        }
    }

    fn bytes(&self) -> Result<Vec<u8>, NoSession> {
        serde_json::to_vec(self).map_err(|error| unavailable(&error))
    }
}

impl Shared {
    pub(super) fn new(voice: Voice, clock: Clock, limits: SessionLimits) -> Self {
        Self {
            voice,
            clock,
            limits,
            waiting: Mutex::default(),
        }
    }

    /// Tells the other instances.
    pub(super) fn tell(&self, said: Said) {
        self.voice.tell(said);
    }

    /// The same, if there is room to spare.
    pub(super) fn mention(&self, said: Said) {
        self.voice.mention(said);
    }

    pub(super) fn voice(&self) -> &Voice {
        &self.voice
    }

    pub(super) async fn create(&self, id: &str, record: &Record) -> Result<(), NoSession> {
        let (bytes, end, key) = (record.bytes()?, self.end(record), key(id));
        let created = self.voice.store().put_if_absent(&key, &bytes, end);
        match created.await {
            Ok(true) => Ok(()),
            // 256 random bits do not repeat: that is no store.
            Ok(false) => Err(NoSession::Unavailable),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// The record of a session that is being used.
    pub(super) async fn look(&self, id: &str) -> Result<Record, NoSession> {
        let (mut record, bytes) = self.read(id).await?;
        let now_ms = self.clock.now().as_millisecond();
        let age =
            |since: i64| Duration::from_millis(now_ms.saturating_sub(since).max(0).unsigned_abs());
        if age(record.created) >= self.limits.life || age(record.used) >= self.limits.idle {
            self.remove(id).await?;
            return Err(NoSession::Unknown);
        }
        // Not with every request: writing costs more than reading.
        if age(record.used) >= self.limits.idle / 8 {
            record.used = now_ms;
            // Somebody was faster: then the record says so, too.
            self.replace(id, &bytes, &record).await?;
        }
        Ok(record)
    }

    /// Keeps the record of a session that is in use for longer than from one request to the next.
    pub(super) async fn in_use(&self, id: &str) -> Infallible {
        loop {
            tokio::time::sleep(self.limits.idle / 8).await;
            // Should that fail, the next time may do.
            let _ = self.look(id).await;
        }
    }

    /// Changes the facts of a session; `None` when `change` does not want to.
    pub(super) async fn change(
        &self,
        id: &str,
        change: impl Fn(&mut Facts) -> bool + Send + Sync,
    ) -> Result<Option<Record>, NoSession> {
        for _ in 0..MAX_TRIES {
            let (mut record, bytes) = self.read(id).await?;
            if !change(&mut record.facts) {
                return Ok(None);
            }
            if self.replace(id, &bytes, &record).await? {
                self.tell(Said::Learned { session: name(id) });
                return Ok(Some(record));
            }
        }
        tracing::warn!(target: "mcp::session", "a session is changed from too many sides at once");
        Err(NoSession::Unavailable)
    }

    pub(super) async fn remove(&self, id: &str) -> Result<(), NoSession> {
        let removed = self.voice.store().remove(&key(id)).await;
        removed.map_err(|error| unavailable(&error))?;
        self.tell(Said::Ended { session: name(id) });
        Ok(())
    }

    /// Notes that a question waits for its answer.
    pub(super) async fn ask(
        self: &Arc<Self>,
        id: &str,
        number: u64,
    ) -> Result<Question, NoSession> {
        let key = answer_key(id, number);
        let noted = self.voice.store().put(&key, OPEN, self.question_end());
        noted.await.map_err(|error| unavailable(&error))?;
        let told = Arc::new(Notify::new());
        self.waiting().insert(number, Arc::clone(&told));
        Ok(Question {
            shared: Arc::clone(self),
            key,
            number,
            told,
        })
    }

    /// An answer lies in the store.
    pub(super) fn is_answered(&self, number: u64) {
        if let Some(told) = self.waiting().get(&number) {
            told.notify_one();
        }
    }

    /// Any answer may lie in the store.
    pub(super) fn may_be_answered(&self) {
        self.waiting().values().for_each(|told| told.notify_one());
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Notify>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lays down an answer for whoever asked. Nothing is written where nothing was asked.
    pub(super) async fn answer(
        &self,
        id: &str,
        number: u64,
        answer: &Result<Value, Value>,
    ) -> Result<(), NoSession> {
        let key = answer_key(id, number);
        let bytes = serde_json::to_vec(answer).map_err(|error| unavailable(&error))?;
        let store = self.voice.store();
        let laid = store.replace(&key, OPEN, &bytes, self.question_end());
        if laid.await.map_err(|error| unavailable(&error))? {
            self.tell(Said::Answered { question: number });
        }
        Ok(())
    }

    /// What is remembered of a session that is only listened to.
    pub(super) async fn facts(&self, id: &str) -> Result<Facts, NoSession> {
        self.read(id).await.map(|(record, _)| record.facts)
    }

    async fn read(&self, id: &str) -> Result<(Record, Vec<u8>), NoSession> {
        let bytes = self.voice.store().get(&key(id)).await;
        let bytes = bytes
            .map_err(|error| unavailable(&error))?
            .ok_or(NoSession::Unknown)?;
        let record = serde_json::from_slice(&bytes).map_err(|error| unavailable(&error))?;
        Ok((record, bytes))
    }

    async fn replace(&self, id: &str, before: &[u8], record: &Record) -> Result<bool, NoSession> {
        let (bytes, end, key) = (record.bytes()?, self.end(record), key(id));
        let replaced = self.voice.store().replace(&key, before, &bytes, end);
        replaced.await.map_err(|error| unavailable(&error))
    }

    /// When a session is over, unless it is used before.
    fn end(&self, record: &Record) -> Timestamp {
        let at = |since: i64, time: Duration| {
            let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
            since.saturating_add(time)
        };
        let end = at(record.used, self.limits.idle).min(at(record.created, self.limits.life));
        Timestamp::from_millisecond(end).unwrap_or(Timestamp::MAX)
    }

    fn question_end(&self) -> Timestamp {
        let now = self.clock.now();
        now.checked_add(QUESTION_LIVES).unwrap_or(Timestamp::MAX)
    }
}

/// A question whose answer may arrive at another instance.
pub(super) struct Question {
    shared: Arc<Shared>,
    key: String,
    number: u64,
    told: Arc<Notify>,
}

impl Question {
    /// The answer from elsewhere. `None` when it will not come that way.
    pub(super) async fn answered(&self) -> Option<Result<Value, Value>> {
        loop {
            tokio::select! {
                () = self.told.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
            match self.shared.voice.store().get(&self.key).await {
                Ok(Some(bytes)) if bytes == OPEN => {}
                Ok(Some(bytes)) => return serde_json::from_slice(&bytes).ok(),
                Ok(None) => return None,
                // The client may still be answering: that the store is gone for a moment is not
                // its fault.
                Err(error) => {
                    let _ = unavailable(&error);
                }
            }
        }
    }

    pub(super) async fn close(&self) {
        // Should that fail, it expires by itself.
        let _ = self.shared.voice.store().remove(&self.key).await;
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.shared.waiting().remove(&self.number);
    }
}

/// What other instances are told of a session instead of its id.
pub(super) fn name(id: &str) -> String {
    digest::short(id)
}

/// The id itself is not in the store: whoever reads the store does not hold the sessions.
fn key(id: &str) -> String {
    format!("mcp:session:{}", digest::sha256_hex(id))
}

fn answer_key(id: &str, number: u64) -> String {
    format!("{}:answer:{number}", key(id))
}

fn unavailable(error: &(dyn std::error::Error + 'static)) -> NoSession {
    let too_large = error
        .downcast_ref::<StoreError>()
        .is_some_and(|error| error.kind() == crate::store::StoreErrorKind::TooLarge);
    if too_large {
        tracing::warn!(target: "mcp::session", "more than the store takes");
    } else {
        let cause = error.source().map(ToString::to_string);
        tracing::warn!(target: "mcp::session", %error, cause, "sessions cannot be used");
    }
    NoSession::Unavailable
}
