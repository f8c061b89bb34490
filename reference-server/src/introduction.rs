//! How a server introduces itself: as what it serves.

use mcp_runtime::{Result, Server};

use crate::{App, copilot, proxy, records, school, toolsets};

/// What clients and models are told about a server with one system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Introduction {
    name: &'static str,
    title: &'static str,
    instructions: &'static str,
}

/// Of a server with several systems.
const NAME: &str = "reference-server";
const TITLE: &str = "Admin Tools";

/// Introduces a server with these toolsets: as the one system that it serves or, where there are
/// several, by a name that is none of theirs, with what is to be known of each.
///
/// # Errors
/// When there is no toolset of a name.
pub(crate) fn introduced<T: AsRef<str>>(server: Server<App>, wanted: &[T]) -> Result<Server<App>> {
    let mut systems: Vec<Introduction> = Vec::new();
    for name in toolsets::served(wanted)? {
        let system = of(name);
        if !systems.contains(&system) {
            systems.push(system);
        }
    }
    let version = env!("CARGO_PKG_VERSION");
    let instructions = systems.iter().map(|system| system.instructions);
    let instructions = instructions.collect::<Vec<_>>().join("\n\n");
    let (name, title) = match systems.as_slice() {
        [only] => (only.name, only.title),
        _ => (NAME, TITLE),
    };
    Ok(server
        .identity(name, version)
        .title(title)
        .instructions(instructions))
}

fn of(toolset: &str) -> Introduction {
    match toolset {
        "school" => Introduction {
            name: school::NAME,
            title: school::TITLE,
            instructions: school::INSTRUCTIONS,
        },
        proxy::NAME => Introduction {
            name: "proxy-admin",
            title: proxy::TITLE,
            instructions: proxy::INSTRUCTIONS,
        },
        "copilot" => Introduction {
            name: copilot::TITLE,
            title: copilot::TITLE,
            instructions: copilot::INSTRUCTIONS,
        },
        // Two toolsets of one system.
        _ => Introduction {
            name: "records",
            title: records::TITLE,
            instructions: records::INSTRUCTIONS,
        },
    }
}
