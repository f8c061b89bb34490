//! Tools whose calls become tasks.
#![deny(warnings)]
use mcp_runtime::prelude::*;

struct Sky(u32);

#[derive(Lend)]
struct App {
    sky: Sky,
}

type Line = Call;

fn known(caller: &Caller, lend: u32) -> bool {
    lend > 0 && caller.subject().is_none()
}

/// At once.
#[mcp_tool(public, task, guard = known(caller, refusal))]
async fn at_once(sky: &Sky, caller: &Caller, refusal: u32, outlet: String) -> String {
    format!("{} {} {refusal} {outlet}", sky.0, caller)
}

/// Never without.
#[mcp_tool(public, task = "required", timeout = "2h", blocking)]
fn never_without(sky: &Sky) -> u32 {
    sky.0
}

/// A plain function.
#[mcp_tool(public, task)]
fn task(task: u32) -> u32 {
    task
}

/// When the body says so, by any name.
#[mcp_tool(public, task = "detach")]
async fn later(line: &Line) -> ToolResult<bool> {
    line.detach().await
}

fn main() {
    let tools: ToolSet<App> = tools![at_once, never_without, task, later];
    let _ = tools.iter().count();
}
