//! Digests that a source sends along (RFC 9530).

use data_encoding::BASE64;
use http::HeaderName;

use crate::digest::{Algorithm, Digest};
use crate::reply::Head;

pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// Returns the digests of the body of a reply (RFC 9530 §2).
pub(crate) fn of_body(head: &Head) -> Vec<Digest> {
    stated(head, &CONTENT_DIGEST)
}

/// Returns the digests of the whole content, of which the body may be a part (RFC 9530 §3).
pub(crate) fn of_content(head: &Head) -> Vec<Digest> {
    let mut digests = stated(head, &REPR_DIGEST);
    digests.extend(head.stated());
    digests
}

fn stated(head: &Head, name: &HeaderName) -> Vec<Digest> {
    let values = head.headers().get_all(name).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(parse).collect()
}

/// Parses a dictionary of digests (RFC 9530 §2, RFC 8941 §3.2): those of the two algorithms that are in use.
///
/// What is unknown or malformed says nothing about the content.
fn parse(text: &str) -> impl Iterator<Item = Digest> {
    text.split(',').filter_map(|member| {
        let member = member.split(';').next().unwrap_or(member);
        let (key, value) = member.split_once('=')?;
        let algorithm = match key.trim() {
            "sha-256" => Algorithm::Sha256,
            "sha-512" => Algorithm::Sha512,
            _ => return None,
        };
        let value = value.trim().strip_prefix(':')?.strip_suffix(':')?;
        Digest::new(algorithm, &BASE64.decode(value.as_bytes()).ok()?).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_of_digests_is_parsed() {
        let sha256 = "sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:";
        let found = |text: &str| parse(text).map(|digest| digest.to_string()).collect::<Vec<_>>();
        let hex = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        assert_eq!(found(sha256), [hex]);
        assert_eq!(found(&format!("md5=:1B2M2Y8AsgTpgAmY7PhCfg==:, {sha256};a=b")), [hex]);
        for malformed in ["", "sha-256", "sha-256=n4bQ", "sha-256=:n4bQ:", "sha-256=:???:", "SHA-256=::"] {
            assert!(found(malformed).is_empty(), "{malformed}");
        }
    }
}
