//! Tools and their siblings as the strictest authors write them. Clippy checks this crate with everything on, and has
//! nothing to say about our expansions.
#![deny(
    missing_docs,
    missing_debug_implementations,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::allow_attributes,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::else_if_without_else,
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    clippy::expect_used,
    clippy::future_not_send,
    clippy::impl_trait_in_params,
    clippy::missing_docs_in_private_items,
    clippy::multiple_inherent_impl,
    clippy::partial_pub_fields,
    clippy::pattern_type_mismatch,
    clippy::pub_with_shorthand,
    clippy::redundant_type_annotations,
    clippy::shadow_reuse,
    clippy::shadow_same,
    clippy::shadow_unrelated,
    clippy::single_char_lifetime_names,
    clippy::str_to_string,
    clippy::unused_trait_names,
    clippy::unwrap_used
)]

use mcp_runtime::prelude::*;

/// A ledger.
#[derive(Debug)]
struct Ledger(u32);

/// The state.
#[derive(Debug, Lend)]
#[non_exhaustive]
pub struct App {
    /// What is owed.
    ledger: Ledger,
}

impl App {
    /// A state with a balance.
    #[must_use]
    pub const fn new(cents: u32) -> Self {
        Self {
            ledger: Ledger(cents),
        }
    }
}

/// Refund an order.
#[mcp_tool(scope = "refunds:write", destructive, guard = covers(ledger, cents).await, confirm = "Refund {cents} cents?")]
async fn refund(
    ledger: &Ledger,
    /// How much.
    #[arg(range = 1..=50_000, default = 5)]
    cents: u32,
    #[arg(len = 1..=80)] note: Option<String>,
) -> ToolResult<String> {
    std::future::ready(()).await;
    Ok(note.unwrap_or_else(|| format!("{cents} of {}", ledger.0)))
}

/// Whether the ledger covers it.
async fn covers(ledger: &Ledger, cents: u32) -> bool {
    std::future::ready(ledger.0 >= cents).await
}

/// What is owed.
#[mcp_tool(public, read_only, blocking, guard = ledger.0 > 0)]
fn balance(ledger: &Ledger) -> String {
    ledger.0.to_string()
}

/// Nothing.
#[mcp_tool(authenticated)]
fn nothing() {
    std::thread::yield_now();
}

/// A receipt.
#[mcp_resource("receipts://{id}", scope = "receipts:{id}:read", guard = ledger.0 > id, complete = ids)]
async fn receipt(ledger: &Ledger, id: u32) -> ToolResult<String> {
    std::future::ready(()).await;
    Ok(format!("{id} of {}", ledger.0))
}

/// The receipts.
async fn ids(typed: Complete) -> Vec<String> {
    std::future::ready(typed.among(["1", "2"])).await
}

/// Ask for a refund.
#[mcp_prompt(public)]
fn ask(
    /// How much.
    cents: u32,
) -> Messages {
    Messages::new().user(format!("Refund {cents} cents."))
}

/// All resources.
#[must_use]
pub fn receipts() -> mcp_runtime::ResourceSet<App> {
    resources![receipt]
}

/// All prompts.
#[must_use]
pub fn questions() -> mcp_runtime::PromptSet<App> {
    prompts![ask]
}

/// All of them.
#[must_use]
pub fn tools() -> ToolSet<App> {
    tools![refund, balance, nothing]
}
