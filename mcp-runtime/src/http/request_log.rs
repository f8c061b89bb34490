//! What the log says of a request over HTTP, for those who ask for it: `mcp::request=debug`.

use http::HeaderMap;
use http::request::Parts;
use tracing::Span;

use crate::http::app::App;
use crate::session::Session;

/// The longest part of a `User-Agent` that is logged.
const MAX_AGENT: usize = 200;

impl App {
    /// Who asks, and from where: around all that is logged of the request.
    pub(super) fn request_span(&self, head: &Parts, session: Option<&Session>) -> Span {
        // Asked first, so that nothing is read for nobody.
        if !tracing::enabled!(target: "mcp::request", tracing::Level::DEBUG) {
            return Span::none();
        }
        tracing::debug_span!(
            target: "mcp::request",
            "request",
            x_request_id = request_id(&head.headers),
            session_id = session.map(Session::shown),
            client_ip = self.address(head).map(tracing::field::display),
            user_agent = user_agent(&head.headers),
        )
    }
}

/// The id that a client or a proxy gave the request. It is theirs: ours, which the audit and the
/// answers have, nobody else can choose.
fn request_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    ((1..=64).contains(&id.len()) && id.bytes().all(plain)).then_some(id)
}

fn user_agent(headers: &HeaderMap) -> Option<&str> {
    let agent = headers.get(http::header::USER_AGENT)?.to_str().ok()?;
    agent.get(..agent.len().min(MAX_AGENT))
}
