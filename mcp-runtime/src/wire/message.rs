//! What a client sent: one JSON-RPC message.

use std::borrow::Cow;

use serde_json::Value;

use crate::json::{self, Fault, Node, Object};
use crate::wire::meta::Meta;
use crate::wire::reply::{Reply, code};

/// Longer ids are refused: they would be kept and echoed.
const MAX_ID: usize = 1024;

pub(crate) enum Message<'a> {
    Request {
        id: Id<'a>,
        method: Cow<'a, str>,
        /// Without `_meta`.
        params: Object<'a>,
        meta: Meta<'a>,
    },
    Notification {
        method: Cow<'a, str>,
        params: Object<'a>,
    },
    /// The answer to a question of ours: a result, or the error object.
    Response {
        id: u64,
        answer: Result<Value, Value>,
    },
}

/// The id of a request, echoed as it came.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Id<'a> {
    Unsigned(u64),
    Signed(i64),
    Text(Cow<'a, str>),
}

impl Id<'_> {
    pub(crate) fn into_owned(self) -> Id<'static> {
        match self {
            Self::Unsigned(n) => Id::Unsigned(n),
            Self::Signed(n) => Id::Signed(n),
            Self::Text(text) => Id::Text(Cow::Owned(text.into_owned())),
        }
    }
}

/// Reads a message, or answers what is wrong with it.
pub(crate) fn read(bytes: &[u8]) -> Result<Message<'_>, Reply> {
    let (node, meta) =
        json::parse_without(bytes, &["params", "_meta"], Meta::known_length).map_err(unreadable)?;
    let meta = meta
        .map_or(Ok(Meta::None), Meta::read)
        .map_err(unreadable)?;
    let invalid = |why: &'static str| Reply::malformed(code::INVALID_REQUEST, why);
    let Node::Object(mut message) = node else {
        return Err(invalid(match node {
            Node::Array(_) => "Invalid request: send one message at a time, not a batch",
            _ => "Invalid request: a message is a JSON object",
        }));
    };
    if message.get("jsonrpc").and_then(Node::as_str) != Some("2.0") {
        return Err(invalid("Invalid request: `jsonrpc` must be \"2.0\""));
    }
    let Some(Node::String(method)) = message.take("method") else {
        return response(&mut message)
            .ok_or_else(|| invalid("Invalid request: `method` must be a string"));
    };
    let id = match message.take("id") {
        None => None,
        Some(node) => Some(read_id(node).ok_or_else(|| {
            invalid("Invalid request: `id` must be an integer or a string of at most 1024 bytes")
        })?),
    };
    let params = match message.take("params") {
        None | Some(Node::Null) => Object::default(),
        Some(Node::Object(params)) => params,
        Some(_) => {
            return Err(match id {
                Some(id) => Reply::error(
                    &id,
                    200,
                    code::INVALID_PARAMS,
                    "Invalid params: `params` must be an object",
                ),
                None => invalid("Invalid request: `params` must be an object"),
            });
        }
    };
    Ok(match id {
        Some(id) => Message::Request {
            id,
            method,
            params,
            meta,
        },
        None => Message::Notification { method, params },
    })
}

fn unreadable(fault: Fault) -> Reply {
    match fault {
        Fault::Syntax => Reply::malformed(
            code::PARSE_ERROR,
            "Parse error: the body is not JSON, or nested too deeply",
        ),
        Fault::Duplicate => Reply::malformed(
            code::INVALID_REQUEST,
            "Invalid request: a member is named twice",
        ),
    }
}

/// Whether this is how a client of the earlier revisions begins.
pub(crate) fn is_initialize(bytes: &[u8]) -> bool {
    matches!(read(bytes), Ok(Message::Request { method, .. }) if method == "initialize")
}

/// A response has either a result or an error, and an id that we gave.
fn response(message: &mut Object<'_>) -> Option<Message<'static>> {
    let answer = match (message.take("result"), message.take("error")) {
        (Some(result), None) => Ok(result.to_value()),
        (None, Some(error)) => Err(error.to_value()),
        _ => return None,
    };
    match message.take("id") {
        Some(Node::Number(id)) => Some(Message::Response {
            id: id.as_u64()?,
            answer,
        }),
        _ => None,
    }
}

pub(crate) fn read_id(node: Node<'_>) -> Option<Id<'_>> {
    match node {
        Node::Number(n) => n
            .as_u64()
            .map(Id::Unsigned)
            .or_else(|| n.as_i64().map(Id::Signed)),
        Node::String(text) if text.len() <= MAX_ID => Some(Id::Text(text)),
        _ => None,
    }
}
