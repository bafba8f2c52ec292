//! Which addresses are public, and what the others are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The networks that are not public (RFC 6890 and the registries it founded), and what their addresses are.
///
/// Of two that hold an address, the first one names it.
const IPV4: [([u8; 4], u32, &str); 18] = [
    ([169, 254, 169, 254], 32, CLOUD),
    ([168, 63, 129, 16], 32, CLOUD),
    ([100, 100, 100, 200], 32, CLOUD),
    ([0, 0, 0, 0], 8, "an address of this network"),
    ([10, 0, 0, 0], 8, "a private address"),
    ([100, 64, 0, 0], 10, "an address of a provider's own network"),
    ([127, 0, 0, 0], 8, "a loopback address"),
    ([169, 254, 0, 0], 16, "a link-local address"),
    ([172, 16, 0, 0], 12, "a private address"),
    ([192, 0, 0, 0], 24, "an address reserved for protocols"),
    ([192, 0, 2, 0], 24, "an address for documentation"),
    ([192, 88, 99, 0], 24, "an address of a 6to4 relay"),
    ([192, 168, 0, 0], 16, "a private address"),
    ([198, 18, 0, 0], 15, "an address for benchmarks"),
    ([198, 51, 100, 0], 24, "an address for documentation"),
    ([203, 0, 113, 0], 24, "an address for documentation"),
    ([224, 0, 0, 0], 4, "a multicast address"),
    // With that for broadcasts.
    ([240, 0, 0, 0], 4, "a reserved address"),
];

/// As [`IPV4`]; what is in none of these and outside `2000::/3` is reserved.
const IPV6: [([u16; 8], u32, &str); 14] = [
    ([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, CLOUD),
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, "an address of this network"),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, "a loopback address"),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "an address of a private NAT64"),
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "an address that discards"),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "a private (unique-local) address"),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "a link-local address"),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "a private (site-local) address"),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "a multicast address"),
    ([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, "an address for benchmarks"),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "an address for documentation"),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "an address for documentation"),
    ([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, "an address of a provider's own network"),
    ([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48, "an address that discards"),
];

const CLOUD: &str = "an address of a cloud's own services";

/// Tells what an address is that is not public; `None` is public.
///
/// An IPv6 address that stands for an IPv4 address is as public as that one.
pub(crate) fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => find(&IPV4, |network, length| {
            same(u32::from_be_bytes(network).into(), address.to_bits().into(), length + 96)
        }),
        IpAddr::V6(address) => not_public_ipv6(address),
    }
}

fn not_public_ipv6(address: Ipv6Addr) -> Option<&'static str> {
    let within = |network: [u16; 8], bits| same(Ipv6Addr::from(network).to_bits(), address.to_bits(), bits);
    if let Some(reason) = find(&IPV6, within) {
        return Some(reason);
    }
    if let Some(inner) = stands_for(address) {
        return inner.into_iter().find_map(|inner| not_public(inner.into()));
    }
    let inner = tunnelled(address).and_then(|inner| not_public(inner.into()));
    let around = within([0x2001, 0, 0, 0, 0, 0, 0, 0], 23).then_some("an address reserved for protocols");
    let global = within([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
    inner.or(around).or((!global).then_some("a reserved address"))
}

/// Returns the IPv4 addresses, often twice the same, that an IPv6 address is only another way to write.
fn stands_for(address: Ipv6Addr) -> Option<[Ipv4Addr; 2]> {
    let at = |index| ipv4_at(address, index);
    match address.segments() {
        // Compatible (RFC 4291 §2.5.5.1), mapped (§2.5.5.2), translated (RFC 2765 §2.1), NAT64 (RFC 6052 §2.1).
        [0, 0, 0, 0, 0, 0, _, _]
        | [0, 0, 0, 0, 0, 0xffff, _, _]
        | [0, 0, 0, 0, 0xffff, 0, _, _]
        | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some([at(6); 2]),
        // 6to4 (RFC 3056 §2).
        [0x2002, ..] => Some([at(1); 2]),
        // Teredo: the server, and the client with all bits inverted (RFC 4380 §4).
        [0x2001, 0, ..] => Some([at(2), Ipv4Addr::from_bits(!at(6).to_bits())]),
        _ => None,
    }
}

/// Returns the IPv4 address that packets are sent to for one of ISATAP's, in whatever network (RFC 5214 §6.1).
fn tunnelled(address: Ipv6Addr) -> Option<Ipv4Addr> {
    matches!(address.segments(), [_, _, _, _, 0 | 0x200, 0x5efe, _, _]).then(|| ipv4_at(address, 6))
}

fn ipv4_at(address: Ipv6Addr, index: usize) -> Ipv4Addr {
    let segments = address.segments();
    Ipv4Addr::from_bits(u32::from(segments[index]) << 16 | u32::from(segments[index + 1]))
}

fn find<N: Copy>(
    networks: &[(N, u32, &'static str)],
    within: impl Fn(N, u32) -> bool,
) -> Option<&'static str> {
    networks.iter().find(|(network, length, _)| within(*network, *length)).map(|(_, _, reason)| *reason)
}

/// Tells whether the first bits of two addresses, of 128 bits, are the same.
fn same(one: u128, other: u128, bits: u32) -> bool {
    (one ^ other).leading_zeros() >= bits
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// Addresses that are not public, and a word of what they are.
    const REFUSED: [(&str, &str); 76] = [
        ("0.0.0.0", "this network"),
        ("0.255.255.255", "this network"),
        ("10.0.0.0", "private"),
        ("10.255.255.255", "private"),
        ("100.64.0.0", "provider"),
        ("100.127.255.255", "provider"),
        ("100.100.100.200", "cloud"),
        ("127.0.0.0", "loopback"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.255", "loopback"),
        ("168.63.129.16", "cloud"),
        ("169.254.0.0", "link-local"),
        ("169.254.169.254", "cloud"),
        ("169.254.255.255", "link-local"),
        ("172.16.0.0", "private"),
        ("172.31.255.255", "private"),
        ("192.0.0.0", "protocols"),
        ("192.0.0.255", "protocols"),
        ("192.0.2.0", "documentation"),
        ("192.0.2.255", "documentation"),
        ("192.88.99.1", "6to4"),
        ("192.168.0.0", "private"),
        ("192.168.255.255", "private"),
        ("198.18.0.0", "benchmarks"),
        ("198.19.255.255", "benchmarks"),
        ("198.51.100.0", "documentation"),
        ("198.51.100.255", "documentation"),
        ("203.0.113.0", "documentation"),
        ("203.0.113.255", "documentation"),
        ("224.0.0.0", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.0", "reserved"),
        ("255.255.255.254", "reserved"),
        ("255.255.255.255", "reserved"),
        ("::", "this network"),
        ("::1", "loopback"),
        ("::2", "this network"),
        ("::7f00:1", "loopback"),
        ("::10.1.2.3", "private"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:169.254.169.254", "cloud"),
        ("::ffff:0:10.0.0.1", "private"),
        ("64:ff9b::192.168.1.1", "private"),
        ("64:ff9b:1::1", "NAT64"),
        ("64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "NAT64"),
        ("64:ff9b::1:0:0", "reserved"),
        ("100::1", "discards"),
        ("100:0:0:1::1", "reserved"),
        ("1::1", "reserved"),
        ("1fff::1", "reserved"),
        ("4000::1", "reserved"),
        ("5f00::1", "provider"),
        ("2001::1", "this network"),
        ("2001:0:7f00:1::a247:27dd", "loopback"),
        ("2001:0:5db8:d822::80ff:fffe", "loopback"),
        ("2001:1::1", "protocols"),
        ("2001:2::1", "benchmarks"),
        ("2001:2:1::1", "protocols"),
        ("2001:10::1", "protocols"),
        ("2001:20::1", "protocols"),
        ("2001:1ff:ffff::1", "protocols"),
        ("2001:db8::1", "documentation"),
        ("2001:db8:ffff::1", "documentation"),
        ("2002:a00:1::", "private"),
        ("2002:7f00:1::1", "loopback"),
        ("2620:4f:8000::1", "discards"),
        ("3fff::1", "documentation"),
        ("3fff:fff:ffff::1", "documentation"),
        ("fc00::1", "private"),
        ("fd00:ec2::254", "cloud"),
        ("fd00:ec2::253", "private"),
        ("fdff:ffff::1", "private"),
        ("fe80::1", "link-local"),
        ("febf:ffff::1", "link-local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
    ];

    const PUBLIC: [&str; 31] = [
        "1.0.0.0",
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "93.184.216.34",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "203.0.114.0",
        "223.255.255.255",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2000::1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2002:808:808::1",
        "2606:4700:4700::1111",
        "3ffe::1",
        "3fff:1000::1",
    ];

    #[test]
    fn an_address_that_is_not_public_is_said_to_be_what_it_is() {
        for (text, what) in REFUSED {
            let reason = not_public(text.parse().unwrap());
            assert!(reason.is_some_and(|reason| reason.contains(what)), "{text}: {reason:?}");
        }
    }

    #[test]
    fn a_public_address_is_refused_by_nothing() {
        for text in PUBLIC {
            assert_eq!(not_public(text.parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn every_way_to_write_an_ipv4_address_in_ipv6_is_judged_as_that_address() {
        for text in REFUSED.map(|(text, _)| text).into_iter().chain(PUBLIC) {
            let Ok(inner) = text.parse::<Ipv4Addr>() else { continue };
            let reason = not_public(inner.into());
            let [a, b, c, d] = inner.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            for segments in [
                [0, 0, 0, 0, 0, 0xffff, high, low],
                [0, 0, 0, 0, 0xffff, 0, high, low],
                [0x64, 0xff9b, 0, 0, 0, 0, high, low],
                [0x2002, high, low, 0, 0, 0, 0, 1],
                [0x2001, 0, high, low, 0, 0, !0x5db8, !0xd822],
                [0x2001, 0, 0x5db8, 0xd822, 0, 0, !high, !low],
                [0x2a00, 0x1450, 0, 0, 0, 0x5efe, high, low],
                [0x2a00, 0x1450, 0, 0, 0x200, 0x5efe, high, low],
            ] {
                let address = Ipv6Addr::from(segments);
                assert_eq!(not_public(address.into()), reason, "{address} for {inner}");
            }
        }
    }
}
