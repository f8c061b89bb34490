//! For whom a caller acts.

use std::fmt;
use std::str::FromStr;

/// The id of a tenant: 1 to 64 ASCII letters, digits, `_` and `-`, capitals told apart.
///
/// Tools borrow the one that their caller acts for as `&Tenant`. Such a tool does not exist for a
/// caller without one, so it never has to ask:
///
/// ```
/// use mcp_runtime::prelude::*;
/// use mcp_runtime::testing::TestServer;
/// use serde_json::json;
///
/// /// Whose items these are.
/// #[mcp_tool(authenticated, read_only)]
/// fn items(tenant: &Tenant) -> String {
///     format!("the items of {tenant}")
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> mcp_runtime::Result {
/// let server = TestServer::new(Server::new(tools![items]))?;
/// let ada = server.as_user("ada");
/// assert!(ada.tools().await.is_empty());
/// assert_eq!(ada.tenant("org_a").call("items", json!({})).await.text(), "the items of org_a");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant(Box<str>);

/// A text that is no id of a tenant. Does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of a tenant is 1 to 64 ASCII letters, digits, `_` and `-`")]
pub struct NotATenant;

impl Tenant {
    /// The longest id, in bytes.
    pub const MAX_LEN: usize = 64;

    /// Checks an id.
    ///
    /// # Errors
    /// When it is empty, too long, or has another character: one that could end the id early where
    /// it stands in a key, a path or a signed text.
    pub fn new(id: &str) -> Result<Self, NotATenant> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if (1..=Self::MAX_LEN).contains(&id.len()) && id.bytes().all(fits) {
            Ok(Self(id.into()))
        } else {
            Err(NotATenant)
        }
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tenant {
    type Err = NotATenant;

    fn from_str(id: &str) -> Result<Self, NotATenant> {
        Self::new(id)
    }
}

impl AsRef<str> for Tenant {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
