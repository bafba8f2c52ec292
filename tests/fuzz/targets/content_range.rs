//! Ranges of a reply: what is parsed is sound, and says the same when it is written again.
#![no_main]

use ganymede::fuzzing::{content_range, unsatisfied_range};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (satisfied, unsatisfied) = (content_range(text), unsatisfied_range(text));
    assert!(satisfied.is_none() || unsatisfied.is_none());
    assert!(satisfied.is_none() && unsatisfied.is_none() || !text.contains(['+', ',']), "{text:?}");
    if let Some((first, last, total)) = satisfied {
        assert!(first <= last && last < u64::MAX && total.is_none_or(|total| last < total));
        assert!((last - first).checked_add(1).is_some());
        let total = total.map_or_else(|| "*".to_owned(), |total| total.to_string());
        assert_eq!(content_range(&format!("bytes {first}-{last}/{total}")), satisfied);
    }
    if let Some(total) = unsatisfied {
        assert_eq!(unsatisfied_range(&format!("bytes */{total}")), Some(total));
    }
});
