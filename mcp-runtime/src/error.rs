//! Errors, each with two audiences: what the caller may read, and what the operator needs.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::panic::Location;

use serde::Serialize;
use serde_json::Value;

use crate::input::Problem;
use crate::limits::TooMany;
use crate::store::StoreError;
use crate::switches::SwitchError;

/// What a tool returns.
pub type ToolResult<T> = Result<T, ToolError>;

/// Why a tool could not do what it was asked.
///
/// The message and the data are public: the model reads them. The source is private: it goes to
/// the log, under the request id. `?` on any [`std::error::Error`] makes an error without a public
/// message, and the caller reads "internal error" and the request id.
///
/// ```
/// use mcp_runtime::{ToolError, ToolResult};
///
/// fn stock(units: &str) -> ToolResult<u32> {
///     let units: u32 = units.parse()?; // private: "internal error, request 01J…"
///     if units == 0 {
///         return Err(ToolError::new("Nothing is left in stock. Order more first.").code("sold_out"));
///     }
///     Ok(units)
/// }
///
/// assert_eq!(stock("0").unwrap_err().message(), Some("Nothing is left in stock. Order more first."));
/// assert_eq!(stock("x").unwrap_err().message(), None);
/// ```
pub struct ToolError(Box<Inner>);

struct Inner {
    code: Cow<'static, str>,
    message: Option<Cow<'static, str>>,
    data: Option<Value>,
    source: Option<Box<dyn Error + Send + Sync>>,
    /// Capabilities that the client would have to have, as the protocol writes them.
    required_capabilities: Option<Value>,
}

impl ToolError {
    /// An error with a public message: say what is wrong and what to do about it.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code: Cow::Borrowed("failed"),
            message: Some(message.into()),
            data: None,
            source: None,
            required_capabilities: None,
        }))
    }

    /// An error that is nobody's business but the operator's. `?` does the same.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Box::new(Inner {
            code: Cow::Borrowed("internal"),
            message: None,
            data: None,
            source: Some(source.into()),
            required_capabilities: None,
        }))
    }

    /// The client did not declare what a question to it needs.
    pub(crate) fn missing_capability(required: Value) -> Self {
        let mut error = Self::new(format!(
            "This needs a client with the capability {required}, which yours did not declare."
        ))
        .code("missing_client_capability");
        error.0.required_capabilities = Some(required);
        error
    }

    pub(crate) fn required_capabilities(&self) -> Option<&Value> {
        self.0.required_capabilities.as_ref()
    }

    /// A machine-readable code, public; `failed` unless said otherwise. `not_found` of a resource
    /// is answered as one that does not exist is, with the message.
    #[must_use]
    pub fn code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.0.code = code.into();
        self
    }

    /// Further public facts, added to the structured content of the error. What does not
    /// serialize is left out.
    #[must_use]
    pub fn data(mut self, data: impl Serialize) -> Self {
        self.0.data = serde_json::to_value(data).ok();
        self
    }

    /// The private cause, for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The public message, or `None` when the error is internal.
    pub fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }

    /// The machine-readable code.
    pub fn code_str(&self) -> &str {
        &self.0.code
    }

    /// The public facts beside the message.
    pub fn data_value(&self) -> Option<&Value> {
        self.0.data.as_ref()
    }

    /// The private cause.
    pub fn source(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.0.source.as_deref()
    }
}

// Not an `Error` itself: that would make this conversion clash with `From<T> for T`, and an error
// with two audiences has no single `Display`.
impl<E: Error + Send + Sync + 'static> From<E> for ToolError {
    fn from(source: E) -> Self {
        Self::internal(source)
    }
}

impl fmt::Debug for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolError")
            .field("code", &self.0.code)
            .field("message", &self.0.message)
            .field("data", &self.0.data)
            .field("source", &self.0.source)
            .finish()
    }
}

/// Gives a failure a public message on the way out of a tool.
pub trait Tell<T> {
    /// Turns the failure into a [`ToolError`] with this public message; an error becomes its
    /// private cause.
    ///
    /// # Errors
    /// The [`ToolError`], when `self` was a failure.
    fn tell(self, message: impl Into<Cow<'static, str>>) -> ToolResult<T>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> Tell<T> for Result<T, E> {
    fn tell(self, message: impl Into<Cow<'static, str>>) -> ToolResult<T> {
        self.map_err(|source| ToolError::new(message).caused_by(source))
    }
}

impl<T> Tell<T> for Option<T> {
    fn tell(self, message: impl Into<Cow<'static, str>>) -> ToolResult<T> {
        self.ok_or_else(|| ToolError::new(message))
    }
}

/// Why a call was answered without running its tool, or without the tool's own answer.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// No such thing, or none that this caller may know of.
    Unknown,
    Unauthenticated {
        scopes: Vec<Cow<'static, str>>,
    },
    InsufficientScope {
        scopes: Vec<Cow<'static, str>>,
    },
    /// The guard of the tool said no to these arguments.
    Forbidden,
    InvalidArguments(Vec<Problem>),
    /// Over a limit.
    TooMany(TooMany),
    /// What may change something could not be recorded, so it did not run.
    AuditUnavailable,
    TimedOut {
        seconds: f64,
    },
    Panicked,
    ResultTooLarge,
    /// The result does not serialize. The operator finds the cause in the log.
    Unserializable(String),
}

impl Refusal {
    /// The code of the refusal, for the caller and for the log.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Unauthenticated { .. } => "unauthenticated",
            Self::InsufficientScope { .. } => "insufficient_scope",
            Self::Forbidden => "forbidden",
            Self::InvalidArguments(_) => "invalid_arguments",
            Self::TooMany(_) => "rate_limited",
            Self::AuditUnavailable => "audit_unavailable",
            Self::TimedOut { .. } => "timeout",
            Self::Panicked => "panic",
            Self::ResultTooLarge => "result_too_large",
            Self::Unserializable(_) => "internal",
        }
    }
}

/// Everything that is wrong with a server, found when it is built.
#[derive(Clone, PartialEq, Eq)]
pub struct BootError {
    problems: Vec<String>,
}

/// What setting up or running a server returns.
pub type Result<T = (), E = BootError> = std::result::Result<T, E>;

impl BootError {
    /// An error with one problem.
    pub fn new(problem: impl Into<String>) -> Self {
        Self {
            problems: vec![problem.into()],
        }
    }

    pub(crate) fn collect(problems: Vec<String>) -> Result {
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self { problems })
        }
    }

    /// All problems, each with the place in the source where it can be mended.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [one] => f.write_str(one),
            many => {
                write!(f, "{} problems", many.len())?;
                many.iter()
                    .try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
        }
    }
}

// `main` prints errors with `Debug`: make that readable.
impl fmt::Debug for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for BootError {}

/// With what lies beneath: nobody but the operator sees why a server does not start.
impl From<StoreError> for BootError {
    #[track_caller]
    fn from(error: StoreError) -> Self {
        let at = Location::caller();
        let cause = match error.source() {
            Some(cause) => format!(": {cause}"),
            None => String::new(),
        };
        Self::new(format!("{error}{cause} (at {}:{})", at.file(), at.line()))
    }
}

impl From<SwitchError> for BootError {
    fn from(error: SwitchError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<std::io::Error> for BootError {
    #[track_caller]
    fn from(error: std::io::Error) -> Self {
        let at = Location::caller();
        Self::new(format!("{error} (at {}:{})", at.file(), at.line()))
    }
}
