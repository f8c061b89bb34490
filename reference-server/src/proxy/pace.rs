//! How long the proxy waits for a target, and for a client that is still sending.
//!
//! While a request goes on, either side may keep the other waiting. A target is given the time of the
//! settings, counted from the moment when everything the client has sent so far was handed on: an
//! upload takes as long as its client needs.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

/// Between two pieces of what a client sends: without an end, one that sends nothing more would keep
/// its connection for ever.
const PIECE: Duration = Duration::from_secs(60);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The two ends of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Target,
}

/// Who has to do something, and since when.
struct Turn(Mutex<(Side, Instant)>);

impl Turn {
    fn of_target() -> Self {
        Self(Mutex::new((Side::Target, Instant::now())))
    }

    fn read(&self) -> (Side, Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass_to(&self, side: Side) {
        let mut turn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A client that is asked again is not given more time; each piece gives the target more.
        if side == Side::Target || turn.0 != side {
            *turn = (side, Instant::now());
        }
    }
}

/// Waits for one target.
pub(super) struct Patience {
    turn: Arc<Turn>,
    answer: Duration,
    /// When this wait began.
    since: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Patience {
    pub(super) fn new(answer: Duration) -> Self {
        Self {
            turn: Arc::new(Turn::of_target()),
            answer,
            since: Instant::now(),
            sleep: Box::pin(tokio::time::sleep(answer)),
        }
    }

    /// The body of the request, which says whose turn it is.
    pub(super) fn watch(&self, body: Incoming) -> Upload {
        Upload {
            body,
            turn: Arc::clone(&self.turn),
        }
    }

    /// What comes out of it, or who has kept the other waiting for too long.
    pub(super) async fn wait<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Side> {
        let mut work = pin!(work);
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.poll_late(context).map(Err),
        })
        .await
    }

    /// The body of the answer, each piece of which is waited for as long.
    pub(super) fn watched(self, body: reqwest::Body) -> Download {
        Download {
            body,
            patience: self,
            waiting: false,
        }
    }

    fn start(&mut self) {
        self.since = Instant::now();
        self.sleep.as_mut().reset(self.since + self.answer);
    }

    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<Side> {
        loop {
            ready!(self.sleep.as_mut().poll(context));
            match self.look() {
                Ok(again) => self.sleep.as_mut().reset(again),
                Err(late) => return Poll::Ready(late),
            }
        }
    }

    /// When to look again, or who is late.
    fn look(&self) -> Result<Instant, Side> {
        let now = Instant::now();
        let (side, since) = self.turn.read();
        let (end, again) = match side {
            Side::Target => {
                let end = since.max(self.since) + self.answer;
                (end, end)
            }
            // It may be the target's turn before that.
            Side::Client => {
                let end = since + PIECE;
                (end, end.min(now + self.answer))
            }
        };
        if end <= now { Err(side) } else { Ok(again) }
    }
}

/// The body of a request on its way to the target.
pub(super) struct Upload {
    body: Incoming,
    turn: Arc<Turn>,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.turn.pass_to(match frame {
            Poll::Pending => Side::Client,
            Poll::Ready(_) => Side::Target,
        });
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer; it breaks off when its next piece does not come in time.
pub(super) struct Download {
    body: reqwest::Body,
    patience: Patience,
    waiting: bool,
}

impl Body for Download {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.waiting = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        // From now on: a client that is slow to read does not use up the target's time.
        if !this.waiting {
            this.waiting = true;
            this.patience.start();
        }
        let late = ready!(this.patience.poll_late(context));
        let text = match late {
            Side::Target => "the target did not go on in time",
            Side::Client => "the client did not go on in time",
        };
        Poll::Ready(Some(Err(text.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
