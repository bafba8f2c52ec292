//! Names that a server gives: harmless whatever it says, and understood when it says it well.
#![no_main]

use ganymede::FileName;
use ganymede_fuzz::{assert_harmless, head};
use libfuzzer_sys::fuzz_target;

const HEADER: &str = "content-disposition";

fuzz_target!(|data: &[u8]| {
    if let Some(name) = head(HEADER, data).as_ref().and_then(FileName::of_head) {
        assert_harmless(&name);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let expected = FileName::new(last);
    // Encoded in full, any name arrives.
    let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let value = format!("attachment; filename=plain; filename*=UTF-8''{encoded}");
    let named = head(HEADER, value.as_bytes()).as_ref().and_then(FileName::of_head).expect("a name");
    assert!(named == expected || named.as_str() == "plain" && expected.as_str() == "_", "{named} {expected}");
    // And so does one in quotes, if it can be in a header at all.
    let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
    let value = format!("inline; x=\"; filename=no\"; FileName = \"{quoted}\"");
    if let Some(head) = head(HEADER, value.as_bytes()) {
        let named = FileName::of_head(&head);
        assert!(
            named.as_ref() == Some(&expected) || named.is_none() && expected.as_str() == "_",
            "{named:?}"
        );
    }
});
