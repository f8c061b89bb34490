//! Who may call a tool, and the only place that says so.
//!
//! A scope can be acquired, so a tool whose scope is missing stays visible and the refusal names
//! what to ask for. A role or a tenant cannot, so a tool whose role or tenant is missing does not
//! exist for the caller.

use std::borrow::Cow;

use crate::caller::Caller;
use crate::error::Refusal;

/// Who may call a tool. There is no default: whoever makes a tool says who may call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    access: Access,
    audience: Audience,
}

/// Who may know that a thing exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Audience {
    /// Any of them; empty means that no role is asked for.
    roles: Vec<Cow<'static, str>>,
    /// Only callers that act for a tenant.
    tenant: bool,
}

impl Audience {
    pub(crate) fn is_everybody(&self) -> bool {
        self.roles.is_empty() && !self.tenant
    }

    pub(crate) fn includes(&self, caller: &Caller) -> bool {
        (self.roles.is_empty() || self.roles.iter().any(|role| caller.has_role(role)))
            && (!self.tenant || caller.acts_for().is_some())
    }
}

/// What lists hold for a caller. Hidden things are never in them; what a caller tries all the same
/// is answered alike in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lists {
    /// What the caller may use, and what a token with more scopes would let it use: it finds out
    /// what to ask for.
    #[default]
    Acquirable,
    /// Only what the caller may use with the token that it has.
    Allowed,
}

/// Who finds a thing in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Viewers {
    audience: Audience,
    access: Access,
}

impl Viewers {
    pub(crate) fn are_everybody(&self) -> bool {
        self.audience.is_everybody() && self.access == Access::Public
    }

    pub(crate) fn include(&self, caller: &Caller) -> bool {
        self.audience.includes(caller) && self.access.is_met_by(caller)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Access {
    Public,
    Authenticated,
    /// All of them.
    Scopes(Vec<Cow<'static, str>>),
}

impl Access {
    /// Whether a caller may use a thing right now. A scope with a variable is one for each value,
    /// and whoever holds any of them may use some of it.
    fn is_met_by(&self, caller: &Caller) -> bool {
        match self {
            Self::Public => true,
            Self::Authenticated => !caller.is_anonymous(),
            Self::Scopes(needed) => caller.principal().is_some_and(|principal| {
                needed.iter().all(|scope| match scope.contains('{') {
                    false => caller.has_scope(scope),
                    true => principal.scopes().any(|held| is_of_shape(held, scope)),
                })
            }),
        }
    }
}

/// Whether a scope is what another with variables may stand for.
fn is_of_shape(scope: &str, pattern: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('{') else {
        return scope == pattern;
    };
    let after = rest.split_once('}').map_or("", |(_, after)| after);
    let Some(rest) = scope.strip_prefix(before) else {
        return false;
    };
    // A value is never empty.
    let ends = rest.char_indices().map(|(at, c)| at + c.len_utf8());
    ends.into_iter().any(|end| is_of_shape(&rest[end..], after))
}

impl Policy {
    /// Everybody, with or without a token.
    pub fn public() -> Self {
        Self {
            access: Access::Public,
            audience: Audience::default(),
        }
    }

    /// Every caller whose identity is known.
    pub fn authenticated() -> Self {
        Self {
            access: Access::Authenticated,
            audience: Audience::default(),
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
            audience: Audience::default(),
        }
    }

    /// On top: callers that have at least one of these roles. For everybody else the tool is
    /// hidden.
    #[must_use]
    pub fn roles<T: Into<Cow<'static, str>>>(mut self, roles: impl IntoIterator<Item = T>) -> Self {
        let roles = roles.into_iter().map(Into::into);
        self.audience.roles.extend(roles);
        self
    }

    /// On top: callers that act for a tenant. For everybody else the tool is hidden. A function
    /// that borrows `&Tenant` asks for it by itself.
    #[must_use]
    pub fn tenant(mut self) -> Self {
        self.audience.tenant = true;
        self
    }

    /// What something without a policy falls back to; it is refused when the server is built.
    pub(crate) fn nobody() -> &'static Self {
        static NOBODY: std::sync::LazyLock<Policy> =
            std::sync::LazyLock::new(|| Policy::authenticated().roles(["\u{0}nobody"]));
        &NOBODY
    }

    /// The names of the variables in the scopes.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.needed_scopes()
            .iter()
            .flat_map(|scope| {
                scope
                    .split('{')
                    .skip(1)
                    .filter_map(|rest| rest.split_once('}'))
            })
            .map(|(name, _)| name)
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
        &self.audience.roles
    }

    /// Whether a call needs a caller that acts for a tenant.
    pub fn needs_tenant(&self) -> bool {
        self.audience.tenant
    }

    pub(crate) fn viewers(&self, lists: Lists) -> Viewers {
        Viewers {
            audience: self.audience.clone(),
            access: match lists {
                Lists::Acquirable => Access::Public,
                Lists::Allowed => self.access.clone(),
            },
        }
    }

    /// Whether a caller finds it in a list. What is not hidden need not be listed.
    pub(crate) fn lists_for(&self, caller: &Caller, lists: Lists) -> bool {
        self.visible_to(caller) && (lists == Lists::Acquirable || self.access.is_met_by(caller))
    }

    /// Whether a caller without a token may call.
    pub fn is_public(&self) -> bool {
        self.access == Access::Public && self.audience.is_everybody()
    }

    pub(crate) fn visible_to(&self, caller: &Caller) -> bool {
        self.audience.includes(caller)
    }

    pub(crate) fn problem(&self) -> Option<&'static str> {
        let blank = |names: &[Cow<'static, str>]| {
            names.iter().any(|name| {
                name.is_empty()
                    || name.contains(|c: char| !c.is_ascii_graphic() || c == '"' || c == '\\')
            })
        };
        match &self.access {
            Access::Public if self.audience.tenant => Some(
                "is public, and it borrows or asks for a tenant, which only a caller with a token has: say `authenticated` instead of `public`",
            ),
            Access::Public if !self.audience.roles.is_empty() => {
                Some("is public and asks for a role: say `authenticated` instead of `public`")
            }
            Access::Scopes(scopes) if scopes.is_empty() => {
                Some("asks for an empty set of scopes: name one, or say `authenticated`")
            }
            Access::Scopes(scopes) if blank(scopes) => Some(
                "asks for a scope that OAuth cannot carry: visible ASCII without `\"` and `\\`",
            ),
            _ if self.audience.roles.iter().any(|role| role.is_empty()) => {
                Some("asks for a role without a name")
            }
            _ => None,
        }
    }
}

/// Proof that a policy lets a caller in. Running a function takes one, and nothing but
/// [`authorize`] makes one.
pub(crate) struct Allowed<'p>(&'p Policy);

impl Allowed<'_> {
    /// Whether this is the proof for `policy`.
    pub(crate) fn is_for(&self, policy: &Policy) -> bool {
        std::ptr::eq(self.0, policy)
    }
}

/// What a `{name}` in a scope stands for: the variable of a resource template.
pub(crate) type Variables<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// Applies a policy to a caller. Hidden comes first: a caller that may not know of the thing
/// learns nothing about its scopes.
pub(crate) fn authorize<'p>(
    policy: &'p Policy,
    caller: &Caller,
    variables: Variables<'_>,
) -> Result<Allowed<'p>, Refusal> {
    if !policy.visible_to(caller) {
        return Err(Refusal::Unknown);
    }
    let needed = |scopes: &[Cow<'static, str>]| -> Result<Vec<Cow<'static, str>>, Refusal> {
        // A value that cannot be part of a scope is one that no scope was ever granted for.
        scopes
            .iter()
            .map(|scope| expand(scope, variables).ok_or(Refusal::Unknown))
            .collect()
    };
    match &policy.access {
        Access::Public => Ok(Allowed(policy)),
        Access::Authenticated | Access::Scopes(_) if caller.is_anonymous() => {
            Err(Refusal::Unauthenticated {
                scopes: needed(policy.needed_scopes())?,
            })
        }
        Access::Authenticated => Ok(Allowed(policy)),
        Access::Scopes(scopes) if scopes.iter().any(|scope| scope.contains('{')) => {
            let scopes = needed(scopes)?;
            if scopes.iter().all(|scope| caller.has_scope(scope)) {
                Ok(Allowed(policy))
            } else {
                Err(Refusal::InsufficientScope { scopes })
            }
        }
        Access::Scopes(scopes) => {
            if scopes.iter().all(|scope| caller.has_scope(scope)) {
                Ok(Allowed(policy))
            } else {
                Err(Refusal::InsufficientScope {
                    scopes: scopes.clone(),
                })
            }
        }
    }
}

/// Puts variables into a scope.
pub(crate) fn expand(scope: &str, variables: Variables<'_>) -> Option<Cow<'static, str>> {
    if !scope.contains('{') {
        return Some(Cow::Owned(scope.to_owned()));
    }
    let mut text = String::new();
    let mut rest = scope;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        let value = variables(name)?;
        if value.is_empty()
            || !value
                .bytes()
                .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
        {
            return None;
        }
        text.push_str(before);
        text.push_str(&value);
        rest = after;
    }
    Some(Cow::Owned(text + rest))
}
