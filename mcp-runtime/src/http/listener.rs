//! The listener: connections with deadlines, a cap, and an end.
//!
//! `axum::serve` has no deadline for a request head and leaves Nagle's algorithm on; hyper's own
//! head deadline arms a timer per request and also ends idle connections. So each connection here
//! has one timer, armed when it opens and looked at only when it fires or when a request stands
//! half-sent at the end of a poll. The clock is read once a poll, and not for every phase in it.
//!
//! Nor does hyper look out for clients that hang up during a call: it does so by reading ahead, into
//! a new buffer for every request, while the message still lies in the old one. Here a byte is read
//! ahead, and only for calls that take more than one poll.
//!
//! hyper keeps two buffers of 8 KiB for every connection, whether anything is asked on it or not. Of
//! many connections, those that wait for their next request keep nothing but their socket here: HTTP
//! is spoken anew when it comes.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::extract::ConnectInfo;
use bytes::Bytes;
use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep};
use tokio_util::task::TaskTracker;

use crate::http::front::Front;
use crate::http::stream::AnswerBody;
use crate::metrics::Figures;

/// How long connections may take, and how many there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// From the first byte of a request to the end of its head.
    pub(crate) head: Duration,
    /// From the end of the head to the end of the body.
    pub(crate) body: Duration,
    /// Between requests, and for a client that does not read its answer.
    pub(crate) idle: Duration,
    pub(crate) connections: usize,
    /// For calls in flight when the server stops.
    pub(crate) drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            connections: 10_000,
            drain: Duration::from_secs(10),
        }
    }
}

/// Connections that keep their buffers between two requests. To make those anew takes a fortieth
/// of a small call, so a few connections are fast and many are small.
const KEPT: usize = 64;

/// Names in a head, and bytes of it.
const MAX_HEADERS: usize = 100;
const MAX_HEAD: usize = 32 << 10;

/// What a connection goes through before HTTP is spoken on it.
pub(crate) trait Door: Clone + Send + Sync + 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The stream to speak on; `None` for a client that stays outside.
    fn enter(&self, stream: TcpStream) -> impl Future<Output = Option<Self::Stream>> + Send;

    /// Nobody enters any more, nor goes on trying.
    fn close(&self);
}

/// Speaks on the socket itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain;

impl Door for Plain {
    type Stream = TcpStream;

    fn enter(&self, stream: TcpStream) -> impl Future<Output = Option<TcpStream>> + Send {
        std::future::ready(Some(stream))
    }

    fn close(&self) {}
}

/// Serves until `stop` is ready, then lets calls in flight finish.
pub(crate) async fn serve(
    listener: TcpListener,
    door: impl Door,
    front: Front,
    limits: Limits,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let open = Arc::new(Open::default());
    let slots = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    let mut stop = pin!(stop);
    loop {
        let slot = tokio::select! {
            () = &mut stop => break,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        let (stream, peer) = tokio::select! {
            () = &mut stop => break,
            stream = accept(&listener) => stream,
        };
        let connection = Connection::new(front.clone(), Arc::clone(&open), limits);
        let door = door.clone();
        let counted = Counted::enter(front.figures());
        connections.spawn(async move {
            if let Some(stream) = door.enter(stream).await {
                connection.run(stream, peer).await;
            }
            drop((slot, counted));
        });
    }
    front.stop();
    drop(listener);
    door.close();
    open.enter_stage(Stage::Draining);
    connections.close();
    let ended = async {
        connections.wait().await;
        front.gone().await;
    };
    if tokio::time::timeout(limits.drain, ended).await.is_err() {
        let open_yet = connections.len() + front.peers();
        tracing::warn!(target: "mcp::http", open = open_yet, "connections cut off after the drain deadline");
        open.enter_stage(Stage::CutOff);
        front.cut_off();
        connections.wait().await;
        front.gone().await;
    }
    Ok(())
}

/// A connection among the open ones, while it lives.
struct Counted(Option<Arc<Figures>>);

impl Counted {
    fn enter(figures: Option<&Arc<Figures>>) -> Self {
        if let Some(figures) = figures {
            figures.connections.up();
        }
        Self(figures.cloned())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(figures) = &self.0 {
            figures.connections.down();
        }
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Answers are written whole: waiting for more only costs the client 40 ms.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            // Out of file descriptors, or a client that was gone before it was there. Neither is a
            // reason to stop, and the former no reason to spin.
            Err(error) => {
                tracing::warn!(target: "mcp::http", %error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// How far the server is on its way to the end; zero is before all of them.
#[repr(u8)]
#[derive(Clone, Copy)]
enum Stage {
    /// Calls in flight may finish.
    Draining = 1,
    /// Nothing may.
    CutOff,
}

/// The open connections, to wake each of them when the server enters another stage.
#[derive(Default)]
struct Open {
    stage: AtomicU8,
    count: AtomicUsize,
    next: AtomicU64,
    wakers: Mutex<HashMap<u64, Waker>>,
}

impl Open {
    fn enter_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
        let wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.values().for_each(Waker::wake_by_ref);
    }

    fn reached(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::Acquire) >= stage as u8
    }

    /// Whether there are too many for each to keep its buffers.
    fn are_many(&self) -> bool {
        self.count.load(Ordering::Relaxed) > KEPT
    }

    fn enter(&self, waker: &Waker) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.wakers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, waker.clone());
        id
    }

    fn leave(&self, id: u64) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.wakers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
    }
}

/// What a connection is doing, as far as its deadlines care.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Head,
    Body,
    Call,
    /// Events are being written. Every look for more of them begins the phase anew, and there is
    /// none while the client does not read.
    Stream,
}

/// How far an answer is. Only when it has come to the end, nothing of it is left in hyper, nor of its
/// request.
#[repr(u8)]
#[derive(Clone, Copy)]
enum Step {
    /// It is not whole yet, or its request was not read to the end.
    Open,
    /// hyper has all of it.
    Whole,
    /// The socket has all of it.
    Written,
    /// And of the next request nothing is there.
    Over,
}

/// When the phase began, shared between the socket, the service and the timer of one connection.
struct Progress {
    start: Instant,
    phase: AtomicU8,
    /// Whether the phase began in the poll that is not over yet.
    new: AtomicBool,
    since_ms: AtomicU64,
    /// Whether the client hung up while it was owed an answer.
    gone: AtomicBool,
    step: AtomicU8,
    /// Whether the body of the request was read to its end.
    heard: AtomicBool,
}

impl Progress {
    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.new.store(true, Ordering::Relaxed);
    }

    fn set(&self, step: Step) {
        self.step.store(step as u8, Ordering::Relaxed);
    }

    fn has_come_to(&self, step: Step) -> bool {
        self.step.load(Ordering::Relaxed) == step as u8
    }

    /// Goes on to `next`, if it has come to `step`.
    fn go_on(&self, step: Step, next: Step) {
        if self.has_come_to(step) {
            self.set(next);
        }
    }

    /// The poll is over: notes when the phase began.
    fn stamp(&self) {
        if self.new.load(Ordering::Relaxed) {
            self.new.store(false, Ordering::Relaxed);
            let since = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.since_ms.store(since, Ordering::Relaxed);
        }
    }

    /// Whether the client is owed an answer, or the rest of one.
    fn is_owing(&self) -> bool {
        self.is(Phase::Call) || self.is(Phase::Stream)
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) == phase as u8
    }

    /// When this phase has lasted too long. A call has its own deadline, in its tool.
    fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let allowed = match self.phase.load(Ordering::Relaxed) {
            phase if phase == Phase::Head as u8 => limits.head,
            phase if phase == Phase::Body as u8 => limits.body,
            phase if phase == Phase::Call as u8 => return None,
            _ => limits.idle,
        };
        Some(self.start + Duration::from_millis(self.since_ms.load(Ordering::Relaxed)) + allowed)
    }
}

struct Connection {
    front: Front,
    open: Arc<Open>,
    limits: Limits,
    progress: Arc<Progress>,
}

impl Connection {
    fn new(front: Front, open: Arc<Open>, limits: Limits) -> Self {
        let progress = Arc::new(Progress {
            start: Instant::now(),
            phase: AtomicU8::new(Phase::Idle as u8),
            new: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            since_ms: AtomicU64::new(0),
            step: AtomicU8::new(Step::Written as u8),
            heard: AtomicBool::new(false),
        });
        Self {
            front,
            open,
            limits,
            progress,
        }
    }

    async fn run(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
    ) {
        let Self {
            front,
            open,
            limits,
            progress,
        } = self;
        let socket = TokioIo::new(Socket {
            stream,
            ahead: Bytes::new(),
            progress: Arc::clone(&progress),
        });
        let of_service = Arc::clone(&progress);
        let service = service_fn(move |mut request: Request<Incoming>| {
            if front.wants_addresses() {
                request.extensions_mut().insert(ConnectInfo(peer));
            }
            let (front, progress) = (front.clone(), Arc::clone(&of_service));
            async move { Ok::<_, std::convert::Infallible>(answer(&front, &progress, request).await) }
        });
        let mut server = http1::Builder::new();
        server
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD)
            .half_close(true)
            .header_read_timeout(None);
        let mut resting = Some((socket, service));
        let mut speaking = None;
        let mut timer = Timer::new(limits.idle.min(limits.body));
        let mut entered = None;
        let mut leaving = false;
        poll_fn(|context| {
            if entered.is_none() {
                entered = Some(open.enter(context.waker()));
            }
            if let Some((socket, service)) = resting.take() {
                let connection = server.serve_connection(socket, service);
                speaking = Some(Box::new(connection.with_upgrades()));
            }
            let Some(connection) = &mut speaking else {
                return Poll::Ready(());
            };
            if !leaving && open.reached(Stage::Draining) {
                leaving = true;
                Pin::new(&mut **connection).graceful_shutdown();
            }
            if leaving && open.reached(Stage::CutOff) {
                return Poll::Ready(());
            }
            if Pin::new(&mut **connection).poll(context).is_ready() || progress.is_gone() {
                return Poll::Ready(());
            }
            progress.stamp();
            // A connection that is to end after this request has to know that.
            if progress.has_come_to(Step::Over) && open.are_many() && !leaving {
                // What the socket has next wakes this task: that it had nothing is why it is over.
                resting = speaking.take().and_then(|connection| rest(*connection));
                match &resting {
                    None => return Poll::Ready(()),
                    // Half a head that came with the request before: it has a deadline.
                    Some((socket, _)) if socket.inner().has_read() => context.waker().wake_by_ref(),
                    Some(_) => {}
                }
            }
            overdue(&progress, &limits, &mut timer, context)
        })
        .await;
        if let Some(id) = entered {
            open.leave(id);
        }
    }
}

/// What is left of a connection between two requests. `None` for one that is no longer of HTTP.
fn rest<T, S>(
    connection: UpgradeableConnection<TokioIo<Socket<T>>, S>,
) -> Option<(TokioIo<Socket<T>>, S)>
where
    T: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming, ResBody = WatchedAnswer>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut parts = connection.into_parts()?;
    parts.io.inner_mut().give_back(parts.read_buf);
    Some((parts.io, parts.service))
}

/// Ready when the phase has lasted too long. The timer is moved only when it has fired, or when it
/// would fire too late for a half-sent request.
fn overdue(
    progress: &Progress,
    limits: &Limits,
    timer: &mut Timer,
    context: &mut Context<'_>,
) -> Poll<()> {
    let half_sent = progress.is(Phase::Head) || progress.is(Phase::Body);
    if half_sent
        && let Some(deadline) = progress.deadline(limits)
        && deadline < timer.sleep.deadline()
    {
        timer.reset(deadline);
    }
    while timer.has_fired(context) {
        let now = Instant::now();
        match progress.deadline(limits) {
            Some(deadline) if deadline <= now => return Poll::Ready(()),
            Some(deadline) => timer.reset(deadline.min(now + limits.body)),
            None => timer.reset(now + limits.body),
        }
    }
    Poll::Pending
}

/// The timer of a connection, and whether it wakes the connection when it fires.
struct Timer {
    sleep: Pin<Box<Sleep>>,
    armed: bool,
}

impl Timer {
    fn new(duration: Duration) -> Self {
        Self {
            sleep: Box::pin(tokio::time::sleep(duration)),
            armed: false,
        }
    }

    fn reset(&mut self, deadline: Instant) {
        self.sleep.as_mut().reset(deadline);
        self.armed = false;
    }

    /// Whether it has fired; if not, it wakes the task that asks, which is always the same one.
    fn has_fired(&mut self, context: &mut Context<'_>) -> bool {
        if self.armed && !self.sleep.is_elapsed() {
            return false;
        }
        // Without a budget: a task that has used up its own would not be woken later.
        let mut sleep = pin!(unconstrained(self.sleep.as_mut()));
        let fired = sleep.as_mut().poll(context).is_ready();
        self.armed = !fired;
        fired
    }
}

async fn answer(
    front: &Front,
    progress: &Arc<Progress>,
    request: Request<Incoming>,
) -> hyper::Response<WatchedAnswer> {
    progress.enter(Phase::Body);
    progress.set(Step::Open);
    progress.heard.store(false, Ordering::Relaxed);
    let request = request.map(|body| WatchedBody { body, progress });
    let answer = front.answer(request).await;
    progress.enter(match answer.body() {
        AnswerBody::Whole(_) => Phase::Idle,
        AnswerBody::Events(_) | AnswerBody::Legacy(_) => Phase::Stream,
    });
    let progress = Arc::clone(progress);
    answer.map(|body| WatchedAnswer { body, progress })
}

/// An answer that tells how its stream fares.
struct WatchedAnswer {
    body: AnswerBody,
    progress: Arc<Progress>,
}

impl Body for WatchedAnswer {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        if let AnswerBody::Events(_) | AnswerBody::Legacy(_) = self.body {
            self.progress.enter(Phase::Stream);
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

impl Drop for WatchedAnswer {
    fn drop(&mut self) {
        if let AnswerBody::Events(_) | AnswerBody::Legacy(_) = self.body {
            self.progress.enter(Phase::Idle);
        }
        if self.progress.heard.load(Ordering::Relaxed) {
            self.progress.set(Step::Whole);
        }
    }
}

/// A body that ends the phase in which it is read.
struct WatchedBody<'a> {
    body: Incoming,
    progress: &'a Progress,
}

impl Body for WatchedBody<'_> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(None) = frame {
            self.progress.heard.store(true, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

impl Drop for WatchedBody<'_> {
    fn drop(&mut self) {
        if self.body.is_end_stream() {
            self.progress.heard.store(true, Ordering::Relaxed);
        }
        self.progress.enter(Phase::Call);
    }
}

/// A socket that notices when a request begins, and when its client hangs up before the answer.
struct Socket<T> {
    stream: T,
    /// What was read of the next request before its turn.
    ahead: Bytes,
    progress: Arc<Progress>,
}

impl<T: AsyncRead + Unpin> Socket<T> {
    /// Looks out for the end of the stream. What comes before it waits.
    fn look_ahead(&mut self, context: &mut Context<'_>) {
        if !self.ahead.is_empty() {
            return;
        }
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, &mut buffer) else {
            return;
        };
        self.ahead = Bytes::copy_from_slice(buffer.filled());
        if read.is_err() || self.ahead.is_empty() {
            self.progress.gone.store(true, Ordering::Relaxed);
        }
    }
}

impl<T> Socket<T> {
    /// Whether something of the next request is there.
    fn has_read(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Takes back what hyper has read and not used.
    fn give_back(&mut self, unused: Bytes) {
        if !unused.is_empty() {
            self.ahead = match self.ahead.is_empty() {
                true => unused,
                false => [unused, std::mem::take(&mut self.ahead)].concat().into(),
            };
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Socket<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = if self.ahead.is_empty() {
            Pin::new(&mut self.stream).poll_read(context, buffer)
        } else {
            let count = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead.split_to(count));
            Poll::Ready(Ok(()))
        };
        if self.progress.is(Phase::Idle) {
            if buffer.filled().len() > before {
                self.progress.enter(Phase::Head);
                self.progress.set(Step::Open);
            } else if read.is_pending() {
                self.progress.go_on(Step::Written, Step::Over);
            }
        }
        read
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes at the end of every poll, also when there is nothing to write.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.progress.is_owing() {
            self.look_ahead(context);
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if let Poll::Ready(Ok(())) = flushed {
            self.progress.go_on(Step::Whole, Step::Written);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
