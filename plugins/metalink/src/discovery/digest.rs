//! Digests in the header `Digest` (RFC 3230).

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use ganymede::{Algorithm, Digest, Head};

/// Returns the digests that a head states; what is unknown or malformed says nothing about the content.
pub(super) fn of(head: &Head) -> Vec<Digest> {
    let values = head.headers().get_all("digest").iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(parse).collect()
}

/// Parses instance digests (RFC 3230 §4.3.2), with the algorithms that are registered for them and known.
fn parse(text: &str) -> impl Iterator<Item = Digest> {
    text.split(',').filter_map(|instance| {
        let (algorithm, value) = instance.trim().split_once('=')?;
        let algorithm = match algorithm.trim().to_ascii_lowercase().as_str() {
            "md5" => Algorithm::Md5,
            "sha" => Algorithm::Sha1,
            "sha-224" => Algorithm::Sha224,
            "sha-256" => Algorithm::Sha256,
            "sha-384" => Algorithm::Sha384,
            "sha-512" => Algorithm::Sha512,
            _ => return None,
        };
        let value = BASE64.decode(value.trim().as_bytes()).ok()?;
        // The examples of RFC 6249 encode the hexadecimal digits, and some servers do like them.
        let value = match value.len() == algorithm.length() * 2 {
            true => HEXLOWER_PERMISSIVE.decode(&value).ok()?,
            false => value,
        };
        Digest::new(algorithm, &value).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        parse(text).map(|digest| digest.to_string()).collect()
    }

    #[test]
    fn instance_digests_are_parsed_in_either_encoding() {
        let hex = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let sha256 = format!("sha256:{hex}");
        let text = "SHA-256=n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=";
        assert_eq!(found(text), [sha256.as_str()]);
        assert_eq!(
            found(&format!("md5=CY9rzUYh03PK3k6DJie09g==, {text}")),
            ["md5:098f6bcd4621d373cade4e832627b4f6", &sha256]
        );
        assert_eq!(found(&format!("sha-256={}", BASE64.encode(hex.as_bytes()))), [sha256]);
        assert_eq!(
            found("SHA=qUqP5cyxm6YcTAhz05Hph5gvu9M="),
            ["sha1:a94a8fe5ccb19ba61c4c0873d391e987982fbbd3"]
        );
    }

    #[test]
    fn what_is_unknown_or_malformed_is_passed_over() {
        for text in ["", "sha-256", "sha-256=", "sha-256=n4bQ", "sha-256=???", "crc32c=AAAAAA==", "=,=,"] {
            assert!(found(text).is_empty(), "{text}");
        }
    }
}
