//! What the runtime promises to the outside.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes the helpers of tests for something else"
)]

mod confirm;
mod idempotency;
#[cfg(all(feature = "postgres", feature = "redis"))]
mod network_stores;
#[cfg(all(feature = "postgres", feature = "redis"))]
mod services;
mod static_tokens;
mod store;
mod tenant_signature;

#[cfg(feature = "testing")]
mod access;
#[cfg(feature = "testing")]
mod apps;
#[cfg(feature = "testing")]
mod batch;
#[cfg(feature = "testing")]
mod boot;
#[cfg(feature = "testing")]
mod challenges;
#[cfg(feature = "testing")]
mod conformance_scopes;
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
mod shared_limits;
#[cfg(feature = "testing")]
mod skills;
#[cfg(feature = "testing")]
mod stdio;
#[cfg(feature = "testing")]
mod sessions;
#[cfg(feature = "testing")]
mod streams;
#[cfg(feature = "testing")]
mod tasks;
#[cfg(feature = "testing")]
mod tenant;
#[cfg(all(feature = "testing", feature = "tls"))]
mod tls;
#[cfg(feature = "testing")]
mod wire;

#[cfg(all(feature = "auth", feature = "testing"))]
mod allowlist;
#[cfg(all(feature = "auth", feature = "testing"))]
mod users;
#[cfg(all(feature = "auth", feature = "testing"))]
mod identity_provider;
#[cfg(all(feature = "auth", feature = "testing"))]
mod introspection;
#[cfg(all(feature = "auth", feature = "testing"))]
mod jwt;
#[cfg(all(feature = "auth", feature = "testing"))]
mod oauth_facade;
#[cfg(all(feature = "auth", feature = "testing"))]
mod oauth_relay;

#[cfg(feature = "testing")]
mod legacy_sse;
#[cfg(feature = "testing")]
mod routes;
#[cfg(feature = "testing")]
mod rows;
#[cfg(feature = "testing")]
mod ways;
#[cfg(all(feature = "testing", feature = "websocket"))]
mod websocket;

#[cfg(feature = "testing")]
mod ask;
#[cfg(all(feature = "auth", feature = "testing"))]
mod identity;
#[cfg(feature = "testing")]
mod confirm_tool;
#[cfg(feature = "testing")]
mod keys;
#[cfg(feature = "testing")]
mod events;
#[cfg(feature = "testing")]
mod live;
#[cfg(feature = "testing")]
mod switches;

use jiff::Timestamp;
use mcp_runtime::Clock;

fn clock() -> Clock {
    Clock::manual("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap())
}
