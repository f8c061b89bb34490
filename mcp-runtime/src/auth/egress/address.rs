//! Which addresses lie on the public internet.
//!
//! After the special-purpose registries of IANA. Whatever carries an IPv4 address inside an IPv6
//! one is judged by what it carries; what is not known to be public is not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Public,
    Loopback,
    Private,
    /// Nothing that is called by its URL lives there, or it gives credentials to whoever asks.
    Never,
}

pub(super) fn reach(ip: IpAddr) -> Reach {
    match ip {
        IpAddr::V4(ip) => v4(ip),
        IpAddr::V6(ip) => v6(ip),
    }
}

fn v4(ip: Ipv4Addr) -> Reach {
    match ip.octets() {
        // Metadata services of clouds outside the link-local block.
        [100, 100, 100, 200] | [168, 63, 129, 16] => Reach::Never,
        [127, ..] => Reach::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Reach::Private,
        // This network, link-local, protocol assignments, documentation, the old 6to4 relays,
        // benchmarks, multicast, reserved, broadcast.
        [0, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [224..=255, ..] => Reach::Never,
        _ => Reach::Public,
    }
}

fn v6(ip: Ipv6Addr) -> Reach {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let carried = |high: u16, low: u16| {
        let [w, x] = high.to_be_bytes();
        let [y, z] = low.to_be_bytes();
        v4(Ipv4Addr::new(w, x, y, z))
    };
    match [a, b, c, d, e, f] {
        _ if ip.is_loopback() => Reach::Loopback,
        // Mapped, and the well-known prefix of NAT64.
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => carried(g, h),
        // ISATAP: the interface id is an IPv4 address.
        [_, _, _, _, 0 | 0x200, 0x5efe] if carried(g, h) != Reach::Public => Reach::Never,
        [0xfd00, 0x0ec2, 0, 0, 0, 0] if (g, h) == (0, 0x254) => Reach::Never,
        [0xfc00..=0xfdff, ..] => Reach::Private,
        // Protocol assignments with Teredo, documentation, 6to4.
        [0x2001, 0..=0x01ff, ..]
        | [0x2001, 0x0db8, ..]
        | [0x2002, ..]
        | [0x3fff, 0..=0x0fff, ..] => Reach::Never,
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_address_is_known_for_what_it_is() {
        let rows = [
            ("8.8.8.8", Reach::Public),
            ("1.1.1.1", Reach::Public),
            ("172.15.0.1", Reach::Public),
            ("172.32.0.1", Reach::Public),
            ("100.63.0.1", Reach::Public),
            ("192.0.1.1", Reach::Public),
            ("127.0.0.1", Reach::Loopback),
            ("127.255.255.254", Reach::Loopback),
            ("10.0.0.1", Reach::Private),
            ("172.16.0.1", Reach::Private),
            ("172.31.255.255", Reach::Private),
            ("192.168.1.1", Reach::Private),
            ("100.64.0.1", Reach::Private),
            ("0.0.0.0", Reach::Never),
            ("169.254.169.254", Reach::Never),
            ("100.100.100.200", Reach::Never),
            ("168.63.129.16", Reach::Never),
            ("192.0.0.192", Reach::Never),
            ("198.18.0.1", Reach::Never),
            ("203.0.113.1", Reach::Never),
            ("224.0.0.1", Reach::Never),
            ("255.255.255.255", Reach::Never),
            ("2606:4700::1111", Reach::Public),
            ("::1", Reach::Loopback),
            ("::", Reach::Never),
            ("::127.0.0.1", Reach::Never),
            ("::ffff:127.0.0.1", Reach::Loopback),
            ("::ffff:169.254.169.254", Reach::Never),
            ("::ffff:8.8.8.8", Reach::Public),
            ("64:ff9b::a9fe:a9fe", Reach::Never),
            ("64:ff9b::10.0.0.1", Reach::Private),
            ("64:ff9b:1::1", Reach::Never),
            ("fd00::1", Reach::Private),
            ("fd00:ec2::254", Reach::Never),
            ("fe80::1", Reach::Never),
            ("fec0::1", Reach::Never),
            ("ff02::1", Reach::Never),
            ("2001:db8::1", Reach::Never),
            ("2001::1", Reach::Never),
            ("2002:7f00:1::", Reach::Never),
            ("2606:4700::5efe:10.0.0.1", Reach::Never),
            ("100::1", Reach::Never),
        ];
        for (ip, expected) in rows {
            assert_eq!(reach(ip.parse().unwrap()), expected, "{ip}");
        }
    }
}
