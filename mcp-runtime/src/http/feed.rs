//! What belongs to a session and not to a message: its stream, and its end.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::mpsc;

use crate::caller::Caller;
use crate::http::accept;
use crate::http::app::{Answer, App, SESSION, named, not_allowed, plain, respond, streaming};
use crate::http::stream::{AnswerBody, EndEvent, Events, Passed, Seat};
use crate::instances::Batch;
use crate::outbox::Outbox;
use crate::session::{Away, Session};
use crate::wire::engine::{self, SessionMode};
use crate::wire::headers::Routing;
use crate::wire::reply::{Reply, code};
use crate::wire::revision::Revision;

const LAST_EVENT: &str = "last-event-id";
/// Ours have 32 characters, a point and a number.
const MAX_EVENT_ID: usize = 64;
/// Events on their way from another instance.
const PASSING: usize = 16;

impl App {
    pub(super) fn has_sessions(&self) -> bool {
        self.engine.modes.sessions != SessionMode::Stateless
    }

    /// The session that a request names, where that means something: not since 2026-07-28, and not
    /// where there are none.
    pub(super) async fn session(
        &self,
        headers: &HeaderMap,
        caller: &Caller,
    ) -> Result<Option<Arc<Session>>, Answer> {
        let Some(id) = headers.get(&SESSION) else {
            return Ok(None);
        };
        if !self.has_sessions() || is_modern(headers) {
            return Ok(None);
        }
        // What is not text is no id of ours.
        let id = id.to_str().unwrap_or_default();
        match self.engine.sessions.find(id, caller).await {
            Ok(session) => Ok(Some(session)),
            Err(why) => Err(respond(engine::no_session(why))),
        }
    }

    /// `GET`: the stream of what belongs to no request of a session, or the rest of a stream that
    /// its client has lost.
    pub(super) async fn feed(&self, head: &http::request::Parts) -> Answer {
        let version = version(&head.headers);
        if version.is_some_and(Revision::is_modern) {
            return not_allowed(false);
        }
        let (takes, says) = accept::events(&head.headers);
        if !takes || self.strict_accept && !says {
            return plain(
                StatusCode::NOT_ACCEPTABLE,
                "Accept text/event-stream: this is a stream of events\n",
            );
        }
        let caller = match self.tenants_caller(head).await {
            Ok(caller) => caller,
            Err(answer) => return answer,
        };
        let session = match self.session(&head.headers, &caller).await {
            Ok(Some(session)) => session,
            Ok(None) => return self.feed_of_a_new_session(&caller, says, version).await,
            Err(answer) => return answer,
        };
        match head.headers.get(LAST_EVENT) {
            Some(last) => self.resumed(session, last, version, &caller).await,
            None => self.feed_of(session, version, &caller),
        }
    }

    /// A client that never got a session may still want to hear of changes. An event that it may
    /// have seen belongs to a session that it did not name, so the stream begins anew.
    async fn feed_of_a_new_session(
        &self,
        caller: &Arc<Caller>,
        says: bool,
        version: Option<Revision>,
    ) -> Answer {
        if self.engine.modes.sessions != SessionMode::Auto {
            return unnamed();
        }
        // A browser that somebody points here says nothing of events.
        if !says {
            return not_allowed(true);
        }
        match self.engine.sessions.open_for_stream(caller).await {
            Ok(session) => self.feed_of(session, version, caller),
            Err(why) => respond(engine::no_session(why)),
        }
    }

    fn feed_of(
        &self,
        session: Arc<Session>,
        version: Option<Revision>,
        caller: &Arc<Caller>,
    ) -> Answer {
        let outbox = Arc::new(Outbox::feed());
        self.engine.sessions.keeper.admit(&session, &outbox);
        self.feed_into(&session, outbox, version, caller)
    }

    fn feed_into(
        &self,
        session: &Arc<Session>,
        outbox: Arc<Outbox>,
        version: Option<Revision>,
        caller: &Arc<Caller>,
    ) -> Answer {
        session.attach(
            &self.engine.changes,
            Arc::clone(&outbox),
            Arc::clone(caller),
        );
        let seat = Seat::of_feed(&self.engine, session, outbox.read(), caller);
        in_session(
            session,
            Events::of_session(seat, primes(version), EndEvent::None, self.tally()),
        )
    }

    /// The rest of a stream of this session, after an event that its client has seen.
    async fn resumed(
        &self,
        session: Arc<Session>,
        last: &HeaderValue,
        version: Option<Revision>,
        caller: &Arc<Caller>,
    ) -> Answer {
        let event = event_id(last);
        let found = event.and_then(|(stream, number)| session.resume(stream, number));
        let Some(reader) = found else {
            if let Some((stream, number)) = event
                && let Some((away, batch)) = session.resume_away(stream, number).await
            {
                return self.resumed_away(&session, stream, away, batch, version, caller);
            }
            let mut reply = Reply::malformed(
                code::INVALID_REQUEST,
                "Invalid request: Last-Event-ID is not an event of this session, or its stream is no longer kept: \
                 send the request again, or GET without the header",
            );
            reply.status = 400;
            return respond(reply);
        };
        let is_feed = reader.outbox.is_feed();
        let seat = if is_feed {
            session.attach(
                &self.engine.changes,
                Arc::clone(&reader.outbox),
                Arc::clone(caller),
            );
            Seat::of_feed(&self.engine, &session, reader, caller)
        } else {
            Seat::of_call(&self.engine, &session, reader)
        };
        let end = if is_feed {
            EndEvent::None
        } else {
            self.end_event
        };
        let body = Events::of_session(seat, false, end, self.tally());
        in_session(&session, body)
    }

    /// The same, of a stream that another instance keeps. What belongs to no request goes on here;
    /// a call goes on there.
    fn resumed_away(
        &self,
        session: &Arc<Session>,
        stream: &str,
        away: Away,
        batch: Batch,
        version: Option<Revision>,
        caller: &Arc<Caller>,
    ) -> Answer {
        if !batch.feed {
            let (events, passed) = mpsc::channel(PASSING);
            tokio::spawn(pass_on(away, batch, events));
            let body = Events::of_away(stream, passed, self.end_event, self.tally());
            return in_session(session, body);
        }
        let outbox = Arc::new(Outbox::feed());
        self.engine.sessions.keeper.admit(session, &outbox);
        for (_, message) in batch.events {
            outbox.push(message.into_bytes());
        }
        self.feed_into(session, outbox, version, caller)
    }

    /// `HEAD`: whether the session is there.
    pub(super) async fn head(&self, head: &http::request::Parts) -> Answer {
        match self.named_session(head).await {
            Ok((_, session)) => in_session(&session, AnswerBody::default()),
            Err(mut answer) => {
                *answer.body_mut() = AnswerBody::default();
                answer
            }
        }
    }

    pub(super) async fn end_session(&self, head: &http::request::Parts) -> Answer {
        let (caller, session) = match self.named_session(head).await {
            Ok(named) => named,
            Err(answer) => return answer,
        };
        if let Err(why) = self.engine.sessions.close(&session.id, &caller).await {
            return respond(engine::no_session(why));
        }
        let mut answer = Answer::new(AnswerBody::default());
        *answer.status_mut() = StatusCode::NO_CONTENT;
        answer
    }

    /// The caller of a request without a body, and the session that it names.
    async fn named_session(
        &self,
        head: &http::request::Parts,
    ) -> Result<(Arc<Caller>, Arc<Session>), Answer> {
        if is_modern(&head.headers) {
            return Err(not_allowed(false));
        }
        let caller = self.tenants_caller(head).await?;
        let session = self.session(&head.headers, &caller).await?;
        session.map(|session| (caller, session)).ok_or_else(unnamed)
    }
}

/// Passes on what comes on a stream that another instance keeps, until either end is gone.
async fn pass_on(mut away: Away, mut batch: Batch, events: mpsc::Sender<Passed>) {
    loop {
        for (number, message) in std::mem::take(&mut batch.events) {
            if events.send(Passed::Event(number, message)).await.is_err() {
                return;
            }
        }
        if batch.ended {
            if batch.through {
                let _ = events.send(Passed::Through).await;
            }
            return;
        }
        let next = tokio::select! {
            next = away.next() => next,
            () = events.closed() => None,
        };
        match next {
            Some(next) => batch = next,
            // The client comes back for the rest.
            None => return,
        }
    }
}

/// The revision that the header of a request names.
pub(super) fn version(headers: &HeaderMap) -> Option<Revision> {
    Revision::parse(Routing(headers).version().ok()??)
}

pub(super) fn is_modern(headers: &HeaderMap) -> bool {
    version(headers).is_some_and(Revision::is_modern)
}

/// Whether a client takes an event without a message: those before 2025-11-25 may not.
pub(super) fn primes(version: Option<Revision>) -> bool {
    version.is_some_and(|version| version >= Revision::V2025_11_25)
}

/// A stream of a session.
pub(super) fn in_session(session: &Session, body: AnswerBody) -> Answer {
    let mut answer = streaming(body);
    named(&mut answer, &session.id);
    answer
}

/// The stream and the number of an event.
fn event_id(value: &HeaderValue) -> Option<(&str, u64)> {
    let text = value.to_str().ok().filter(|id| id.len() <= MAX_EVENT_ID)?;
    let (stream, number) = text.split_once('.')?;
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    Some((stream, number.parse().ok().filter(|_| digits)?))
}

fn unnamed() -> Answer {
    respond(Reply::malformed(
        code::INVALID_REQUEST,
        "Invalid request: send the Mcp-Session-Id that `initialize` gave you",
    ))
}
