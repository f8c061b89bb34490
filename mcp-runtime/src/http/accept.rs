//! Which form an answer takes: what the client accepts, and what the server prefers.

use http::{HeaderMap, header};

use crate::wire::headers::Once;

/// The form of answers over HTTP, for clients that accept both forms or do not say. Who accepts
/// only one form gets that one; who accepts neither gets 406.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replies {
    /// One JSON body when the answer is the first thing that is said, a stream of events when a
    /// call reports its progress, logs, or asks before it answers.
    #[default]
    Negotiate,
    /// Always one JSON body: what a call says before its answer is not sent, and it cannot ask
    /// over a session. What is a stream by nature still is one: `subscriptions/listen`, and `GET`.
    Json,
    /// Every request is answered by a stream of events, which opens as soon as a tool runs.
    Sse,
}

/// What nearly every client sends.
const USUAL: &[u8] = b"application/json, text/event-stream";

/// What a client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    Json,
    Events,
    /// Both, or it does not say.
    Either,
}

impl Accepted {
    /// The form of the answer; `listens` when the request is for a stream.
    pub(crate) fn form(self, replies: Replies, listens: bool) -> Replies {
        match (self, replies) {
            (Self::Json, _) => Replies::Json,
            (Self::Events, _) => Replies::Sse,
            (Self::Either, Replies::Json) if listens => Replies::Negotiate,
            (Self::Either, replies) => replies,
        }
    }
}

/// What a client takes; `None` when it takes neither form. A `strict` server wants to see both in
/// the list.
pub(crate) fn accepted(headers: &HeaderMap, strict: bool) -> Option<Accepted> {
    let list = List::read(headers);
    if strict && !(list.json == Some(true) && list.events == Some(true)) {
        return None;
    }
    match (list.takes_json(), list.takes_events()) {
        (true, true) => Some(Accepted::Either),
        (true, false) => Some(Accepted::Json),
        (false, true) => Some(Accepted::Events),
        (false, false) => None,
    }
}

/// Whether a client takes a stream, and whether it says so by name.
pub(crate) fn events(headers: &HeaderMap) -> (bool, bool) {
    let list = List::read(headers);
    (list.takes_events(), list.events == Some(true))
}

/// What the `Accept` headers say of each type: taken, refused, or nothing.
#[derive(Default)]
struct List {
    said: bool,
    json: Option<bool>,
    events: Option<bool>,
    any_application: bool,
    any_text: bool,
    any: bool,
}

impl List {
    fn read(headers: &HeaderMap) -> Self {
        let mut list = Self::default();
        if let Once::Is(value) = Once::of(headers, &header::ACCEPT)
            && value.as_bytes() == USUAL
        {
            return Self {
                said: true,
                json: Some(true),
                events: Some(true),
                ..list
            };
        }
        for value in headers.get_all(header::ACCEPT) {
            list.said = true;
            // A value that is not text names no type.
            for part in value.to_str().unwrap_or_default().split(',') {
                list.add(part);
            }
        }
        list
    }

    fn add(&mut self, part: &str) {
        let mut pieces = part.split(';').map(str::trim);
        let kind = pieces.next().unwrap_or_default();
        let taken = !pieces.any(|p| {
            p.strip_prefix("q=")
                .or_else(|| p.strip_prefix("Q="))
                .is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0))
        });
        let is = |name: &str| kind.eq_ignore_ascii_case(name);
        if is("application/json") {
            self.json = Some(taken && self.json != Some(false));
        } else if is("text/event-stream") {
            self.events = Some(taken && self.events != Some(false));
        } else if taken {
            self.any_application |= is("application/*");
            self.any_text |= is("text/*");
            self.any |= is("*/*");
        }
    }

    // A type that is named says more than a wildcard elsewhere in the list.
    fn takes_json(&self) -> bool {
        self.json
            .unwrap_or(!self.said || self.any_application || self.any)
    }

    fn takes_events(&self) -> bool {
        self.events
            .unwrap_or(!self.said || self.any_text || self.any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: Option<&str>) -> HeaderMap {
        accept
            .map(|accept| (header::ACCEPT, accept.parse().unwrap()))
            .into_iter()
            .collect()
    }

    #[test]
    fn the_client_decides_and_then_the_server() {
        use Accepted::{Either, Events, Json};
        for (accept, expected) in [
            (Some("application/json, text/event-stream"), Some(Either)),
            (Some("application/json"), Some(Json)),
            (Some("*/*"), Some(Either)),
            (None, Some(Either)),
            (Some("Application/*;q=0.5"), Some(Json)),
            (Some("text/event-stream"), Some(Events)),
            (Some("text/*"), Some(Events)),
            (
                Some("application/json;q=0, text/event-stream"),
                Some(Events),
            ),
            (Some("application/json;q=0, */*"), Some(Events)),
            (Some("text/event-stream;q=0, */*"), Some(Json)),
            (Some("application/json; q=0"), None),
            (Some("*/*;q=0"), None),
            (Some("text/html"), None),
            (Some("application/jsonx"), None),
        ] {
            assert_eq!(accepted(&headers(accept), false), expected, "{accept:?}");
        }
        for (accept, takes) in [
            (Some("application/json, text/event-stream"), true),
            (Some("application/json"), false),
            (Some("text/event-stream"), false),
            (Some("*/*"), false),
            (None, false),
        ] {
            let taken = accepted(&headers(accept), true).is_some();
            assert_eq!(taken, takes, "strict: {accept:?}");
        }
    }

    #[test]
    fn only_who_takes_both_gets_what_the_server_prefers() {
        use Accepted::{Either, Events, Json};
        for replies in [Replies::Negotiate, Replies::Json, Replies::Sse] {
            assert_eq!(Json.form(replies, false), Replies::Json);
            assert_eq!(Events.form(replies, false), Replies::Sse);
            assert_eq!(Either.form(replies, false), replies);
        }
        assert_eq!(Either.form(Replies::Json, true), Replies::Negotiate);
    }
}
