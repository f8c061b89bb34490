//! The reverse proxy: host names that it answers for, and ten tools to look after it.
//!
//! A host name belongs to whoever created it ([`tools::hosts`]); callers with `proxy:admin` see
//! and may delete all. A request comes in through the `listener`, `routes` knows its target,
//! `forward` streams it there and back, and [`logs`] remembers it for `get_logs`. Targets pass
//! the rules of `targets`: the public internet, and what the operator lists. The `certificates`
//! come from a folder, where hosts that have none get a self-signed one.
//!
//! [`commands`] run what a `grammar` of the configuration allows, and without one the tool
//! `run_command` does not exist. [`docker`] lists containers, where a socket is configured.
//!
//! Beyond the ten, the configuration can be saved to a file and loaded (`exchange`), and the model of
//! a client can sum up errors ([`tools::logs`]).
//!
//! To add a tool: write the function in `tools/`, add it to the list below, and give it a row in
//! `tests/it/contracts/proxy.txt` and in `tests/it/proxy/contract.rs`.

pub mod tools;
pub mod resources;
pub mod prompts;
mod system;
mod following;
mod settings;
mod hostname;
mod targets;
mod routes;
mod listener;
mod forward;
mod pace;
mod unread;
mod figures;
mod certificates;
pub mod logs;
mod store;
pub mod docker;
pub mod commands;
mod grammar;
mod exchange;
mod redact;

use mcp_runtime::{PromptSet, ResourceSet, ToolSet, prompts, resources, tools};

use self::prompts::{certificate_expiry_review, diagnose_proxy, incident_summary, onboard_proxy};
use self::resources::{
    proxy_certificate, proxy_certificates, proxy_error_logs, proxy_routes, proxy_services,
    proxy_target, proxy_targets,
};
pub use self::settings::{CommandSettings, Settings};
use self::system::Inner;
pub use self::system::Proxy;
use self::tools::certificates::list_certificates;
use self::tools::commands::run_command;
use self::tools::exchange::{config_load, config_save};
use self::tools::health::{echo, health_check};
use self::tools::hosts::{create_proxy, delete_proxy, list_proxies};
use self::tools::logs::{get_logs, summarize_logs};
use self::tools::services::list_services;
use self::tools::tokens::list_tokens;
use crate::App;

/// The name of the toolset.
pub const NAME: &str = "proxy";
/// The name of the toolset beyond the ten.
pub const EXTENDED: &str = "proxy-extended";

/// The family of the tools whose answers change with the hosts.
pub const FAMILY: &str = "proxy";

/// How clients show a server that has nothing else.
pub const TITLE: &str = "Reverse Proxy Admin";

/// What a model should know before it uses the tools.
pub const INSTRUCTIONS: &str = "Admin tools of a reverse proxy. A host that create_proxy adds \
    answers at once; list_proxies shows which there are and where they lead. delete_proxy asks \
    first: show the user what will be deleted. get_logs has the latest requests.";

/// The ten tools.
pub fn tools() -> ToolSet<App> {
    tools_without_commands() + tools![run_command]
}

/// The nine that are always there.
pub fn tools_without_commands() -> ToolSet<App> {
    tools![
        echo,
        health_check,
        list_proxies,
        create_proxy,
        delete_proxy,
        list_certificates,
        list_tokens,
        list_services,
        get_logs,
    ]
}

/// What goes beyond the ten: the configuration in files, and errors summed up.
pub fn extended_tools() -> ToolSet<App> {
    tools![config_save, config_load, summarize_logs]
}

/// The same to read, for hosts that show resources.
pub fn resources() -> ResourceSet<App> {
    resources![
        proxy_targets,
        proxy_target,
        proxy_certificates,
        proxy_certificate,
        proxy_routes,
        proxy_services,
        proxy_error_logs,
    ]
}

/// Where people begin.
pub fn prompts() -> PromptSet<App> {
    prompts![
        onboard_proxy,
        diagnose_proxy,
        certificate_expiry_review,
        incident_summary,
    ]
}
