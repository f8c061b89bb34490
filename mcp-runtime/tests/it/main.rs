//! What the runtime promises to the outside.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes the helpers of tests for something else"
)]

mod confirm;
mod idempotency;
mod store;

use jiff::Timestamp;
use mcp_runtime::Clock;

fn clock() -> Clock {
    Clock::manual("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap())
}
