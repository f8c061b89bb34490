//! `use` brings the function and the tool, with the visibility of the function.
#![deny(warnings)]
use mcp_runtime::prelude::*;

mod shop {
    use super::*;

    pub(super) mod billing {
        use super::*;

        /// Refund an order.
        #[mcp_tool(public)]
        pub async fn refund(cents: u32) -> u32 {
            cents
        }
    }

    pub(crate) use billing::refund;

    /// Private to the shop.
    #[mcp_tool(public)]
    fn inventory() -> u32 {
        1
    }

    pub(super) fn tools() -> ToolSet {
        tools![refund, inventory]
    }
}

use shop::refund;

fn main() {
    let _: ToolSet = shop::tools() + tools![refund, shop::billing::refund];
    drop(refund(1));
}
