//! Which host names a server answers to, and which web pages may call it.
//!
//! A browser sends a page's requests wherever the page's name resolves to. Checking `Host` and
//! `Origin` keeps a page that had its name rebound to this machine out.

use http::{HeaderMap, HeaderValue, Uri, header};

use crate::wire::headers::Once;

/// Names that mean this machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Who may reach the server, by name.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    hosts: Vec<Authority>,
    origins: Vec<String>,
}

/// A host name, with or without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Authority {
    host: String,
    /// `None` stands for every port.
    port: Option<u16>,
}

/// Why a request stays outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outside {
    /// Not one `Host`.
    BadRequest,
    Host,
    Origin,
}

impl Default for Guard {
    fn default() -> Self {
        let hosts = LOOPBACK.map(|host| Authority {
            host: host.to_owned(),
            port: None,
        });
        Self {
            hosts: hosts.into(),
            origins: Vec::new(),
        }
    }
}

impl Guard {
    /// Adds a host name, `mcp.example.com` or `mcp.example.com:8443`.
    pub(crate) fn allow_host(&mut self, host: &str) -> Result<(), String> {
        let authority = authority(host).ok_or_else(|| format!("`{host}` is not a host name"))?;
        self.hosts.push(authority);
        Ok(())
    }

    /// Adds an origin, `https://app.example.com`.
    pub(crate) fn allow_origin(&mut self, origin: &str) -> Result<(), String> {
        let known = origin
            .strip_prefix("https://")
            .or_else(|| origin.strip_prefix("http://"));
        if known.and_then(authority).is_none() {
            return Err(format!(
                "`{origin}` is not an origin: write it like `https://app.example.com`"
            ));
        }
        self.origins.push(origin.to_ascii_lowercase());
        Ok(())
    }

    /// Lets a request in, with the origin that it comes from if it comes from a page.
    pub(crate) fn check<'a>(
        &self,
        uri: &Uri,
        headers: &'a HeaderMap,
    ) -> Result<Option<&'a HeaderValue>, Outside> {
        let host = match Once::of(headers, &header::HOST) {
            Once::Again => return Err(Outside::BadRequest),
            once => once.value(),
        };
        // The authority in the request line wins over the header, so both have to be right.
        let in_line = uri.authority().map(http::uri::Authority::as_str);
        if host.is_none() && in_line.is_none() {
            return Err(Outside::BadRequest);
        }
        let known = |name: &str| self.knows(name);
        if !host.is_none_or(|host| host.to_str().is_ok_and(known)) || !in_line.is_none_or(known) {
            return Err(Outside::Host);
        }
        match Once::of(headers, &header::ORIGIN) {
            Once::Never => Ok(None),
            Once::Is(origin) if origin.to_str().is_ok_and(|origin| self.welcomes(origin)) => {
                Ok(Some(origin))
            }
            _ => Err(Outside::Origin),
        }
    }

    fn knows(&self, host: &str) -> bool {
        let Some((name, port)) = split(host) else {
            return false;
        };
        self.hosts.iter().any(|known| {
            known.host.eq_ignore_ascii_case(name) && (known.port.is_none() || known.port == port)
        })
    }

    fn welcomes(&self, origin: &str) -> bool {
        if self
            .origins
            .iter()
            .any(|known| known.eq_ignore_ascii_case(origin))
        {
            return true;
        }
        let page = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        page.and_then(split)
            .is_some_and(|(host, _)| LOOPBACK.iter().any(|l| l.eq_ignore_ascii_case(host)))
    }
}

fn authority(text: &str) -> Option<Authority> {
    let (host, port) = split(text)?;
    Some(Authority {
        host: host.to_ascii_lowercase(),
        port,
    })
}

/// Splits `name:port`; `None` when it is not one name with at most one port.
fn split(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')? + 2;
            (&text[..end], text[end..].strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if !text.starts_with('[')
        && !host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_')
    {
        return None;
    }
    let tail = text.len() - host.len() - port.map_or(0, |port| port.len() + 1);
    if host.is_empty() || tail != 0 {
        return None;
    }
    match port {
        None => Some((host, None)),
        Some(port) => port.parse().ok().map(|port| (host, Some(port))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, origin: Option<&str>) -> Result<bool, Outside> {
        let mut guard = Guard::default();
        guard.allow_host("mcp.example.com").unwrap();
        guard.allow_origin("https://app.example.com").unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        guard
            .check(&Uri::from_static("/mcp"), &headers)
            .map(|origin| origin.is_some())
    }

    #[test]
    fn answers_to_its_names_only() {
        for host in [
            "localhost",
            "127.0.0.1:8000",
            "[::1]:8000",
            "MCP.example.com",
            "mcp.example.com:443",
        ] {
            assert_eq!(check(host, None), Ok(false), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.",
            "[::ffff:127.0.0.1]:8000",
            "127.1",
            "2130706433",
            "mcp.example.com:99999",
            "a@localhost",
            "localhost:80:80",
            "",
            "[::1",
            "localhost:",
        ] {
            assert_eq!(check(host, None), Err(Outside::Host), "{host}");
        }
    }

    #[test]
    fn welcomes_local_pages_and_configured_ones() {
        for origin in [
            "http://localhost:6274",
            "http://127.0.0.1",
            "http://[::1]:3000",
            "https://app.example.com",
        ] {
            assert_eq!(check("localhost", Some(origin)), Ok(true), "{origin}");
        }
        for origin in [
            "null",
            "https://evil.example",
            "http://localhost.evil.example",
            "https://app.example.com.evil.example",
            "file://localhost",
        ] {
            assert_eq!(
                check("localhost", Some(origin)),
                Err(Outside::Origin),
                "{origin}"
            );
        }
    }

    #[test]
    fn the_request_line_counts_too() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        let uri = Uri::from_static("http://evil.example/mcp");
        assert_eq!(Guard::default().check(&uri, &headers), Err(Outside::Host));
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        assert_eq!(
            Guard::default().check(&Uri::from_static("/mcp"), &headers),
            Err(Outside::BadRequest)
        );
    }
}
