//! Waits that a server asks for: seconds, or a date that is no time before now.
#![no_main]

use std::time::Duration;

use ganymede::fuzzing::retry_after;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let text = text.trim();
    let Some(wait) = retry_after(text) else {
        assert!(
            text.is_empty()
                || !text.bytes().all(|byte| byte.is_ascii_digit())
                || text.parse::<u64>().is_err()
        );
        return;
    };
    match text.parse() {
        Ok(seconds) => assert_eq!(wait, Duration::from_secs(seconds)),
        // Dates have four digits for the year.
        Err(_) => assert!(wait < Duration::from_secs(8000 * 366 * 24 * 60 * 60), "{text:?}: {wait:?}"),
    }
    assert!(!text.starts_with(['+', '-']));
});
