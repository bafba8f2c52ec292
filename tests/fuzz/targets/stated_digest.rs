//! Digests that a reply states: whole ones only, of the algorithms in use, as many as there are members.
#![no_main]

use ganymede::Algorithm;
use ganymede::fuzzing::stated_digests;
use ganymede_fuzz::head;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for name in ["content-digest", "repr-digest"] {
        let Some(head) = head(name, data) else { return };
        let (body, content) = stated_digests(&head);
        let (stated, other) = if name == "repr-digest" { (content, body) } else { (body, content) };
        assert!(other.is_empty());
        assert!(stated.len() <= data.split(|byte| *byte == b',').count());
        for digest in stated {
            assert!(matches!(digest.algorithm(), Algorithm::Sha256 | Algorithm::Sha512));
            assert_eq!(digest.to_string().parse(), Ok(digest));
        }
    }
});
