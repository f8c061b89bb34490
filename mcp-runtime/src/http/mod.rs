//! MCP over HTTP: one endpoint, one message per POST.

pub(crate) mod app;
mod accept;
mod body;
pub(crate) mod guard;
pub(crate) mod listener;
