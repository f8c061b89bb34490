//! A resource: something a client can read under a URI, or under all URIs of a template.

use std::borrow::Cow;
use std::time::Duration;

use crate::completion::{Complete, Completer};
use crate::icon::Icons;
use crate::limits::{Rate, Share};
use crate::policy::Policy;
use crate::tool::DEFAULT_TIMEOUT;
use crate::ui::Ui;

/// What a resource says about itself. `#[mcp_resource]` writes it.
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
    pub(crate) icons: Icons,
    /// Of an app: what its page needs.
    pub(crate) ui: Option<Ui>,
    pub(crate) share: Share,
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
        icons: Icons::new(),
        ui: None,
        share: Share::default(),
        complete: None,
        at: (file, line),
    }
}

impl Resource {
    /// What the resource holds, for whoever chooses.
    #[must_use]
    pub fn description(mut self, text: &'static str) -> Self {
        self.description = Cow::Borrowed(text);
        self
    }

    /// Who may read. Scopes may name variables of the template: `docs:{id}:read`.
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

    /// What the page of an app (`ui://…`) needs beyond itself.
    #[must_use]
    pub fn ui(mut self, ui: Ui) -> Self {
        self.ui = Some(ui);
        self
    }

    /// An icon beside it: an `https://` URL, or a `data:image/…` URI of at most 64 KiB. More than
    /// one are the same image in several forms.
    #[must_use]
    pub fn icon(mut self, src: impl Into<Cow<'static, str>>) -> Self {
        self.icons.push(src.into());
        self
    }

    /// The media type; `text/plain` for strings and `application/json` for other values unless
    /// said otherwise.
    #[must_use]
    pub fn mime(mut self, mime: impl Into<Cow<'static, str>>) -> Self {
        self.mime = Some(mime.into());
        self
    }

    /// How often one caller may read.
    #[must_use]
    pub fn rate(mut self, rate: Rate) -> Self {
        self.share.rate = Some(rate);
        self
    }

    /// How many may read at once, all callers together.
    #[must_use]
    pub fn concurrency(mut self, calls: u32) -> Self {
        self.share.concurrency = Some(calls);
        self
    }

    /// How long a read may take, in milliseconds.
    #[must_use]
    pub fn timeout_ms(mut self, milliseconds: u64) -> Self {
        self.timeout = Duration::from_millis(milliseconds);
        self
    }

    /// What suggests values for the variables of the template.
    #[must_use]
    pub fn complete<F, Fut>(mut self, complete: F) -> Self
    where
        F: Fn(Complete) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<String>> + Send + 'static,
    {
        self.complete = Some(Completer::new(complete));
        self
    }

    /// The URI, or the template.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Who may read.
    pub fn policy_ref(&self) -> &Policy {
        self.policy.as_ref().unwrap_or_else(|| Policy::nobody())
    }

    pub(crate) fn is_template(&self) -> bool {
        self.uri.contains('{')
    }

    pub(crate) fn at(&self) -> String {
        format!("{}:{}: resource `{}`", self.at.0, self.at.1, self.uri)
    }
}
