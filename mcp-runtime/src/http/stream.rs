//! Bodies of answers: whole, or a stream of events.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};

use crate::http::legacy_sse::Stream;
use crate::http::tally::Tally;
use crate::metrics::StreamEnd;
use crate::outbox::{Outbox, Reader};
use crate::session::Session;
use crate::wire::engine::Engine;
use crate::wire::reply::Reply;

/// How often a silent stream says that it is alive. Proxies cut off what is silent for longer.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a client is to wait before it comes back to a stream, in milliseconds.
const RETRY_MS: u32 = 3000;

/// What a stream of events says after the answer, for clients that wait for more than its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndEvent {
    /// Nothing, as MCP has it.
    #[default]
    None,
    /// An event `close`, with an empty object.
    Close,
    /// An event `complete`, with `{"status":"success"}`.
    Complete,
}

impl EndEvent {
    fn bytes(self) -> Option<&'static [u8]> {
        match self {
            Self::None => None,
            Self::Close => Some(b"event: close\ndata: {}\n\n"),
            Self::Complete => Some(b"event: complete\ndata: {\"status\":\"success\"}\n\n"),
        }
    }
}

/// A call that goes on while its answer is being written.
pub(crate) type Running = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// The body of an answer.
pub(crate) enum AnswerBody {
    Whole(Full<Bytes>),
    Events(Box<Events>),
    /// The stream of a client of 2024-11-05.
    Legacy(Box<Stream>),
}

/// A stream of server-sent events: what a call says while it runs, and its answer at the end.
pub(crate) struct Events {
    source: Source,
    /// What comes before all messages, after the first comment.
    priming: Option<Bytes>,
    end: EndEvent,
    opened: bool,
    keep_alive: Pin<Box<Sleep>>,
    tally: Tally,
}

enum Source {
    /// The call lives in the stream, so a client that hangs up ends it.
    Call {
        running: Option<Running>,
        outbox: Arc<Outbox>,
        /// The last message, when the call has ended but others still wait before it.
        last: Option<Vec<u8>>,
    },
    /// The call goes on without its client, who may come back.
    Session(Seat),
    /// The same, and another instance runs the call.
    Away(Away),
    Over,
}

/// A stream that another instance keeps.
struct Away {
    stream: Box<str>,
    events: mpsc::Receiver<Passed>,
    through: bool,
}

/// What comes from there.
pub(crate) enum Passed {
    Event(u64, String),
    /// All has been said.
    Through,
}

impl Away {
    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.events.poll_recv(context).map(|passed| match passed {
            Some(Passed::Event(number, message)) => {
                Some(numbered(&self.stream, number, message.as_bytes()))
            }
            Some(Passed::Through) => {
                self.through = true;
                None
            }
            None => None,
        })
    }
}

/// A client of a session that reads a stream.
pub(crate) struct Seat {
    engine: Arc<Engine>,
    session: Arc<Session>,
    reader: Reader,
    /// Ready when a stream that belongs to no request is over. Others end by themselves.
    feed: Option<Pin<Box<dyn Future<Output = StreamEnd> + Send>>>,
    /// Why a feed is over.
    over: Option<StreamEnd>,
}

impl Seat {
    /// The stream of a request.
    pub(crate) fn of_call(engine: &Arc<Engine>, session: &Arc<Session>, reader: Reader) -> Self {
        engine.sessions.joined(session);
        Self {
            engine: Arc::clone(engine),
            session: Arc::clone(session),
            reader,
            feed: None,
            over: None,
        }
    }

    /// The stream of what belongs to no request, until the session or the server ends.
    pub(crate) fn of_feed(engine: &Arc<Engine>, session: &Arc<Session>, reader: Reader) -> Self {
        let (of_end, of_session) = (Arc::clone(engine), Arc::clone(session));
        let over = async move {
            tokio::select! {
                () = of_end.changes.closed() => StreamEnd::Shutdown,
                () = of_end.sessions.over(&of_session) => StreamEnd::SessionExpired,
            }
        };
        let mut seat = Self::of_call(engine, session, reader);
        seat.feed = Some(Box::pin(over));
        seat
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Poll::Ready(next) = self.reader.poll_next(context) {
            let stream = self.reader.outbox.stream();
            return Poll::Ready(next.map(|(number, message)| match stream {
                Some(stream) => numbered(stream, number, &message),
                None => event(&message),
            }));
        }
        match &mut self.feed {
            Some(over) => over.as_mut().poll(context).map(|why| {
                self.over = Some(why);
                None
            }),
            None => Poll::Pending,
        }
    }

    /// Why nothing more comes.
    fn why(&self) -> StreamEnd {
        match self.over {
            Some(why) => why,
            None if self.session.has_ended() && self.engine.changes.is_closed() => {
                StreamEnd::Shutdown
            }
            None if self.session.has_ended() => StreamEnd::SessionExpired,
            // Its client reads elsewhere.
            None if self.reader.is_superseded() => StreamEnd::ClientClosed,
            None if self.reader.outbox.has_failed() => StreamEnd::Error,
            None => StreamEnd::Completed,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let is_feed = self.feed.is_some();
        let sessions = &self.engine.sessions;
        sessions.left(&self.session, &self.reader, is_feed);
    }
}

impl Events {
    /// The stream of a call that ends with it.
    pub(crate) fn of_call(
        running: Running,
        outbox: Arc<Outbox>,
        end: EndEvent,
        tally: Tally,
    ) -> AnswerBody {
        let source = Source::Call {
            running: Some(running),
            outbox,
            last: None,
        };
        Self::body(source, None, end, tally)
    }

    /// The stream of a session. Clients since 2025-11-25 take an event without a message, which
    /// tells them after what to come back.
    pub(crate) fn of_session(seat: Seat, primes: bool, end: EndEvent, tally: Tally) -> AnswerBody {
        let stream = seat.reader.outbox.stream().filter(|_| primes);
        let priming = stream
            .map(|stream| Bytes::from(format!("id: {stream}.0\nretry: {RETRY_MS}\ndata:\n\n")));
        Self::body(Source::Session(seat), priming, end, tally)
    }

    /// The rest of a stream that another instance keeps.
    pub(crate) fn of_away(
        stream: &str,
        events: mpsc::Receiver<Passed>,
        end: EndEvent,
        tally: Tally,
    ) -> AnswerBody {
        let away = Away {
            stream: stream.into(),
            events,
            through: false,
        };
        Self::body(Source::Away(away), None, end, tally)
    }

    fn body(source: Source, priming: Option<Bytes>, end: EndEvent, tally: Tally) -> AnswerBody {
        AnswerBody::Events(Box::new(Self {
            source,
            priming,
            end,
            opened: false,
            keep_alive: Box::pin(tokio::time::sleep(KEEP_ALIVE)),
            tally,
        }))
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.tally.polled();
        let next = self.poll_next(context);
        if let Poll::Ready(Some(event)) = &next {
            self.tally.sent(event.len());
        }
        next
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if !self.opened {
            // The head goes out with the first byte, and some clients wait for that.
            self.opened = true;
            return Poll::Ready(Some(Bytes::from_static(b": open\n\n")));
        }
        if let Some(priming) = self.priming.take() {
            return Poll::Ready(Some(priming));
        }
        match self.source.poll_event(context) {
            Poll::Ready(Some(event)) => return Poll::Ready(Some(event)),
            Poll::Ready(None) => {
                let answered = self.source.is_through();
                if let Some(why) = self.source.why() {
                    self.tally.ends(why);
                }
                self.source = Source::Over;
                let end = std::mem::take(&mut self.end).bytes();
                return Poll::Ready(end.filter(|_| answered).map(Bytes::from_static));
            }
            Poll::Pending => {}
        }
        if self.keep_alive.as_mut().poll(context).is_ready() {
            self.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
            return Poll::Ready(Some(Bytes::from_static(b": alive\n\n")));
        }
        Poll::Pending
    }
}

impl Source {
    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self {
            Self::Call {
                running,
                outbox,
                last,
            } => {
                if let Some(call) = running
                    && let Poll::Ready(reply) = call.as_mut().poll(context)
                {
                    *running = None;
                    if reply.error.is_some() {
                        outbox.fail();
                    }
                    *last = (!reply.body.is_empty()).then_some(reply.body);
                }
                if let Some(message) = outbox.try_next() {
                    return Poll::Ready(Some(event(&message)));
                }
                if running.is_none() {
                    return Poll::Ready(last.take().map(|message| event(&message)));
                }
                outbox
                    .poll_next(context)
                    .map(|message| Some(event(&message)))
            }
            Self::Session(seat) => seat.poll_event(context),
            Self::Away(away) => away.poll_event(context),
            Self::Over => Poll::Ready(None),
        }
    }

    fn why(&self) -> Option<StreamEnd> {
        match self {
            Self::Call { outbox, .. } if outbox.has_failed() => Some(StreamEnd::Error),
            Self::Call { .. } => Some(StreamEnd::Completed),
            Self::Session(seat) => Some(seat.why()),
            Self::Over => None,
        }
    }

    /// Whether the end of the stream is the end of what there is to say to a request.
    fn is_through(&self) -> bool {
        match self {
            Self::Call { .. } => true,
            Self::Session(seat) => seat.feed.is_none() && seat.reader.is_through(),
            Self::Away(away) => away.through,
            Self::Over => false,
        }
    }
}

/// One message as an event. JSON from serde has no line breaks outside strings, and none inside
/// them unescaped.
pub(super) fn event(message: &[u8]) -> Bytes {
    [b"event: message\ndata: ".as_slice(), message, b"\n\n"]
        .concat()
        .into()
}

/// The same, with what a client needs to come back after it.
fn numbered(stream: &str, number: u64, message: &[u8]) -> Bytes {
    let id = format!("id: {stream}.{number}\nevent: message\ndata: ");
    [id.as_bytes(), message, b"\n\n"].concat().into()
}

impl From<Full<Bytes>> for AnswerBody {
    fn from(body: Full<Bytes>) -> Self {
        Self::Whole(body)
    }
}

impl Default for AnswerBody {
    fn default() -> Self {
        Self::Whole(Full::default())
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context),
            Self::Events(events) => events
                .poll_event(context)
                .map(|event| event.map(|bytes| Ok(Frame::data(bytes)))),
            Self::Legacy(stream) => stream
                .poll_event(context)
                .map(|event| event.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Events(events) => matches!(events.source, Source::Over),
            Self::Legacy(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Events(_) | Self::Legacy(_) => SizeHint::default(),
        }
    }
}
