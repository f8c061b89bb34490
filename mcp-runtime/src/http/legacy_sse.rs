//! The transport of 2024-11-05: a stream of events, and messages posted beside it.
//!
//! A stream is a connection and a session in one. Its id is in the URL that the first event names;
//! to everybody but the caller who opened it there is no such stream.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::OriginalUri;
use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use hyper::body::Body;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};

use crate::caller::Caller;
use crate::connection::Connection;
use crate::http::accept;
use crate::http::app::{Answer, App, close, is_json, plain, respond, streaming};
use crate::http::body::{self, BodyError};
use crate::http::peers::{AT_A_TIME, GRACE, Seat, stopping, too_many};
use crate::http::stream::{AnswerBody, KEEP_ALIVE, event};
use crate::http::tally::Tally;
use crate::wire::message;
use crate::wire::reply::{Reply, code};

/// The streams that are open, by their id.
#[derive(Default)]
pub(crate) struct Streams(Mutex<HashMap<u128, Entry>>);

struct Entry {
    owner: String,
    connection: Arc<Connection>,
}

impl Streams {
    /// The stream of this id, if it is this caller's.
    fn find(&self, id: u128, caller: &Caller) -> Option<Arc<Connection>> {
        let open = self.lock();
        let entry = open.get(&id)?;
        if entry.owner != caller.owner() {
            tracing::warn!(target: "mcp::session", caller = %caller, outcome = "session_principal_mismatch", "request refused");
            return None;
        }
        Some(Arc::clone(&entry.connection))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u128, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl App {
    pub(super) async fn open_stream(&self, head: &Parts) -> Answer {
        if !accept::events(&head.headers).0 {
            return plain(StatusCode::NOT_ACCEPTABLE, "Accept text/event-stream\n");
        }
        let caller = match self.tenants_caller(head).await {
            Ok(caller) => caller,
            Err(answer) => return answer,
        };
        if self.stopping.load(Ordering::Relaxed) {
            return stopping();
        }
        let Some(seat) = self.peers.admit(&caller) else {
            return too_many("Too many open streams: close one, or try again later");
        };
        // 128 random bits; and whoever has them is not thereby their owner.
        let id = rand::random::<u128>();
        let (frames, events) = mpsc::channel(AT_A_TIME);
        let owner = caller.owner();
        let connection = Connection::open(Arc::clone(&self.engine), caller, "sse", frames)
            .at(self.address(head));
        let connection = Arc::new(connection);
        let entry = Entry {
            owner,
            connection: Arc::clone(&connection),
        };
        self.streams.lock().insert(id, entry);
        self.peers.spawn(attend(
            Registered {
                streams: Arc::clone(&self.streams),
                id,
            },
            connection,
            seat,
        ));
        let place = format!("{}/messages/?session_id={id:032x}", prefix(head));
        streaming(AnswerBody::Legacy(Box::new(Stream::new(
            &place,
            events,
            self.tally(),
        ))))
    }

    pub(super) async fn take_message<B: Body<Data = Bytes>>(
        &self,
        head: &Parts,
        body: B,
    ) -> Answer {
        if !is_json(&head.headers) {
            return plain(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Send a JSON-RPC message with Content-Type: application/json\n",
            );
        }
        let caller = match self.tenants_caller(head).await {
            Ok(caller) => caller,
            Err(answer) => return answer,
        };
        let id = session_id(head.uri.query().unwrap_or_default());
        let Some(connection) = id.and_then(|id| self.streams.find(id, &caller)) else {
            return close(no_stream());
        };
        let bytes = match body::read(&head.headers, body, self.max_body).await {
            Ok(bytes) => bytes,
            Err(BodyError::TooLarge) => return close(self.too_large()),
            Err(BodyError::Broken) => {
                return close(plain(StatusCode::BAD_REQUEST, "The body ended early\n"));
            }
        };
        // What cannot be read is told to whoever sent it, not to the stream.
        if let Err(reply) = message::read(&bytes) {
            return respond(reply);
        }
        if !connection.try_receive(bytes) {
            return too_many("Too many messages are under way on this stream: wait for answers");
        }
        let mut answer = Response::new(AnswerBody::default());
        *answer.status_mut() = StatusCode::ACCEPTED;
        answer
    }
}

fn no_stream() -> Answer {
    let mut reply = Reply::malformed(
        code::SESSION_NOT_FOUND,
        "Session not found: open a new stream at /sse",
    );
    reply.status = 404;
    respond(reply)
}

/// A place among the streams, given up when dropped.
struct Registered {
    streams: Arc<Streams>,
    id: u128,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.streams.lock().remove(&self.id);
    }
}

/// Ends the session with its stream, and the stream with its session.
async fn attend(registered: Registered, connection: Arc<Connection>, _seat: Seat) {
    let grace = tokio::select! {
        () = connection.unread() => Duration::ZERO,
        () = connection.over() => GRACE,
        () = connection.stopping() => GRACE,
    };
    drop(registered);
    connection.finish(grace).await;
}

/// What lies before our paths, when the server is nested in a larger application.
fn prefix(head: &Parts) -> &str {
    let Some(OriginalUri(outer)) = head.extensions.get::<OriginalUri>() else {
        return "";
    };
    outer.path().strip_suffix(head.uri.path()).unwrap_or("")
}

/// 32 hexadecimal digits, with or without the dashes of a UUID.
fn session_id(query: &str) -> Option<u128> {
    let mut ids = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("session_id="));
    let (Some(id), None) = (ids.next(), ids.next()) else {
        return None;
    };
    let digits = match id.len() {
        32 => id.to_owned(),
        36 if [8, 13, 18, 23].iter().all(|at| id.as_bytes()[*at] == b'-') => id.replace('-', ""),
        _ => return None,
    };
    let valid = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    valid.then(|| u128::from_str_radix(&digits, 16).ok())?
}

/// The body of such a stream.
pub(crate) struct Stream {
    /// The first event, which names where messages are posted.
    first: Option<Bytes>,
    messages: mpsc::Receiver<Vec<u8>>,
    keep_alive: Pin<Box<Sleep>>,
    tally: Tally,
}

impl Stream {
    fn new(place: &str, messages: mpsc::Receiver<Vec<u8>>, tally: Tally) -> Self {
        Self {
            first: Some(format!("event: endpoint\ndata: {place}\n\n").into()),
            messages,
            keep_alive: Box::pin(tokio::time::sleep(KEEP_ALIVE)),
            tally,
        }
    }

    pub(super) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.tally.polled();
        let next = self.poll_next(context);
        match &next {
            Poll::Ready(Some(event)) => self.tally.sent(event.len()),
            // The connection behind it has ended, since its session or the server has.
            Poll::Ready(None) => self.tally.is_over(),
            Poll::Pending => {}
        }
        next
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        if let Poll::Ready(message) = self.messages.poll_recv(context) {
            return Poll::Ready(message.map(|message| event(&message)));
        }
        if self.keep_alive.as_mut().poll(context).is_ready() {
            self.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
            return Poll::Ready(Some(Bytes::from_static(b": alive\n\n")));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_with_and_without_dashes() {
        let id = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef_u128;
        for (query, expected) in [
            ("session_id=0123456789abcdef0123456789abcdef", Some(id)),
            ("session_id=01234567-89ab-cdef-0123-456789abcdef", Some(id)),
            ("session_id=0123456789ABCDEF0123456789ABCDEF", Some(id)),
            (
                "a=b&session_id=0123456789abcdef0123456789abcdef&c",
                Some(id),
            ),
            ("session_id=0123456789abcdef0123456789abcde", None),
            ("session_id=0123456789abcdef0123456789abcdeg", None),
            ("session_id=+123456789abcdef0123456789abcdef", None),
            ("session_id=0-12345-6789abcdef0123456789abcdef--", None),
            ("session_id=------------------------------------", None),
            (
                "session_id=0123456789abcdef0123456789abcdef&session_id=1",
                None,
            ),
            ("xsession_id=0123456789abcdef0123456789abcdef", None),
            ("", None),
        ] {
            assert_eq!(session_id(query), expected, "{query}");
        }
    }
}
