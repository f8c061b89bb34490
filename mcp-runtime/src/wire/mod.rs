//! JSON-RPC and MCP as they are on the wire. No other module knows how a message is spelled.

mod batch;
pub(crate) mod engine;
mod request_log;
pub(crate) mod headers;
mod heard;
mod limited;
pub(crate) mod list;
mod listen;
pub(crate) mod message;
pub(crate) mod meta;
mod offers;
pub(crate) mod param_headers;
pub(crate) mod reply;
pub(crate) mod revision;
mod skills;
pub(crate) mod tasks;
mod watch;
