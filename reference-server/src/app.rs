use mcp_runtime::Lend;

use crate::backend::Backend;
use crate::proxy::Proxy;
use crate::school::School;

/// What the tools borrow from.
#[derive(Clone, Lend)]
pub struct App {
    /// The marketplace, for the copilot.
    pub backend: Backend,
    /// The reverse proxy.
    pub proxy: Proxy,
    /// The schools of all tenants.
    pub school: School,
}
