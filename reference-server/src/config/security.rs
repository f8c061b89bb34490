//! How the server proves to the platform for whom it asks, and to clients who it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mcp_runtime::tenant_signature::{Signer, SigningKey, Version};
use mcp_runtime::{BootError, Clock, Result, Tls};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Span;
use crate::platform::TenantSignatures;

/// The longest window: whoever sees a request of version 1 can use its headers that long.
const LONGEST_WINDOW: Duration = Duration::from_secs(15 * 60);

/// Signed tenant headers between this server and the platform.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TenantSignature {
    pub secret_env: Option<String>,
    pub secret_file: Option<PathBuf>,
    pub previous_secret_env: Option<String>,
    pub previous_secret_file: Option<PathBuf>,
    pub window: Option<Span>,
    pub version: Option<u8>,
}

impl TenantSignature {
    /// What signs requests to the platform; `None` when nothing is configured.
    ///
    /// # Errors
    /// When what is configured is not safe, or not whole.
    pub fn signer(&self, clock: &Clock) -> Result<Option<Signer>> {
        let signatures = self.signatures()?;
        Ok(signatures.map(|signatures| {
            Signer::new(signatures.key, clock.clone()).version(signatures.version)
        }))
    }

    /// Which signatures the platform accepts; `None` when nothing is configured.
    ///
    /// # Errors
    /// As [`signer`](Self::signer).
    pub fn signatures(&self) -> Result<Option<TenantSignatures>> {
        let secret = secret(
            "secret",
            self.secret_env.as_deref(),
            self.secret_file.as_deref(),
        )?;
        let previous = secret_before(self)?;
        let Some(key) = secret else {
            let rest = previous.is_some() || self.window.is_some() || self.version.is_some();
            return if rest {
                Err(wrong(" has no secret: set secret_env or secret_file"))
            } else {
                Ok(None)
            };
        };
        let version = match self.version {
            None | Some(1) => Version::V1,
            Some(2) => Version::V2,
            Some(_) => return Err(wrong(".version is 1 or 2")),
        };
        let mut signatures = TenantSignatures::new(key, version);
        signatures.previous = previous;
        if let Some(Span(window)) = self.window {
            if window > LONGEST_WINDOW {
                return Err(wrong(
                    ".window is longer than 15 minutes: so long could a request be used again",
                ));
            }
            signatures.window = window;
        }
        Ok(Some(signatures))
    }
}

fn secret_before(of: &TenantSignature) -> Result<Option<SigningKey>> {
    let (env, file) = (&of.previous_secret_env, &of.previous_secret_file);
    secret("previous_secret", env.as_deref(), file.as_deref())
}

fn secret(what: &str, env: Option<&str>, file: Option<&Path>) -> Result<Option<SigningKey>> {
    match (env, file) {
        (Some(_), Some(_)) => Err(wrong(&format!(
            " has both {what}_env and {what}_file: keep one"
        ))),
        (Some(variable), None) => SigningKey::from_env(variable).map(Some),
        (None, Some(path)) => SigningKey::from_file(path).map(Some),
        (None, None) => Ok(None),
    }
}

fn wrong(problem: &str) -> BootError {
    BootError::new(format!("auth.tenant_signature{problem}"))
}

/// TLS of `reference-server serve`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsFiles {
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub client_ca: Option<PathBuf>,
}

impl TlsFiles {
    /// `None` when nothing is configured: TLS then ends at a proxy in front.
    ///
    /// # Errors
    /// When only a part is configured.
    pub fn tls(&self) -> Result<Option<Tls>> {
        match (&self.cert, &self.key, &self.client_ca) {
            (None, None, None) => Ok(None),
            (Some(cert), Some(key), client_ca) => {
                let tls = Tls::files(cert, key);
                Ok(Some(match client_ca {
                    Some(path) => tls.client_ca(path),
                    None => tls,
                }))
            }
            (Some(_), None, _) => Err(BootError::new("tls.cert is set: set tls.key, too")),
            (None, Some(_), _) => Err(BootError::new("tls.key is set: set tls.cert, too")),
            (None, None, Some(_)) => Err(BootError::new(
                "tls.client_ca is set, and would be of no use: set tls.cert and tls.key, too",
            )),
        }
    }
}
