//! Write an ordinary async function, put `#[mcp_tool]` on it, and get a production MCP tool.
//!
//! ```
//! use mcp_runtime::prelude::*;
//!
//! #[derive(Serialize, JsonSchema)]
//! struct Refund {
//!     id: String,
//!     cents: u32,
//! }
//!
//! /// Refund an order.
//! #[mcp_tool(scope = "refunds:write", destructive)]
//! async fn refund(
//!     /// Order id
//!     #[arg(pattern = r"^ord_\w+$")]
//!     order: String,
//!     #[arg(range = 1..=50_000)] cents: u32,
//! ) -> ToolResult<Refund> {
//!     Ok(Refund { id: order, cents })
//! }
//!
//! # fn main() -> mcp_runtime::Result {
//! let service = Server::new(tools![refund]).build()?;
//! # Ok(())
//! # }
//! ```
//!
//! What the model sends arrives by value; what the server lends arrives by reference.

#![warn(missing_docs)]

mod function;
mod tool;
mod tool_set;
mod resource;
mod prompt;
mod resource_set;
mod skills;
mod ui;
mod icon;
mod bound;
mod call;
mod ask;
mod confirmation;
mod caller;
mod tenant;
mod policy;
mod limits;
mod audit;
mod lend;
mod input;
mod secret;
mod output;
mod completion;
mod schema;
mod uri_template;
mod json;
mod error;
mod changes;
mod instances;
mod client;
mod outbox;
mod rounds;
mod session;
mod tasks;
mod wire;
mod http;
mod connection;
mod stdio;
mod server;
pub mod access;
pub mod auth;
pub mod confirm;
pub mod idempotency;
pub mod store;
mod keys;
mod switches;
pub mod tenant_signature;
mod digest;
mod clock;
mod metrics;
mod trace;
mod trace_context;
#[cfg(feature = "testing")]
pub mod testing;
#[doc(hidden)]
pub mod __private;

pub use mcp_macros::{Lend, mcp_prompt, mcp_resource, mcp_tool};
pub use schemars;
pub use serde;

pub use crate::ask::{Asking, Elicit, Elicited, Root, Sample, Sampled};
pub use crate::audit::{
    AuditError, AuditEvent, AuditFuture, AuditLog, AuditRecord, AuditSink, Broken, Verified,
};
#[cfg(feature = "auth")]
pub use crate::auth::Jwt;
pub use crate::auth::{AuthError, Authenticate, Authentication, StaticTokens, token_digest};
pub use crate::call::Call;
pub use crate::caller::{Caller, Principal};
pub use crate::changes::Changes;
pub use crate::client::LogLevel;
pub use crate::clock::Clock;
pub use crate::completion::Complete;
pub use crate::error::{BootError, Result, Tell, ToolError, ToolResult};
pub use crate::http::accept::Replies;
pub use crate::http::app::AuthMode;
pub use crate::http::challenge::StepUp;
pub use crate::http::stream::EndEvent;
#[cfg(feature = "tls")]
pub use crate::http::tls::Tls;
pub use crate::input::Problem;
pub use crate::keys::Keys;
pub use crate::limits::{Limits, Rate};
pub use crate::metrics::{Counter, Gauge, Histogram, Metrics};
pub use crate::output::{Blob, Content, Reply};
pub use crate::policy::Policy;
pub use crate::prompt::{Messages, Prompt};
pub use crate::resource::Resource;
pub use crate::resource_set::{PromptSet, ResourceSet};
pub use crate::secret::Secret;
pub use crate::server::{Server, Service, told_to_stop};
pub use crate::session::SessionLimits;
pub use crate::skills::Skills;
pub use crate::switches::{Switch, SwitchError, Switches};
pub use crate::tasks::TaskLimits;
pub use crate::tenant::{NotATenant, Tenant};
pub use crate::tool::{DynamicTool, Effects, Handler, Tool};
pub use crate::tool_set::ToolSet;
pub use crate::trace::{LogFormat, init_logs};
pub use crate::trace_context::{SpanId, TraceContext, TraceId};
pub use crate::ui::{Ui, Visibility};
pub use crate::wire::engine::SessionMode;

/// What a file with tools in it needs.
pub mod prelude {
    pub use mcp_macros::{Lend, mcp_prompt, mcp_resource, mcp_tool};
    pub use schemars::{self, JsonSchema};
    pub use serde::{self, Deserialize, Serialize};

    #[cfg(feature = "auth")]
    pub use crate::Jwt;
    pub use crate::{
        Blob, Call, Caller, Changes, Clock, Complete, Content, Elicited, LogLevel, Messages, Reply,
        Server, StaticTokens, Tell, Tenant, ToolError, ToolResult, ToolSet, prompts, resources,
        tools,
    };
}
