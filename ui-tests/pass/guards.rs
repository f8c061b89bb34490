//! A guard is any expression over the parameters, waiting or not.
#![deny(warnings)]
use mcp_runtime::prelude::*;

struct Ledger(u32);

#[derive(Lend)]
struct App {
    ledger: Ledger,
}

impl Ledger {
    fn has(&self, order: &str) -> bool {
        order.len() == self.0 as usize
    }
}

async fn owns(_caller: &Caller, order: &str) -> bool {
    order.len() > 1
}

async fn checked(ledger: &Ledger, order: &str) -> ToolResult<bool> {
    Ok(ledger.has(order))
}

fn refusing(order: &str) -> ToolResult<()> {
    if order.is_empty() { Err(ToolError::new("no order")) } else { Ok(()) }
}

/// A truth.
#[mcp_tool(public, guard = ledger.has(&order))]
async fn truth(ledger: &Ledger, order: String) -> String {
    let _ = ledger;
    order
}

/// A future.
#[mcp_tool(authenticated, guard = owns(caller, &order))]
async fn future(caller: &Caller, order: String) -> String {
    let _ = caller;
    order
}

/// An awaited future, and more.
#[mcp_tool(authenticated, guard = owns(caller, &order).await || cents == 0)]
async fn awaited(caller: &Caller, order: String, cents: u32) -> String {
    let _ = (caller, cents);
    order
}

/// A future that may fail.
#[mcp_tool(public, guard = checked(ledger, &order))]
async fn fallible(ledger: &Ledger, order: String) -> String {
    let _ = ledger;
    order
}

/// A refusal in its own words.
#[mcp_tool(public, guard = refusing(&order))]
fn worded(order: String) -> String {
    order
}

/// A question mark inside of a block.
#[mcp_tool(public, guard = async { refusing(&order)?; ToolResult::Ok(true) })]
async fn block(order: String) -> String {
    order
}

fn main() {
    let _: ToolSet<App> = tools![truth, future, awaited, fallible, worded, block];
    let _ = App { ledger: Ledger(1) }.ledger;
}
