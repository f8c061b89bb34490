//! The configuration of the proxy, saved to a file of the server and loaded from it.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::Arc;

use jiff::Timestamp;
use mcp_runtime::prelude::*;
use serde_json::json;

use super::hosts::announce;
use super::tokens::held;
use crate::proxy::exchange::{Document, Folder, Host, Pem, folder_of};
use crate::proxy::routes::Route;
use crate::proxy::system::{ADMIN, Inner, MOST, unavailable, whose};
use crate::proxy::{Proxy, hostname};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Saved {
    /// Pass it to config_load to get this back.
    pub name: String,
    pub saved_at: Timestamp,
    pub host_count: usize,
    pub token_count: usize,
    pub certificate_count: usize,
    /// How large the file is.
    pub bytes: usize,
}

/// What must not leave the server is for admins to ask for.
fn may_take(caller: &Caller, include_tokens: bool, include_secrets: bool) -> ToolResult<bool> {
    if (include_tokens || include_secrets) && !caller.has_scope(ADMIN) {
        let text = "include_tokens and include_secrets need the scope proxy:admin. Save without.";
        return Err(ToolError::new(text).code("insufficient_scope"));
    }
    Ok(true)
}

/// Saves the hosts that you may see, with their targets, to a file on the server, in a folder of
/// your own; what was saved under the same name before is replaced. Tokens and the keys of
/// certificates are left out unless an admin asks for them.
#[mcp_tool(
    title = "Save the proxy configuration",
    scope = "proxy:write",
    idempotent,
    guard = may_take(caller, include_tokens, include_secrets),
    family = "exports"
)]
pub async fn config_save(
    proxy: &Proxy,
    caller: &Caller,
    clock: &Clock,
    /// What to call it: letters, digits, `-` and `_`.
    #[arg(pattern = "^[A-Za-z0-9_-]{1,64}$", default = "proxy".to_owned())]
    name: String,
    /// Whether to list who holds access tokens; the tokens themselves are never saved.
    #[arg(default = false)]
    include_tokens: bool,
    /// Whether to add certificates with their private keys.
    #[arg(default = false)]
    include_secrets: bool,
) -> ToolResult<Saved> {
    let inner = proxy.current().await?;
    let live = inner.routes.page(whose(caller).as_deref(), None, MOST);
    let hosts = live.iter().map(|live| Host::of(live)).collect();
    let mut document = Document::new(clock.now(), hosts);
    if include_tokens {
        document.tokens = held(inner)?;
    }
    if include_secrets {
        document.certificates = certificates(inner).await?;
    }
    let text = serde_json::to_vec_pretty(&document).map_err(ToolError::internal)?;
    let saved = Saved {
        saved_at: document.saved_at,
        host_count: document.hosts.len(),
        token_count: document.tokens.len(),
        certificate_count: document.certificates.len(),
        bytes: text.len(),
        name: name.clone(),
    };
    let folder = folder_of(&inner.exports, caller);
    on_files(move || folder.write(&name, &text)).await?;
    Ok(saved)
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Loaded {
    pub name: String,
    /// When it was saved.
    pub saved_at: Timestamp,
    /// Hosts that were not there before.
    pub created: Vec<String>,
    /// Hosts that were there, and lead to what was saved now.
    pub replaced: Vec<String>,
    /// Certificates that were not there before.
    pub certificate_count: usize,
}

/// Brings back the hosts of a file that you saved with config_save: all of them, or none when
/// anything speaks against it. Hosts that are there are left alone, and nothing is loaded, unless
/// force says to replace them. Hosts that are not in the file stay. Asks first: show the user which
/// file it is.
#[mcp_tool(
    title = "Load the proxy configuration",
    scope = "proxy:write",
    destructive,
    confirm = "Load the proxy configuration {name} (replacing hosts that are there: {force})?",
    family = "proxy"
)]
pub async fn config_load(
    proxy: &Proxy,
    caller: &Caller,
    clock: &Clock,
    changes: &Changes,
    /// What it was called when it was saved.
    #[arg(pattern = "^[A-Za-z0-9_-]{1,64}$", default = "proxy".to_owned())]
    name: String,
    /// Whether to replace hosts that are there.
    #[arg(default = false)]
    force: bool,
) -> ToolResult<Loaded> {
    let inner = proxy.current().await?;
    let document = document(folder_of(&inner.exports, caller), name.clone()).await?;
    let saved_at = document.saved_at;
    // Keys come from an admin alone, also when one was an admin only when the file was saved.
    let pems = match caller.has_scope(ADMIN) {
        true => document.certificates.clone(),
        false => Vec::new(),
    };
    let routes = routes(inner, document, caller, clock).await?;
    let names: BTreeSet<String> = routes.iter().map(|route| route.hostname.clone()).collect();
    let (replaced, certificate_count) = inner.replace(routes, pems, force, caller).await?;
    names.iter().for_each(|name| announce(changes, name));
    Ok(Loaded {
        name,
        saved_at,
        created: names.difference(&replaced).cloned().collect(),
        replaced: replaced.into_iter().collect(),
        certificate_count,
    })
}

async fn document(folder: Folder, name: String) -> ToolResult<Document> {
    let text = on_files(move || folder.read(&name)).await?;
    Document::read(&text)
}

/// What is in the file, as rows, or everything that speaks against it.
async fn routes(
    inner: &Arc<Inner>,
    document: Document,
    caller: &Caller,
    clock: &Clock,
) -> ToolResult<Vec<Route>> {
    let (mut routes, mut problems) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for host in document.hosts.into_iter().take(MOST) {
        let shown = host.hostname.clone();
        let problem = match checked(inner, &host).await {
            Ok(name) if !seen.insert(name.clone()) => "is there twice".to_owned(),
            Ok(name) => {
                let is_admin = caller.has_scope(ADMIN);
                routes.push(host.route(name, caller, is_admin, clock.now()));
                continue;
            }
            Err(error) => error
                .message()
                .unwrap_or("cannot be checked now")
                .to_owned(),
        };
        problems.push(json!({ "hostname": shown, "problem": problem }));
    }
    match problems.is_empty() {
        true => Ok(routes),
        false => Err(ToolError::new(
            "Nothing was loaded: some hosts of the file cannot be. See problems.",
        )
        .code("invalid_configuration")
        .data(json!({ "problems": problems.iter().take(20).collect::<Vec<_>>() }))),
    }
}

async fn checked(inner: &Inner, host: &Host) -> ToolResult<String> {
    let name = hostname::read(&host.hostname)
        .map_err(|why| ToolError::new(format!("hostname {why}")).code("invalid_hostname"))?;
    let target = inner.targets.read(&host.target_url)?;
    inner.targets.check(&target).await?;
    Ok(name)
}

async fn certificates(inner: &Arc<Inner>) -> ToolResult<Vec<Pem>> {
    let certificates = Arc::clone(&inner.certificates);
    on_files(move || Ok(certificates.pems())).await
}

async fn on_files<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> ToolResult<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(ToolError::internal)?
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                ToolError::new("There is no configuration of this name. Save one with config_save.")
                    .code("not_found")
                    .caused_by(error)
            }
            _ => unavailable("The files of the server cannot be used now.").caused_by(error),
        })
}
