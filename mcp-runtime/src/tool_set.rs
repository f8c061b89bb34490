//! Sets of tools, and everything that is checked when they become a server.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Add;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::audit::Redaction;
use crate::bound::{self, Bound, Offered, Published, Raw, Said};
use crate::caller::Caller;
use crate::confirmation::{self, Confirmation, Desk, Inputs};
use crate::function::Entry;
use crate::icon;
use crate::limits::Limits;
use crate::policy::Policy;
use crate::switches::On;
use crate::tool::{DynamicTool, Handler, Tool};
use crate::ui;
use crate::wire::list::{Cut, Listed, Listing, Pages, write_entry};
use crate::wire::param_headers::ParamHeaders;

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
    entries: Vec<ToolEntry<S>>,
}

struct ToolEntry<S> {
    entry: Entry<Tool, S>,
    /// The schemas of a tool defined at run time.
    raw: Option<Raw>,
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
        $crate::__private::set([$($crate::__private::entry::<$tool, _, _>()),*])
    };
}

/// Called by `tools!`.
pub fn set<S, const N: usize>(entries: [Entry<Tool, S>; N]) -> ToolSet<S> {
    let entries = entries
        .into_iter()
        .map(|entry| ToolEntry { entry, raw: None });
    ToolSet {
        entries: entries.collect(),
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
        self.entries.push(ToolEntry {
            entry: Entry {
                about: tool,
                bind: Box::new(|_| Box::new(handler)),
            },
            raw: Some(Raw {
                input: input_schema,
                output: output_schema,
            }),
        });
        self
    }

    /// Puts `prefix` in front of every name.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        for entry in &mut self.entries {
            let tool = &mut entry.entry.about;
            tool.name = Cow::Owned(format!("{prefix}{}", tool.name));
        }
        self
    }

    /// Counts calls of these tools by themselves: [`requests`](Limits::requests),
    /// [`anonymous`](Limits::anonymous) and [`writes`](Limits::writes) hold for them in place of those
    /// of the server, and what is not said here is not limited. Sets of one name count together. How
    /// many calls of a caller run at the same time remains a matter of the server.
    ///
    /// Whoever may not call a tool is counted as if there were none.
    ///
    /// ```
    /// # use mcp_runtime::{Limits, prelude::*};
    /// # /// Look something up.
    /// # #[mcp_tool(public, read_only)]
    /// # fn look() -> u32 { 1 }
    /// # fn main() -> Result<(), String> {
    /// let often = Limits::none().requests("600/min, burst 120".parse()?);
    /// let tools: ToolSet = tools![look].limits("records", often);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn limits(mut self, name: impl Into<Cow<'static, str>>, limits: Limits) -> Self {
        let limits = Arc::new((name.into(), limits));
        for entry in &mut self.entries {
            entry.entry.about.limits = Some(Arc::clone(&limits));
        }
        self
    }

    /// The tools, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Tool> {
        self.entries.iter().map(|entry| &entry.entry.about)
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
        cut: Cut,
        desk: &Arc<Desk>,
        problems: &mut Vec<String>,
    ) -> Tools {
        let mut tools: Vec<BoundTool> = Vec::with_capacity(self.entries.len());
        let mut listed = Vec::with_capacity(self.entries.len());
        let mut index: HashMap<Box<str>, usize> = HashMap::with_capacity(self.entries.len());
        // Of the tools that are refused too: their names are taken all the same.
        let mut places = HashMap::with_capacity(self.entries.len());
        for ToolEntry { entry, raw } in self.entries {
            let tool = entry.about.clone();
            let at = tool.at();
            if let Some((file, line)) = places.insert(tool.name.clone(), tool.at) {
                problems.push(format!(
                    "{at}: the name is taken by the tool at {file}:{line}; rename one, or give a set a prefix"
                ));
            }
            let mut found = said_problems(&tool);
            let said = Said {
                name: tool.name.clone(),
                description: &tool.description,
                policy: tool.policy.clone(),
                timeout: tool.timeout(),
                raw,
            };
            match bound::bind(entry, said, Arc::clone(state)) {
                Ok((tool, mut bound, mut published)) => {
                    found.extend(add_confirmation(&tool, &mut bound, &mut published, desk));
                    match ParamHeaders::of(&published.input) {
                        Ok(headers) if found.is_empty() => {
                            index.insert(tool.name.as_ref().into(), tools.len());
                            let on = On::default();
                            listed.push(list_entry(&tool, &published, on.clone()));
                            tools.push(BoundTool {
                                tool,
                                bound: Arc::new(bound),
                                headers,
                                on,
                            });
                        }
                        Ok(_) => {}
                        Err(more) => found.extend(more),
                    }
                }
                Err(more) => found.extend(more),
            }
            problems.extend(found.into_iter().map(|problem| format!("{at}: {problem}")));
        }
        let listing = Listing::new("tools", listed, cut).unwrap_or_else(|problem| {
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

/// A tool of a running server.
pub(crate) struct BoundTool {
    pub(crate) tool: Tool,
    pub(crate) bound: Arc<Bound>,
    pub(crate) headers: ParamHeaders,
    pub(crate) on: On,
}

/// Has a tool ask before it runs, if it is to. Gives what is wrong with its question.
fn add_confirmation(
    tool: &Tool,
    bound: &mut Bound,
    published: &mut Published,
    desk: &Arc<Desk>,
) -> Vec<String> {
    let Some(question) = &tool.confirm else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    if tool.effects.read_only {
        problems.push("it is read-only, and changes nothing that had to be confirmed".to_owned());
    }
    let properties = published.input.get("properties").and_then(Value::as_object);
    if properties.is_some_and(|properties| properties.contains_key(confirmation::TOKEN)) {
        problems.push(format!(
            "its confirmation adds an argument `{}`: give its own another name",
            confirmation::TOKEN
        ));
    }
    match Confirmation::new(&tool.name, question, &Inputs(properties), desk) {
        Ok(confirmation) => bound.confirmation = Some(confirmation),
        Err(found) => problems.extend(found),
    }
    confirmation::publish(&mut published.input);
    // A token is good for a call: it is no more to be seen than other secrets.
    bound.redaction = Redaction::of(&published.input);
    problems
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
    if tool.effects.read_only && tool.effects.destructive {
        problems.push("it cannot be both read-only and destructive".into());
    }
    problems.extend(cache_problems(tool));
    problems.extend(icon::problems(&tool.icons));
    if tool
        .policy_ref()
        .needed_scopes()
        .iter()
        .any(|scope| scope.contains(['{', '}']))
    {
        problems.push(
            "its scope has a `{`, which stands for a variable of a URI, and it has none".into(),
        );
    }
    problems
}

/// What is wrong with keeping its answers. One that is made in front of a person, or later, is not
/// to be had again.
fn cache_problems(tool: &Tool) -> Vec<String> {
    let mut problems = Vec::new();
    if tool.cache.is_some() && !tool.effects.read_only {
        problems.push("its answers are kept, but it is not read-only".to_owned());
    }
    if tool.cache.is_some() && tool.task.is_some() {
        problems.push("its answers are kept, but a call may become a task".to_owned());
    }
    if tool.cache.is_some_and(|ttl| ttl.is_zero()) {
        problems.push("its answers are kept for no time".to_owned());
    }
    if tool.family.as_ref().is_some_and(|family| family.is_empty()) {
        problems.push("its family has no name".to_owned());
    }
    problems
}

/// The entry of `tools/list`: a tool reads best from its name on.
fn list_entry(tool: &Tool, published: &Published, on: On) -> Listed {
    let name = json!(tool.name);
    let title = tool.title.as_ref().map(|title| json!(title));
    let description = json!(tool.description);
    let annotations = json!(tool.effects);
    let (icons, meta) = (icon::json(&tool.icons), ui::tool_meta(tool));
    let write = |output: Option<&Value>| {
        let members = [
            ("name", Some(&name)),
            ("title", title.as_ref()),
            ("description", Some(&description)),
            ("inputSchema", Some(&published.input)),
            ("outputSchema", output),
            ("annotations", Some(&annotations)),
            ("icons", icons.as_ref()),
            ("_meta", meta.as_ref()),
        ];
        write_entry(
            members
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?))),
        )
    };
    let output = published.output.as_ref();
    // Clients that initialize know objects only.
    let object = output.filter(|output| output.get("type").is_some_and(|kind| kind == "object"));
    let modern = write(output);
    Listed {
        name: tool.name.to_string(),
        on,
        policy: tool.policy_ref().clone(),
        legacy: match object == output {
            true => Arc::clone(&modern),
            false => write(object),
        },
        modern,
    }
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
        self.named(name).filter(|tool| tool.on.is())
    }

    fn named(&self, name: &str) -> Option<&BoundTool> {
        self.index.get(name).map(|at| &self.tools[*at])
    }

    /// Whether the tool of this name is on, whoever may call it.
    pub(crate) fn switched(&self, name: &str) -> Option<(&On, &Policy)> {
        self.named(name).map(|tool| (&tool.on, &tool.bound.policy))
    }

    /// Switches a tool. Tells whether that changed anything, and for whom.
    pub(crate) fn turn(&self, name: &str, to: bool) -> Option<(bool, &Policy)> {
        let (on, policy) = self.switched(name)?;
        let changed = on.turn(to);
        if changed {
            self.listing.renew();
        }
        Some((changed, policy))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(Tool::name)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Tool> {
        self.tools.iter().map(|bound| &bound.tool)
    }

    /// Whether a call of any of them may become a task.
    pub(crate) fn have_tasks(&self) -> bool {
        self.iter().any(|tool| tool.task.is_some())
    }

    pub(crate) fn offered(&mut self) -> impl Iterator<Item = Offered<'_>> {
        self.tools.iter_mut().map(|each| Offered {
            kind: "tool",
            at: each.tool.at(),
            share: each.tool.share,
            limits: each.tool.limits.clone(),
            read_only: each.tool.effects.read_only,
            cache: each.tool.cache,
            family: each.tool.family.clone(),
            bound: Arc::get_mut(&mut each.bound).expect("nobody calls before the server is built"),
        })
    }

    pub(crate) fn pages(&self, caller: &Caller) -> Arc<Pages> {
        self.listing.pages(caller)
    }
}
