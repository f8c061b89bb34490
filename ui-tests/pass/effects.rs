//! Every key of `#[mcp_tool]`, and documentation from a file.
#![deny(warnings)]
use mcp_runtime::prelude::*;
use std::time::Duration;

#[mcp_tool(
    scopes("a:read", "a:write"),
    roles("clerk", "boss"),
    guard = true,
    read_only,
    idempotent,
    open_world,
    timeout = "2m",
    rate = "10/min, burst 2",
    concurrency = 4,
    name = "Every-Key",
    title = "Every key"
)]
#[doc = include_str!("effects.md")]
/// And a line.
#[must_use]
fn every_key() -> u32 {
    1
}

/** Documented
 * in a block.
 *
 * With a paragraph. */
#[mcp_tool(authenticated, role = "clerk", destructive, timeout = "500ms", blocking)]
fn block_comment() {}

/// First.
///
///     indented
#[mcp_tool(public, timeout = "1h")]
#[cfg(all())]
fn indented() {}

/// Not on this machine.
#[mcp_tool(public)]
#[cfg(any())]
fn absent(a: Missing) {}

fn main() {
    let tools: ToolSet = tools![every_key, block_comment, indented];
    let all: Vec<_> = tools.iter().collect();
    assert_eq!(all[0].name(), "Every-Key");
    assert_eq!(all[0].about().trim(), "From a file.\n\nAnd a line.");
    assert!(all[0].effects().read_only && all[0].effects().idempotent && all[0].effects().open_world);
    assert_eq!(all[0].timeout(), Duration::from_secs(120));
    assert_eq!(all[1].about(), "Documented\nin a block.\n\nWith a paragraph.");
    assert!(all[1].effects().destructive && !all[1].effects().read_only);
    assert_eq!(all[2].about(), "First.\n\n    indented");
}
