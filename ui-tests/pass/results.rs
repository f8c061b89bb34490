//! The return type is never written out, so it may borrow, be opaque, or be nothing.
#![deny(warnings)]
use mcp_runtime::prelude::*;

#[derive(Clone, Serialize, JsonSchema)]
struct Order {
    cents: u32,
}

struct Orders(Vec<Order>);

#[derive(Lend)]
struct App {
    orders: Orders,
}

/// The orders, borrowed.
#[mcp_tool(public)]
async fn borrowed(orders: &Orders) -> ToolResult<Vec<&Order>> {
    Ok(orders.0.iter().collect())
}

/// One order, borrowed with a lifetime of its own name.
#[mcp_tool(public)]
async fn named<'a>(orders: &'a Orders, call: &Call) -> ToolResult<Option<&'a Order>> {
    let _ = call.clone();
    Ok(orders.0.first())
}

/// Something that serializes.
#[mcp_tool(public)]
async fn opaque(orders: &Orders) -> impl Serialize + JsonSchema {
    orders.0.first().cloned()
}

/// Something that may fail and serializes.
#[mcp_tool(public)]
fn opaque_or_error(orders: &Orders) -> ToolResult<impl Serialize + JsonSchema + use<'_>> {
    Ok(orders.0.iter().collect::<Vec<_>>())
}

/// Nothing.
#[mcp_tool(public)]
async fn nothing() {}

/// Nothing, or an error.
#[mcp_tool(public)]
fn nothing_or_error() -> ToolResult<()> {
    Ok(())
}

/// Text that lives forever.
#[mcp_tool(public)]
fn forever() -> &'static str {
    "ever"
}

/// Content.
#[mcp_tool(public)]
fn content() -> ToolResult<Content> {
    Ok(Content::text("hello"))
}

/// A reply.
#[mcp_tool(public)]
fn reply() -> Reply {
    Reply::new().text("hello")
}

type Outcome<T> = ToolResult<T>;

/// An alias.
#[mcp_tool(public)]
fn alias() -> Outcome<u32> {
    Ok(1)
}

fn main() {
    let tools: ToolSet<App> =
        tools![borrowed, named, opaque, opaque_or_error, nothing, nothing_or_error, forever, content, reply, alias];
    let _ = App { orders: Orders(vec![Order { cents: 1 }]) }.orders.0[0].cents;
    assert_eq!(tools.len(), 10);
}
