//! Digests: of the right length, and the same in all of their forms.
#![no_main]

use ganymede::{Algorithm, Digest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(algorithm) = text.parse::<Algorithm>() {
        assert_eq!(algorithm.name().parse(), Ok(algorithm));
    }
    let Ok(digest) = text.parse::<Digest>() else { return };
    let (algorithm, shown) = (digest.algorithm(), digest.to_string());
    let (name, hex) = shown.split_once(':').expect("an algorithm in front");
    assert_eq!((name, hex.len()), (algorithm.name(), algorithm.length() * 2));
    assert!(hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{shown}");
    assert_eq!(shown.parse(), Ok(digest.clone()));
    assert_eq!(format!("{name}={}", hex.to_ascii_uppercase()).parse(), Ok(digest.clone()));
    assert_eq!(Digest::from_hex(algorithm, hex), Ok(digest));
});
