//! Tools that say when they are entered and left, for what clients on connections of their own do.

use std::sync::Arc;
use std::time::Duration;

use mcp_runtime::Elicited;
use mcp_runtime::prelude::*;
use tokio::sync::Semaphore;

pub(crate) struct Gate {
    pub(crate) entered: Semaphore,
    pub(crate) left: Semaphore,
}

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            entered: Semaphore::new(0),
            left: Semaphore::new(0),
        })
    }
}

#[derive(Lend)]
pub(crate) struct State {
    pub(crate) gate: Arc<Gate>,
}

/// Dropped with a call, however that ends.
pub(crate) struct Leaves<'a>(pub(crate) &'a Gate);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.left.add_permits(1);
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Name {
    pub(crate) name: String,
}

/// Who calls.
#[mcp_tool(public)]
pub(crate) fn whoami(caller: &Caller) -> String {
    caller.subject().unwrap_or("nobody").to_owned()
}

/// Greet the human by name.
#[mcp_tool(public)]
pub(crate) async fn greet(call: &Call) -> ToolResult<String> {
    match call.elicit::<Name>("Who are you?").key("name").await? {
        Elicited::Accepted(Name { name }) => Ok(format!("Hello, {name}!")),
        _ => Ok("Hello.".into()),
    }
}

/// Never ends by itself.
#[mcp_tool(public)]
pub(crate) async fn hang(gate: &Arc<Gate>) -> String {
    let _leaves = Leaves(gate);
    gate.entered.add_permits(1);
    std::future::pending().await
}

/// Takes a moment.
#[mcp_tool(public)]
pub(crate) async fn nap(gate: &Arc<Gate>, #[arg(range = 0..=1000)] ms: u64) -> u64 {
    gate.entered.add_permits(1);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    ms
}

/// Two who may come in.
pub(crate) fn ada_and_bob() -> StaticTokens {
    StaticTokens::new()
        .token("token-of-ada-0123456789", Caller::user("ada"))
        .token("token-of-bob-0123456789", Caller::user("bob"))
}
