//! Names of files: harmless, and left as they are when they were.
#![no_main]

use ganymede::{FileName, Url};
use ganymede_fuzz::assert_harmless;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let name = FileName::new(text);
    assert_harmless(&name);
    if let Ok(url) = Url::parse(&format!("https://example.com/{text}")) {
        assert_harmless(&FileName::of_url(&url));
    }
    if let Ok(url) = Url::parse(text) {
        assert_harmless(&FileName::of_url(&url));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_plain = (5..=200).contains(&text.len()) && text.chars().all(plain) && !text.ends_with('-');
    if is_plain {
        assert_eq!(FileName::new(&format!("{text}.iso")).as_str(), format!("{text}.iso"));
    }
});
