//! Other ways to the same server, each off unless asked for, and what pages elsewhere may do.
//!
//! A way has the checks of the endpoint, in the same order: name and origin, method, form, caller,
//! body. `endpoint` has done the first when it comes here.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use hyper::body::Body;

use crate::http::app::{Answer, App, SESSION, plain};
use crate::http::stream::AnswerBody;

/// Names of parameters that a page may send in one request.
const MAX_PARAMETERS: usize = 64;

/// Which ways there are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ways {
    pub(crate) rpc: bool,
    pub(crate) legacy_sse: bool,
    #[cfg(feature = "websocket")]
    pub(crate) websocket: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// `/rpc`: the endpoint for clients that know JSON alone.
    Rpc,
    /// `/sse`: the stream of a client of 2024-11-05.
    Stream,
    /// `/messages`: what such a client sends.
    Messages,
    #[cfg(feature = "websocket")]
    Socket,
}

impl Ways {
    /// What lies at `path`, beside the endpoint.
    pub(crate) fn find(&self, path: &str, endpoint: &str) -> Option<Way> {
        #[cfg(feature = "websocket")]
        if self.websocket && path.strip_prefix(endpoint) == Some("/ws") {
            return Some(Way::Socket);
        }
        #[cfg(not(feature = "websocket"))]
        let _ = endpoint;
        match path {
            "/rpc" | "/rpc/" if self.rpc => Some(Way::Rpc),
            "/sse" | "/sse/" if self.legacy_sse => Some(Way::Stream),
            "/messages" | "/messages/" if self.legacy_sse => Some(Way::Messages),
            _ => None,
        }
    }

    /// Every path that is taken, for a router.
    pub(crate) fn paths(&self, endpoint: &str) -> Vec<String> {
        let mut paths = vec![];
        if self.rpc {
            paths.extend(["/rpc".to_owned(), "/rpc/".to_owned()]);
        }
        if self.legacy_sse {
            paths.extend(["/sse", "/sse/", "/messages", "/messages/"].map(str::to_owned));
        }
        #[cfg(feature = "websocket")]
        if self.websocket {
            paths.push(format!("{endpoint}/ws"));
        }
        #[cfg(not(feature = "websocket"))]
        let _ = endpoint;
        paths
    }
}

impl Way {
    fn method(self) -> Method {
        match self {
            Self::Rpc | Self::Messages => Method::POST,
            Self::Stream => Method::GET,
            #[cfg(feature = "websocket")]
            Self::Socket => Method::GET,
        }
    }
}

impl App {
    /// Answers a request at one of the other ways.
    pub(super) async fn go<B: Body<Data = Bytes>>(
        &self,
        way: Way,
        mut head: http::request::Parts,
        body: B,
        from_page: bool,
    ) -> Answer {
        let post = way.method() == Method::POST;
        let (methods, allow) = if post {
            ("POST", "POST, OPTIONS")
        } else {
            ("GET", "GET, OPTIONS")
        };
        if head.method == Method::OPTIONS {
            return preflight(allow, methods, &head.headers, from_page);
        }
        if head.method != way.method() {
            let text = if post {
                "Send messages with POST\n"
            } else {
                "Connect with GET\n"
            };
            let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, text);
            answer
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static(allow));
            return answer;
        }
        match way {
            Way::Rpc => {
                // Whatever the client says that it takes: here it gets JSON, and no session.
                head.headers
                    .insert(header::ACCEPT, HeaderValue::from_static("application/json"));
                head.headers.remove(&SESSION);
                self.post(&mut head, body, false).await
            }
            Way::Stream => self.open_stream(&head).await,
            Way::Messages => self.take_message(&head, body).await,
            #[cfg(feature = "websocket")]
            Way::Socket => self.open_socket(head).await,
        }
    }
}

/// What a page may send, where its origin is welcome. Credentials are never shared: a token is
/// sent on purpose or not at all.
pub(super) fn preflight(
    allow: &'static str,
    methods: &'static str,
    asked: &HeaderMap,
    from_page: bool,
) -> Answer {
    let mut answer = Response::new(AnswerBody::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    if from_page {
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static(methods),
        );
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed_headers(asked));
        headers.insert(
            header::ACCESS_CONTROL_MAX_AGE,
            HeaderValue::from_static("600"),
        );
    }
    answer
}

const HEADERS: &str = "accept, authorization, content-type, last-event-id, mcp-method, mcp-name, \
     mcp-protocol-version, mcp-session-id";

/// The headers of the protocol, and those of parameters that the page names: which there are
/// depends on the tools.
fn allowed_headers(asked: &HeaderMap) -> HeaderValue {
    let asked = asked.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let mut names = asked
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| name.starts_with("mcp-param-") && is_token(name))
        .take(MAX_PARAMETERS)
        .peekable();
    if names.peek().is_none() {
        return HeaderValue::from_static(HEADERS);
    }
    let mut all = HEADERS.to_owned();
    for name in names {
        let _ = write!(all, ", {name}");
    }
    HeaderValue::try_from(all).unwrap_or(HeaderValue::from_static(HEADERS))
}

fn is_token(name: &str) -> bool {
    name.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
