//! An authorization server for clients, at the address of this server: `[auth.oauth_proxy]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mcp_runtime::auth::OAuthProxy;
use mcp_runtime::{BootError, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use super::tokens::{Reach, client_secret, wrong};
use super::{Config, Span, Without};

#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Proxied {
    pub mode: Option<ProxyMode>,
    pub upstream: Option<String>,
    pub client_id: Option<String>,
    pub client_secret_env: Option<String>,
    pub client_secret_file: Option<PathBuf>,
    pub upstream_scopes: Option<Vec<String>>,
    pub allow_everybody: bool,
    pub scopes: Vec<String>,
    pub scopes_for: BTreeMap<String, Vec<String>>,
    pub role_claim: Option<String>,
    pub tenant_claim: Option<String>,
    pub token_life: Option<Span>,
    pub login_life: Option<Span>,
    pub own_issuer: bool,
    pub allow_loopback: bool,
    pub allow_private: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProxyMode {
    Relay,
    Facade,
}

impl Config {
    /// The proxy, where one is configured.
    ///
    /// # Errors
    /// When what is configured would not be safe, or of no use: with the key to change.
    pub(super) fn oauth_proxy(&self) -> Result<Option<OAuthProxy>> {
        let chosen = &self.auth.oauth_proxy;
        let Some(mode) = chosen.mode else {
            return match *chosen == Proxied::default() {
                true => Ok(None),
                false => Err(refused(
                    "has no `mode`: say \"relay\", where the provider registers clients, or \"facade\", where it knows one",
                )),
            };
        };
        if self.public_url.is_none() {
            return Err(refused(
                "needs public_url, which clients and the provider come back to",
            ));
        }
        if self.auth.mode == Without::Open {
            return Err(refused(
                "hands out tokens, and auth.mode = \"open\" takes none: say \"mixed\" or \"required\"",
            ));
        }
        let upstream = chosen.upstream.as_deref().unwrap_or_default();
        if upstream.is_empty() {
            return Err(refused(
                "has no `upstream`, the issuer URL of the identity provider",
            ));
        }
        let reach = Reach {
            loopback: chosen.allow_loopback,
            private: chosen.allow_private,
        };
        reach.checked(".oauth_proxy", "upstream", upstream)?;
        let proxy = match mode {
            ProxyMode::Relay => self.relay(upstream)?,
            ProxyMode::Facade => self.facade(upstream)?,
        };
        Ok(Some(proxy.egress(reach.egress())))
    }

    /// Whether tokens of the proxy's own are checked by the proxy itself.
    pub(super) fn has_facade(&self) -> bool {
        self.auth.oauth_proxy.mode == Some(ProxyMode::Facade)
    }

    fn relay(&self, upstream: &str) -> Result<OAuthProxy> {
        let chosen = &self.auth.oauth_proxy;
        for (key, is_set) in chosen.of_facade() {
            if is_set {
                return Err(refused(&format!(
                    "is a relay, and {key} is for a facade: the provider itself decides that"
                )));
            }
        }
        let is_checked = self.auth.issuer.iter().any(|it| it.issuer == upstream)
            || self.auth.introspection.issuer.as_deref() == Some(upstream);
        if !is_checked {
            return Err(refused(&format!(
                "hands out tokens of `{upstream}`, which nobody here checks: add an [[auth.issuer]] or [auth.introspection] of this name"
            )));
        }
        let proxy = OAuthProxy::relay(upstream);
        Ok(match chosen.own_issuer {
            true => proxy.own_issuer(),
            false => proxy,
        })
    }

    fn facade(&self, upstream: &str) -> Result<OAuthProxy> {
        let chosen = &self.auth.oauth_proxy;
        if chosen.own_issuer {
            return Err(refused(
                "is a facade, which always is its own issuer: own_issuer is for a relay",
            ));
        }
        let client = chosen.client_id.as_deref().unwrap_or_default();
        if client.is_empty() {
            return Err(refused(
                "has no `client_id`, by which the provider knows this server",
            ));
        }
        let secret = client_secret(
            ".oauth_proxy",
            chosen.client_secret_env.as_deref(),
            chosen.client_secret_file.as_deref(),
        )?;
        if self.auth.allow_emails_file.is_some() {
            return Err(refused(
                "is a facade, which asks for addresses at every login alone: list people in auth.allow_emails, and not in a file",
            ));
        }
        let mut proxy = OAuthProxy::facade(upstream, client, secret);
        proxy = match (&self.auth.allow_emails, chosen.allow_everybody) {
            (Some(emails), false) => proxy.allow_emails(emails),
            (None, true) => proxy.allow_everybody(),
            (Some(_), true) => {
                return Err(refused(
                    "has allow_everybody, and auth.allow_emails lists who may: keep one",
                ));
            }
            (None, false) => {
                return Err(refused(
                    "lets nobody in: list people in auth.allow_emails, or say allow_everybody = true",
                ));
            }
        };
        if chosen.scopes.is_empty() && chosen.scopes_for.is_empty() {
            return Err(refused(
                "grants no scope to anybody: say which in scopes or scopes_for",
            ));
        }
        proxy = proxy.scopes(chosen.scopes.clone());
        for (email, scopes) in &chosen.scopes_for {
            proxy = proxy.scopes_for(email, scopes.clone());
        }
        if let Some(scopes) = &chosen.upstream_scopes {
            proxy = proxy.upstream_scopes(scopes.clone());
        }
        if let Some(claim) = &chosen.role_claim {
            proxy = proxy.role_claim(claim);
        }
        if let Some(claim) = &chosen.tenant_claim {
            proxy = proxy.tenant_claim(claim);
        }
        Ok(match (chosen.token_life, chosen.login_life) {
            (None, None) => proxy,
            (Some(token), Some(login)) if token.0 < login.0 => proxy.lives(token.0, login.0),
            (Some(_), Some(_)) => {
                return Err(refused(
                    "has a token_life that is not shorter than its login_life",
                ));
            }
            _ => {
                return Err(refused(
                    "has one of token_life and login_life: say both or neither",
                ));
            }
        })
    }
}

impl Proxied {
    fn of_facade(&self) -> [(&'static str, bool); 11] {
        [
            ("client_id", self.client_id.is_some()),
            ("client_secret_env", self.client_secret_env.is_some()),
            ("client_secret_file", self.client_secret_file.is_some()),
            ("upstream_scopes", self.upstream_scopes.is_some()),
            ("allow_everybody", self.allow_everybody),
            ("scopes", !self.scopes.is_empty()),
            ("scopes_for", !self.scopes_for.is_empty()),
            ("role_claim", self.role_claim.is_some()),
            ("tenant_claim", self.tenant_claim.is_some()),
            ("token_life", self.token_life.is_some()),
            ("login_life", self.login_life.is_some()),
        ]
    }
}

fn refused(problem: &str) -> BootError {
    wrong(&format!(".oauth_proxy {problem}"))
}
