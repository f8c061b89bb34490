//! MCP over HTTP: one endpoint, one message per POST.

pub(crate) mod accept;
pub(crate) mod app;
mod body;
pub(crate) mod challenge;
mod feed;
pub(crate) mod guard;
pub(crate) mod legacy_sse;
pub(crate) mod listener;
#[cfg(feature = "auth")]
mod oauth;
pub(crate) mod resource_metadata;
pub(crate) mod peers;
pub(crate) mod peer;
pub(crate) mod stream;
mod tally;
mod request_log;
pub(crate) mod ways;
#[cfg(feature = "websocket")]
mod websocket;
mod tenant;
#[cfg(feature = "tls")]
pub(crate) mod tls;
