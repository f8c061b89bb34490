//! A prompt: messages that a person picks to begin with.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Value, json};

use crate::completion::{Complete, Completer};
use crate::icon::Icons;
use crate::limits::{Rate, Share};
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
    pub(crate) icons: Icons,
    pub(crate) share: Share,
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
        icons: Icons::new(),
        share: Share::default(),
        complete: None,
        at: (file, line),
    }
}

impl Prompt {
    /// What the prompt is for, for whoever chooses.
    #[must_use]
    pub fn description(mut self, text: &'static str) -> Self {
        self.description = Cow::Borrowed(text);
        self
    }

    /// Who may get it.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// A name for people.
    #[must_use]
    pub fn title(mut self, title: impl Into<Cow<'static, str>>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// An icon beside it: an `https://` URL, or a `data:image/…` URI of at most 64 KiB. More than
    /// one are the same image in several forms.
    #[must_use]
    pub fn icon(mut self, src: impl Into<Cow<'static, str>>) -> Self {
        self.icons.push(src.into());
        self
    }

    /// How often one caller may get it.
    #[must_use]
    pub fn rate(mut self, rate: Rate) -> Self {
        self.share.rate = Some(rate);
        self
    }

    /// How many may get it at once, all callers together.
    #[must_use]
    pub fn concurrency(mut self, calls: u32) -> Self {
        self.share.concurrency = Some(calls);
        self
    }

    /// How long it may take, in milliseconds.
    #[must_use]
    pub fn timeout_ms(mut self, milliseconds: u64) -> Self {
        self.timeout = Duration::from_millis(milliseconds);
        self
    }

    /// What suggests values for the arguments.
    #[must_use]
    pub fn complete<F, Fut>(mut self, complete: F) -> Self
    where
        F: Fn(Complete) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<String>> + Send + 'static,
    {
        self.complete = Some(Completer::new(complete));
        self
    }

    /// The name on the wire.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who may get it.
    pub fn policy_ref(&self) -> &Policy {
        self.policy.as_ref().unwrap_or_else(|| Policy::nobody())
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
