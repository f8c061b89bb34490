use mcp_runtime::Lend;

use crate::backend::Backend;

/// What the tools borrow from.
#[derive(Lend)]
pub struct App {
    /// The marketplace, for the copilot.
    pub backend: Backend,
}
