//! A tool with a page, for hosts that show one.

use mcp_runtime::prelude::*;
use mcp_runtime::{ResourceSet, Ui};

pub(crate) fn tools() -> ToolSet {
    tools![test_app]
}

pub(crate) fn resources() -> ResourceSet {
    resources![dice]
}

#[derive(Serialize, JsonSchema)]
struct Sides {
    sides: u8,
    average: f64,
}

/// What a die shows on average.
#[mcp_tool(public, read_only, ui = "ui://conformance/dice")]
fn test_app(#[arg(range = 2..=100, default = 6)] sides: u8) -> Sides {
    let average = (f64::from(sides) + 1.0) / 2.0;
    Sides { sides, average }
}

/// The page of a die.
#[mcp_resource("ui://conformance/dice", public, ui = Ui::new().border(true))]
fn dice() -> &'static str {
    include_str!("dice.html")
}
