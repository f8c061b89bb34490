//! Whether callers still belong to their tenants: `[auth.membership]`.

use std::path::PathBuf;

use mcp_runtime::auth::Membership;
use mcp_runtime::{Authenticate, BootError, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Span;
use super::tokens::{Reach, client_secret, wrong};

/// The longest that somebody who has been removed may go on.
const LONGEST: std::time::Duration = std::time::Duration::from_mins(5);

#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Members {
    pub url: Option<String>,
    pub token_env: Option<String>,
    pub token_file: Option<PathBuf>,
    pub cache_ttl: Option<Span>,
    pub allow_loopback: bool,
    pub allow_private: bool,
}

/// Puts the check around another way to find out who calls.
pub(super) type Check = Box<dyn FnOnce(Box<dyn Authenticate>) -> Box<dyn Authenticate> + Send>;

impl Members {
    /// What checks memberships, where that is configured.
    ///
    /// # Errors
    /// When what is configured would not be safe, or of no use: with the key to change.
    pub(super) fn check(&self) -> Result<Option<Check>> {
        let Some(url) = self.url.clone() else {
            return match *self == Self::default() {
                true => Ok(None),
                false => Err(refused("has no `url`, where memberships are asked for")),
            };
        };
        let reach = Reach {
            loopback: self.allow_loopback,
            private: self.allow_private,
        };
        reach.checked(".membership", "url", &url)?;
        let token = client_secret(
            ".membership",
            self.token_env.as_deref(),
            self.token_file.as_deref(),
        );
        let token = match (&self.token_env, &self.token_file) {
            (None, None) => {
                return Err(refused(
                    "has no token to ask with: set token_env or token_file",
                ));
            }
            _ => token?,
        };
        let keep = self.cache_ttl.map(|span| span.0);
        if keep.is_some_and(|keep| keep > LONGEST) {
            return Err(refused(
                "remembers for too long: cache_ttl is at most 5m, in which somebody who was removed goes on",
            ));
        }
        Ok(Some(Box::new(move |way| {
            let members = Membership::new(way, url)
                .token(token)
                .egress(reach.egress());
            Box::new(match keep {
                Some(keep) => members.remember(keep),
                None => members,
            })
        })))
    }
}

fn refused(problem: &str) -> BootError {
    wrong(&format!(".membership {problem}"))
}
