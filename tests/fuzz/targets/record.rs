//! What is noted of an interrupted download: the same when it is written again, and without overflow.
#![no_main]

use ganymede::{Record, fuzzing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(note) = fuzzing::note(text) {
        assert_eq!(fuzzing::note(&note).as_ref(), Some(&note));
    }
    let Ok(record) = text.parse::<Record>() else { return };
    assert_eq!(record.to_string().parse::<Record>().as_ref(), Ok(&record));
    if let (Some(length), Some(total)) = (record.length(), record.total()) {
        assert!(length <= total);
    }
});
