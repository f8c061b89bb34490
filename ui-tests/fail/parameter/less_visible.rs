#![allow(unused)]
use mcp_runtime::prelude::*;

mod shop {
    use mcp_runtime::prelude::*;

    #[derive(Deserialize, JsonSchema)]
    pub(crate) enum Reason {
        Late,
    }

    /// Refund an order.
    #[mcp_tool(public)]
    pub fn refund(reason: Reason) {} //~
}

fn main() {}
