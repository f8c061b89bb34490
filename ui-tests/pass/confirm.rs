#![deny(warnings)]
//! Tools that ask before they run: with a guard, on a thread of their own, with every kind of name.

use mcp_runtime::prelude::*;

struct Hosts;

#[derive(Lend)]
struct App {
    hosts: Hosts,
}

fn owns(_: &Caller, hostname: &str) -> bool {
    !hostname.is_empty()
}

/// Delete a host.
#[mcp_tool(authenticated, destructive, guard = owns(caller, &hostname), confirm = "Delete {hostname}, {{really}}?")]
async fn delete(_hosts: &Hosts, caller: &Caller, hostname: String) -> ToolResult<String> {
    let _ = caller;
    Ok(hostname)
}

/// Delete many hosts, slowly.
#[mcp_tool(public, blocking, confirm = "Delete {hostNames} and {force}?")]
fn delete_many(
    hosts: &Hosts,
    #[arg(rename = "hostNames")] host_names: Vec<String>,
    #[arg(default)] force: bool,
) -> usize {
    let _ = (hosts, force);
    host_names.len()
}

/// A parameter of the name of the function, and one of a name of ours.
#[mcp_tool(public, confirm = "Do it with {refusal} and {wipe}?")]
fn wipe(wipe: u8, refusal: u8, outlet: u8, lend: u8) -> u8 {
    wipe + refusal + outlet + lend
}

fn main() {
    let tools: ToolSet<App> = tools![delete, delete_many, wipe];
    assert_eq!(tools.len(), 3);
}
