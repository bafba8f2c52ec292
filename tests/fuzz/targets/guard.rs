//! Which addresses are public: never one that the standard library knows better, in whatever way it is written.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ganymede::fuzzing::{admit, check, not_public};
use ganymede::{Guard, Url};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(bytes) = data.first_chunk() {
        let address = Ipv4Addr::from(*bytes);
        judged(address.into());
        for written in [address.to_ipv6_mapped(), address.to_ipv6_compatible()] {
            if !matches!(address.octets(), [0, ..]) {
                assert_eq!(not_public(written.into()), not_public(address.into()));
            }
        }
    }
    if let Some(bytes) = data.first_chunk() {
        judged(Ipv6Addr::from_octets(*bytes).into());
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = Guard::public_only().allow(text);
    let Ok(url) = Url::parse(&format!("http://{text}/")) else { return };
    let host = url.host_str().unwrap_or_default();
    let refused = check(&Guard::public_only(), &url).is_err();
    let literal = host.trim_matches(['[', ']']).parse::<IpAddr>();
    match literal {
        Ok(address) => assert_eq!(refused, not_public(address).is_some(), "{host}"),
        Err(_) => {
            assert_eq!(refused, format!(".{}", host.trim_end_matches('.')).ends_with(".localhost"), "{host}")
        }
    }
    assert!(check(&Guard::public_only().allow(host), &url).is_ok(), "{host}");
});

/// Asserts what is known of an address by other means, and that the guard heeds it for names, too.
fn judged(address: IpAddr) {
    let refused = not_public(address).is_some();
    let known = match address {
        IpAddr::V4(address) => {
            address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_broadcast()
                || address.is_documentation()
                || address.is_unspecified()
                || address.is_multicast()
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unique_local()
                || address.is_unicast_link_local()
        }
    };
    assert!(refused || !known, "{address}");
    let addresses = vec![SocketAddr::new(address, 80)];
    assert_eq!(admit(&Guard::public_only(), "name.test", addresses.clone()).is_err(), refused);
    let allowed = Guard::public_only().allow(&address.to_string());
    assert_eq!(admit(&allowed, "name.test", addresses.clone()).expect("an exemption"), addresses);
    let named = Guard::public_only().allow("Name.Test.");
    assert_eq!(admit(&named, "name.test", addresses.clone()).expect("an exemption"), addresses);
}
