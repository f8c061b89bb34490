//! MCP over HTTP: one endpoint, one message per POST.

pub(crate) mod accept;
pub(crate) mod app;
mod body;
mod feed;
pub(crate) mod guard;
pub(crate) mod listener;
pub(crate) mod stream;
