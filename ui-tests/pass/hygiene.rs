//! Nothing in scope, and what is in scope shadows what everybody knows.
#![no_implicit_prelude]
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub)]
#![allow(dead_code)]

mod core {}
mod std {}
mod mcp_runtime {}
struct Option;
struct Result;
struct Some;
struct Tool;
struct Policy;
struct Input;
trait Future {}
trait Send {}
trait Sync {}

#[derive(::mcp_runtime::Lend)]
struct App {
    ledger: Ledger,
    clients: ::std::boxed::Box<dyn Mailer>,
    #[lend(skip)]
    count: u32,
}

struct Ledger;

trait Mailer: ::core::marker::Send + ::core::marker::Sync {}

struct Silent;
impl Mailer for Silent {}

/// Refund an order.
#[::mcp_runtime::mcp_tool(
    scope = "refunds:write",
    role = "clerk",
    destructive,
    timeout = "5s",
    guard = cents < 10
)]
async fn refund(
    _ledger: &Ledger,
    _mailer: &dyn Mailer,
    /// Order id
    #[arg(pattern = r"^ord_\w+$", default = "ord_1")]
    order: ::std::string::String,
    #[arg(range = 1..=50_000, default = 5)] cents: u32,
) -> ::std::string::String {
    let _ = cents;
    order
}

/// Count, on a thread of its own.
#[::mcp_runtime::mcp_tool(public, blocking, read_only)]
fn count(_ledger: &Ledger, #[arg(default)] from: u32) -> u32 {
    from
}

fn main() {
    let tools: ::mcp_runtime::ToolSet<App> = ::mcp_runtime::tools![refund, count];
    ::std::assert_eq!(tools.len(), 2);
}
