//! The runtime may be called anything, or hide behind a crate of one's own.
use facade::{Lend, ToolSet, mcp_tool, tools};

/// All that an expansion names.
mod facade {
    pub use ::mcp_runtime::{__private, Call, Lend, Policy, Tool, ToolSet, mcp_tool, tools};
}

#[derive(Lend)]
#[lend(crate = facade)]
struct App {
    ledger: Ledger,
}

struct Ledger(u32);

/// How much there is.
#[mcp_tool(public, crate = crate::facade)]
fn balance(ledger: &Ledger) -> u32 {
    ledger.0
}

/// How much there is, again.
#[mcp_tool(public, crate = "crate::facade")]
fn balance_again(ledger: &Ledger) -> u32 {
    ledger.0
}

fn main() {
    let tools: ToolSet<App> = tools![balance, balance_again];
    assert_eq!(tools.len(), 2);
    balance(&App { ledger: Ledger(1) }.ledger);
}
