//! Where traffic may go: the public internet, and what the operator lists of the networks inside.
//!
//! Resolve, check, pin: the connection goes to an address that was checked, in the same
//! resolution; no redirect is followed, and no other proxy is asked.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mcp_runtime::auth::Egress;
use mcp_runtime::{BootError, ToolError};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Url, redirect};

/// How long a name may take to be resolved.
const RESOLVE: Duration = Duration::from_secs(3);

/// The rules, and a client for each side.
pub(super) struct Targets {
    /// Origins that may lie in a private network or on this machine.
    inside: Vec<String>,
    public: Side,
    private: Side,
}

struct Side {
    egress: Egress,
    client: Client,
}

/// A target that the rules know.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// As it is shown, without a slash at its end.
    pub(super) url: String,
    host: Host,
    port: u16,
    inside: bool,
}

#[derive(Clone, Debug)]
enum Host {
    Address(IpAddr),
    Name(String),
}

impl Targets {
    /// # Errors
    /// When an origin cannot be one, or TLS cannot be set up.
    pub(super) fn new(private_targets: &[String], connect: Duration) -> Result<Self, BootError> {
        let inside = private_targets.iter().map(|text| origin(text));
        let side = |egress: Egress| {
            let client = Client::builder()
                .dns_resolver(Arc::new(Checked(egress.clone())))
                .redirect(redirect::Policy::none())
                .referer(false)
                .no_proxy()
                .connect_timeout(connect)
                .pool_idle_timeout(Duration::from_secs(30))
                .pool_max_idle_per_host(32)
                .build();
            client
                .map(|client| Side { egress, client })
                .map_err(|error| BootError::new(format!("the proxy has no HTTP client: {error}")))
        };
        Ok(Self {
            inside: inside.collect::<Result<_, _>>()?,
            public: side(Egress::new())?,
            private: side(Egress::new().allow_loopback().allow_private())?,
        })
    }

    /// Reads a target URL. Literal addresses are judged at once, names by [`check`](Self::check).
    pub(super) fn read(&self, text: &str) -> Result<Target, ToolError> {
        let wrong = |why: &str| ToolError::new(format!("target_url {why}")).code("invalid_target");
        let url = Url::parse(text).map_err(|_| wrong("is not a URL, like http://app:8080"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("must begin with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("has a user name or a password in it: leave them out"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("has a query or a fragment: leave it out"));
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(wrong("names no host"));
        };
        let target = Target {
            host: match host.trim_matches(['[', ']']).parse() {
                Ok(address) => Host::Address(address),
                Err(_) => Host::Name(host.to_owned()),
            },
            port,
            inside: self.inside.contains(&url.origin().ascii_serialization()),
            url: url.as_str().trim_end_matches('/').to_owned(),
        };
        match target.host {
            Host::Address(address) if !self.side(&target).egress.allows(address) => {
                Err(not_allowed())
            }
            _ => Ok(target),
        }
    }

    /// Whether the target has an address that may be connected to, as of now.
    pub(super) async fn check(&self, target: &Target) -> Result<(), ToolError> {
        let Host::Name(name) = &target.host else {
            return Ok(());
        };
        let unknown = || {
            ToolError::new("The host of target_url cannot be resolved. Check its name.")
                .code("target_unresolvable")
        };
        let found = tokio::net::lookup_host((name.as_str(), target.port));
        let found = tokio::time::timeout(RESOLVE, found).await;
        let mut found = found.ok().and_then(Result::ok).ok_or_else(unknown)?;
        let egress = &self.side(target).egress;
        if found.any(|address| egress.allows(address.ip())) {
            return Ok(());
        }
        Err(not_allowed())
    }

    /// The client that only connects to where this target may lie.
    pub(super) fn client(&self, target: &Target) -> &Client {
        &self.side(target).client
    }

    fn side(&self, target: &Target) -> &Side {
        if target.inside {
            &self.private
        } else {
            &self.public
        }
    }
}

fn not_allowed() -> ToolError {
    ToolError::new(
        "target_url is at an address that the proxy may not connect to. Private addresses have to \
         be listed by the operator (proxy.private_targets).",
    )
    .code("target_not_allowed")
}

fn origin(text: &str) -> Result<String, BootError> {
    let url = Url::parse(text).ok().filter(|url| {
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        bare && matches!(url.scheme(), "http" | "https") && url.username().is_empty()
    });
    url.map(|url| url.origin().ascii_serialization())
        .ok_or_else(|| {
            BootError::new(format!(
                "proxy.private_targets: `{text}` is no origin, like http://127.0.0.1:8080"
            ))
        })
}

/// Hands on only addresses that may be connected to.
struct Checked(Egress);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let egress = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.filter(|at| egress.allows(at.ip())).collect();
            if found.is_empty() {
                return Err("no address of the target may be connected to".into());
            }
            let found: Addrs = Box::new(found.into_iter());
            Ok(found)
        })
    }
}
