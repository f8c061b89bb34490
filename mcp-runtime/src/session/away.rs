//! Streams that a client comes back to at another instance than the one that keeps them.
//!
//! The other asks for what comes after an event, again and again: the stream itself stays where
//! its call runs, and whoever read it last is its reader, wherever that is.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::digest;
use crate::instances::{Batch, Said, Voice};
use crate::outbox::{Outbox, Reader};
use crate::session::{Session, Sessions};

/// How long the instance that keeps a stream has to say so.
const FOUND: Duration = Duration::from_secs(2);
/// How long it waits for an event before it says that there is none, and how much longer that may
/// take to arrive.
const HOLD: Duration = Duration::from_secs(10);
const ON_ITS_WAY: Duration = Duration::from_secs(5);
/// Bytes of one batch; the last event may go beyond.
const BATCH: usize = 1 << 20;

/// A stream that another instance keeps.
pub(crate) struct Away {
    voice: Voice,
    session: String,
    stream: String,
    instance: String,
    after: u64,
    reader: u64,
}

/// A stream that is kept here.
pub(crate) struct Kept {
    session: Arc<Session>,
    outbox: Arc<Outbox>,
}

impl Session {
    /// Reads a stream on after an event, wherever it is kept, and what there is at once.
    pub(crate) async fn resume_away(&self, stream: &str, after: u64) -> Option<(Away, Batch)> {
        let of = self.shared.as_ref()?;
        let mut away = Away {
            voice: of.voice().clone(),
            session: of.name.to_string(),
            stream: digest::short(stream),
            instance: String::new(),
            after,
            reader: 0,
        };
        let batch = away.ask(None, FOUND).await?;
        batch.instance.clone_into(&mut away.instance);
        Some((away, batch))
    }
}

impl Away {
    /// What comes next, perhaps nothing yet. `None` when it cannot be had any more.
    pub(crate) async fn next(&mut self) -> Option<Batch> {
        self.ask(Some(self.reader), HOLD + ON_ITS_WAY).await
    }

    async fn ask(&mut self, reader: Option<u64>, patience: Duration) -> Option<Batch> {
        let said = Said::Resume {
            session: self.session.clone(),
            stream: self.stream.clone(),
            after: self.after,
            reader,
        };
        let whom = reader.map(|_| &*self.instance);
        let Some(Said::Events(batch)) = self.voice.ask(whom, said, patience).await else {
            return None;
        };
        self.reader = batch.reader;
        if let Some((number, _)) = batch.events.last() {
            self.after = *number;
        }
        Some(batch)
    }
}

impl Sessions {
    /// The stream that others call by this name, if it is kept here.
    pub(crate) fn kept(&self, session: &str, stream: &str) -> Option<Kept> {
        let session = self.named(session)?;
        let outbox = {
            let streams = session.streams();
            let is_it = |id: &str| digest::short(id) == stream;
            let found = streams.iter().find(|it| it.stream().is_some_and(is_it));
            Arc::clone(found?)
        };
        Some(Kept { session, outbox })
    }

    /// What comes on a stream after an event, for a client of another instance. `None` when that
    /// was never sent, or somebody else reads the stream by now.
    pub(crate) async fn lend(&self, kept: &Kept, after: u64, reader: Option<u64>) -> Option<Batch> {
        let Kept { session, outbox } = kept;
        let mut lent = match reader {
            None => outbox.resume(after)?,
            Some(number) => outbox.read_on(number, after)?,
        };
        let feed = outbox.is_feed();
        let mut batch = Batch {
            instance: session.shared.as_ref()?.voice().name().to_owned(),
            reader: lent.number(),
            feed,
            ..Batch::default()
        };
        self.joined(session);
        if feed {
            // From now on its client hears where it is.
            session.detach(outbox);
        } else if reader.is_some() {
            let first = std::future::poll_fn(|context| lent.poll_next(context));
            match tokio::time::timeout(HOLD, first).await {
                Ok(Some(event)) => batch.add(event),
                Ok(None) => batch.ended = true,
                Err(_) => {}
            }
        }
        let mut size = 0;
        while !batch.ended && size < BATCH {
            match at_once(&mut lent).await {
                Poll::Ready(Some(event)) => {
                    size += event.1.len();
                    batch.add(event);
                }
                Poll::Ready(None) => batch.ended = true,
                Poll::Pending => break,
            }
        }
        batch.through = lent.is_through();
        batch.ended |= batch.through;
        self.left(session, &lent, false);
        Some(batch)
    }
}

impl Batch {
    fn add(&mut self, (number, message): (u64, Vec<u8>)) {
        let message = String::from_utf8_lossy(&message).into_owned();
        self.events.push((number, message));
    }
}

/// What there is without waiting.
async fn at_once(reader: &mut Reader) -> Poll<Option<(u64, Vec<u8>)>> {
    std::future::poll_fn(|context| Poll::Ready(reader.poll_next(context))).await
}
