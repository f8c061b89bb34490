//! From what a tool returns to what the model reads.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::{Future, Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::{Refusal, ToolError};
use crate::prompt::Messages;

/// The largest result, in bytes of JSON.
pub(crate) const MAX_RESULT: usize = 4 << 20;

/// What a tool may return: any `Serialize + JsonSchema` value, [`Content`], or a [`Reply`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a result",
    label = "not a result",
    note = "a result is a value with `Serialize` and `JsonSchema`, a `Content`, or a `Reply`; of a resource also a `Blob`, of a prompt `Messages`"
)]
pub trait ToolOutput: Sized {
    #[doc(hidden)]
    #[expect(private_interfaces, reason = "sealed")]
    fn describe() -> OutputType;
    #[doc(hidden)]
    #[expect(private_interfaces, reason = "sealed")]
    fn finish(self) -> Outcome;
}

/// What is known of a result before there is one.
#[derive(Clone, Copy)]
pub(crate) enum OutputType {
    Value(fn(&mut SchemaGenerator) -> Schema),
    Free,
}

/// How a call of a tool ended.
pub(crate) enum Outcome {
    /// The JSON of a value.
    Value(String),
    /// The JSON of pieces of content and of a structured value; the latter is empty without one.
    Reply {
        content: String,
        structured: String,
    },
    Error(ToolError),
    Refused(Refusal),
    Blob(Vec<u8>),
    Messages(Messages),
    /// Open questions to the client, and the answers so far.
    Ask(Map<String, Value>, BTreeMap<String, Value>),
}

#[expect(private_interfaces, reason = "sealed")]
#[diagnostic::do_not_recommend]
impl<T: Serialize + JsonSchema> ToolOutput for T {
    fn describe() -> OutputType {
        OutputType::Value(|generator| generator.subschema_for::<T>())
    }

    fn finish(self) -> Outcome {
        match to_json(&self) {
            Ok(json) => Outcome::Value(json),
            Err(refusal) => Outcome::Refused(refusal),
        }
    }
}

/// Serializes into a buffer that stops growing at [`MAX_RESULT`].
fn to_json(value: &(impl Serialize + ?Sized)) -> Result<String, Refusal> {
    struct Bounded(Vec<u8>);
    impl io::Write for Bounded {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0.len() + bytes.len() > MAX_RESULT {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut buffer = Bounded(Vec::with_capacity(256));
    match serde_json::to_writer(&mut buffer, value) {
        Ok(()) => String::from_utf8(buffer.0).map_err(|e| Refusal::Unserializable(e.to_string())),
        Err(e) if e.io_error_kind() == Some(io::ErrorKind::FileTooLarge) => {
            Err(Refusal::ResultTooLarge)
        }
        Err(e) => Err(Refusal::Unserializable(e.to_string())),
    }
}

/// One piece of content: text, an image, a sound, a resource or a link to one.
#[derive(Clone, Debug, PartialEq)]
pub struct Content(pub(crate) Value);

impl Content {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self(json!({ "type": "text", "text": text.into() }))
    }

    /// An image, from its bytes and its media type (`image/png`).
    pub fn image(bytes: impl AsRef<[u8]>, mime: impl Into<String>) -> Self {
        Self(json!({ "type": "image", "data": STANDARD.encode(bytes), "mimeType": mime.into() }))
    }

    /// A sound, from its bytes and its media type (`audio/wav`).
    pub fn audio(bytes: impl AsRef<[u8]>, mime: impl Into<String>) -> Self {
        Self(json!({ "type": "audio", "data": STANDARD.encode(bytes), "mimeType": mime.into() }))
    }

    /// A link to a resource that the client may read.
    pub fn resource_link(uri: impl Into<String>, name: impl Into<String>) -> Self {
        Self(json!({ "type": "resource_link", "uri": uri.into(), "name": name.into() }))
    }

    /// A resource with its text.
    pub fn resource(
        uri: impl Into<String>,
        mime: impl Into<String>,
        text: impl Into<String>,
    ) -> Self {
        Self(json!({ "type": "resource",
            "resource": { "uri": uri.into(), "mimeType": mime.into(), "text": text.into() } }))
    }
}

#[expect(private_interfaces, reason = "sealed")]
impl ToolOutput for Content {
    fn describe() -> OutputType {
        OutputType::Free
    }

    fn finish(self) -> Outcome {
        ToolOutput::finish(Reply::new().push(self))
    }
}

/// A result put together by hand: pieces of content, with or without a structured value.
///
/// ```
/// use mcp_runtime::{Content, Reply};
///
/// let reply = Reply::new().text("Two charts.").push(Content::image(b"\x89PNG", "image/png"));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    pub(crate) content: Vec<Content>,
    pub(crate) structured: Option<Value>,
}

impl Reply {
    /// An empty result.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds text.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.push(Content::text(text))
    }

    /// Adds a piece of content.
    #[must_use]
    pub fn push(mut self, content: Content) -> Self {
        self.content.push(content);
        self
    }

    /// Sets the structured value: a JSON object. What does not serialize to one is left out.
    #[must_use]
    pub fn structured(mut self, value: impl Serialize) -> Self {
        self.structured = serde_json::to_value(value).ok().filter(Value::is_object);
        self
    }
}

#[expect(private_interfaces, reason = "sealed")]
impl ToolOutput for Reply {
    fn describe() -> OutputType {
        OutputType::Free
    }

    fn finish(self) -> Outcome {
        let content: Vec<&Value> = self.content.iter().map(|content| &content.0).collect();
        let structured = self.structured.as_ref().map(to_json).transpose();
        match (to_json(&content), structured.map(Option::unwrap_or_default)) {
            (Ok(content), Ok(structured)) if content.len() + structured.len() <= MAX_RESULT => {
                Outcome::Reply {
                    content,
                    structured,
                }
            }
            (Ok(_), Ok(_)) => Outcome::Refused(Refusal::ResultTooLarge),
            (Err(refusal), _) | (_, Err(refusal)) => Outcome::Refused(refusal),
        }
    }
}

/// Bytes, as the contents of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob(pub Vec<u8>);

#[expect(private_interfaces, reason = "sealed")]
impl ToolOutput for Blob {
    fn describe() -> OutputType {
        OutputType::Free
    }

    fn finish(self) -> Outcome {
        if self.0.len() > MAX_RESULT {
            return Outcome::Refused(Refusal::ResultTooLarge);
        }
        Outcome::Blob(self.0)
    }
}

#[expect(private_interfaces, reason = "sealed")]
impl ToolOutput for Messages {
    fn describe() -> OutputType {
        OutputType::Free
    }

    fn finish(self) -> Outcome {
        Outcome::Messages(self)
    }
}

/// What the function of a tool may return: a [`ToolOutput`], or a `Result` of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a result",
    label = "not a result",
    note = "a result is a value with `Serialize` and `JsonSchema`, a `Content` or a `Reply`, alone or in a `ToolResult`; of a resource also a `Blob`, of a prompt `Messages`"
)]
pub trait IntoOutcome<Kind> {
    #[doc(hidden)]
    #[expect(private_interfaces, reason = "sealed")]
    fn describe() -> OutputType;
    #[doc(hidden)]
    #[expect(private_interfaces, reason = "sealed")]
    fn finish(self) -> Outcome;
}

/// Tells the two ways to return apart for type inference.
pub enum Plain {}
/// Tells the two ways to return apart for type inference.
pub enum Fallible {}

#[expect(private_interfaces, reason = "sealed")]
#[diagnostic::do_not_recommend]
impl<T: ToolOutput> IntoOutcome<Plain> for T {
    fn describe() -> OutputType {
        T::describe()
    }

    fn finish(self) -> Outcome {
        ToolOutput::finish(self)
    }
}

#[expect(private_interfaces, reason = "sealed")]
#[diagnostic::do_not_recommend]
impl<T: ToolOutput, E: Into<ToolError>> IntoOutcome<Fallible> for Result<T, E> {
    fn describe() -> OutputType {
        T::describe()
    }

    fn finish(self) -> Outcome {
        match self {
            Ok(value) => ToolOutput::finish(value),
            Err(error) => Outcome::Error(error.into()),
        }
    }
}

/// Where the result of a function goes. Its type is inferred from [`finish`](Self::finish), so
/// that a return type which cannot be named (`impl Trait`, borrowed) works like any other.
pub struct Outlet<R> {
    describe: fn() -> OutputType,
    finish: fn(R) -> Outcome,
}

/// An [`Outlet`] for a type yet to be inferred.
pub fn outlet<R: IntoOutcome<Kind>, Kind>() -> Outlet<R> {
    Outlet {
        describe: R::describe,
        finish: R::finish,
    }
}

/// What running a tool ends with. Made by an [`Outlet`].
pub struct Done(pub(crate) DoneKind);

pub(crate) enum DoneKind {
    Described(OutputType),
    Finished(Outcome),
}

impl<R> Outlet<R> {
    /// Says what the result will look like, without one.
    pub fn describe(self) -> Done {
        Done(DoneKind::Described((self.describe)()))
    }

    /// Takes the result.
    pub fn finish(self, result: R) -> Done {
        Done(DoneKind::Finished((self.finish)(result)))
    }

    /// Ends the call because its guard refused it.
    pub fn refuse(self, refusal: GuardRefusal) -> Done {
        Done(DoneKind::Finished(refusal.0))
    }
}

/// What a guard that says no says.
pub struct GuardRefusal(pub(crate) Outcome);

/// Judges what the expression of a guard came to. Called by expansions.
pub fn guard<'call, G: Guard<'call, Kind>, Kind>(expression: G) -> Judging<'call> {
    expression.settle()
}

/// A judgement, or what will come to one.
///
/// Not `impl Future`: of an opaque type rustc asks the bounds once more where it is awaited, and
/// one wrong guard gives two errors. Only a guard that waits pays for its box.
pub enum Judging<'call> {
    #[doc(hidden)]
    Done(Ready<Result<(), GuardRefusal>>),
    #[doc(hidden)]
    Waiting(Pin<Box<dyn Future<Output = Result<(), GuardRefusal>> + Send + 'call>>),
}

impl Future for Judging<'_> {
    type Output = Result<(), GuardRefusal>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Done(ready) => Pin::new(ready).poll(context),
            Self::Waiting(future) => future.as_mut().poll(context),
        }
    }
}

/// What a guard may evaluate to: a [`Verdict`], or a future of one.
#[diagnostic::on_unimplemented(
    message = "a guard cannot be `{Self}`",
    label = "not a verdict",
    note = "a guard is a `bool`, a `ToolResult<bool>` or a `ToolResult<()>`, or a `Send` future of one"
)]
pub trait Guard<'call, Kind> {
    #[doc(hidden)]
    fn settle(self) -> Judging<'call>;
}

/// Tells the two kinds of guard apart for type inference.
pub enum Waiting {}

#[diagnostic::do_not_recommend]
impl<'call, V: Verdict> Guard<'call, Plain> for V {
    fn settle(self) -> Judging<'call> {
        Judging::Done(ready(self.judge().map_err(GuardRefusal)))
    }
}

#[diagnostic::do_not_recommend]
impl<'call, F: Future<Output: Verdict> + Send + 'call> Guard<'call, Waiting> for F {
    fn settle(self) -> Judging<'call> {
        Judging::Waiting(Box::pin(async { self.await.judge().map_err(GuardRefusal) }))
    }
}

/// A yes, a no, or an error. `()` alone is none of them: a check that cannot fail guards nothing.
pub trait Verdict {
    #[doc(hidden)]
    #[expect(private_interfaces, reason = "sealed")]
    fn judge(self) -> Result<(), Outcome>;
}

#[expect(private_interfaces, reason = "sealed")]
impl Verdict for bool {
    fn judge(self) -> Result<(), Outcome> {
        if self {
            Ok(())
        } else {
            Err(Outcome::Refused(Refusal::Forbidden))
        }
    }
}

#[expect(private_interfaces, reason = "sealed")]
impl<E: Into<ToolError>> Verdict for Result<bool, E> {
    fn judge(self) -> Result<(), Outcome> {
        self.map_err(|error| Outcome::Error(error.into()))
            .and_then(Verdict::judge)
    }
}

#[expect(private_interfaces, reason = "sealed")]
impl<E: Into<ToolError>> Verdict for Result<(), E> {
    fn judge(self) -> Result<(), Outcome> {
        self.map_err(|error| Outcome::Error(error.into()))
    }
}

/// How the value of a tool is put on the wire, decided once when the server is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `()`: no content.
    Nothing,
    /// An object: as it is.
    Object,
    /// Everything else, wrapped as `{"result": …}`: clients before 2026-07-28 only know objects.
    Wrapped,
    /// A string, wrapped, with the text itself as its mirror.
    Text,
    /// As a tool defined at run time gives it, under its own schema or none.
    Raw,
    /// Put together by the tool.
    Free,
}

impl Shape {
    /// The structured value of `json`, the JSON of a result.
    pub(crate) fn structured(self, json: &str) -> Option<Cow<'_, str>> {
        match self {
            Self::Nothing | Self::Free => None,
            Self::Object | Self::Raw => Some(Cow::Borrowed(json)),
            Self::Wrapped | Self::Text => Some(Cow::Owned(format!("{{\"result\":{json}}}"))),
        }
    }
}
