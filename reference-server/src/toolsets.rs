//! The toolsets by name, in the order in which what they offer is listed.

use mcp_runtime::access::Policies;
use mcp_runtime::{BootError, Limits, PromptSet, ResourceSet, Result, Server, ToolSet};

use crate::{App, copilot, proxy, records, school};

/// What one system offers.
struct Toolset {
    name: &'static str,
    tools: fn() -> ToolSet<App>,
    resources: fn() -> ResourceSet<App>,
    prompts: fn() -> PromptSet<App>,
    /// Whether it is served when the configuration names no toolset.
    by_default: bool,
}

const ALL: [Toolset; 7] = [
    Toolset {
        name: "copilot",
        tools: copilot::tools,
        resources: ResourceSet::new,
        prompts: PromptSet::new,
        by_default: true,
    },
    Toolset {
        name: "records",
        tools: records::tools,
        resources: records::resources,
        prompts: PromptSet::new,
        by_default: true,
    },
    Toolset {
        name: proxy::NAME,
        tools: proxy::tools,
        resources: proxy::resources,
        prompts: proxy::prompts,
        by_default: true,
    },
    Toolset {
        name: "school",
        tools: school::tools,
        resources: school::resources,
        prompts: school::prompts,
        by_default: true,
    },
    Toolset {
        name: "copilot-extended",
        tools: copilot::extended_tools,
        resources: ResourceSet::new,
        prompts: PromptSet::new,
        by_default: false,
    },
    Toolset {
        name: proxy::EXTENDED,
        tools: proxy::extended_tools,
        resources: ResourceSet::new,
        prompts: PromptSet::new,
        by_default: false,
    },
    Toolset {
        name: "records-extended",
        tools: records::extended_tools,
        resources: ResourceSet::new,
        prompts: PromptSet::new,
        by_default: false,
    },
];

/// Stands for every toolset, also those that are not served by default.
const EVERY: &str = "all";

/// The names of all toolsets.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|set| set.name)
}

/// A server with what these toolsets offer; with all that are served by default, when none is
/// named.
///
/// # Errors
/// When there is no toolset of a name.
pub fn server<T: AsRef<str>>(app: App, wanted: &[T]) -> Result<Server<App>> {
    limited_server(app, wanted, |_| None)
}

/// As [`server`]. Calls of a toolset for which `limits` has something are counted by themselves,
/// together with those of the same name there.
///
/// # Errors
/// As [`server`].
pub fn limited_server<T: AsRef<str>>(
    app: App,
    wanted: &[T],
    limits: impl Fn(&str) -> Option<(&'static str, Limits)>,
) -> Result<Server<App>> {
    let mut tools = ToolSet::new();
    let (mut resources, mut prompts) = (ResourceSet::new(), PromptSet::new());
    for set in chosen(wanted)? {
        let of_set = match set.name {
            // Where no command may be run, there is no tool that runs one.
            proxy::NAME if !app.proxy.runs_commands() => proxy::tools_without_commands(),
            _ => (set.tools)(),
        };
        tools = tools
            + match limits(set.name) {
                Some((name, limits)) => of_set.limits(name, limits),
                None => of_set,
            };
        resources = resources + (set.resources)();
        prompts = prompts + (set.prompts)();
    }
    Ok(Server::with_state(app, tools)
        .resources(resources)
        .prompts(prompts))
}

/// The tools of these toolsets, each with the name of its toolset.
///
/// # Errors
/// As [`server`].
pub fn tools_by_name<T: AsRef<str>>(wanted: &[T]) -> Result<Vec<(&'static str, ToolSet<App>)>> {
    Ok(chosen(wanted)?
        .map(|set| (set.name, (set.tools)()))
        .collect())
}

/// The tools of these toolsets.
///
/// # Errors
/// As [`server`].
pub fn tools<T: AsRef<str>>(wanted: &[T]) -> Result<ToolSet<App>> {
    let tools = chosen(wanted)?.map(|set| (set.tools)());
    Ok(tools.fold(ToolSet::new(), |sum, tools| sum + tools))
}

/// Who may do what with these toolsets.
///
/// # Errors
/// As [`server`].
pub fn policies<T: AsRef<str>>(wanted: &[T]) -> Result<Policies> {
    let (mut resources, mut prompts) = (ResourceSet::new(), PromptSet::new());
    for set in chosen(wanted)? {
        resources = resources + (set.resources)();
        prompts = prompts + (set.prompts)();
    }
    Ok(Policies::of(&tools(wanted)?, &resources, &prompts))
}

/// The names of the toolsets that are served.
///
/// # Errors
/// As [`server`].
pub fn served<T: AsRef<str>>(wanted: &[T]) -> Result<impl Iterator<Item = &'static str>> {
    Ok(chosen(wanted)?.map(|set| set.name))
}

/// The names of those that are served when none is named.
pub fn by_default() -> impl Iterator<Item = &'static str> {
    ALL.iter().filter(|set| set.by_default).map(|set| set.name)
}

/// Whether this toolset is served.
///
/// # Errors
/// As [`server`].
pub fn serves<T: AsRef<str>>(wanted: &[T], name: &str) -> Result<bool> {
    Ok(chosen(wanted)?.any(|set| set.name == name))
}

fn chosen<T: AsRef<str>>(wanted: &[T]) -> Result<impl Iterator<Item = &'static Toolset>> {
    for name in wanted {
        let name = name.as_ref();
        if name != EVERY && !names().any(|known| known == name) {
            let known = names().collect::<Vec<_>>().join(", ");
            return Err(BootError::new(format!(
                "there is no toolset `{name}`; the toolsets are: {known}, and `{EVERY}` for all of \
                 them"
            )));
        }
    }
    Ok(ALL.iter().filter(|set| {
        wanted
            .iter()
            .any(|one| [set.name, EVERY].contains(&one.as_ref()))
            || wanted.is_empty() && set.by_default
    }))
}
