//! The demo identities, with tokens that `reference-server token` issues, or that the identity
//! provider of the demo does. Whose tokens are taken beside them, `config::Auth` says.

mod provider;
mod token_file;

use std::time::Duration;

use mcp_runtime::{BootError, Caller, Result};

pub use self::provider::Provider;
pub use self::token_file::TokenFile;

/// How long a token is good for.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Somebody of the demo.
pub struct Identity {
    pub name: &'static str,
    pub tenant: &'static str,
    pub roles: &'static [&'static str],
    pub scopes: &'static [&'static str],
}

/// The demo identities: one who may do all, one who may only read, one of another tenant.
pub const DEMO: [Identity; 3] = [
    Identity {
        name: "admin",
        tenant: "org_a",
        roles: &["admin"],
        scopes: &[
            "copilot:read",
            "copilot:write",
            "records:read",
            "records:write",
            "proxy:read",
            "proxy:write",
            "proxy:admin",
            "school:admin",
            "school:attendance",
        ],
    },
    Identity {
        name: "reader",
        tenant: "org_a",
        roles: &[],
        scopes: &["copilot:read", "records:read", "proxy:read"],
    },
    Identity {
        name: "bob",
        tenant: "org_b",
        roles: &[],
        scopes: &[
            "copilot:read",
            "copilot:write",
            "records:read",
            "records:write",
            "proxy:read",
            "proxy:write",
        ],
    },
];

impl Identity {
    /// The demo identity of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<&'static Self> {
        DEMO.iter()
            .find(|identity| identity.name == name)
            .ok_or_else(|| {
                let known = DEMO.map(|identity| identity.name).join(", ");
                BootError::new(format!(
                    "there is no demo identity `{name}`; there are: {known}"
                ))
            })
    }

    /// As a caller with these of its scopes, with all when none is named.
    ///
    /// # Errors
    /// When the identity does not have a scope.
    pub fn caller(&self, wanted: &[String]) -> Result<Caller> {
        if let Some(scope) = wanted
            .iter()
            .find(|scope| !self.scopes.contains(&scope.as_str()))
        {
            let (name, has) = (self.name, self.scopes.join(", "));
            return Err(BootError::new(format!(
                "`{name}` does not have the scope `{scope}`; it has: {has}"
            )));
        }
        let all: Vec<String> = self
            .scopes
            .iter()
            .map(|scope| (*scope).to_owned())
            .collect();
        let scopes = if wanted.is_empty() { &all } else { wanted };
        Ok(Caller::user(self.name)
            .tenant(self.tenant)
            .roles(self.roles.iter().copied())
            .scopes(scopes.iter().cloned()))
    }
}
