//! The identity provider of the demo: a whole OAuth login on this machine, with the demo identities
//! to choose from. It proves nothing, so nothing but loopback is served with it.

use mcp_runtime::{BootError, Clock, Result};

use crate::config::Config;

/// A running identity provider. Ends with its value.
pub struct Provider {
    #[cfg(feature = "demo")]
    _running: mcp_runtime::testing::IdentityProvider,
}

impl Provider {
    /// Starts it, and has `config` trust it for the server at `resource`.
    ///
    /// # Errors
    /// When its port is taken, or this program was built without it.
    #[cfg(feature = "demo")]
    pub async fn start(config: &mut Config, clock: &Clock, resource: &str) -> Result<Self> {
        use mcp_runtime::testing::IdentityProvider;

        use super::DEMO;
        use crate::config::Issuer;

        config.refuse_provider()?;
        let listen = &config.identity.provider_listen;
        let told = |why: &dyn std::fmt::Display| {
            BootError::new(format!("identity.provider_listen is {listen:?}: {why}"))
        };
        let address = listen
            .parse()
            .map_err(|_| told(&"write it like 127.0.0.1:8789"))?;
        let running = IdentityProvider::start_on(address, clock.clone(), resource)
            .await
            .map_err(|error| told(&error))?;
        running.set_users(DEMO.iter().map(user));
        config.auth.issuer.push(Issuer {
            issuer: running.issuer().to_owned(),
            tenant_claim: Some(TENANT.to_owned()),
            allow_loopback: true,
            ..Issuer::default()
        });
        Ok(Self { _running: running })
    }

    /// As with the feature `demo`, without which it is an error.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(feature = "demo"))]
    pub async fn start(_: &mut Config, _: &Clock, _: &str) -> Result<Self> {
        Err(BootError::new(
            "identity.provider is on, and this program was built without it: build it with the feature `demo`",
        ))
    }
}

/// The claim with the tenant.
#[cfg(feature = "demo")]
const TENANT: &str = "org_id";

#[cfg(feature = "demo")]
fn user(identity: &super::Identity) -> mcp_runtime::testing::User {
    let mut user = mcp_runtime::testing::User::new(identity.name, identity.scopes.iter().copied());
    user.claims.insert("roles".into(), identity.roles.into());
    user.claims.insert(TENANT.into(), identity.tenant.into());
    user
}
