//! The toolsets by name, in the order in which their tools are listed.

use mcp_runtime::{BootError, Result, ToolSet};

use crate::{App, copilot};

type Toolset = (&'static str, fn() -> ToolSet<App>);

const ALL: [Toolset; 1] = [("copilot", copilot::tools)];

/// The names of all toolsets.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

/// The tools of these toolsets; of all, when none is named.
///
/// # Errors
/// When there is no toolset of a name.
pub fn tools<T: AsRef<str>>(wanted: &[T]) -> Result<ToolSet<App>> {
    for name in wanted {
        if !names().any(|known| known == name.as_ref()) {
            let known = names().collect::<Vec<_>>().join(", ");
            let name = name.as_ref();
            return Err(BootError::new(format!(
                "there is no toolset `{name}`; the toolsets are: {known}"
            )));
        }
    }
    let served = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one.as_ref() == name);
    let sets = ALL.iter().filter(|(name, _)| served(name));
    Ok(sets.fold(ToolSet::new(), |sum, (_, tools)| sum + tools()))
}
