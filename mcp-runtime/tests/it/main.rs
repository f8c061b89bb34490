//! What the runtime promises to the outside.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes the helpers of tests for something else"
)]

mod confirm;
mod idempotency;
mod store;

#[cfg(feature = "testing")]
mod boot;
#[cfg(feature = "testing")]
mod foreign_client;
#[cfg(feature = "testing")]
mod conversation;
#[cfg(feature = "testing")]
mod input;
#[cfg(feature = "testing")]
mod audit;
#[cfg(feature = "testing")]
mod limits;
#[cfg(feature = "testing")]
mod listener;
#[cfg(feature = "testing")]
mod offers;
#[cfg(feature = "testing")]
mod policy;
#[cfg(feature = "testing")]
mod run;
#[cfg(feature = "testing")]
mod schema;
#[cfg(feature = "testing")]
mod stdio;
#[cfg(feature = "testing")]
mod wire;

#[cfg(feature = "testing")]
mod ask;
#[cfg(feature = "testing")]
mod live;

use jiff::Timestamp;
use mcp_runtime::Clock;

fn clock() -> Clock {
    Clock::manual("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap())
}
