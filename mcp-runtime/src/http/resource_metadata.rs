//! What OAuth clients read first (RFC 9728): whose tokens this server takes, and for what.

use bytes::Bytes;
use serde_json::json;

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The document about a server, and where it is found. Made of the public URL alone: what a
/// request says about where it was sent is not believed.
#[derive(Clone, Debug)]
pub(crate) struct ResourceMetadata {
    /// The canonical URL of the document: with the path of the endpoint.
    pub(crate) url: String,
    suffixed: String,
    pub(crate) body: Bytes,
}

impl ResourceMetadata {
    /// About the endpoint at `public_url`, which has been checked.
    pub(crate) fn new(
        public_url: &str,
        path: &str,
        name: &str,
        authorization_servers: &[String],
        scopes: &[String],
    ) -> Self {
        let resource = canonical(public_url);
        let origin = resource
            .strip_suffix(path)
            .unwrap_or(&resource)
            .trim_end_matches('/');
        let suffixed = format!("{WELL_KNOWN}{path}");
        let mut document = json!({
            "resource": resource,
            "authorization_servers": authorization_servers,
            "bearer_methods_supported": ["header"],
            "resource_name": name,
        });
        if !scopes.is_empty() {
            document["scopes_supported"] = json!(scopes);
        }
        Self {
            url: format!("{origin}{suffixed}"),
            suffixed,
            body: document.to_string().into(),
        }
    }

    /// Whether the document is found at this path: at the root, or below it with the path of the
    /// endpoint, each with or without a slash at its end.
    pub(crate) fn is_at(&self, path: &str) -> bool {
        let path = path.strip_suffix('/').unwrap_or(path);
        path == WELL_KNOWN || path == self.suffixed
    }

    /// Whether this path is of this document alone: not the one at the root.
    pub(crate) fn is_suffixed(&self, path: &str) -> bool {
        path != WELL_KNOWN && self.is_at(path) && path.trim_end_matches('/') != WELL_KNOWN
    }
}

/// A URL as tokens name it: scheme and host in small letters, no slash at its end.
pub(crate) fn canonical(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    format!(
        "{}://{}{path}",
        scheme.to_ascii_lowercase(),
        authority.to_ascii_lowercase()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_at_both_places_and_nowhere_else() {
        let document = ResourceMetadata::new(
            "https://MCP.example.com/mcp/",
            "/mcp",
            "Shop",
            &["https://as.example.com".to_owned()],
            &[],
        );
        assert_eq!(
            document.url,
            "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
        );
        for path in ["", "/", "/mcp", "/mcp/"] {
            assert!(document.is_at(&format!("{WELL_KNOWN}{path}")), "{path}");
        }
        for path in ["/mcp/x", "/mc", "mcp", "//"] {
            assert!(!document.is_at(&format!("{WELL_KNOWN}{path}")), "{path}");
        }
    }

    #[test]
    fn a_resource_at_the_root_has_one_place() {
        let document = ResourceMetadata::new(
            "https://mcp.example.com/",
            "",
            "Shop",
            &[],
            &["a:read".into()],
        );
        assert_eq!(
            document.url,
            "https://mcp.example.com/.well-known/oauth-protected-resource"
        );
        let body: serde_json::Value = serde_json::from_slice(&document.body).unwrap();
        assert_eq!(body["resource"], "https://mcp.example.com");
        assert_eq!(body["scopes_supported"], json!(["a:read"]));
    }
}
