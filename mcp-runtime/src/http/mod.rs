//! MCP over HTTP: one endpoint, one message per POST.

mod accept;
pub(crate) mod app;
mod body;
pub(crate) mod guard;
pub(crate) mod listener;
pub(crate) mod stream;
mod tenant;
#[cfg(feature = "tls")]
pub(crate) mod tls;
