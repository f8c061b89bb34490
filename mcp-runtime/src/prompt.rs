//! A prompt: messages that a person picks to begin with.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Value, json};

use crate::completion::{Complete, Completer};
use crate::function::said_alike;
use crate::output::Content;
use crate::policy::Policy;
use crate::tool::DEFAULT_TIMEOUT;

/// What a prompt says about itself. `#[mcp_prompt]` writes it.
#[derive(Clone)]
pub struct Prompt {
    pub(crate) name: Cow<'static, str>,
    pub(crate) title: Option<Cow<'static, str>>,
    pub(crate) description: Cow<'static, str>,
    pub(crate) policy: Option<Policy>,
    pub(crate) timeout: Duration,
    pub(crate) complete: Option<Completer>,
    pub(crate) at: (&'static str, u32),
}

/// Starts the description of a prompt. Called by expansions.
pub fn prompt(name: &'static str, file: &'static str, line: u32) -> Prompt {
    Prompt {
        name: Cow::Borrowed(name),
        title: None,
        description: Cow::Borrowed(""),
        policy: None,
        timeout: DEFAULT_TIMEOUT,
        complete: None,
        at: (file, line),
    }
}

said_alike!(Prompt);

impl Prompt {
    /// The name on the wire.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn at(&self) -> String {
        format!("{}:{}: prompt `{}`", self.at.0, self.at.1, self.name)
    }
}

/// The messages of a prompt, in order. A prompt that returns a string is one message of the user.
///
/// ```
/// use mcp_runtime::Messages;
///
/// let messages = Messages::new().user("Hello!").assistant("Hello. What can I do?");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Messages(pub(crate) Vec<Value>);

impl Messages {
    /// No messages yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what the user says.
    #[must_use]
    pub fn user(self, content: impl Into<Content>) -> Self {
        self.push("user", content.into())
    }

    /// Adds what the model says.
    #[must_use]
    pub fn assistant(self, content: impl Into<Content>) -> Self {
        self.push("assistant", content.into())
    }

    fn push(mut self, role: &str, content: Content) -> Self {
        self.0.push(json!({ "role": role, "content": content.0 }));
        self
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}
