//! The one tool that runs programs.

use mcp_runtime::prelude::*;

use crate::proxy::Proxy;
use crate::proxy::commands::Finished;

/// Runs one of the commands that the operator allows, like `docker ps`, and returns what it wrote.
/// There is no shell: no pipes, quotes, variables or wildcards. What is not allowed is refused with
/// the list of what is. Ends after a time limit; output is cut at 64 KiB. For admins.
#[mcp_tool(
    title = "Run a command",
    scope = "proxy:admin",
    destructive,
    open_world,
    timeout = "310s"
)]
pub async fn run_command(
    proxy: &Proxy,
    call: &Call,
    /// The command, its words parted by spaces.
    // Secret to the audit log: what the proxy remembers itself is without the secrets in it.
    #[arg(len = 1..=1000, secret)]
    command: String,
) -> ToolResult<Finished> {
    let inner = proxy.get()?;
    inner.commands.run(&command, call, &inner.store).await
}
