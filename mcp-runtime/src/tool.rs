//! A tool: what it is called, what it takes, who may call it, and how to run it.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::call::Call;
use crate::confirmation;
use crate::error::ToolResult;
use crate::function::{Runnable, Running};
use crate::icon::Icons;
use crate::input::{InputSpec, Problem};
use crate::json::Object;
use crate::limits::{Limits, Rate, Share};
use crate::output::{Outcome, OutputType, ToolOutput};
use crate::policy::{Allowed, Policy};
use crate::tasks::TaskMode;
use crate::ui::Visibility;

/// The deadline of a tool that names none.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// What a tool says about itself. `#[mcp_tool]` writes it; [`Tool::dynamic`] makes one at run time.
#[derive(Clone, Debug)]
pub struct Tool {
    pub(crate) name: Cow<'static, str>,
    pub(crate) title: Option<Cow<'static, str>>,
    pub(crate) description: Cow<'static, str>,
    pub(crate) policy: Option<Policy>,
    pub(crate) effects: Effects,
    /// As the author gave it.
    pub(crate) timeout: Option<Duration>,
    pub(crate) task: Option<TaskMode>,
    pub(crate) share: Share,
    /// The limits that calls count against in place of those of the server, and their name.
    pub(crate) limits: Option<Arc<(Cow<'static, str>, Limits)>>,
    pub(crate) icons: Icons,
    /// The URI of the app that shows its results.
    pub(crate) ui: Option<Cow<'static, str>>,
    pub(crate) ui_visibility: Option<Visibility>,
    pub(crate) confirm: Option<Cow<'static, str>>,
    /// For how long answers are kept.
    pub(crate) cache: Option<Duration>,
    /// What it reads or changes.
    pub(crate) family: Option<Cow<'static, str>>,
    pub(crate) at: (&'static str, u32),
}

/// What a call may do, as far as its author says. Published as the annotations of the tool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four independent hints of the protocol"
)]
pub struct Effects {
    /// Changes nothing.
    #[serde(rename = "readOnlyHint")]
    pub read_only: bool,
    /// May destroy something.
    #[serde(rename = "destructiveHint")]
    pub destructive: bool,
    /// Calling twice is like calling once.
    #[serde(rename = "idempotentHint")]
    pub idempotent: bool,
    /// Reaches beyond this system.
    #[serde(rename = "openWorldHint")]
    pub open_world: bool,
}

/// Starts the description of a tool. Called by expansions.
pub fn tool(name: &'static str, file: &'static str, line: u32) -> Tool {
    Tool {
        name: Cow::Borrowed(name),
        title: None,
        description: Cow::Borrowed(""),
        policy: None,
        effects: Effects::default(),
        timeout: None,
        task: None,
        share: Share::default(),
        limits: None,
        icons: Icons::new(),
        ui: None,
        ui_visibility: None,
        confirm: None,
        cache: None,
        family: None,
        at: (file, line),
    }
}

impl Tool {
    /// A tool defined at run time, with a raw JSON Schema (2020-12) that is published untouched
    /// and checked before every call.
    ///
    /// ```
    /// use mcp_runtime::{Policy, Tool, ToolError, ToolSet};
    /// use serde_json::json;
    ///
    /// let echo = Tool::dynamic("echo", "Say it again.", Policy::public())
    ///     .input_schema(json!({"type": "object", "properties": {"text": {"type": "string"}}}))
    ///     .handler(|_call, arguments| async move { Ok::<_, ToolError>(arguments) });
    /// let tools: ToolSet = ToolSet::new().with(echo);
    /// ```
    #[track_caller]
    pub fn dynamic(
        name: impl Into<Cow<'static, str>>,
        description: impl Into<Cow<'static, str>>,
        policy: Policy,
    ) -> DynamicTool<()> {
        let at = std::panic::Location::caller();
        DynamicTool {
            tool: Self {
                name: name.into(),
                ..tool("", at.file(), at.line())
            }
            .describe(description)
            .policy(policy),
            input_schema: serde_json::json!({ "type": "object", "properties": {}, "additionalProperties": false }),
            output_schema: None,
            handler: (),
        }
    }

    fn describe(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.description = text.into();
        self
    }

    /// What the tool does, for the model that chooses.
    #[must_use]
    pub fn description(self, text: &'static str) -> Self {
        self.describe(text)
    }

    /// Who may call.
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

    /// The `ui://` resource with which hosts that can show its results. What the tool returns has to
    /// make sense without it.
    #[must_use]
    pub fn ui(mut self, uri: impl Into<Cow<'static, str>>) -> Self {
        self.ui = Some(uri.into());
        self
    }

    /// Who calls it, where a host shows apps: only the model, or only the app. Both unless said
    /// otherwise.
    #[must_use]
    pub fn ui_visibility(mut self, visibility: Visibility) -> Self {
        self.ui_visibility = Some(visibility);
        self
    }

    /// The tool changes nothing.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.effects.read_only = true;
        self
    }

    /// The tool may destroy something.
    #[must_use]
    pub fn destructive(mut self) -> Self {
        self.effects.destructive = true;
        self
    }

    /// Calling twice is like calling once.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.effects.idempotent = true;
        self
    }

    /// The tool reaches beyond this system.
    #[must_use]
    pub fn open_world(mut self) -> Self {
        self.effects.open_world = true;
        self
    }

    /// How long a call may take, in milliseconds; also as a task.
    #[must_use]
    pub fn timeout_ms(mut self, milliseconds: u64) -> Self {
        self.timeout = Some(Duration::from_millis(milliseconds));
        self
    }

    /// A call becomes a task for a client that knows tasks: it is answered at once, and goes on by
    /// itself. For all other clients it stays an ordinary call.
    #[must_use]
    pub fn task(mut self) -> Self {
        self.task = Some(TaskMode::AtOnce);
        self
    }

    /// A call becomes a task, and clients that do not know tasks are refused.
    #[must_use]
    pub fn task_required(mut self) -> Self {
        self.task = Some(TaskMode::Required);
        self
    }

    /// A call becomes a task where its function says [`Call::detach`], for a client that knows
    /// tasks.
    #[must_use]
    pub fn task_on_detach(mut self) -> Self {
        self.task = Some(TaskMode::OnDetach);
        self
    }

    /// What a person is asked before the tool runs, with arguments in it: `Delete {hostname}?`.
    /// `{{` and `}}` are braces. A client that cannot ask gets the question and a `confirm_token`,
    /// with which the same call runs, once.
    #[must_use]
    pub fn confirm(mut self, question: impl Into<Cow<'static, str>>) -> Self {
        self.confirm = Some(question.into());
        self
    }

    /// For how long an answer is kept, in milliseconds, for the same caller and the same arguments.
    /// The tool has to be read-only. Limits and audit see every call all the same.
    #[must_use]
    pub fn cache_ms(mut self, milliseconds: u64) -> Self {
        self.cache = Some(Duration::from_millis(milliseconds));
        self
    }

    /// What the tool reads or changes, in a word. A tool that is not read-only drops the kept
    /// answers of its family, for all callers; one without a family drops all, and answers without
    /// a family are dropped by every such tool.
    #[must_use]
    pub fn family(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.family = Some(name.into());
        self
    }

    /// How often one caller may call.
    #[must_use]
    pub fn rate(mut self, rate: Rate) -> Self {
        self.share.rate = Some(rate);
        self
    }

    /// How many calls may run at once, those of all callers together.
    #[must_use]
    pub fn concurrency(mut self, calls: u32) -> Self {
        self.share.concurrency = Some(calls);
        self
    }

    /// The name on the wire.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the tool does.
    pub fn about(&self) -> &str {
        &self.description
    }

    /// What a call may do.
    pub fn effects(&self) -> Effects {
        self.effects
    }

    /// How long a call may take while its client waits.
    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(DEFAULT_TIMEOUT)
    }

    /// Who may call.
    pub fn policy_ref(&self) -> &Policy {
        self.policy.as_ref().unwrap_or_else(|| Policy::nobody())
    }

    pub(crate) fn keeps_answers(&self) -> bool {
        self.cache.is_some()
    }

    pub(crate) fn at(&self) -> String {
        format!("{}:{}: tool `{}`", self.at.0, self.at.1, self.name)
    }
}

/// A tool defined at run time. `H` is its handler, `()` until there is one.
pub struct DynamicTool<H> {
    pub(crate) tool: Tool,
    pub(crate) input_schema: Value,
    pub(crate) output_schema: Option<Value>,
    pub(crate) handler: H,
}

impl<H> DynamicTool<H> {
    /// The schema of the arguments: an object of JSON Schema 2020-12. An empty object unless set.
    #[must_use]
    pub fn input_schema(mut self, schema: Value) -> Self {
        self.input_schema = schema;
        self
    }

    /// The schema of the structured result.
    #[must_use]
    pub fn output_schema(mut self, schema: Value) -> Self {
        self.output_schema = Some(schema);
        self
    }

    /// What a person is asked before the tool runs, with arguments in it: `Delete {hostname}?`. As
    /// [`Tool::confirm`].
    #[must_use]
    pub fn confirm(self, question: impl Into<Cow<'static, str>>) -> Self {
        self.map(|tool| tool.confirm(question))
    }

    /// Changes what the tool says about itself: title, effects, timeout, rate, concurrency, whether
    /// it is a task.
    #[must_use]
    pub fn map(mut self, change: impl FnOnce(Tool) -> Tool) -> Self {
        self.tool = change(self.tool);
        self
    }
}

impl DynamicTool<()> {
    /// What runs: from the call and the arguments to a result.
    #[must_use]
    pub fn handler<F, Fut, R>(self, handler: F) -> DynamicTool<Handler>
    where
        F: Fn(Call, Value) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ToolResult<R>> + Send + 'static,
        R: ToolOutput,
    {
        let handler = Handler(Box::new(move |call, arguments| {
            let result = handler(call, arguments);
            Box::pin(async move {
                match result.await {
                    Ok(value) => ToolOutput::finish(value),
                    Err(error) => Outcome::Error(error),
                }
            })
        }));
        DynamicTool {
            tool: self.tool,
            input_schema: self.input_schema,
            output_schema: self.output_schema,
            handler,
        }
    }
}

/// The handler of a [`DynamicTool`].
pub struct Handler(Box<dyn Fn(Call, Value) -> Running<'static> + Send + Sync>);

impl Runnable for Handler {
    fn start<'call>(
        &'call self,
        _allowed: Allowed<'call>,
        arguments: &Object<'_>,
        call: &'call Call,
    ) -> Result<Running<'call>, Vec<Problem>> {
        let arguments = arguments
            .0
            .iter()
            .map(|(name, value)| (name.as_ref().to_owned(), value.to_value()))
            .collect();
        let asks = call.inner().confirmation.get().is_some();
        // The handler itself runs when it is polled: what comes before a call comes before all of
        // it. Nothing of it runs before somebody agreed, nor before the call is a task.
        Ok(Box::pin(async move {
            let ready = async {
                if asks {
                    confirmation::confirmed(call).await?;
                }
                call.detach_at_once().await
            };
            match ready.await {
                Ok(()) => (self.0)(call.clone(), Value::Object(arguments)).await,
                Err(error) => Outcome::Error(error),
            }
        }))
    }

    fn inputs(&self) -> Vec<&InputSpec> {
        Vec::new()
    }

    fn output(&self) -> OutputType {
        OutputType::Free
    }
}
