//! MCP over HTTP: one endpoint, one message per POST.

mod accept;
pub(crate) mod app;
mod body;
pub(crate) mod guard;
pub(crate) mod listener;
pub(crate) mod peer;
pub(crate) mod stream;
