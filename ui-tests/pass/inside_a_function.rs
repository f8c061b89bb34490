//! A tool may be local to a function, and so may the state.
#![deny(warnings)]
use mcp_runtime::prelude::*;

fn main() {
    struct Ledger(u32);

    #[derive(Lend)]
    struct App {
        ledger: Ledger,
    }

    /// How much there is.
    #[mcp_tool(public)]
    fn balance(ledger: &Ledger) -> u32 {
        ledger.0
    }

    let tools: ToolSet<App> = tools![balance];
    assert_eq!(tools.len(), 1);
    assert_eq!(balance(&App { ledger: Ledger(7) }.ledger), 7);
}
