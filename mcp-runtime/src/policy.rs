//! Who may call a tool, and the only place that says so.
//!
//! A scope can be acquired, so a tool whose scope is missing stays visible and the refusal names
//! what to ask for. A role cannot, so a tool whose role is missing does not exist for the caller.

use std::borrow::Cow;

use crate::caller::Caller;
use crate::error::Refusal;
use crate::tool::Tool;

/// Who may call a tool. There is no default: whoever makes a tool says who may call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    access: Access,
    /// Any of them; empty means that no role is asked for.
    roles: Vec<Cow<'static, str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Access {
    Public,
    Authenticated,
    /// All of them.
    Scopes(Vec<Cow<'static, str>>),
}

impl Policy {
    /// Everybody, with or without a token.
    pub fn public() -> Self {
        Self {
            access: Access::Public,
            roles: Vec::new(),
        }
    }

    /// Every caller whose identity is known.
    pub fn authenticated() -> Self {
        Self {
            access: Access::Authenticated,
            roles: Vec::new(),
        }
    }

    /// Callers that hold this scope.
    pub fn scope(scope: impl Into<Cow<'static, str>>) -> Self {
        Self::scopes([scope])
    }

    /// Callers that hold all of these scopes.
    pub fn scopes<T: Into<Cow<'static, str>>>(scopes: impl IntoIterator<Item = T>) -> Self {
        let scopes = scopes.into_iter().map(Into::into).collect();
        Self {
            access: Access::Scopes(scopes),
            roles: Vec::new(),
        }
    }

    /// On top: callers that have at least one of these roles. For everybody else the tool is
    /// hidden.
    #[must_use]
    pub fn roles<T: Into<Cow<'static, str>>>(mut self, roles: impl IntoIterator<Item = T>) -> Self {
        self.roles.extend(roles.into_iter().map(Into::into));
        self
    }

    /// The scopes that a call needs, all of them.
    pub fn needed_scopes(&self) -> &[Cow<'static, str>] {
        match &self.access {
            Access::Scopes(scopes) => scopes,
            Access::Public | Access::Authenticated => &[],
        }
    }

    /// The roles of which a call needs one; empty when none is asked for.
    pub fn needed_roles(&self) -> &[Cow<'static, str>] {
        &self.roles
    }

    /// Whether a caller without a token may call.
    pub fn is_public(&self) -> bool {
        self.access == Access::Public && self.roles.is_empty()
    }

    pub(crate) fn visible_to(&self, caller: &Caller) -> bool {
        self.roles.is_empty() || self.roles.iter().any(|role| caller.has_role(role))
    }

    pub(crate) fn problem(&self) -> Option<&'static str> {
        let blank = |names: &[Cow<'static, str>]| {
            names.iter().any(|name| {
                name.is_empty()
                    || name.contains(|c: char| !c.is_ascii_graphic() || c == '"' || c == '\\')
            })
        };
        match &self.access {
            Access::Public if !self.roles.is_empty() => {
                Some("is public and asks for a role: say `authenticated` instead of `public`")
            }
            Access::Scopes(scopes) if scopes.is_empty() => {
                Some("asks for an empty set of scopes: name one, or say `authenticated`")
            }
            Access::Scopes(scopes) if blank(scopes) => Some(
                "asks for a scope that OAuth cannot carry: visible ASCII without `\"` and `\\`",
            ),
            _ if self.roles.iter().any(|role| role.is_empty()) => {
                Some("asks for a role without a name")
            }
            _ => None,
        }
    }
}

/// Proof that the policy of a tool lets a caller in. Running a tool takes one, and nothing but
/// [`authorize`] makes one.
pub(crate) struct Allowed<'t>(&'t Tool);

impl<'t> Allowed<'t> {
    pub(crate) fn tool(&self) -> &'t Tool {
        self.0
    }
}

/// Applies the policy of `tool` to `caller`. Hidden comes first: a caller that may not know of the
/// tool learns nothing about its scopes.
pub(crate) fn authorize<'t>(tool: &'t Tool, caller: &Caller) -> Result<Allowed<'t>, Refusal> {
    let policy = tool.policy_ref();
    if !policy.visible_to(caller) {
        return Err(Refusal::UnknownTool);
    }
    match &policy.access {
        Access::Public => Ok(Allowed(tool)),
        Access::Authenticated | Access::Scopes(_) if caller.is_anonymous() => {
            Err(Refusal::Unauthenticated {
                scopes: policy.needed_scopes().to_vec(),
            })
        }
        Access::Authenticated => Ok(Allowed(tool)),
        Access::Scopes(scopes) => {
            if scopes.iter().all(|scope| caller.has_scope(scope)) {
                Ok(Allowed(tool))
            } else {
                Err(Refusal::InsufficientScope {
                    scopes: scopes.clone(),
                })
            }
        }
    }
}
