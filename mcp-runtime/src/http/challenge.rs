//! What a client without the right token is told: where tokens are had, and for which scopes.

use http::{HeaderMap, HeaderValue, header};

use crate::wire::reply::{Challenge, Reply};

/// How a client learns that its token lacks a scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepUp {
    /// With HTTP 403 and `WWW-Authenticate`, as the specification wants.
    Http,
    /// With the result of the tool, which names the scopes: for clients that take a 403 for the end
    /// of their session.
    ToolError,
    /// With HTTP, except for clients that are known to take it the wrong way.
    #[default]
    Auto,
}

/// The beginnings of the user agents that answer a 403 with "sign in again" instead of asking for
/// the scopes it names.
const MISTAKEN: [&[u8]; 2] = [b"claude-code/", b"Claude-User"];

/// What goes into the challenges of a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Challenges {
    /// The URL of the resource metadata, where there is any.
    pub(crate) resource_metadata: Option<String>,
    /// The scopes to begin with, separated by spaces; empty when the operation is to say.
    pub(crate) baseline: String,
    pub(crate) step_up: StepUp,
}

impl Challenges {
    /// Whether the client of a request would take a 403 the wrong way.
    fn is_mistaken(&self, headers: &HeaderMap) -> bool {
        match self.step_up {
            StepUp::Http => false,
            StepUp::ToolError => true,
            StepUp::Auto => headers
                .get(header::USER_AGENT)
                .is_some_and(|agent| MISTAKEN.iter().any(|it| agent.as_bytes().starts_with(it))),
        }
    }

    /// Takes back the status of a reply that lacks a scope, for clients that would take it the
    /// wrong way. Its body says what is missing.
    pub(crate) fn deliver(&self, reply: &mut Reply) {
        if reply.status == 403
            && reply.challenge.is_some()
            && let Some(headers) = &reply.request
            && self.is_mistaken(headers)
        {
            (reply.challenge, reply.status) = (None, 200);
        }
    }

    /// The value of `WWW-Authenticate`.
    pub(crate) fn header(&self, challenge: &Challenge) -> Option<HeaderValue> {
        let mut parts = Vec::new();
        let mut part = |name: &str, value: &str| {
            if !value.is_empty() {
                parts.push(format!("{name}=\"{value}\""));
            }
        };
        part("error", challenge.error.unwrap_or_default());
        // Whoever has no token yet begins with little, and asks for more when it is needed.
        let scope = match challenge.error {
            Some("insufficient_scope") => &challenge.scope,
            _ if self.baseline.is_empty() => &challenge.scope,
            _ => &self.baseline,
        };
        part("scope", scope);
        part(
            "resource_metadata",
            self.resource_metadata.as_deref().unwrap_or_default(),
        );
        if parts.is_empty() {
            return Some(HeaderValue::from_static("Bearer"));
        }
        // Scopes and the public URL are checked when the server is built.
        HeaderValue::try_from(format!("Bearer {}", parts.join(", "))).ok()
    }
}
