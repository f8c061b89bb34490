//! Certificates, never their keys.

use std::sync::Arc;

use jiff::Timestamp;
use mcp_runtime::prelude::*;

use crate::proxy::Proxy;
use crate::proxy::certificates::Certificate;
use crate::proxy::system::{Inner, whose};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct CertificateList {
    /// By name.
    pub certificates: Vec<Listed>,
    pub count: usize,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Listed {
    pub name: String,
    /// The hosts it is good for.
    pub domains: Vec<String>,
    pub expires_at: Timestamp,
    /// `active` or `expired`.
    pub status: String,
}

/// The certificates that https is served with: names, hosts and when they expire. You see those of
/// your own hosts; with the scope proxy:admin all. Keys are never shown.
#[mcp_tool(
    title = "List certificates",
    scope = "proxy:read",
    read_only,
    cache = "5s",
    family = "proxy"
)]
pub async fn list_certificates(proxy: &Proxy, caller: &Caller) -> ToolResult<CertificateList> {
    let inner = proxy.current().await?;
    let folder = Arc::clone(&inner.certificates);
    let read = tokio::task::spawn_blocking(move || folder.refresh()).await?;
    read.tell("The certificate folder cannot be read now.")?;
    let certificates: Vec<Listed> = visible(inner, caller)
        .iter()
        .map(|certificate| Listed {
            name: certificate.name.clone(),
            domains: certificate.domains.clone(),
            expires_at: certificate.expires_at,
            status: inner.certificates.status(certificate).to_owned(),
        })
        .collect();
    Ok(CertificateList {
        count: certificates.len(),
        certificates,
    })
}

/// Those that a caller may know of: all, or those that are served for hosts of theirs.
pub(in crate::proxy) fn visible(inner: &Inner, caller: &Caller) -> Vec<Arc<Certificate>> {
    match whose(caller) {
        None => inner.certificates.all(),
        Some(owner) => of_owner(inner, &owner),
    }
}

/// Those that are served for the hosts of one owner.
pub(in crate::proxy) fn of_owner(inner: &Inner, owner: &str) -> Vec<Arc<Certificate>> {
    let hosts = inner.routes.page(Some(owner), None, usize::MAX);
    let served = hosts
        .iter()
        .filter_map(|live| inner.certificates.of_host(&live.route.hostname));
    let mut served: Vec<Arc<Certificate>> = served.collect();
    served.sort_by(|a, b| a.name.cmp(&b.name));
    served.dedup_by(|a, b| a.name == b.name);
    served
}
