//! A resource: something a client can read under a URI, or under all URIs of a template.

use std::borrow::Cow;
use std::time::Duration;

use crate::completion::{Complete, Completer};
use crate::function::said_alike;
use crate::policy::Policy;
use crate::tool::DEFAULT_TIMEOUT;

/// What a resource says about itself. `#[mcp_resource]` writes it. Scopes of its policy may name
/// variables of its URI: `docs:{id}:read`.
#[derive(Clone)]
pub struct Resource {
    /// A URI, or a template with `{name}` and `{+path}` in it.
    pub(crate) uri: Cow<'static, str>,
    pub(crate) name: Cow<'static, str>,
    pub(crate) title: Option<Cow<'static, str>>,
    pub(crate) description: Cow<'static, str>,
    pub(crate) mime: Option<Cow<'static, str>>,
    pub(crate) policy: Option<Policy>,
    pub(crate) timeout: Duration,
    pub(crate) complete: Option<Completer>,
    pub(crate) at: (&'static str, u32),
}

/// Starts the description of a resource. Called by expansions.
pub fn resource(uri: &'static str, name: &'static str, file: &'static str, line: u32) -> Resource {
    Resource {
        uri: Cow::Borrowed(uri),
        name: Cow::Borrowed(name),
        title: None,
        description: Cow::Borrowed(""),
        mime: None,
        policy: None,
        timeout: DEFAULT_TIMEOUT,
        complete: None,
        at: (file, line),
    }
}

said_alike!(Resource);

impl Resource {
    /// The media type; `text/plain` for strings and `application/json` for other values unless
    /// said otherwise.
    #[must_use]
    pub fn mime(mut self, mime: impl Into<Cow<'static, str>>) -> Self {
        self.mime = Some(mime.into());
        self
    }

    /// The URI, or the template.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    pub(crate) fn is_template(&self) -> bool {
        self.uri.contains('{')
    }

    pub(crate) fn at(&self) -> String {
        format!("{}:{}: resource `{}`", self.at.0, self.at.1, self.uri)
    }
}
