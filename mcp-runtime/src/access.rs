//! Who may do what, and why: what the policies of a server say, without a call.
//!
//! ```
//! use mcp_runtime::access::{Decision, Operation};
//! use mcp_runtime::prelude::*;
//!
//! /// Refund an order.
//! #[mcp_tool(scope = "refunds:write", role = "support", destructive)]
//! fn refund(order: String) -> String {
//!     order
//! }
//!
//! # fn main() -> mcp_runtime::Result {
//! let service = Server::new(tools![refund]).build()?;
//! let ada = Caller::user("ada").role("support");
//! let access = service.explain(&ada, &Operation::tool("refund"));
//! assert_eq!(access.decision, Decision::StepUp { scopes: vec!["refunds:write".into()] });
//! assert_eq!(access.reasons, ["asks for the scope `refunds:write`, which the caller lacks"]);
//! // Who has not the role does not learn that there is such a tool.
//! assert_eq!(service.access(&Caller::user("bob"))[0].decision, Decision::Hide);
//! # Ok(())
//! # }
//! ```

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::caller::Caller;
use crate::error::Refusal;
use crate::http::app::AuthMode;
use crate::policy::{self, Lists, Policy, Variables};
use crate::resource_set::{PromptSet, ResourceSet};
use crate::server::Service;
use crate::tool_set::ToolSet;
use crate::uri_template::UriTemplate;

/// Something that a caller can try. Written `tool:NAME`, `resource:URI` or `prompt:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// A call of the tool of this name.
    Tool(String),
    /// A read of the resource under this URI, or of all under this template.
    Resource(String),
    /// A look at the prompt of this name.
    Prompt(String),
}

/// What a server decides about a caller and an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "decision")]
pub enum Decision {
    /// It is done.
    Allow,
    /// It is not there: not listed, and answered like what does not exist.
    Hide,
    /// Without a token: 401, and these scopes are what to ask for.
    Authenticate {
        /// All that the operation asks for; empty when any token will do.
        scopes: Vec<String>,
    },
    /// With a token that is not enough: 403, and these scopes are what to ask for.
    StepUp {
        /// All that the operation asks for, those that the caller has among them.
        scopes: Vec<String>,
    },
}

/// An operation, and what is decided about it. For operators: it names what callers do not hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// What would be done. In [`Service::access`], a template stands for all that is read by it.
    pub operation: Operation,
    /// Whether it is.
    pub decision: Decision,
    /// Whether the caller finds it in a list.
    pub listed: bool,
    /// Why it is not, a sentence for each thing that is missing; empty when it is.
    pub reasons: Vec<String>,
}

impl Service {
    /// What this caller may do with each tool, resource and prompt, in the order in which they are
    /// listed. Decided by the policies alone: the guard of a tool looks at the arguments, too, and
    /// limits at what was asked before.
    ///
    /// A scope that names a variable of a template stands as it is written (`docs:{id}:read`).
    pub fn access(&self, caller: &Caller) -> Vec<Access> {
        let operations = self.operations();
        operations
            .iter()
            .map(|operation| self.explain(caller, operation))
            .collect()
    }

    /// Everything that can be tried, in the order in which it is listed.
    pub fn operations(&self) -> Vec<Operation> {
        let engine = &self.app().engine;
        let tools = engine.tools.names().map(Operation::tool);
        let resources = engine.resources.names().map(Operation::resource);
        let skills = engine.skills.uris().into_iter().map(Operation::resource);
        let prompts = engine.prompts.names().map(Operation::prompt);
        tools
            .chain(resources)
            .chain(skills)
            .chain(prompts)
            .collect()
    }

    /// What this caller gets when it tries this over HTTP, and why. Names the reason for what is
    /// hidden, which is never to be told the caller.
    pub fn explain(&self, caller: &Caller, operation: &Operation) -> Access {
        let rules = Rules {
            mode: self.app().mode,
            lists: self.app().engine.modes.lists,
        };
        rules.decide(caller, operation, self.found(operation))
    }

    fn found<'a>(&'a self, operation: &Operation) -> Option<Found<'a>> {
        let engine = &self.app().engine;
        let (on, policy) = match operation {
            Operation::Tool(name) => engine.tools.switched(name)?,
            Operation::Prompt(name) => engine.prompts.switched(name)?,
            Operation::Resource(uri) => {
                if let Some(policy) = engine.skills.policy_of(uri) {
                    return Some(Found::whole(true, policy));
                }
                // A template is named by itself; what is not one is read by the first that fits.
                match engine.resources.switched(uri) {
                    Some(named) => named,
                    None => {
                        let (found, variables) = engine.resources.of_uri(uri)?;
                        return Some(Found {
                            on: found.is_on(),
                            policy: &found.bound.policy,
                            variables: Some(variables),
                        });
                    }
                }
            }
        };
        Some(Found::whole(on.is(), policy))
    }
}

/// The policies of sets that no server has been made of, so that they can be looked at without the
/// state that a server needs. Answers like [`Service::access`] and [`Service::explain`].
///
/// ```
/// use mcp_runtime::access::{Operation, Policies};
/// use mcp_runtime::prelude::*;
/// use mcp_runtime::{PromptSet, ResourceSet};
///
/// /// Add two numbers.
/// #[mcp_tool(scope = "sums:read", read_only)]
/// fn add(a: i64, b: i64) -> i64 {
///     a + b
/// }
///
/// let tools: ToolSet = tools![add];
/// let policies = Policies::of(&tools, &ResourceSet::new(), &PromptSet::new());
/// let access = policies.explain(&Caller::anonymous(), &Operation::tool("add"));
/// assert_eq!(access.decision.to_string(), "401 (sums:read)");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Policies {
    rules: Rules,
    all: Vec<(Operation, Policy, Option<UriTemplate>)>,
}

/// What holds for all operations of a server.
#[derive(Clone, Copy, Debug, Default)]
struct Rules {
    mode: AuthMode,
    lists: Lists,
}

impl Policies {
    /// The policies of these sets.
    pub fn of<S: Send + Sync + 'static>(
        tools: &ToolSet<S>,
        resources: &ResourceSet<S>,
        prompts: &PromptSet<S>,
    ) -> Self {
        let tools = tools.iter().map(|tool| {
            let policy = tool.policy_ref().clone();
            (Operation::tool(tool.name()), policy, None)
        });
        let resources = resources.iter().map(|resource| {
            // One that cannot be read keeps the server from being built.
            let template = UriTemplate::parse(resource.uri()).ok();
            let template = template.filter(|_| resource.is_template());
            let policy = resource.policy_ref().clone();
            (Operation::resource(resource.uri()), policy, template)
        });
        let prompts = prompts.iter().map(|prompt| {
            let policy = prompt.policy_ref().clone();
            (Operation::prompt(prompt.name()), policy, None)
        });
        Self {
            rules: Rules::default(),
            all: tools.chain(resources).chain(prompts).collect(),
        }
    }

    /// What requests without a token may do; as [`Server::auth_mode`](crate::Server::auth_mode).
    #[must_use]
    pub fn mode(mut self, mode: AuthMode) -> Self {
        self.rules.mode = mode;
        self
    }

    /// What lists hold; as [`Server::lists`](crate::Server::lists).
    #[must_use]
    pub fn lists(mut self, lists: Lists) -> Self {
        self.rules.lists = lists;
        self
    }

    /// Everything that can be tried, with who may, in the order in which it is listed.
    pub fn iter(&self) -> impl Iterator<Item = (&Operation, &Policy)> {
        self.all
            .iter()
            .map(|(operation, policy, _)| (operation, policy))
    }

    /// As [`Service::access`].
    pub fn access(&self, caller: &Caller) -> Vec<Access> {
        self.iter()
            .map(|(operation, _)| self.explain(caller, operation))
            .collect()
    }

    /// As [`Service::explain`].
    pub fn explain(&self, caller: &Caller, operation: &Operation) -> Access {
        let named = self.all.iter().find(|(known, ..)| known == operation);
        let found = named.map(|(_, policy, _)| Found::whole(true, policy));
        let found = found.or_else(|| {
            let Operation::Resource(uri) = operation else {
                return None;
            };
            self.all.iter().find_map(|(_, policy, template)| {
                Some(Found {
                    on: true,
                    policy,
                    variables: Some(template.as_ref()?.matches(uri)?),
                })
            })
        });
        self.rules.decide(caller, operation, found)
    }
}

impl Rules {
    fn decide(self, caller: &Caller, operation: &Operation, found: Option<Found<'_>>) -> Access {
        let access = |decision, listed, reasons| Access {
            operation: operation.clone(),
            decision,
            listed,
            reasons,
        };
        let hidden = |reason: &str| access(Decision::Hide, false, vec![reason.to_owned()]);
        if caller.is_anonymous() && self.mode == AuthMode::Required {
            let reason = "nothing is answered without a token (the mode is `required`)".to_owned();
            let scopes = Vec::new();
            return access(Decision::Authenticate { scopes }, false, vec![reason]);
        }
        if !caller.is_anonymous() && self.mode == AuthMode::Open {
            let reason = "no token is taken (the mode is `open`)".to_owned();
            let scopes = Vec::new();
            return access(Decision::Authenticate { scopes }, false, vec![reason]);
        }
        let Some(found) = found else {
            return hidden("there is no such thing");
        };
        if !found.on {
            return hidden("it is switched off");
        }
        let of_scope: Variables<'_> = &|name| found.variable(name);
        match policy::authorize(found.policy, caller, of_scope) {
            Ok(_) => access(Decision::Allow, true, Vec::new()),
            Err(refusal) => {
                let listed = found.policy.lists_for(caller, self.lists);
                let reasons = found.policy.lacks(caller, of_scope);
                access(Decision::of(refusal), listed, reasons)
            }
        }
    }
}

/// What an operation is about.
struct Found<'a> {
    on: bool,
    policy: &'a Policy,
    /// Of a template; `None` for one that stands for all its URIs.
    variables: Option<Vec<(&'a str, String)>>,
}

impl<'a> Found<'a> {
    /// What has no variables, or stands for all of them.
    fn whole(on: bool, policy: &'a Policy) -> Self {
        Self {
            on,
            policy,
            variables: None,
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        match &self.variables {
            None => Some(format!("{{{name}}}")),
            Some(variables) => variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.clone()),
        }
    }
}

impl Policy {
    /// What of this policy a caller does not meet, a sentence for each.
    fn lacks(&self, caller: &Caller, variables: Variables<'_>) -> Vec<String> {
        let mut reasons = Vec::new();
        let roles = self.needed_roles();
        if !roles.is_empty() && !roles.iter().any(|role| caller.has_role(role)) {
            let named = roles.join("` or `");
            reasons.push(format!(
                "is for the role `{named}`, which the caller has not: hidden"
            ));
        }
        if self.needs_tenant() && caller.acts_for().is_none() {
            reasons.push("is for callers of a tenant, and the caller has none: hidden".to_owned());
        }
        if caller.is_anonymous() && !self.is_public() {
            reasons.push("asks for a token, and there is none".to_owned());
        }
        for scope in self.needed_scopes() {
            match policy::expand(scope, variables) {
                Some(scope) if caller.has_scope(&scope) => {}
                Some(scope) => reasons.push(format!(
                    "asks for the scope `{scope}`, which the caller lacks"
                )),
                None => reasons.push(format!(
                    "asks for a scope `{scope}` that this URI cannot be part of: hidden"
                )),
            }
        }
        reasons
    }
}

impl Operation {
    /// A call of the tool of this name.
    pub fn tool(name: impl Into<String>) -> Self {
        Self::Tool(name.into())
    }

    /// A read of the resource under this URI.
    pub fn resource(uri: impl Into<String>) -> Self {
        Self::Resource(uri.into())
    }

    /// A look at the prompt of this name.
    pub fn prompt(name: impl Into<String>) -> Self {
        Self::Prompt(name.into())
    }

    /// `tool`, `resource` or `prompt`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tool(_) => "tool",
            Self::Resource(_) => "resource",
            Self::Prompt(_) => "prompt",
        }
    }

    /// The name, or the URI.
    pub fn name(&self) -> &str {
        match self {
            Self::Tool(name) | Self::Resource(name) | Self::Prompt(name) => name,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.name())
    }
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("tool", name)) if !name.is_empty() => Ok(Self::tool(name)),
            Some(("resource", uri)) if !uri.is_empty() => Ok(Self::resource(uri)),
            Some(("prompt", name)) if !name.is_empty() => Ok(Self::prompt(name)),
            _ => Err("write it like tool:NAME, resource:URI or prompt:NAME".to_owned()),
        }
    }
}

impl Decision {
    fn of(refusal: Refusal) -> Self {
        let owned = |scopes: Vec<Cow<'static, str>>| {
            scopes.into_iter().map(Cow::into_owned).collect::<Vec<_>>()
        };
        match refusal {
            Refusal::Unauthenticated { scopes } => Self::Authenticate {
                scopes: owned(scopes),
            },
            Refusal::InsufficientScope { scopes } => Self::StepUp {
                scopes: owned(scopes),
            },
            // A policy refuses in no other way; what is not known to be allowed is hidden.
            _ => Self::Hide,
        }
    }

    /// Whether it is done.
    pub fn is_allowed(&self) -> bool {
        *self == Self::Allow
    }
}

/// As it stands in a table: `allow`, `hide`, `401 (scope …)`, `403 (scope …)`.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow => f.write_str("allow"),
            Self::Hide => f.write_str("hide"),
            Self::Authenticate { scopes } if scopes.is_empty() => f.write_str("401"),
            Self::Authenticate { scopes } => write!(f, "401 ({})", scopes.join(" ")),
            Self::StepUp { scopes } => write!(f, "403 ({})", scopes.join(" ")),
        }
    }
}
