//! Metalinks: names that stay in their folder, files with paths of their own, and the same again when it is written.
#![no_main]

use std::collections::HashSet;
use std::path::{Component, Path};

use ganymede::FileName;
use ganymede_fuzz::assert_harmless;
use ganymede_metalink::{File, Metalink, Preference};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let metalink = match Metalink::parse(data) {
        Ok(metalink) => metalink,
        Err(error) => {
            assert!(error.byte() <= data.len() as u64 && error.line() >= 1, "{error}");
            assert!(error.to_string().len() < 4_000, "{error}");
            return;
        }
    };
    let files = metalink.files();
    assert!(!files.is_empty() && files.len() <= Metalink::MOST_FILES);
    files.iter().for_each(sound);
    let paths: HashSet<&str> = files.iter().map(|file| file.name().as_str()).collect();
    assert_eq!(paths.len(), files.len());
    for folder in files.iter().flat_map(|file| file.name().folders()) {
        assert!(!paths.contains(folder), "{folder} is a file, too");
    }
    let written = metalink.to_string();
    if written.len() <= Metalink::LARGEST {
        assert_eq!(Metalink::parse(written.as_bytes()).as_ref(), Ok(&metalink), "{written}");
    }
});

fn sound(file: &File) {
    let path: &Path = file.name().as_ref();
    assert!(path.components().all(|component| matches!(component, Component::Normal(_))), "{path:?}");
    for segment in file.name().as_str().split('/') {
        assert_harmless(&FileName::new(segment));
        assert_eq!(FileName::new(segment).as_str(), segment);
    }
    assert_eq!(file.name().as_str().parse().as_ref(), Ok(file.name()));
    if let (Some(size), Some(pieces)) = (file.size(), file.pieces()) {
        assert!(pieces.covers(size));
    }
    assert!(file.sources().is_sorted_by_key(|source| source.priority()));
    let preference = Preference::new().locations(["de"]);
    assert!(preference.sources(file).iter().all(|source| matches!(source.url().scheme(), "http" | "https")));
    assert_eq!(file.requests(&preference).is_ok(), !preference.sources(file).is_empty());
}
