//! MCP over a pipe: one message per line, and nothing else on it.

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use crate::caller::Caller;
use crate::client::Client;
use crate::json::Node;
use crate::outbox::Outbox;
use crate::session::Session;
use crate::wire::engine::{Engine, Link};
use crate::wire::message::{self, Id, Message};
use crate::wire::reply::{Reply, code};

/// The longest line, in bytes; the rest of a longer one is skipped.
const MAX_LINE: usize = 4 << 20;
/// Messages answered at the same time.
const MAX_CONCURRENT: usize = 64;
/// Kibibytes of messages that are under way or wait for their turn. Reading pauses only when there
/// are so many, because a line that is not read may be the one that cancels.
const MAX_WAITING: u32 = 4 << 10;
/// What the shortest message counts for: its task and its answer take room too.
const MIN_WEIGHT: u32 = 4;
/// How long calls in flight may go on after the client has closed the pipe.
const GRACE: Duration = Duration::from_secs(1);

/// Answers lines from `input` on `output` until `input` ends.
pub(crate) async fn serve(
    engine: Arc<Engine>,
    caller: Arc<Caller>,
    mut input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin + Send + 'static,
) -> io::Result<()> {
    let (answers, mut lines) = mpsc::channel::<Vec<u8>>(MAX_CONCURRENT);
    let writer = tokio::spawn(async move {
        while let Some(mut line) = lines.recv().await {
            line.push(b'\n');
            output.write_all(&line).await?;
            output.flush().await?;
        }
        io::Result::Ok(())
    });
    let calls = Arc::new(Calls::default());
    // The connection is its own session: what the client declares holds until it ends.
    let now = engine.clock.now();
    let session = Arc::new(Session::new(
        "pipe".to_owned(),
        caller.owner(),
        Client::default(),
        now,
    ));
    let feed = Arc::new(Outbox::default());
    session.attach(&engine.changes, Arc::clone(&feed));
    let feeder = {
        let (feed, answers) = (Arc::clone(&feed), answers.clone());
        tokio::spawn(async move {
            loop {
                let note = std::future::poll_fn(|context| feed.poll_next(context)).await;
                if answers.send(note).await.is_err() {
                    return;
                }
            }
        })
    };
    let slots = Arc::new(Semaphore::new(MAX_CONCURRENT));
    let places = Arc::new(Semaphore::new(MAX_WAITING as usize));
    let tasks = TaskTracker::new();
    let mut reader = Lines::default();
    let result = loop {
        let line = tokio::select! {
            line = reader.next(&mut input) => line,
            // Nobody reads the answers any more.
            () = answers.closed() => break Ok(()),
        };
        match line {
            Err(error) => break Err(error),
            Ok(None) => break Ok(()),
            Ok(Some(Line::TooLong)) => {
                let reply = Reply::malformed(
                    code::INVALID_REQUEST,
                    &format!("The line is longer than {MAX_LINE} bytes"),
                );
                let _ = answers.send(reply.body).await;
            }
            Ok(Some(Line::Message(bytes))) => {
                let entry = match peek(&bytes) {
                    Peek::Cancel(id) => {
                        calls.abort(&id);
                        continue;
                    }
                    // A call is known by its id before the next line can cancel it.
                    Peek::Request(id) => Some(calls.open(id)),
                    Peek::Other => None,
                };
                let Ok(place) = Arc::clone(&places).acquire_many_owned(weight(&bytes)).await else {
                    break Ok(());
                };
                let slots = Arc::clone(&slots);
                let engine = Arc::clone(&engine);
                let link = Link {
                    caller: Arc::clone(&caller),
                    outbox: Arc::default(),
                    streams: true,
                    session: Some(Arc::clone(&session)),
                    opens_sessions: false,
                    address: None,
                };
                let (answers, of_task, done) = (answers.clone(), Arc::clone(&calls), entry.clone());
                let task = tasks.spawn(async move {
                    let slot = slots.acquire().await;
                    let reply = answer(&engine, &bytes, &link, &answers).await;
                    if let Some(entry) = &done {
                        of_task.close(entry);
                    }
                    if !reply.body.is_empty() {
                        let _ = answers.send(reply.body).await;
                    }
                    drop((slot, place));
                });
                if let Some(entry) = entry {
                    calls.started(&entry, task.abort_handle());
                }
            }
        }
    };
    engine.changes.close();
    feeder.abort();
    tasks.close();
    let _ = tokio::time::timeout(GRACE, tasks.wait()).await;
    calls.abort_all();
    drop(answers);
    // The writer ends when the last call has dropped its sender, at the latest now.
    match tokio::time::timeout(GRACE, writer).await {
        Ok(Ok(written)) => result.and(written),
        _ => result,
    }
}

/// Answers a message, and passes on what its call says meanwhile.
async fn answer(
    engine: &Engine,
    bytes: &Bytes,
    link: &Link,
    answers: &mpsc::Sender<Vec<u8>>,
) -> Reply {
    let mut running = pin!(engine.handle(bytes, None, link));
    loop {
        let reply = std::future::poll_fn(|context| {
            if let Poll::Ready(reply) = running.as_mut().poll(context) {
                return Poll::Ready(Some(reply));
            }
            link.outbox.poll_ready(context).map(|()| None)
        })
        .await;
        while let Some(note) = link.outbox.try_next() {
            let _ = answers.send(note).await;
        }
        if let Some(reply) = reply {
            return reply;
        }
    }
}

/// What a message counts for, in kibibytes. The longest line has to fit when nothing else waits.
fn weight(bytes: &Bytes) -> u32 {
    let kibibytes = u32::try_from(bytes.len() >> 10).unwrap_or(u32::MAX);
    kibibytes.clamp(MIN_WEIGHT, MAX_WAITING)
}

/// What this transport has to know of a message before it is handled.
enum Peek {
    Request(Id<'static>),
    /// `notifications/cancelled`. What it names may be unknown or long done.
    Cancel(Id<'static>),
    Other,
}

fn peek(bytes: &Bytes) -> Peek {
    match message::read(bytes) {
        Ok(Message::Request { id, .. }) => Peek::Request(id.into_owned()),
        Ok(Message::Notification { method, params }) if method == "notifications/cancelled" => {
            match params.get("requestId") {
                Some(Node::Number(n)) => n
                    .as_u64()
                    .map(Id::Unsigned)
                    .or_else(|| n.as_i64().map(Id::Signed))
                    .map_or(Peek::Other, Peek::Cancel),
                Some(Node::String(text)) => Peek::Cancel(Id::Text(text.clone()).into_owned()),
                _ => Peek::Other,
            }
        }
        _ => Peek::Other,
    }
}

/// The calls in flight, by their id. Clients that use one id twice get two answers.
#[derive(Default)]
struct Calls(Mutex<Table>);

#[derive(Default)]
struct Table {
    next: u64,
    open: HashMap<Id<'static>, Vec<(u64, Option<AbortHandle>)>>,
}

#[derive(Clone)]
struct Entry {
    id: Id<'static>,
    number: u64,
}

impl Calls {
    fn open(&self, id: Id<'static>) -> Entry {
        let mut table = self.lock();
        table.next += 1;
        let number = table.next;
        table
            .open
            .entry(id.clone())
            .or_default()
            .push((number, None));
        Entry { id, number }
    }

    fn started(&self, entry: &Entry, task: AbortHandle) {
        if let Some(calls) = self.lock().open.get_mut(&entry.id)
            && let Some(call) = calls.iter_mut().find(|(number, _)| *number == entry.number)
        {
            call.1 = Some(task);
        }
    }

    fn close(&self, entry: &Entry) {
        let mut table = self.lock();
        if let Some(calls) = table.open.get_mut(&entry.id) {
            calls.retain(|(number, _)| *number != entry.number);
            if calls.is_empty() {
                table.open.remove(&entry.id);
            }
        }
    }

    fn abort(&self, id: &Id<'static>) {
        let calls = self.lock().open.remove(id);
        calls
            .into_iter()
            .flatten()
            .filter_map(|(_, task)| task)
            .for_each(|task| task.abort());
    }

    fn abort_all(&self) {
        let open = std::mem::take(&mut self.lock().open);
        open.into_values()
            .flatten()
            .filter_map(|(_, task)| task)
            .for_each(|task| task.abort());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Line {
    Message(Bytes),
    TooLong,
}

/// Splits a stream into lines without ever holding more than one and a bit.
#[derive(Default)]
struct Lines {
    buffer: BytesMut,
    /// How much of the buffer is known to have no line break.
    searched: usize,
    skipping: bool,
}

impl Lines {
    async fn next(&mut self, input: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Line>> {
        loop {
            if let Some(end) = self.buffer[self.searched..]
                .iter()
                .position(|byte| *byte == b'\n')
            {
                let line = self.buffer.split_to(self.searched + end + 1).freeze();
                self.searched = 0;
                if std::mem::take(&mut self.skipping) {
                    return Ok(Some(Line::TooLong));
                }
                let line = trim(line);
                if !line.is_empty() {
                    return Ok(Some(Line::Message(line)));
                }
                continue;
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > MAX_LINE {
                self.buffer = BytesMut::new();
                self.searched = 0;
                self.skipping = true;
            }
            self.buffer.reserve(8 << 10);
            if input.read_buf(&mut self.buffer).await? == 0 {
                // A last message without a line break is a message all the same.
                let rest = trim(std::mem::take(&mut self.buffer).freeze());
                self.searched = 0;
                return Ok((!rest.is_empty() && !self.skipping).then_some(Line::Message(rest)));
            }
        }
    }
}

/// Drops white space around a line, and a byte order mark before it.
fn trim(line: Bytes) -> Bytes {
    let start = line
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(&line)
        .trim_ascii();
    line.slice_ref(start)
}
