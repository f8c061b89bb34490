//! Bodies of answers: whole, or a stream of events.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::http::legacy_sse::Stream;
use crate::outbox::Outbox;
use crate::wire::reply::Reply;

/// How often a silent stream says that it is alive. Proxies cut off what is silent for longer.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A call that goes on while its answer is being written.
pub(crate) type Running = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// The body of an answer.
pub(crate) enum AnswerBody {
    Whole(Full<Bytes>),
    Events(Box<Events>),
    /// The stream of a client of 2024-11-05.
    Legacy(Box<Stream>),
}

/// A stream of server-sent events: what a call says while it runs, and its answer at the end. The
/// call lives in the stream, so a client that hangs up ends it.
pub(crate) struct Events {
    running: Option<Running>,
    outbox: Arc<Outbox>,
    /// The last event, when the call has ended but messages still wait before it.
    last: Option<Vec<u8>>,
    opened: bool,
    keep_alive: Pin<Box<Sleep>>,
}

impl Events {
    pub(crate) fn body(running: Running, outbox: Arc<Outbox>) -> AnswerBody {
        AnswerBody::Events(Box::new(Self {
            running: Some(running),
            outbox,
            last: None,
            opened: false,
            keep_alive: Box::pin(tokio::time::sleep(KEEP_ALIVE)),
        }))
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if !self.opened {
            // The head goes out with the first byte, and some clients wait for that.
            self.opened = true;
            return Poll::Ready(Some(Bytes::from_static(b": open\n\n")));
        }
        if let Some(running) = &mut self.running
            && let Poll::Ready(reply) = running.as_mut().poll(context)
        {
            self.running = None;
            self.last = (!reply.body.is_empty()).then_some(reply.body);
        }
        if let Some(message) = self.outbox.try_next() {
            return Poll::Ready(Some(event(&message)));
        }
        if self.running.is_none() {
            return Poll::Ready(self.last.take().map(|message| event(&message)));
        }
        if let Poll::Ready(message) = self.outbox.poll_next(context) {
            return Poll::Ready(Some(event(&message)));
        }
        if self.keep_alive.as_mut().poll(context).is_ready() {
            self.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
            return Poll::Ready(Some(Bytes::from_static(b": alive\n\n")));
        }
        Poll::Pending
    }
}

/// One message as an event. JSON from serde has no line breaks outside strings, and none inside
/// them unescaped.
pub(crate) fn event(message: &[u8]) -> Bytes {
    [b"event: message\ndata: ".as_slice(), message, b"\n\n"]
        .concat()
        .into()
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
            Self::Events(events) => {
                events.running.is_none() && events.last.is_none() && events.opened
            }
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
