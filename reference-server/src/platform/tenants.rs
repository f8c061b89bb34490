//! For which tenant a request is made: signed headers, where they are configured.

use std::sync::Arc;
use std::time::Duration;

use mcp_runtime::Clock;
use mcp_runtime::store::Store;
use mcp_runtime::tenant_signature::{SigningKey, VerifyTenant, Version};

/// Which signatures of tenant headers are accepted.
#[derive(Clone, Debug)]
pub struct TenantSignatures {
    pub key: SigningKey,
    /// The key before, until every signer has the new one.
    pub previous: Option<SigningKey>,
    pub version: Version,
    /// How far a timestamp may lie in the past or in the future.
    pub window: Duration,
}

impl TenantSignatures {
    /// With a window of 300 seconds.
    pub fn new(key: SigningKey, version: Version) -> Self {
        Self {
            key,
            previous: None,
            version,
            window: Duration::from_secs(300),
        }
    }

    /// Nonces are remembered in `nonces`, which all processes of the platform share.
    pub(super) fn layer(
        &self,
        clock: &Clock,
        nonces: &Arc<dyn Store>,
        max_body: usize,
    ) -> VerifyTenant {
        let layer = VerifyTenant::new(self.key.clone(), clock.clone())
            .window(self.window)
            .max_body(max_body);
        let layer = match &self.previous {
            Some(previous) => layer.previous(previous.clone()),
            None => layer,
        };
        match self.version {
            Version::V1 => layer,
            Version::V2 => layer.version2(Arc::clone(nonces)),
        }
    }
}
