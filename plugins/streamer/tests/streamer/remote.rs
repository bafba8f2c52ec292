//! Where a remote asks, and what it expects.

use std::time::Duration;

use ganymede::{BufferWriter, Context, Download, Importer};
use ganymede_kit::{Origin, Reply};
use ganymede_streamer::{Digests, DigestsError, PathError, Remote, ResourcePath};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use crate::remote;

fn asked(remote: &Remote, path: &str) -> String {
    remote.download(path).unwrap().request().url().to_string()
}

#[test]
fn paths_are_below_the_base_whatever_they_are_called() {
    for base in ["http://example.com/base", "http://example.com/base/"] {
        let remote = Remote::new(base).unwrap();
        assert_eq!(asked(&remote, "a/b?x=%2f"), "http://example.com/base/a/b?x=%2f");
        assert_eq!(asked(&remote, "/"), "http://example.com/base/");
        assert_eq!(asked(&remote, "a:b"), "http://example.com/base/a:b");
    }
}

#[test]
fn what_is_no_folder_is_no_base_and_what_leads_elsewhere_is_no_path() {
    for base in ["http://example.com/?a", "http://example.com/#a", "mailto:a", "example.com", ""] {
        assert!(Remote::new(base).is_err(), "{base}");
    }
    let remote = Remote::new("http://example.com/base/").unwrap();
    for path in ["..", "a/../b", "%2e%2e/b", "a%2fb", "a//b", "a%00", "http://example.org/"] {
        assert!(remote.download(path).is_err(), "{path}");
    }
}

#[test]
fn no_secret_of_a_base_is_shown() {
    let remote = Remote::new("http://amy:secret@example.com/")
        .unwrap()
        .mirror("http://bob:secret@example.org/")
        .unwrap();
    assert!(!format!("{remote:?}").contains("secret"));
}

#[test]
fn only_hosts_that_are_named_may_be_private() {
    let named = Origin::start();
    for (path, elsewhere) in
        [("/a", "http://127.0.0.2:1/x"), ("/b", "http://[::1]:1/x"), ("/c", "http://10.0.0.1/x")]
    {
        named.on(path, Reply::redirect(302, elsewhere));
        let mut download = remote(&named).download(path).unwrap();
        download.set_writer(std::sync::Arc::new(BufferWriter::new(10)));
        let error = download.run(&Context::new()).unwrap_err();
        assert_eq!((error.kind().name(), error.gateway_status().as_u16()), ("forbidden", 403), "{error}");
    }
    assert!(remote(&named).guard().check(&named.url("/").parse().unwrap()).is_ok());
    let outside = Remote::new("http://example.com/").unwrap();
    assert!(outside.guard().check(&named.url("/").parse().unwrap()).is_err());
}

#[test]
fn a_resting_source_is_asked_first_again_after_its_rest() {
    let (bad, good) = (Origin::start(), Origin::start());
    bad.on("/file", Reply::ok("wrong"));
    good.on("/file", Reply::ok("right"));
    let remote = remote(&bad).mirror(&good.url("/")).unwrap().cooldown(Duration::ZERO);
    let remote = remote.digests(crate::digests("/file", b"right"));
    for asked in 1..=2 {
        let mut download = remote.download("file").unwrap();
        download.set_writer(std::sync::Arc::new(BufferWriter::new(10)));
        download.run(&Context::new()).unwrap();
        assert_eq!(bad.requests("/file"), asked);
    }
}

const HEX: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn parsed(list: &str) -> Result<Digests, DigestsError> {
    Digests::parse(list.as_bytes())
}

fn knows(digests: &Digests, path: &str) -> bool {
    digests.of(&path.parse().unwrap()).is_some()
}

#[test]
fn a_list_of_digests_is_read_as_its_tools_write_it() {
    let list = format!(
        "# a comment\n\n{HEX}  a\n{HEX} *b/c d\r\n\\{HEX}  x\\\\y\n{}  ./e+f\n{HEX}  g",
        "A".repeat(128)
    );
    let digests = parsed(&list).unwrap();
    assert_eq!(digests.len(), 5);
    assert!(knows(&digests, "/a") && knows(&digests, "/b/c%20d") && knows(&digests, "/g"));
}

#[test]
fn all_spellings_of_a_path_have_its_digest() {
    let digests =
        parsed(&format!("{HEX}  a\n{HEX} *b/c d\r\n{}  ././e+f\n{HEX}  g", "A".repeat(128))).unwrap();
    assert_eq!(digests.len(), 4);
    for path in ["/a", "/%61?x", "/b/c%20d", "/b/%63%20d", "/e+f", "/e%2bf", "/e%2Bf", "/g"] {
        assert!(knows(&digests, path), "{path}");
    }
    assert!(!knows(&digests, "/b/c"));
    assert_eq!(digests.of(&"/e+f".parse().unwrap()).unwrap().algorithm(), ganymede::Algorithm::Sha512);
}

#[test]
fn a_list_that_cannot_be_understood_is_refused_with_the_line() {
    let bad = [
        "x  a".to_owned(),
        format!("{HEX} a"),
        HEX.to_owned(),
        format!("{HEX}  ../a"),
        format!("{HEX}  /a"),
        format!("{HEX}  a//b"),
        format!("{HEX}  "),
        format!("\\{HEX}  a\\x"),
        format!("{HEX}  a\n{}  a", HEX.replace('9', "8")),
        format!("{HEX}  {}", "a".repeat(10_000)),
    ];
    for list in bad {
        assert!(matches!(parsed(&list), Err(DigestsError::Line { .. })), "{list:.90}");
    }
    assert_eq!(parsed(&format!("{HEX}  a\n{HEX}  a\n")).unwrap().len(), 1);
    assert!(matches!(parsed(&format!("{HEX}  a\nbad\n")), Err(DigestsError::Line { line: 2, .. })));
}

#[test]
fn of_several_lists_the_longer_digest_counts_and_a_contradiction_is_an_error() {
    let (long, short) = (format!("{}  a\n", "A".repeat(128)), format!("{HEX}  a\n{HEX}  b\n"));
    for (one, other) in [(&long, &short), (&short, &long)] {
        let digests = parsed(one).unwrap().merge(parsed(other).unwrap()).unwrap();
        assert_eq!(digests.len(), 2);
        let found = |path: &str| digests.of(&path.parse().unwrap()).unwrap().algorithm();
        assert_eq!([found("/a"), found("/b")], [ganymede::Algorithm::Sha512, ganymede::Algorithm::Sha256]);
    }
    let otherwise = format!("{}  b\n", HEX.replace('9', "8"));
    let error = parsed(&short).unwrap().merge(parsed(&otherwise).unwrap()).unwrap_err();
    assert!(matches!(&error, DigestsError::Conflict(name) if name == "b"), "{error}");
    assert_eq!(parsed(&short).unwrap().merge(parsed(&short).unwrap()).unwrap().len(), 2);
}

#[test]
fn the_paths_of_a_list_lead_to_its_files() {
    let list = format!("{HEX}  a b/c+d%?\n{HEX}  e\n\\{HEX}  no\\\\path\n");
    let digests = parsed(&list).unwrap();
    let mut paths: Vec<String> = digests.paths().map(|path| path.as_str().to_owned()).collect();
    paths.sort();
    assert_eq!(paths, ["a%20b/c+d%25%3F", "e"]);
    assert!(digests.paths().all(|path| digests.of(&path).is_some()));
}

proptest! {
    #[test]
    fn the_one_form_of_a_path_is_its_own_form_and_leads_nowhere_but_down(text in "/([a-c./%~ +?2eEfF5C0]|%2e|\\PC){0,20}") {
        let Ok(path) = text.parse::<ResourcePath>() else { return Ok(()) };
        let again: ResourcePath = format!("/{path}").parse().unwrap();
        prop_assert_eq!(&again, &path);
        let name = path.name();
        prop_assert!(!name.split(|byte| *byte == b'/').any(|segment| matches!(segment, b"." | b"..")));
        prop_assert!(!name.contains(&b'\\') && !name.contains(&0));
        let base: ganymede::Url = "http://example.com/base/".parse().unwrap();
        let remote = Remote::new("http://example.com/base/").unwrap();
        let download = remote.download(path.as_str()).unwrap();
        let url = download.request().url();
        prop_assert!(url.path().starts_with(base.path()) && url.host_str() == Some("example.com"));
        prop_assert_eq!(&url.path()["/base/".len()..], path.path());
    }

    #[test]
    fn no_list_of_digests_makes_it_panic(list in any::<Vec<u8>>()) {
        let _ = Digests::parse(list.as_slice());
    }
}

#[test]
fn what_is_wrong_with_a_path_is_told() {
    let wrong = |path: &str| path.parse::<ResourcePath>().unwrap_err();
    assert_eq!(
        [wrong("a"), wrong("/%4"), wrong("/%5c"), wrong("/a/%2E."), wrong("/a//b")],
        [PathError::Relative, PathError::Encoding, PathError::Forbidden, PathError::Dots, PathError::Empty]
    );
}
