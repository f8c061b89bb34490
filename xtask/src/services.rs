//! PostgreSQL and Redis, where tests find them.

use std::net::TcpStream;

use crate::Result;

/// A service that tests use where it runs, and that CI has to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Postgres,
    Redis,
}

impl Service {
    /// Its name, the variable that says where it is, where it is without that, and its port.
    fn facts(self) -> [&'static str; 4] {
        match self {
            Self::Postgres => [
                "PostgreSQL",
                "MCP_TEST_POSTGRES",
                "postgres://root@127.0.0.1:5432/root",
                "5432",
            ],
            Self::Redis => ["Redis", "MCP_TEST_REDIS", "redis://127.0.0.1:6379", "6379"],
        }
    }

    /// Its URL; `None`, after a line that says so, where nothing answers.
    ///
    /// # Errors
    /// Under `CI=true` when nothing answers, and when the variable is not a URL.
    pub(crate) fn find(self) -> Result<Option<String>> {
        let [name, variable, usual, port] = self.facts();
        let url = std::env::var(variable).unwrap_or_else(|_| usual.to_owned());
        let address = address(&url, port).ok_or(format!("{variable} is not a URL"))?;
        let Err(error) = TcpStream::connect(&address) else {
            return Ok(Some(url));
        };
        let missing = format!("{name} does not answer at {address}: {error}");
        if std::env::var("CI").is_ok_and(|ci| ci == "true") {
            return Err(missing.into());
        }
        println!("\n== SKIPPED: {missing}; {variable} says where it is");
        Ok(None)
    }
}

/// `host:port` of a URL.
fn address(url: &str, usual: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let place = authority
        .rsplit_once('@')
        .map_or(authority, |(_, place)| place);
    let port = place.rsplit_once(':').map(|(_, port)| port);
    match port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit())) {
        true => Some(place.to_owned()),
        false => Some(format!("{place}:{usual}")),
    }
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn finds_where_a_service_is() {
        for (url, expected) in [
            ("postgres://root@127.0.0.1:5432/root", "127.0.0.1:5432"),
            (
                "postgres://db.example.com/x?sslmode=require",
                "db.example.com:5432",
            ),
            ("postgres://a:b@[::1]/x", "[::1]:5432"),
            ("postgres://a:b@[::1]:5433/x", "[::1]:5433"),
        ] {
            assert_eq!(address(url, "5432").as_deref(), Some(expected), "{url}");
        }
        assert_eq!(address("root", "5432"), None);
    }
}
