//! Where a request comes from.
//!
//! Headers that name an address are written by whoever likes to. They are believed only behind a
//! proxy of ours, and of them only the part that our proxies wrote: read from the right, the first
//! address that is none of theirs.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::HeaderMap;
use http::header::FORWARDED;

const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// More proxies in a row are somebody's joke.
const MAX_HOPS: usize = 32;

/// The proxies whose word counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies(Vec<Network>);

/// Addresses that begin with the same bits. IPv4 lies within IPv6, as `::ffff:0:0/96`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    bits: u128,
    /// How many of them count, 1 to 128.
    length: u32,
}

impl Proxies {
    /// Adds an address, or a network like `10.0.0.0/8`.
    pub(crate) fn trust(&mut self, text: &str) -> Result<(), String> {
        self.0.push(Network::parse(text)?);
        Ok(())
    }

    /// The client of a request, as far as it can be known. What makes no sense leaves the address
    /// of the connection.
    pub(crate) fn client(&self, head: &http::request::Parts) -> Option<IpAddr> {
        let ConnectInfo(peer) = head.extensions.get::<ConnectInfo<SocketAddr>>()?;
        let peer = peer.ip().to_canonical();
        if !self.trusts(peer) {
            return Some(peer);
        }
        let by_header = (
            self.walk(&head.headers, FORWARDED.as_str(), forwarded_for),
            self.walk(&head.headers, X_FORWARDED_FOR, address),
        );
        Some(match by_header {
            (Said::Nothing, Said::Address(client)) | (Said::Address(client), Said::Nothing) => {
                client
            }
            // One of them is not from our proxy. Both are good only if it does not matter which.
            (Said::Address(one), Said::Address(other)) if one == other => one,
            _ => peer,
        })
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.has(address))
    }

    fn walk(&self, headers: &HeaderMap, name: &str, read: fn(&str) -> Option<IpAddr>) -> Said {
        let mut said = Said::Nothing;
        let values = headers.get_all(name).iter().rev();
        let mut hops = 0;
        for value in values {
            let Ok(value) = value.to_str() else {
                return Said::Nonsense;
            };
            for hop in value.rsplit(',') {
                hops += 1;
                match read(hop.trim()) {
                    Some(address) if hops <= MAX_HOPS => {
                        said = Said::Address(address);
                        if !self.trusts(address) {
                            return said;
                        }
                    }
                    _ => return Said::Nonsense,
                }
            }
        }
        said
    }
}

/// What a header says of the client.
enum Said {
    Nothing,
    Nonsense,
    Address(IpAddr),
}

/// `for=192.0.2.1;proto=https` of RFC 7239.
fn forwarded_for(hop: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in hop.split(';') {
        let (name, value) = pair.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("for") && found.replace(value.trim()).is_some() {
            return None;
        }
    }
    let value = found?;
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?,
        None => value,
    };
    address(value)
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let plain: Option<IpAddr> = text.parse().ok().or_else(bracketed);
    plain
        .or_else(|| {
            text.parse()
                .ok()
                .map(|with_port: SocketAddr| with_port.ip())
        })
        .map(|address| address.to_canonical())
}

impl Network {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`{text}` is no address of a proxy: write it like `10.0.0.7` or `10.0.0.0/8`")
        };
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length: u32 = match length {
            None => most,
            Some(length) => length.parse().map_err(|_| wrong())?,
        };
        if length > most {
            return Err(wrong());
        }
        if length == 0 {
            return Err(format!(
                "the proxies `{text}` are everybody: then every client could say where it comes from. \
                 Name the addresses of your proxies"
            ));
        }
        let length = if address.is_ipv4() {
            96 + length
        } else {
            length
        };
        Ok(Self {
            bits: bits(address),
            length,
        })
    }

    fn has(&self, address: IpAddr) -> bool {
        (self.bits ^ bits(address)) >> (128 - self.length) == 0
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn client(peer: &str, headers: &[(&str, &str)]) -> String {
        let mut proxies = Proxies::default();
        for proxy in ["10.0.0.0/8", "2001:db8:ff::/48", "192.0.2.200"] {
            proxies.trust(proxy).unwrap();
        }
        let peer: IpAddr = peer.parse().unwrap();
        let mut request = Request::builder().extension(ConnectInfo(SocketAddr::new(peer, 1)));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        proxies.client(&head).unwrap().to_string()
    }

    #[test]
    fn rl_04_forwarded_headers_are_believed_behind_a_proxy_and_read_from_the_right() {
        let chain = format!("{}1.2.3.4", "9.9.9.9, ".repeat(600));
        let too_long = format!("1.2.3.4{}", ", 10.0.0.1".repeat(40));
        let xff = |value| client("10.1.1.1", &[("x-forwarded-for", value)]);
        for (value, expected) in [
            ("1.2.3.4", "1.2.3.4"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("1.2.3.4:80", "1.2.3.4"),
            ("[::ffff:1.2.3.4]:80", "1.2.3.4"),
            (" 1.2.3.4 ", "1.2.3.4"),
            (&chain, "1.2.3.4"),
            ("9.9.9.9, 1.2.3.4, 10.2.2.2, 192.0.2.200", "1.2.3.4"),
            ("1.2.3.4, 9.9.9.9", "9.9.9.9"),
            ("10.2.2.2", "10.2.2.2"),
            // Nonsense is worth nothing, wherever it stands on the way.
            ("unknown", "10.1.1.1"),
            ("", "10.1.1.1"),
            ("1.2.3.4,", "10.1.1.1"),
            ("1.2.3.4, unknown", "10.1.1.1"),
            ("1.2.3.4:99999", "10.1.1.1"),
            ("fe80::1%eth0", "10.1.1.1"),
            ("1.2.3", "10.1.1.1"),
            ("01.2.3.4", "10.1.1.1"),
            (&too_long, "10.1.1.1"),
        ] {
            assert_eq!(xff(value), expected, "{value}");
        }
        let forwarded = |value| client("::ffff:10.1.1.1", &[("forwarded", value)]);
        for (value, expected) in [
            ("for=1.2.3.4", "1.2.3.4"),
            ("For=\"1.2.3.4:80\";proto=https;by=10.1.1.1", "1.2.3.4"),
            ("for=9.9.9.9, for=\"[2001:db8::1]:443\"", "2001:db8::1"),
            ("for=1.2.3.4, for=\"[2001:db8:ff::7]\"", "1.2.3.4"),
            ("for=unknown", "10.1.1.1"),
            ("for=_hidden", "10.1.1.1"),
            ("by=1.2.3.4", "10.1.1.1"),
            ("for=1.2.3.4;for=9.9.9.9", "10.1.1.1"),
            ("for=\"1.2.3.4", "10.1.1.1"),
        ] {
            assert_eq!(forwarded(value), expected, "{value}");
        }
        let both = |one, other| {
            client(
                "10.1.1.1",
                &[("forwarded", one), ("x-forwarded-for", other)],
            )
        };
        assert_eq!(both("for=1.2.3.4", "1.2.3.4"), "1.2.3.4");
        assert_eq!(both("for=9.9.9.9", "1.2.3.4"), "10.1.1.1");
        let lines = [
            ("x-forwarded-for", "9.9.9.9"),
            ("x-forwarded-for", "1.2.3.4"),
        ];
        assert_eq!(client("10.1.1.1", &lines), "1.2.3.4");
        assert_eq!(
            client("8.8.8.8", &[("x-forwarded-for", "1.2.3.4")]),
            "8.8.8.8"
        );
    }

    #[test]
    fn hi_04_nobody_trusts_everybody() {
        let mut proxies = Proxies::default();
        for text in [
            "0.0.0.0/0",
            "::/0",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "proxy",
            "10.0.0.0/",
            "",
        ] {
            assert!(proxies.trust(text).is_err(), "{text}");
        }
        for text in ["10.0.0.0/8", "::1", "2001:db8::/32", "127.0.0.1/32"] {
            assert_eq!(proxies.trust(text), Ok(()), "{text}");
        }
    }
}
