//! Switching tools, resources and prompts on and off while the server runs.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::changes::{Changes, Offered};
use crate::policy::Policy;

/// Switches tools, resources and prompts on and off. From
/// [`Service::switches`](crate::Service::switches); tools borrow it as `&Switches`; clones share
/// everything.
///
/// What is off is in no list, and whoever asks for it is answered as if it had never been there.
/// Calls that run already may finish. Clients that may see it, and listen, hear that their list
/// has changed.
///
/// With a [`store`](crate::Server::store) that is so on every instance that shares it, and on those
/// that start later.
///
/// ```
/// use mcp_runtime::prelude::*;
///
/// /// Give money back.
/// #[mcp_tool(public)]
/// fn refund() {}
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let service = Server::new(tools![refund]).build()?;
/// let switches = service.switches();
/// assert!(switches.tool("refund").off()?, "it was on");
/// assert!(!switches.tool("refund").is_on()?);
/// assert!(switches.tool("refnud").off().unwrap_err().to_string().contains("`refund`"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Switches(pub(crate) Changes);

/// One thing to be switched.
#[derive(Clone)]
pub struct Switch {
    changes: Changes,
    kind: Kind,
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tool,
    Resource,
    Prompt,
}

/// There is nothing of this name to be switched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchError {
    kind: Kind,
    name: String,
    near: Option<String>,
}

impl Switches {
    /// The tool of this name.
    pub fn tool(&self, name: impl Into<String>) -> Switch {
        self.switch(Kind::Tool, name.into())
    }

    /// The resource of this URI, or of this template as it is listed (`notes://{id}`). A URI that
    /// is off is not served by a template either.
    pub fn resource(&self, uri: impl Into<String>) -> Switch {
        self.switch(Kind::Resource, uri.into())
    }

    /// The prompt of this name.
    pub fn prompt(&self, name: impl Into<String>) -> Switch {
        self.switch(Kind::Prompt, name.into())
    }

    /// Something was switched, here or elsewhere. What this server does not have is none of its
    /// business: other versions of it may.
    pub(crate) fn set(&self, kind: &str, name: &str, on: bool) {
        let kinds = [Kind::Tool, Kind::Resource, Kind::Prompt];
        if let Some(kind) = kinds.into_iter().find(|known| known.word() == kind) {
            let _ = self.switch(kind, name.to_owned()).turn_here(on);
        }
    }

    fn switch(&self, kind: Kind, name: String) -> Switch {
        Switch {
            changes: self.0.clone(),
            kind,
            name,
        }
    }
}

impl Switch {
    /// Lists it and answers for it again. Tells whether it was off.
    ///
    /// # Errors
    /// When there is nothing of this name.
    pub fn on(&self) -> Result<bool, SwitchError> {
        self.turn(true)
    }

    /// Hides it from everybody. Tells whether it was on.
    ///
    /// # Errors
    /// When there is nothing of this name.
    pub fn off(&self) -> Result<bool, SwitchError> {
        self.turn(false)
    }

    /// Whether it is on.
    ///
    /// # Errors
    /// When there is nothing of this name.
    pub fn is_on(&self) -> Result<bool, SwitchError> {
        let found = self.offered().and_then(|offered| match self.kind {
            Kind::Tool => offered.tools.switched(&self.name),
            Kind::Resource => offered.resources.switched(&self.name),
            Kind::Prompt => offered.prompts.switched(&self.name),
        });
        let (on, _) = found.ok_or_else(|| self.unknown())?;
        Ok(on.is())
    }

    fn turn(&self, to: bool) -> Result<bool, SwitchError> {
        let changed = self.turn_here(to)?;
        // Whatever it was here: elsewhere it may have been something else.
        if let Some(voice) = self.changes.voice() {
            voice.switched(self.kind.word(), &self.name, to);
        }
        Ok(changed)
    }

    fn turn_here(&self, to: bool) -> Result<bool, SwitchError> {
        let turned = self.offered().and_then(|offered| match self.kind {
            Kind::Tool => offered.tools.turn(&self.name, to),
            Kind::Resource => offered.resources.turn(&self.name, to),
            Kind::Prompt => offered.prompts.turn(&self.name, to),
        });
        let (changed, policy) = turned.ok_or_else(|| self.unknown())?;
        if changed {
            self.announce(policy);
            tracing::info!(target: "mcp::switches", kind = self.kind.word(), name = self.name, on = to, "switched");
        }
        Ok(changed)
    }

    fn announce(&self, policy: &Policy) {
        match self.kind {
            Kind::Tool => self.changes.tools_for(policy),
            Kind::Resource => self.changes.resources_for(policy),
            Kind::Prompt => self.changes.prompts_for(policy),
        }
    }

    fn offered(&self) -> Option<&Offered> {
        self.changes.offered()
    }

    fn unknown(&self) -> SwitchError {
        let names: Vec<&str> = match (self.offered(), self.kind) {
            (None, _) => Vec::new(),
            (Some(offered), Kind::Tool) => offered.tools.names().collect(),
            (Some(offered), Kind::Resource) => offered.resources.names().collect(),
            (Some(offered), Kind::Prompt) => offered.prompts.names().collect(),
        };
        let near = names
            .into_iter()
            .map(|name| (strsim::damerau_levenshtein(name, &self.name), name))
            .min()
            .filter(|(slips, name)| *slips <= (name.chars().count() / 3).max(1))
            .map(|(_, name)| name.to_owned());
        SwitchError {
            kind: self.kind,
            name: self.name.clone(),
            near,
        }
    }
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Resource => "resource",
            Self::Prompt => "prompt",
        }
    }
}

impl fmt::Display for SwitchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no {} `{}`", self.kind.word(), self.name)?;
        match &self.near {
            Some(near) => write!(f, ": did you mean `{near}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SwitchError {}

impl fmt::Debug for Switches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switches").finish_non_exhaustive()
    }
}

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switch")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Whether something is on: one atomic load, shared by what finds it and what lists it.
#[derive(Clone, Debug)]
pub(crate) struct On(Arc<AtomicBool>);

impl Default for On {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl On {
    pub(crate) fn is(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Tells whether it was the other way before.
    pub(crate) fn turn(&self, to: bool) -> bool {
        self.0.swap(to, Ordering::AcqRel) != to
    }
}
