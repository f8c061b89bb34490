//! The headers that repeat what the body says, so that a gateway need not read it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};

static VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
static METHOD: HeaderName = HeaderName::from_static("mcp-method");
static NAME: HeaderName = HeaderName::from_static("mcp-name");

/// What a head says with a header that belongs there once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Once<'a> {
    Never,
    Is(&'a HeaderValue),
    Again,
}

impl<'a> Once<'a> {
    pub(crate) fn of(headers: &'a HeaderMap, name: &HeaderName) -> Self {
        let Some(value) = headers.get(name) else {
            return Self::Never;
        };
        // As many names as values: none of them is there twice.
        let all_once = headers.keys_len() == headers.len();
        match all_once || headers.get_all(name).iter().nth(1).is_none() {
            true => Self::Is(value),
            false => Self::Again,
        }
    }

    /// The value, if it is the only one.
    pub(crate) fn value(self) -> Option<&'a HeaderValue> {
        match self {
            Self::Is(value) => Some(value),
            Self::Never | Self::Again => None,
        }
    }
}

/// The routing headers of a request.
#[derive(Clone, Copy)]
pub(crate) struct Routing<'a>(pub(crate) &'a HeaderMap);

impl Routing<'_> {
    /// The protocol version; `Err` when it is there twice or unreadable.
    pub(crate) fn version(&self) -> Result<Option<&str>, String> {
        self.single(&VERSION)
    }

    /// Compares method and name with those of the body. `Err` says what does not fit.
    pub(crate) fn matches(&self, method: &str, name: Option<&str>) -> Result<(), String> {
        self.equals(&METHOD, "Mcp-Method", method)?;
        match name {
            Some(name) => self.equals(&NAME, "Mcp-Name", name),
            None => Ok(()),
        }
    }

    fn equals(&self, header: &HeaderName, shown: &str, body: &str) -> Result<(), String> {
        let Some(value) = self.single(header)? else {
            return Err(format!("the header {shown} is missing"));
        };
        let value =
            decode(value).ok_or_else(|| format!("the header {shown} is not valid base64"))?;
        if value == body {
            Ok(())
        } else {
            Err(format!("the header {shown} differs from the body"))
        }
    }

    pub(super) fn single(&self, header: &HeaderName) -> Result<Option<&str>, String> {
        let value = match Once::of(self.0, header) {
            Once::Never => return Ok(None),
            Once::Is(value) => value,
            Once::Again => return Err(format!("the header {header} is there twice")),
        };
        value
            .to_str()
            .map(|text| Some(text.trim()))
            .map_err(|_| format!("the header {header} is not visible ASCII"))
    }
}

/// `=?base64?…?=` carries what a header cannot.
pub(super) fn decode(value: &str) -> Option<Cow<'_, str>> {
    let Some(inner) = value
        .strip_prefix("=?base64?")
        .and_then(|v| v.strip_suffix("?="))
    else {
        return Some(Cow::Borrowed(value));
    };
    String::from_utf8(STANDARD.decode(inner).ok()?)
        .ok()
        .map(Cow::Owned)
}
