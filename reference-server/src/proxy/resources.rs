//! What the tools list, as resources: for hosts that put them before a person, and for those who
//! watch them.

use jiff::{SignedDuration, Timestamp};
use mcp_runtime::prelude::*;

use super::logs::{Filter, Level};
use super::system::{no_such_host, whose};
use super::tools::certificates::{Listed, visible};
use super::tools::hosts::Host;
use super::tools::logs::{Logs, logs};
use super::tools::services::{ServiceList, services};
use super::{Proxy, certificates};

/// More are not in one resource; list_proxies has pages.
const MOST: usize = 500;

#[derive(Serialize, JsonSchema)]
pub struct TargetsView {
    targets: Vec<Host>,
    total: usize,
}

/// The hosts that you may see, with their targets: the first 500.
#[mcp_resource("proxy://targets", scope = "proxy:read")]
pub async fn proxy_targets(proxy: &Proxy, caller: &Caller) -> ToolResult<TargetsView> {
    let inner = proxy.current().await?;
    let owner = whose(caller);
    let found = inner.routes.page(owner.as_deref(), None, MOST);
    Ok(TargetsView {
        targets: found
            .iter()
            .map(|live| Host::of(inner, live, true))
            .collect(),
        total: inner.routes.count(owner.as_deref()),
    })
}

#[derive(Serialize, JsonSchema)]
pub struct TargetView {
    #[serde(flatten)]
    host: Host,
    created_by: String,
    created_at: Timestamp,
    /// False when the configuration does not allow the target any more.
    enabled: bool,
}

/// One host, with everything that is known of it.
#[mcp_resource("proxy://targets/{hostname}", scope = "proxy:read")]
pub async fn proxy_target(
    proxy: &Proxy,
    caller: &Caller,
    hostname: String,
) -> ToolResult<TargetView> {
    let inner = proxy.current().await?;
    let live = inner
        .routes
        .of(&hostname.to_ascii_lowercase(), whose(caller).as_deref())
        .ok_or_else(no_such_host)?;
    Ok(TargetView {
        host: Host::of(inner, &live, true),
        created_by: live.route.created_by.clone(),
        created_at: live.route.created_at,
        enabled: live.target.is_some(),
    })
}

#[derive(Serialize, JsonSchema)]
pub struct CertificatesView {
    certificates: Vec<Listed>,
}

/// The certificates of the hosts that you may see, without keys.
#[mcp_resource("proxy://certificates", scope = "proxy:read")]
pub async fn proxy_certificates(proxy: &Proxy, caller: &Caller) -> ToolResult<CertificatesView> {
    let listed = super::tools::certificates::list_certificates(proxy, caller).await?;
    Ok(CertificatesView {
        certificates: listed.certificates,
    })
}

#[derive(Serialize, JsonSchema)]
pub struct CertificateView {
    name: String,
    domains: Vec<String>,
    issued_at: Timestamp,
    expires_at: Timestamp,
    status: &'static str,
    /// SHA-256, in hexadecimal digits.
    fingerprint: String,
    self_signed: bool,
}

/// One certificate, without its key.
#[mcp_resource("proxy://certificates/{name}", scope = "proxy:read")]
pub async fn proxy_certificate(
    proxy: &Proxy,
    caller: &Caller,
    name: String,
) -> ToolResult<CertificateView> {
    let inner = proxy.current().await?;
    // A name is looked up among those that were read; it never becomes a path.
    let seen = visible(inner, caller);
    let found = seen
        .into_iter()
        .find(|one| certificates::is_name(&name) && one.name == name)
        .ok_or_else(|| ToolError::new("There is no such certificate.").code("not_found"))?;
    Ok(CertificateView {
        status: inner.certificates.status(&found),
        name: found.name.clone(),
        domains: found.domains.clone(),
        issued_at: found.issued_at,
        expires_at: found.expires_at,
        fingerprint: found.fingerprint.clone(),
        self_signed: found.self_signed,
    })
}

#[derive(Serialize, JsonSchema)]
pub struct RoutesView {
    routes: Vec<RouteView>,
}

#[derive(Serialize, JsonSchema)]
pub struct RouteView {
    /// What a visitor asks for.
    url: String,
    /// Where that leads.
    target_url: String,
}

/// Which URLs are answered, and where they lead: a line for http and one for https of each host.
#[mcp_resource("proxy://routes", scope = "proxy:read")]
pub async fn proxy_routes(proxy: &Proxy, caller: &Caller) -> ToolResult<RoutesView> {
    let inner = proxy.current().await?;
    let found = inner.routes.page(whose(caller).as_deref(), None, MOST);
    let routes = found.iter().flat_map(|live| {
        let route = &live.route;
        let line = |on: bool, scheme: &str| {
            on.then(|| RouteView {
                url: format!("{scheme}://{}/", route.hostname),
                target_url: route.target_url.clone(),
            })
        };
        [
            line(route.enable_http, "http"),
            line(route.enable_https, "https"),
        ]
    });
    Ok(RoutesView {
        routes: routes.flatten().collect(),
    })
}

/// The containers on the machine of the proxy, where an engine is configured.
#[mcp_resource("proxy://services", scope = "proxy:read")]
pub async fn proxy_services(proxy: &Proxy) -> ToolResult<ServiceList> {
    services(proxy.get()?).await
}

/// The last hundred errors of a day, the newest first.
#[mcp_resource("proxy://logs/errors", scope = "proxy:read")]
pub async fn proxy_error_logs(proxy: &Proxy, caller: &Caller, clock: &Clock) -> ToolResult<Logs> {
    let filter = Filter {
        since: clock.now() - SignedDuration::from_hours(24),
        severity: Level::Error.severity(),
        owner: whose(caller),
        hostname: None,
        status: None,
        lines: 100,
    };
    logs(proxy.get()?, &filter).await
}
