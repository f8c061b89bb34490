//! Several ways to check a token, one after the other.

use std::sync::Arc;

use super::{AuthError, Authenticate, Authentication, Setup};
use crate::caller::Caller;
use crate::error::{BootError, Result as BootResult};

/// Several ways to check a token: [`any_of`].
pub struct AnyOf(Vec<Box<dyn Authenticate>>);

/// Begins a row of ways to check a token.
///
/// A token goes to those that take its shape, in this order, until one knows it. Who is denied by
/// one is not asked for by the next, and a token that nobody knows is unavailable, not invalid,
/// as long as one of them could not be asked.
///
/// ```
/// use mcp_runtime::auth::{any_of, Jwt};
/// use mcp_runtime::{Caller, StaticTokens};
///
/// let service = StaticTokens::new().token("correct horse battery staple", Caller::user("batch"));
/// let auth = any_of(service).or(Jwt::discover("https://as.example.com"));
/// ```
pub fn any_of(first: impl Authenticate) -> AnyOf {
    AnyOf(vec![Box::new(first)])
}

impl AnyOf {
    /// One more way, after those before it.
    #[must_use]
    pub fn or(mut self, next: impl Authenticate) -> Self {
        self.0.push(Box::new(next));
        self
    }

    async fn ask(&self, token: &str) -> Result<Arc<Caller>, AuthError> {
        let mut outcome = AuthError::Invalid;
        for way in self.0.iter().filter(|way| way.takes(token)) {
            match way.authenticate(token).await {
                Ok(caller) => return Ok(caller),
                Err(AuthError::Denied) => return Err(AuthError::Denied),
                Err(AuthError::Unavailable) => outcome = AuthError::Unavailable,
                Err(AuthError::Invalid) => {}
            }
        }
        Err(outcome)
    }
}

impl Authenticate for AnyOf {
    fn authenticate<'a>(&'a self, token: &'a str) -> Authentication<'a> {
        Box::pin(self.ask(token))
    }

    fn authorization_servers(&self) -> Vec<String> {
        let mut servers = Vec::new();
        for server in self.0.iter().flat_map(|way| way.authorization_servers()) {
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
        servers
    }

    fn prepare(&mut self, setup: &Setup<'_>) -> BootResult {
        let problems = self
            .0
            .iter_mut()
            .filter_map(|way| way.prepare(setup).err())
            .flat_map(|error| error.problems().to_vec())
            .collect();
        BootError::collect(problems)
    }

    fn takes(&self, token: &str) -> bool {
        self.0.iter().any(|way| way.takes(token))
    }
}

impl std::fmt::Debug for AnyOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AnyOf").field(&self.0.len()).finish()
    }
}
