//! Connections that outlive their request: WebSockets, and the streams of 2024-11-05.
//!
//! Each costs buffers and tasks for as long as its client likes, so there are not many of them,
//! and no caller has them all.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::caller::Caller;
use crate::http::app::{Answer, plain, respond};
use crate::wire::reply::{Reply, code};

/// Connections at the same time, of everybody and of one caller.
const MAX_TOTAL: usize = 1_000;
const MAX_PER_CALLER: usize = 32;
/// Calls of one connection at the same time, and answers of it that wait to be written.
pub(super) const AT_A_TIME: usize = 32;
/// How long calls in flight may go on when a connection ends and its client still reads.
pub(super) const GRACE: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(crate) struct Peers {
    open: Mutex<HashMap<String, usize>>,
    tasks: TaskTracker,
    cut_off: CancellationToken,
}

/// Room for one connection, given back when dropped.
pub(super) struct Seat {
    peers: Arc<Peers>,
    owner: String,
}

impl Peers {
    /// Makes room for one more connection of this caller.
    pub(super) fn admit(self: &Arc<Self>, caller: &Caller) -> Option<Seat> {
        // Callers without a token cannot be told apart: together they get half of all.
        let share = if caller.is_anonymous() {
            MAX_TOTAL / 2
        } else {
            MAX_PER_CALLER
        };
        let owner = caller.owner();
        let mut open = self.lock();
        let total: usize = open.values().sum();
        let mine = open.get(&owner).copied().unwrap_or(0);
        if total >= MAX_TOTAL || mine >= share {
            return None;
        }
        open.insert(owner.clone(), mine + 1);
        drop(open);
        Some(Seat {
            peers: Arc::clone(self),
            owner,
        })
    }

    /// Runs what a connection does until it is done, or cut off.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let cut_off = self.cut_off.clone();
        self.tasks.spawn(async move {
            cut_off.run_until_cancelled(work).await;
        });
    }

    /// Ready when no connection is open any more.
    pub(super) async fn gone(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(super) fn cut_off(&self) {
        self.cut_off.cancel();
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.peers.lock();
        if let Some(count) = open.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.owner);
            }
        }
    }
}

/// The answer to one connection, or one message, too many.
pub(super) fn too_many(what: &str) -> Answer {
    let mut reply = Reply::malformed(code::TOO_MANY, what);
    reply.status = 429;
    let mut answer = respond(reply);
    answer
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
    answer
}

/// The answer to whoever connects while the server stops.
pub(super) fn stopping() -> Answer {
    let mut answer = plain(
        StatusCode::SERVICE_UNAVAILABLE,
        "This server is stopping: connect again in a moment\n",
    );
    answer
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    answer
}
