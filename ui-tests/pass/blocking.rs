//! A plain function runs where it is called, or on a thread of its own.
#![deny(warnings)]
use mcp_runtime::prelude::*;

struct Ledger(u32);

#[derive(Lend)]
struct App {
    ledger: Ledger,
}

/// Runs at once.
#[mcp_tool(public)]
fn plain(ledger: &Ledger, cents: u32) -> u32 {
    ledger.0 + cents
}

/// Runs on a thread of its own.
#[mcp_tool(public, blocking)]
fn blocking(ledger: &Ledger, caller: &Caller, cents: u32, note: String) -> ToolResult<String> {
    let _ = caller;
    Ok(format!("{} {note}", ledger.0 + cents))
}

/// Takes nothing at all.
#[mcp_tool(public, blocking)]
fn alone() -> u32 {
    1
}

/// Asks first, with what it will be lent again on its thread.
#[mcp_tool(authenticated, blocking, guard = allow(ledger, cents).await)]
fn guarded(ledger: &Ledger, mut cents: u32) -> u32 {
    cents += ledger.0;
    cents
}

async fn allow(ledger: &Ledger, cents: u32) -> bool {
    ledger.0 > cents
}

fn main() {
    let _: ToolSet<App> = tools![plain, blocking, alone, guarded];
    let _ = App { ledger: Ledger(1) }.ledger;
}
