//! Several messages at once, which 2025-03-26 has and no other revision.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use http::HeaderMap;
use serde::de::{self, Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::wire::engine::{self, Engine, Link, Request};
use crate::wire::headers::Routing;
use crate::wire::message::{self, Id, Message};
use crate::wire::reply::{Reply, code};
use crate::wire::revision::Revision;

/// Messages in one array.
const MAX_MESSAGES: usize = 50;
/// Bytes of all answers to one array: each may be as long as a result alone, all together not.
const MAX_ANSWER: usize = 8 << 20;

/// Whether a body begins like an array.
pub(super) fn is_array(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'[')
}

/// What came of one message of the array.
struct Answered {
    id: Option<Id<'static>>,
    reply: Reply,
}

type Running<'a> = Pin<Box<dyn Future<Output = Answered> + Send + 'a>>;

impl Engine {
    /// Answers an array: all its messages at the same time where its client may send one, and none
    /// of them elsewhere.
    pub(super) async fn handle_array(
        &self,
        bytes: &Bytes,
        headers: Option<&HeaderMap>,
        link: &Link,
    ) -> Reply {
        if !may_batch(headers, link) {
            return message::read(bytes).err().unwrap_or_else(|| {
                invalid("Invalid request: send one message at a time, not a batch")
            });
        }
        let messages = match split(bytes) {
            Ok(messages) => messages,
            Err(reply) => return reply,
        };
        let running = messages
            .iter()
            .map(|message| Box::pin(self.element(message, headers, link)) as Running<'_>);
        together(all(running.collect()).await)
    }

    /// One message of an array goes the way of all messages, except for those that change what
    /// the others mean.
    async fn element(&self, bytes: &Bytes, headers: Option<&HeaderMap>, link: &Link) -> Answered {
        let (id, reply) = match message::read(bytes) {
            Ok(Message::Request {
                id,
                method,
                params,
                meta,
            }) => {
                let owned = id.clone().into_owned();
                let reply = match self.understand(id, &method, params, meta, headers) {
                    Ok(request) if stands_alone(&request) => Reply::error(
                        &request.id,
                        400,
                        code::INVALID_REQUEST,
                        "Invalid request: this has to be sent alone, not in a batch",
                    ),
                    Ok(mut request) => self.answer(&mut request, bytes, link).await,
                    Err(reply) => reply,
                };
                (Some(owned), reply)
            }
            Ok(Message::Notification { method, params }) => {
                (None, engine::hear(&method, &params, link))
            }
            Ok(Message::Response { id, answer }) => {
                (None, engine::answered(id, answer, link).await)
            }
            Err(reply) => (None, reply),
        };
        Answered { id, reply }
    }
}

fn stands_alone(request: &Request<'_>) -> bool {
    request.revision.is_modern() || matches!(request.method, "initialize" | "shutdown")
}

/// Whether a client speaks 2025-03-26: by what it agreed on, else by its header. That header is
/// younger than the revision, so without one it is assumed, as the protocol has it; but not where
/// other headers say what a single message of 2026-07-28 is about.
fn may_batch(headers: Option<&HeaderMap>, link: &Link) -> bool {
    let agreed = link.session.as_ref().and_then(|session| session.revision());
    let is_it = |revision: Revision| revision == Revision::V2025_03_26;
    let Some(headers) = headers else {
        return agreed.is_some_and(is_it);
    };
    let said = match Routing(headers).version() {
        Ok(Some(version)) => Revision::parse(version).is_some_and(is_it),
        Ok(None) => !is_routed(headers),
        Err(_) => false,
    };
    said && agreed.is_none_or(is_it)
}

fn is_routed(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let name = name.as_str();
        matches!(name, "mcp-method" | "mcp-name") || name.starts_with("mcp-param-")
    })
}

/// Runs all at once, and gives back what came of them as it came.
async fn all(running: Vec<Running<'_>>) -> Vec<Answered> {
    let mut running = running;
    let mut answers = Vec::with_capacity(running.len());
    let mut length = 0;
    poll_fn(|context| {
        running.retain_mut(|message| match message.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(answered) => {
                let answered = fitting(answered, length);
                length += answered.reply.body.len();
                answers.push(answered);
                false
            }
        });
        if running.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    answers
}

/// An answer that would make all of them too long says so instead.
fn fitting(mut answered: Answered, length: usize) -> Answered {
    if let Some(id) = &answered.id
        && length + answered.reply.body.len() > MAX_ANSWER
    {
        answered.reply = Reply::error(
            id,
            200,
            code::INTERNAL,
            "The answers to this batch are larger than 8 MiB together: send the request alone",
        );
    }
    answered
}

/// One answer for all. It has the status of its messages where they agree: a batch of which every
/// message needs a token asks for one.
fn together(answers: Vec<Answered>) -> Reply {
    let mut replies: Vec<Reply> = answers
        .into_iter()
        .map(|answered| answered.reply)
        .filter(|reply| !reply.body.is_empty())
        .collect();
    if replies.is_empty() {
        return Reply::accepted();
    }
    let length: usize = replies.iter().map(|reply| reply.body.len() + 1).sum();
    let mut body = Vec::with_capacity(length + 1);
    for reply in &replies {
        body.push(if body.is_empty() { b'[' } else { b',' });
        body.extend_from_slice(&reply.body);
    }
    body.push(b']');
    let mut all = replies.swap_remove(0);
    if replies.iter().any(|reply| reply.status != all.status) {
        all.status = 200;
        all.challenge = None;
    }
    all.body = body;
    all
}

/// The messages of an array, as they are in its bytes.
fn split(bytes: &Bytes) -> Result<Vec<Bytes>, Reply> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let pieces = reader
        .deserialize_seq(Pieces)
        .and_then(|pieces| reader.end().map(|()| pieces))
        .map_err(|error| match error.is_data() {
            true => invalid("Invalid request: a batch has at most 50 messages"),
            false => Reply::malformed(code::PARSE_ERROR, "Parse error: the body is not JSON"),
        })?;
    if pieces.is_empty() {
        return Err(invalid("Invalid request: a batch has at least one message"));
    }
    let piece = |raw: &RawValue| bytes.slice_ref(raw.get().as_bytes());
    Ok(pieces.into_iter().map(piece).collect())
}

fn invalid(why: &str) -> Reply {
    Reply::malformed(code::INVALID_REQUEST, why)
}

/// Reads up to [`MAX_MESSAGES`] values without looking into them.
struct Pieces;

impl<'de> Visitor<'de> for Pieces {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut pieces = Vec::new();
        while let Some(piece) = array.next_element()? {
            if pieces.len() == MAX_MESSAGES {
                return Err(de::Error::custom("too many"));
            }
            pieces.push(piece);
        }
        Ok(pieces)
    }
}
