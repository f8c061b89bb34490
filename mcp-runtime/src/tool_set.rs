//! Sets of tools, and everything that is checked when they become a server.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Add;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::call::BoundTool;
use crate::caller::Caller;
use crate::output::{OutputType, Shape};
use crate::schema::{self, Checker, InputSchema};
use crate::tool::{Bound, DynamicTool, Handler, Runnable, Tool, ToolFn};
use crate::wire::list::Listing;

/// Names longer than this do not fit the clients that put their own prefix in front of them.
const MAX_NAME: usize = 64;

/// Tools in the order in which they are listed, for a server with state `S`.
///
/// `tools![a, b]` makes one; sets add up, and take a prefix:
///
/// ```
/// # use mcp_runtime::prelude::*;
/// /// Say hello.
/// #[mcp_tool(public)]
/// fn hello() -> String { "Hello!".into() }
/// /// Say goodbye.
/// #[mcp_tool(public)]
/// fn goodbye() -> String { "Bye!".into() }
///
/// let tools: ToolSet = tools![hello] + tools![goodbye].prefix("polite_");
/// assert_eq!(tools.names().collect::<Vec<_>>(), ["hello", "polite_goodbye"]);
/// ```
pub struct ToolSet<S = ()> {
    entries: Vec<Entry<S>>,
}

/// One tool of a set, not yet bound to a state.
pub struct Entry<S> {
    tool: Tool,
    dynamic: Option<(Value, Option<Value>)>,
    bind: Box<dyn FnOnce(Arc<S>) -> Box<dyn Runnable> + Send>,
}

/// The entry of a tool made by `#[mcp_tool]`. Called by `tools!`.
pub fn entry<T: ToolFn<S>, S: Send + Sync + 'static>() -> Entry<S> {
    Entry {
        tool: T::tool(),
        dynamic: None,
        bind: Box::new(|state| Box::new(Bound::<S, T>::new(state))),
    }
}

/// Lists tools: `tools![list_users, billing::refund]`.
///
/// Makes a [`ToolSet`] for a server whose state can lend everything that the tools take by
/// reference.
///
/// ```
/// use mcp_runtime::prelude::*;
///
/// struct Ledger(u32);
///
/// #[derive(Lend)]
/// struct App {
///     ledger: Ledger,
/// }
///
/// /// What is owed.
/// #[mcp_tool(public, read_only)]
/// fn balance(ledger: &Ledger) -> u32 {
///     ledger.0
/// }
///
/// let tools: ToolSet<App> = tools![balance];
/// assert_eq!(tools.names().collect::<Vec<_>>(), ["balance"]);
/// ```
#[macro_export]
macro_rules! tools {
    ($($tool:path),* $(,)?) => {
        $crate::__private::set([$($crate::__private::entry::<$tool, _>()),*])
    };
}

/// Called by `tools!`.
pub fn set<S, const N: usize>(entries: [Entry<S>; N]) -> ToolSet<S> {
    ToolSet {
        entries: entries.into(),
    }
}

impl<S: Send + Sync + 'static> ToolSet<S> {
    /// An empty set.
    pub fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// Adds a tool defined at run time.
    #[must_use]
    pub fn with(mut self, tool: DynamicTool<Handler>) -> Self {
        let DynamicTool {
            tool,
            input_schema,
            output_schema,
            handler,
        } = tool;
        self.entries.push(Entry {
            tool,
            dynamic: Some((input_schema, output_schema)),
            bind: Box::new(|_| Box::new(handler)),
        });
        self
    }

    /// Puts `prefix` in front of every name.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        for entry in &mut self.entries {
            entry.tool.name = Cow::Owned(format!("{prefix}{}", entry.tool.name));
        }
        self
    }

    /// The tools, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Tool> {
        self.entries.iter().map(|entry| &entry.tool)
    }

    /// The names of the tools, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(Tool::name)
    }

    /// How many tools there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Binds the tools to a state. Reports every problem, not only the first.
    pub(crate) fn bind(
        self,
        state: &Arc<S>,
        page_size: usize,
        problems: &mut Vec<String>,
    ) -> Tools {
        let mut tools = Vec::with_capacity(self.entries.len());
        let mut index: HashMap<Box<str>, usize> = HashMap::with_capacity(self.entries.len());
        // Of the tools that are refused too: their names are taken all the same.
        let mut places = HashMap::with_capacity(self.entries.len());
        for entry in self.entries {
            let at = entry.tool.at();
            let name = entry.tool.name.clone();
            if let Some((file, line)) = places.insert(name.clone(), entry.tool.at) {
                problems.push(format!(
                    "{at}: the name is taken by the tool at {file}:{line}; rename one, or give a set a prefix"
                ));
            }
            match entry.finish(Arc::clone(state)) {
                Ok(tool) => {
                    index.insert(name.as_ref().into(), tools.len());
                    tools.push(tool);
                }
                Err(found) => {
                    problems.extend(found.into_iter().map(|problem| format!("{at}: {problem}")))
                }
            }
        }
        let listing = Listing::new(&tools, page_size).unwrap_or_else(|problem| {
            problems.push(problem);
            Listing::default()
        });
        Tools {
            tools,
            index,
            listing,
        }
    }
}

impl<S> Entry<S> {
    fn finish(self, state: Arc<S>) -> Result<BoundTool, Vec<String>> {
        let mut problems = said_problems(&self.tool);
        let run = (self.bind)(state);
        let specs = run.inputs();
        let schema = match &self.dynamic {
            Some((input, _)) if input.get("type").is_none_or(|kind| kind != "object") => {
                problems.push(
                    "the schema of its arguments must say `\"type\": \"object\"` at its root"
                        .into(),
                );
                None
            }
            Some((input, _)) => Some(InputSchema {
                published: input.clone(),
                checked: input.clone(),
            }),
            None => match schema::of_inputs(&specs) {
                Ok(schema) => Some(schema),
                Err(found) => {
                    problems.extend(found);
                    None
                }
            },
        };
        let checker = schema.as_ref().and_then(|schema| {
            let compiled = Checker::new(&schema.checked).and_then(|checker| {
                // What clients see has to be as sound as what is checked.
                jsonschema::draft202012::meta::validate(&schema.published)
                    .map(|()| checker)
                    .map_err(|error| format!("is not a schema of JSON Schema 2020-12: {error}"))
            });
            compiled
                .map_err(|problem| problems.push(format!("the schema of its arguments {problem}")))
                .ok()
        });
        let (shape, output) = match (&self.dynamic, run.output()) {
            (Some((_, output)), _) => (Shape::Raw, output.clone()),
            (None, OutputType::Value(describe)) => schema::of_output(describe),
            (None, OutputType::Free) => (Shape::Free, None),
        };
        if let Some(output) = &output
            && let Err(error) = jsonschema::draft202012::meta::validate(output)
        {
            problems.push(format!(
                "the schema of its result is not a schema of JSON Schema 2020-12: {error}"
            ));
        }
        let optional = specs
            .iter()
            .filter(|spec| !spec.required)
            .map(|spec| spec.name)
            .collect();
        match (schema, checker, problems.is_empty()) {
            (Some(schema), Some(checker), true) => Ok(BoundTool {
                listed: listed(&self.tool, schema.published, output.as_ref()),
                object_output: output
                    .as_ref()
                    .is_none_or(|o| o.get("type").is_some_and(|t| t == "object")),
                tool: self.tool,
                checker,
                optional,
                shape,
                run,
            }),
            _ => Err(problems),
        }
    }
}

/// What is wrong with what a tool says about itself.
fn said_problems(tool: &Tool) -> Vec<String> {
    let mut problems = Vec::new();
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if tool.name.is_empty() || tool.name.len() > MAX_NAME || !tool.name.chars().all(legal) {
        problems.push(format!(
            "its name has {} characters; clients take 1 to {MAX_NAME} of letters, digits, `_` and `-`",
            tool.name.len()
        ));
    }
    if tool.description.trim().is_empty() {
        problems.push("a model chooses tools by their description, and this one has none".into());
    }
    match &tool.policy {
        None => problems.push("nobody said who may call it: give it a policy".into()),
        Some(policy) => problems.extend(
            policy
                .problem()
                .map(|problem| format!("its policy {problem}")),
        ),
    }
    if tool.effects.read_only && tool.effects.destructive {
        problems.push("it cannot be both read-only and destructive".into());
    }
    if tool.timeout.is_zero() {
        problems.push("its timeout is zero".into());
    }
    problems
}

/// The entry of `tools/list`, in a fixed order of members.
fn listed(tool: &Tool, input: Value, output: Option<&Value>) -> Map<String, Value> {
    let mut entry = Map::new();
    entry.insert("name".into(), json!(tool.name));
    if let Some(title) = &tool.title {
        entry.insert("title".into(), json!(title));
    }
    entry.insert("description".into(), json!(tool.description));
    entry.insert("inputSchema".into(), input);
    if let Some(output) = output {
        entry.insert("outputSchema".into(), output.clone());
    }
    entry.insert("annotations".into(), json!(tool.effects));
    entry
}

impl<S: Send + Sync + 'static> Default for ToolSet<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Add for ToolSet<S> {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self.entries.extend(other.entries);
        self
    }
}

/// The tools of a running server. Nothing in here changes or grows with requests.
pub(crate) struct Tools {
    tools: Vec<BoundTool>,
    index: HashMap<Box<str>, usize>,
    listing: Listing,
}

impl Tools {
    pub(crate) fn find(&self, name: &str) -> Option<&BoundTool> {
        self.index.get(name).map(|at| &self.tools[*at])
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Tool> {
        self.tools.iter().map(|bound| &bound.tool)
    }

    pub(crate) fn listing(&self, caller: &Caller) -> Arc<crate::wire::list::Pages> {
        self.listing.pages(caller, &self.tools)
    }
}
