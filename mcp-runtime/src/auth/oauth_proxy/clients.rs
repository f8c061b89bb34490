//! Who asks for tokens: clients that registered here, and clients that publish what they are.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answers::{Fault, STORE_DOWN};
use crate::auth::egress::Egress;
use crate::clock::Clock;
use crate::digest::{hex, random};
use crate::limits::{Bucket, Rate, network_of};
use crate::store::Store;

const MAX_URIS: usize = 10;
const MAX_URI: usize = 512;
const MAX_NAME: usize = 100;
/// A published document of a client.
const MAX_DOCUMENT: usize = 5 << 10;
/// How long a client is kept after somebody has logged in with it.
const USED_CLIENT: Duration = Duration::from_hours(90 * 24);
/// Published documents that one address may have fetched.
const FETCHES: (u32, Duration) = (30, Duration::from_mins(1));
const PREFIX: &str = "mcp_client_";

/// A client, as far as its word is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Client {
    pub(super) name: String,
    pub(super) redirect_uris: Vec<String>,
    /// The host that vouches for a client that publishes what it is.
    #[serde(skip)]
    pub(super) host: Option<String>,
}

/// What a registration or a document may say and we read. Logos, links and keys are not read.
#[derive(Deserialize)]
struct Said {
    client_id: Option<String>,
    client_name: Option<String>,
    #[serde(default)]
    redirect_uris: Vec<String>,
    token_endpoint_auth_method: Option<String>,
    client_secret: Option<Value>,
    jwks: Option<Value>,
}

pub(super) struct Clients {
    store: Arc<dyn Store>,
    clock: Clock,
    egress: Egress,
    registrations: Bucket,
    fetches: Bucket,
    most: u32,
    unused: Duration,
}

/// Why there is no client.
pub(super) enum NoClient {
    Unknown,
    Fault(Fault),
    TooMany(Duration),
}

impl From<Fault> for NoClient {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Clients {
    pub(super) fn new(
        store: Arc<dyn Store>,
        clock: Clock,
        egress: Egress,
        (per_address, most, unused): (Rate, u32, Duration),
    ) -> Result<Self, String> {
        if most == 0 || unused.is_zero() {
            return Err("`registrations` leaves room for no client".to_owned());
        }
        Ok(Self {
            store,
            clock,
            egress,
            registrations: Bucket::new(per_address)?,
            fetches: Bucket::new(Rate::new(FETCHES.0, FETCHES.1))?,
            most,
            unused,
        })
    }

    /// Registers a client (RFC 7591); what it is told.
    pub(super) async fn register(
        &self,
        body: &[u8],
        address: Option<IpAddr>,
    ) -> Result<Value, NoClient> {
        let taken = self.registrations.take(network_of(address));
        taken.map_err(NoClient::TooMany)?;
        let said: Said = serde_json::from_slice(body).map_err(|_| {
            Fault::new(
                400,
                "invalid_client_metadata",
                "send the metadata of the client as a JSON object",
            )
        })?;
        let client = said.client()?;
        self.count().await?;
        let id = format!("{PREFIX}{}", hex(&random::<16>()));
        self.keep(&id, &client, self.unused).await?;
        Ok(json!({
            "client_id": id,
            "client_id_issued_at": self.clock.now().as_second(),
            "client_name": client.name,
            "redirect_uris": client.redirect_uris,
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
        }))
    }

    /// Counts one more client of those that may register while an unused one is kept.
    async fn count(&self) -> Result<(), NoClient> {
        let now = self.clock.now();
        let window = i64::try_from(self.unused.as_secs().max(1)).unwrap_or(i64::MAX);
        let key = format!("mcp:oauth:registrations:{}", now.as_second() / window);
        let until = now + self.unused * 2;
        // Others count, too; whoever loses tries again.
        for _ in 0..64 {
            let counted = self.store.get(&key).await.map_err(|_| STORE_DOWN)?;
            let Some(counted) = counted else {
                match self.store.put_if_absent(&key, b"1", until).await {
                    Ok(true) => return Ok(()),
                    Ok(false) => continue,
                    Err(_) => return Err(STORE_DOWN.into()),
                }
            };
            let count: u32 = std::str::from_utf8(&counted)
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or(u32::MAX);
            if count >= self.most {
                tracing::warn!(target: "mcp::auth", "as many OAuth clients have registered as may");
                return Err(NoClient::TooMany(Duration::from_mins(10)));
            }
            let next = (count + 1).to_string();
            let replaced = self.store.replace(&key, &counted, next.as_bytes(), until);
            if replaced.await.map_err(|_| STORE_DOWN)? {
                return Ok(());
            }
        }
        Err(STORE_DOWN.into())
    }

    async fn keep(&self, id: &str, client: &Client, time: Duration) -> Result<(), Fault> {
        let value = serde_json::to_vec(client).map_err(|_| STORE_DOWN)?;
        let until = self.clock.now() + time;
        let put = self.store.put(&key(id), &value, until).await;
        put.map_err(|_| STORE_DOWN)
    }

    /// Keeps a client longer, because somebody uses it.
    pub(super) async fn used(&self, id: &str) -> Result<(), Fault> {
        if let Some(client) = self.registered(id).await? {
            self.keep(id, &client, USED_CLIENT.max(self.unused)).await?;
        }
        Ok(())
    }

    async fn registered(&self, id: &str) -> Result<Option<Client>, Fault> {
        let digits = id.strip_prefix(PREFIX).unwrap_or_default();
        if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let kept = self.store.get(&key(id)).await.map_err(|_| STORE_DOWN)?;
        Ok(kept.and_then(|kept| serde_json::from_slice(&kept).ok()))
    }

    /// The client of this id.
    pub(super) async fn find(&self, id: &str, address: Option<IpAddr>) -> Result<Client, NoClient> {
        if id.contains("://") {
            return self.published(id, address).await;
        }
        let client = self.registered(id).await?;
        client.ok_or(NoClient::Unknown)
    }

    /// A client whose id is the URL of a document about it.
    async fn published(&self, id: &str, address: Option<IpAddr>) -> Result<Client, NoClient> {
        let url = self.document_url(id).ok_or(NoClient::Unknown)?;
        let taken = self.fetches.take(network_of(address));
        taken.map_err(NoClient::TooMany)?;
        let fetched = self.egress.get(&url, None).await;
        let document = fetched.and_then(|answer| answer.document());
        let document = document.map_err(|error| {
            tracing::info!(target: "mcp::auth", host = url.host_str(), %error, "the document of an OAuth client cannot be had");
            NoClient::Unknown
        })?;
        let client = read_document(&document, id).map_err(|why| {
            tracing::info!(target: "mcp::auth", host = url.host_str(), why, "the document of an OAuth client is refused");
            NoClient::Unknown
        })?;
        let host = url.host_str().map(str::to_owned);
        Ok(Client { host, ..client })
    }

    /// An `https` URL with a path that is written in one way alone; on this machine `http`, where
    /// the egress lets it through for development.
    fn document_url(&self, id: &str) -> Option<Url> {
        let plain = id.len() <= MAX_URI && id.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
        let url = self.egress.url(id).ok().filter(|_| plain)?;
        // Dot segments, capitals and default ports would be gone from the parsed one.
        let exact = url.as_str() == id && url.path() != "/" && url.query().is_none();
        exact.then_some(url)
    }
}

fn key(id: &str) -> String {
    format!("mcp:oauth:client:{id}")
}

fn read_document(document: &[u8], id: &str) -> Result<Client, &'static str> {
    if document.len() > MAX_DOCUMENT {
        return Err("it is larger than 5 KiB");
    }
    let said: Said = serde_json::from_slice(document).map_err(|_| "it is not metadata")?;
    if said.client_id.as_deref() != Some(id) {
        return Err("it names another client");
    }
    let method = said.token_endpoint_auth_method.as_deref();
    if method.is_some_and(|method| method != "none") || said.client_secret.is_some() {
        return Err("it is of a client with a secret");
    }
    let keys = said.jwks.as_ref().and_then(|jwks| jwks["keys"].as_array());
    let private = |key: &Value| key.get("d").is_some() || key.get("k").is_some();
    if keys.is_some_and(|keys| keys.iter().any(private)) {
        return Err("it publishes a private key");
    }
    said.client().map_err(|fault| fault.text)
}

impl Said {
    fn client(self) -> Result<Client, Fault> {
        let invalid = |text| Fault::new(400, "invalid_client_metadata", text);
        let uris = self.redirect_uris;
        if uris.is_empty()
            || uris.len() > MAX_URIS
            || !uris.iter().all(|uri| may_be_registered(uri))
        {
            return Err(Fault::new(
                400,
                "invalid_redirect_uri",
                "name 1 to 10 redirect URIs: `https`, or `http` on localhost, 127.0.0.1 or [::1]; no fragment",
            ));
        }
        let name = self.client_name.unwrap_or_else(|| "A client".to_owned());
        if name.trim().is_empty() || name.chars().count() > MAX_NAME || name.contains(is_invisible)
        {
            return Err(invalid(
                "`client_name` has at most 100 characters, all of them visible",
            ));
        }
        Ok(Client {
            name,
            redirect_uris: uris,
            host: None,
        })
    }
}

/// Characters that are not seen, or that turn the text around them.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Whether a browser that is sent here may run something, or read a file.
pub(super) fn is_dangerous(uri: &str) -> bool {
    let hidden = |b: u8| b <= b' ' || b == 0x7f;
    let Ok(url) = Url::parse(uri) else {
        return true;
    };
    uri.bytes().any(hidden)
        || matches!(
            url.scheme(),
            "javascript" | "data" | "vbscript" | "file" | "blob" | "about" | "filesystem"
        )
}

/// `https` to anywhere, or `http` to a client on the user's machine.
fn may_be_registered(uri: &str) -> bool {
    let plain = uri
        .bytes()
        .all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'#' | b'*' | b'"' | b'<' | b'>'));
    let Some((scheme, rest)) = uri
        .split_once("://")
        .filter(|_| plain && uri.len() <= MAX_URI)
    else {
        return false;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let Ok(url) = Url::parse(uri) else {
        return false;
    };
    if authority.is_empty() || authority.contains('@') || url.host_str().is_none() {
        return false;
    }
    match scheme {
        "https" => true,
        "http" => is_loopback(uri),
        _ => false,
    }
}

/// Whether a redirect URI leads to the user's own machine, as it is written.
pub(super) fn is_loopback(uri: &str) -> bool {
    loopback_parts(uri).is_some()
}

/// Whether a request may be answered at `asked`: to the letter as registered, but for the port of
/// a client on the user's machine, which it is given anew each time (RFC 8252, 7.3).
pub(super) fn is_registered(client: &Client, asked: &str) -> bool {
    let same = |known: &String| {
        known == asked
            || loopback_parts(known).is_some_and(|parts| loopback_parts(asked) == Some(parts))
    };
    client.redirect_uris.iter().any(same)
}

/// The host and what follows the port.
fn loopback_parts(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (host, port) = match authority.strip_prefix("[::1]") {
        Some(port) => (&authority[..5], port),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let number = port.strip_prefix(':').map_or(Ok(0), str::parse::<u16>);
    let known = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    (known && number.is_ok()).then_some((host, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oa_06_oa_07_what_may_be_registered() {
        for good in [
            "https://c.test/cb",
            "https://c.test:8443/cb?x=1",
            "https://c.test",
            "http://localhost/cb",
            "http://127.0.0.1:9/cb",
            "http://[::1]:9/cb",
        ] {
            assert!(may_be_registered(good), "{good}");
        }
        for bad in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            " javascript:1",
            "java\tscript:1",
            "javascript://c.test/%0aalert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "http://evil.test/cb",
            "https://c.test/cb#f",
            "http://localhost@evil.test/cb",
            "http://127.0.0.1.evil.test/cb",
            "http://localhost.evil.test",
            "https://*.c.test/cb",
            "http://[::ffff:7f00:1]/cb",
            "http://127.1/cb",
            "http://localhost:/cb@evil.test:x",
            "//evil.test/cb",
            "https:evil.test",
            "https://c.test\\@evil.test/",
            "https:///c.test",
            "",
        ] {
            assert!(!may_be_registered(bad), "{bad}");
        }
    }

    #[test]
    fn oa_15_oa_16_matched_to_the_letter_but_for_the_port_of_loopback() {
        let client = |uri: &str| Client {
            name: String::new(),
            redirect_uris: vec![uri.to_owned()],
            host: None,
        };
        let web = client("https://c.test/cb");
        assert!(is_registered(&web, "https://c.test/cb"));
        for other in [
            "https://c.test/cb/",
            "https://c.test/CB",
            "https://c.test:443/cb",
        ] {
            assert!(!is_registered(&web, other), "{other}");
        }
        let local = client("http://127.0.0.1:1/cb");
        assert!(is_registered(&local, "http://127.0.0.1:55555/cb"));
        assert!(is_registered(&local, "http://127.0.0.1/cb"));
        for other in [
            "http://localhost:55555/cb",
            "http://127.0.0.1:55555/cb/",
            "http://127.0.0.1:5x/cb",
            "http://127.0.0.1:99999/cb",
            "http://127.0.0.1:1@evil.test/cb",
            "https://127.0.0.1:1/cb",
        ] {
            assert!(!is_registered(&local, other), "{other}");
        }
    }
}
