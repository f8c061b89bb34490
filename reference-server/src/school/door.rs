//! Who comes in at all where a server has nothing but the school.

use mcp_runtime::auth::Setup;
use mcp_runtime::{AuthError, Authenticate, Authentication, Result};

/// Lets in, of those whose tokens are good, admins who act for a tenant: everybody else is refused
/// before the first message (403), instead of finding a server without tools.
#[derive(Debug)]
pub struct OnlyAdmins<A>(pub A);

impl<A: Authenticate> Authenticate for OnlyAdmins<A> {
    fn authenticate<'a>(&'a self, token: &'a str) -> Authentication<'a> {
        Box::pin(async move {
            let caller = self.0.authenticate(token).await?;
            if caller.has_role("admin") && caller.acts_for().is_some() {
                Ok(caller)
            } else {
                tracing::info!(subject = %caller, "no admin of a school");
                Err(AuthError::Denied)
            }
        })
    }

    fn authorization_servers(&self) -> Vec<String> {
        self.0.authorization_servers()
    }

    fn prepare(&mut self, setup: &Setup<'_>) -> Result {
        self.0.prepare(setup)
    }

    fn takes(&self, token: &str) -> bool {
        self.0.takes(token)
    }
}
