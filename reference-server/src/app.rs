use mcp_runtime::Lend;

use crate::backend::Backend;
use crate::school::School;

/// What the tools borrow from.
#[derive(Lend)]
pub struct App {
    /// The marketplace, for the copilot.
    pub backend: Backend,
    /// The schools of all tenants.
    pub school: School,
}
