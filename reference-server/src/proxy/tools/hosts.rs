//! Hosts: listed, created, deleted.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcp_runtime::prelude::*;
use sha2::{Digest, Sha256};

use crate::proxy::routes::{Live, Route};
use crate::proxy::system::{Inner, no_such_host, whose};
use crate::proxy::{Proxy, certificates, hostname};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProxyList {
    /// By host name.
    pub proxies: Vec<Host>,
    /// How many are on this page.
    pub count: usize,
    /// How many there are on all pages.
    pub total: usize,
    /// Pass it as `cursor` to get the next page; null on the last one.
    pub next_cursor: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    pub hostname: String,
    pub target_url: String,
    #[serde(flatten)]
    pub details: Option<Details>,
}

/// Only with `include_details`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Details {
    /// Whether callers need an access token.
    pub auth_enabled: bool,
    /// The certificate that is served for the host.
    pub cert_name: Option<String>,
    pub enable_http: bool,
    pub enable_https: bool,
}

impl Host {
    pub(in crate::proxy) fn of(inner: &Inner, live: &Live, details: bool) -> Self {
        let route = &live.route;
        let details = details.then(|| Details {
            auth_enabled: route.auth_enabled,
            cert_name: inner
                .certificates
                .of_host(&route.hostname)
                .map(|certificate| certificate.name.clone()),
            enable_http: route.enable_http,
            enable_https: route.enable_https,
        });
        Self {
            hostname: route.hostname.clone(),
            target_url: route.target_url.clone(),
            details,
        }
    }
}

/// The hosts that the proxy answers for, with the targets they lead to. You see your own; with the
/// scope proxy:admin everybody's. Set include_details for certificates and what is enabled.
#[mcp_tool(
    title = "List proxied hosts",
    scope = "proxy:read",
    read_only,
    cache = "5s",
    family = "proxy"
)]
pub async fn list_proxies(
    proxy: &Proxy,
    caller: &Caller,
    /// How many to return on a page.
    #[arg(range = 1..=500, default = 10)]
    limit: u32,
    /// `next_cursor` of the page before, unchanged.
    #[arg(len = 1..=400)]
    cursor: Option<String>,
    /// Whether to add certificate, authentication and which of http and https is answered.
    #[arg(default = false)]
    include_details: bool,
) -> ToolResult<ProxyList> {
    let inner = proxy.current().await?;
    let owner = whose(caller);
    let after = cursor
        .map(|cursor| after(inner, caller, &cursor))
        .transpose()?;
    let limit = limit as usize;
    let mut found = inner
        .routes
        .page(owner.as_deref(), after.as_deref(), limit + 1);
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| more);
    Ok(ProxyList {
        next_cursor: last.map(|live| sealed(inner, caller, &live.route.hostname)),
        count: found.len(),
        total: inner.routes.count(owner.as_deref()),
        proxies: found
            .iter()
            .map(|live| Host::of(inner, live, include_details))
            .collect(),
    })
}

/// Good for this caller alone.
fn sealed(inner: &Inner, caller: &Caller, hostname: &str) -> String {
    let mut bytes = seal(inner, caller, hostname).to_vec();
    bytes.extend_from_slice(hostname.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn seal(inner: &Inner, caller: &Caller, hostname: &str) -> [u8; 16] {
    // The key on both ends: nothing can be appended.
    let mut hash = Sha256::new();
    hash.update(inner.cursor_key);
    hash.update(caller.owner());
    hash.update(hostname);
    hash.update(inner.cursor_key);
    let mut seal = [0; 16];
    seal.copy_from_slice(&hash.finalize()[..16]);
    seal
}

fn after(inner: &Inner, caller: &Caller, cursor: &str) -> ToolResult<String> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let hostname = bytes.and_then(|bytes| {
        let (seen, hostname) = bytes.split_at_checked(16)?;
        let hostname = String::from_utf8(hostname.to_vec()).ok()?;
        let expected = seal(inner, caller, &hostname);
        bool::from(subtle::ConstantTimeEq::ct_eq(seen, &expected[..])).then_some(hostname)
    });
    hostname.ok_or_else(|| {
        ToolError::new("The cursor is not good any more. Start again without one.")
            .code("invalid_cursor")
    })
}

/// What was done to a host.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Done {
    /// `created` or `deleted`.
    pub status: String,
    pub hostname: String,
    pub message: String,
}

/// Makes the proxy answer for a host name and hand its requests to a target, at once. The name must
/// be free and point to the proxy in DNS; the target must be http or https, public or listed by the
/// operator. For https without a certificate in the folder, a self-signed one is issued.
#[mcp_tool(
    title = "Create a proxied host",
    scope = "proxy:write",
    family = "proxy"
)]
#[expect(clippy::too_many_arguments, reason = "the parameters of the contract")]
pub async fn create_proxy(
    proxy: &Proxy,
    caller: &Caller,
    clock: &Clock,
    changes: &Changes,
    /// The host name, like `app.example.com`; upper case does not matter.
    #[arg(len = 1..=1000)]
    hostname: String,
    /// Where its requests go, like `http://10.0.0.7:8080`; a path is put before theirs.
    #[arg(len = 1..=2000)]
    target_url: String,
    /// Whether plain http is answered.
    #[arg(default = true)]
    enable_http: bool,
    /// Whether https is answered.
    #[arg(default = true)]
    enable_https: bool,
    /// Whether visitors need an access token of this server, of your tenant.
    #[arg(default = false)]
    auth_enabled: bool,
) -> ToolResult<Done> {
    let inner = proxy.current().await?;
    check_ways(inner, enable_http || enable_https, auth_enabled)?;
    let name = hostname::read(&hostname)
        .map_err(|why| ToolError::new(format!("hostname {why}.")).code("invalid_hostname"))?;
    let tenant = caller.principal().and_then(|principal| principal.tenant());
    let route = Route {
        hostname: name.clone(),
        target_url: inner.targets.read(&target_url)?.url,
        owner: caller.owner(),
        tenant: tenant.map(str::to_owned),
        created_by: caller.to_string(),
        created_at: clock.now(),
        enable_http,
        enable_https,
        auth_enabled,
    };
    inner.create(route).await?;
    announce(changes, &name);
    Ok(Done {
        status: "created".to_owned(),
        message: format!(
            "{name} is answered {}.",
            places(proxy, enable_http, enable_https)
        ),
        hostname: name,
    })
}

/// Whether a host can be answered in this way.
fn check_ways(inner: &Inner, is_enabled: bool, auth_enabled: bool) -> ToolResult<()> {
    if !is_enabled {
        let text = "Set enable_http or enable_https: a host without both would never be answered.";
        return Err(ToolError::new(text).code("nothing_enabled"));
    }
    match auth_enabled && inner.tokens.is_none() {
        true => Err(
            ToolError::new("auth_enabled: this server has no tokens to check.").code("unavailable"),
        ),
        false => Ok(()),
    }
}

/// When a host is answered, and where: in the ways that are enabled for it.
fn places(proxy: &Proxy, enable_http: bool, enable_https: bool) -> String {
    let (http, https) = proxy.addresses();
    let ways = [(enable_http, "http", http), (enable_https, "https", https)];
    let places: Vec<String> = ways
        .into_iter()
        .filter(|(enabled, ..)| *enabled)
        .filter_map(|(_, scheme, address)| Some(format!("{scheme} on {}", address?)))
        .collect();
    match places.is_empty() {
        true => "as soon as the operator turns a listener for it on".to_owned(),
        false => format!("now ({})", places.join(", ")),
    }
}

/// Who may not see a host is told that there is none, before anybody is asked.
async fn may_delete(proxy: &Proxy, caller: &Caller, hostname: &str) -> ToolResult<bool> {
    let owner = whose(caller);
    let name = hostname.to_ascii_lowercase();
    match proxy.current().await?.routes.of(&name, owner.as_deref()) {
        Some(_) => Ok(true),
        None => Err(no_such_host()),
    }
}

/// Stops answering for a host name, at once and for good; a certificate that was issued for it goes,
/// too. Only for its owner, and for callers with proxy:admin. Asks first: show the user what will be
/// deleted.
#[mcp_tool(
    title = "Delete a proxied host",
    scope = "proxy:write",
    destructive,
    family = "proxy",
    guard = may_delete(proxy, caller, &hostname),
    confirm = "Stop answering for {hostname}? Its visitors get errors from then on."
)]
pub async fn delete_proxy(
    proxy: &Proxy,
    caller: &Caller,
    changes: &Changes,
    /// The host name, as list_proxies shows it.
    #[arg(len = 1..=253)]
    hostname: String,
) -> ToolResult<Done> {
    let name = hostname.to_ascii_lowercase();
    proxy.current().await?.delete(&name, caller).await?;
    announce(changes, &name);
    Ok(Done {
        status: "deleted".to_owned(),
        message: format!("{name} is not answered any more."),
        hostname: name,
    })
}

/// Who watches these resources hears that they have changed.
pub(super) fn announce(changes: &Changes, hostname: &str) {
    changes.resource("proxy://targets");
    changes.resource("proxy://routes");
    changes.resource("proxy://certificates");
    changes.resource(&format!("proxy://targets/{hostname}"));
    changes.resource(&format!(
        "proxy://certificates/{}",
        certificates::file_name(hostname)
    ));
}
