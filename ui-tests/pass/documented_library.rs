//! Whoever denies every warning is not warned about anything of ours.
#![deny(
    warnings,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unused_qualifications,
    rust_2018_idioms,
    future_incompatible,
    nonstandard_style,
    unused,
    single_use_lifetimes,
    unused_lifetimes,
    elided_lifetimes_in_paths
)]
use mcp_runtime::prelude::*;

/// Tools for everybody.
pub mod shop {
    use super::*;

    /// What was refunded.
    #[derive(Debug, Serialize, JsonSchema)]
    pub struct Refund {
        /// How much.
        pub cents: u32,
    }

    /// Refund an order.
    #[mcp_tool(scope = "refunds:write", guard = cents > 1, destructive)]
    pub async fn refund(cents: u32) -> ToolResult<Refund> {
        Ok(Refund { cents })
    }

    /// Refund an order, in the old way.
    #[mcp_tool(scope = "refunds:write")]
    #[deprecated]
    pub async fn refund_old(#[arg(range = 0..256, default = 255)] cents: u8) -> u8 {
        cents
    }

    /// Nothing to say.
    #[mcp_tool(public, blocking)]
    pub fn nothing() {}
}

fn main() {
    let _: ToolSet = tools![shop::refund, shop::refund_old, shop::nothing];
}
