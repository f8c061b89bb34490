//! Access tokens: who holds them, never what they are.

use jiff::Timestamp;
use mcp_runtime::prelude::*;

use crate::proxy::Proxy;
use crate::proxy::system::{ADMIN, Inner, unavailable};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct TokenList {
    /// The oldest first.
    pub tokens: Vec<Token>,
    pub count: usize,
    /// Whether there are more than these.
    pub truncated: bool,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    /// Whose token it is.
    pub name: String,
    /// The address that certificates are ordered with; null, since none are ordered.
    pub cert_email: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// Certificates that are served for hosts of its holder.
    pub certificate_count: usize,
    /// Hosts of its holder.
    pub proxy_count: usize,
    pub is_admin: bool,
}

/// More are not shown.
const MOST: usize = 500;

/// The access tokens that are good now: who holds them, since when and until when, and how many
/// hosts and certificates that person has. Shows neither a token nor its digest. For admins.
#[mcp_tool(title = "List access tokens", scope = "proxy:admin", read_only)]
pub async fn list_tokens(proxy: &Proxy) -> ToolResult<TokenList> {
    let mut tokens = held(proxy.current().await?)?;
    let truncated = tokens.len() > MOST;
    tokens.truncate(MOST);
    Ok(TokenList {
        count: tokens.len(),
        tokens,
        truncated,
    })
}

/// All that are good now.
pub(super) fn held(inner: &Inner) -> ToolResult<Vec<Token>> {
    let tokens = inner.tokens.as_ref();
    let tokens = tokens.ok_or_else(|| unavailable("This server issues no tokens of its own."))?;
    let held = tokens
        .held()
        .tell("The tokens cannot be read now. Try again later.")?;
    let tokens = held
        .into_iter()
        .map(|held| Token {
            name: held.caller.to_string(),
            cert_email: None,
            created_at: held.created_at,
            expires_at: held.expires_at,
            certificate_count: super::certificates::of_owner(inner, &held.caller.owner()).len(),
            proxy_count: inner.routes.count(Some(&held.caller.owner())),
            is_admin: held.caller.has_scope(ADMIN),
        })
        .collect();
    Ok(tokens)
}
