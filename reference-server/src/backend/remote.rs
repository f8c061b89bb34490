//! The API over HTTP.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use mcp_runtime::{BootError, Result};
use reqwest::{Client, Url, redirect};

use super::{Limits, Lost, MAX_ANSWER};

#[derive(Clone)]
pub(super) struct Remote {
    client: Client,
    /// Like `https://api.example.com`.
    origin: String,
    /// The path of the base URL, without a slash at its end.
    prefix: String,
    limits: Limits,
}

impl Remote {
    pub(super) fn new(url: &str, limits: Limits) -> Result<Self> {
        let base = checked(url)?;
        let mut client = Client::builder()
            // A redirect would carry the service token to wherever it points.
            .redirect(redirect::Policy::none())
            .connect_timeout(limits.connect)
            .read_timeout(limits.read)
            .user_agent(concat!("reference-server/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&base) {
            // A proxy from the environment cannot know what this machine means by loopback.
            client = client.no_proxy();
        }
        let client = client
            .build()
            .map_err(|error| BootError::new(format!("cannot make an HTTP client: {error}")))?;
        Ok(Self {
            client,
            origin: base.origin().ascii_serialization(),
            prefix: base.path().trim_end_matches('/').to_owned(),
            limits,
        })
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) async fn send(
        &self,
        request: Request<Bytes>,
    ) -> std::result::Result<Response<Bytes>, Lost> {
        let (head, body) = request.into_parts();
        let url = format!("{}{}", self.origin, head.uri);
        let asked = self
            .client
            .request(head.method, url)
            .headers(head.headers)
            .body(body);
        let mut answer = asked.send().await.map_err(|error| self.lost(error))?;
        let mut bytes = BytesMut::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| self.lost(error))? {
            if bytes.len() + piece.len() > MAX_ANSWER {
                return Err(Lost::TooLarge);
            }
            bytes.extend_from_slice(&piece);
        }
        let mut response = Response::new(bytes.freeze());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        Ok(response)
    }

    fn lost(&self, error: reqwest::Error) -> Lost {
        // A URL holds names and addresses of people, which the log is better off without.
        let error = error.without_url();
        if error.is_timeout() && error.is_connect() {
            Lost::TimedOut(self.limits.connect)
        } else if error.is_timeout() {
            Lost::TimedOut(self.limits.read)
        } else {
            Lost::Broken(error.into())
        }
    }
}

fn checked(url: &str) -> Result<Url> {
    let wrong = |problem: &str| {
        BootError::new(format!(
            "backend.url {problem}; write it like https://api.example.com"
        ))
    };
    let url: Url = url.parse().map_err(|_| wrong("is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong("does not start with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "has a user or a password, which belong into backend.service_token",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has a query or a fragment"));
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        tracing::warn!(
            host = url.host_str(),
            "the service token travels unencrypted: use https"
        );
    }
    Ok(url)
}

/// Whether the URL stays on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.prefix)
    }
}

/// Seconds as people write them.
pub(super) fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
