//! The server that is measured: `add`, `find_items` and 58 tools like it, all public.
//!
//! `bench-server PORT` serves them on loopback with everything that a default server has;
//! `bench-server PORT metrics` counts, too; `bench-server PORT ISSUER`, built with the feature
//! `guarded`, takes tokens of an issuer on loopback.

mod domain;

use mcp_runtime::Metrics;
use mcp_runtime::prelude::*;

use crate::domain::{FindResult, Status, find};

/// Add two integers.
#[mcp_tool(public)]
async fn add(
    /// Left operand
    a: i64,
    /// Right operand
    b: i64,
) -> i64 {
    a + b
}

/// Tools that differ in their names and in the noun of their descriptions.
macro_rules! finders {
    ($($name:ident $noun:literal)*) => {
        $(
            #[doc = concat!("Find ", $noun, " that match a query, optionally filtered by status, best match first.")]
            #[mcp_tool(public)]
            async fn $name(
                #[doc = concat!("Free-text query over ", $noun)]
                #[arg(len = 1..=200)]
                query: String,
                #[doc = concat!("Maximum number of ", $noun, " to return")]
                #[arg(range = 1..=100, default = 10)]
                limit: u32,
                #[doc = concat!("Only ", $noun, " with this status")]
                status: Status,
            ) -> FindResult {
                find(&query, limit, status)
            }
        )*

        fn finders() -> ToolSet {
            tools![$($name),*]
        }
    };
}

finders! {
    find_items "items"
    search_orders "orders"
    search_invoices "invoices"
    search_customers "customers"
    search_tickets "tickets"
    search_shipments "shipments"
    search_products "products"
    search_refunds "refunds"
    search_contracts "contracts"
    search_projects "projects"
    search_tasks "tasks"
    search_events "events"
    search_alerts "alerts"
    search_reports "reports"
    search_accounts "accounts"
    search_leads "leads"
    search_payments "payments"
    search_quotes "quotes"
    search_vendors "vendors"
    search_assets "assets"
    search_branches "branches"
    lookup_orders "orders"
    lookup_invoices "invoices"
    lookup_customers "customers"
    lookup_tickets "tickets"
    lookup_shipments "shipments"
    lookup_products "products"
    lookup_refunds "refunds"
    lookup_contracts "contracts"
    lookup_projects "projects"
    lookup_tasks "tasks"
    lookup_events "events"
    lookup_alerts "alerts"
    lookup_reports "reports"
    lookup_accounts "accounts"
    lookup_leads "leads"
    lookup_payments "payments"
    lookup_quotes "quotes"
    lookup_vendors "vendors"
    lookup_assets "assets"
    lookup_branches "branches"
    query_orders "orders"
    query_invoices "invoices"
    query_customers "customers"
    query_tickets "tickets"
    query_shipments "shipments"
    query_products "products"
    query_refunds "refunds"
    query_contracts "contracts"
    query_projects "projects"
    query_tasks "tasks"
    query_events "events"
    query_alerts "alerts"
    query_reports "reports"
    query_accounts "accounts"
    query_leads "leads"
    query_payments "payments"
    query_quotes "quotes"
    query_vendors "vendors"
}

#[tokio::main]
async fn main() -> mcp_runtime::Result {
    let port: u16 = std::env::args()
        .nth(1)
        .and_then(|port| port.parse().ok())
        .unwrap_or(8000);
    let mut server = Server::new(tools![add] + finders()).identity("bench", "1.0.0");
    match std::env::args().nth(2).as_deref() {
        None => {}
        Some("metrics") => server = server.metrics(&Metrics::new()),
        Some(issuer) => server = guarded(server, issuer),
    }
    let service = server.build()?;
    service.serve_on(("127.0.0.1", port)).await
}

#[cfg(feature = "guarded")]
fn guarded(server: Server, issuer: &str) -> Server {
    let loopback = mcp_runtime::auth::Egress::new().allow_loopback();
    server.auth(Jwt::discover(issuer).audience("bench").egress(loopback))
}

#[cfg(not(feature = "guarded"))]
fn guarded(_: Server, issuer: &str) -> Server {
    panic!("cannot ask {issuer}: build this with the feature `guarded`")
}
