//! A stream whose source fails: another one before its first byte, the same content after it, or an error.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

use std::io::Read;
use std::time::Duration;

use ganymede::{
    Action, Algorithm, Context, DigestValidation, Download, DownloadError, ErrorKind, Event, Facts, Head,
    HttpDownload, MirrorDelegate, RetryDelegate, SizeValidation, stream,
};
use ganymede_kit::{Origin, Reply as Scripted, pattern};

const SIZE: usize = 300_000;
const CUT: u64 = 100_000;

fn whole() -> Scripted {
    Scripted::ok(pattern(SIZE))
}

/// Bytes of the same length, the first of which are the same, too.
fn other_content() -> Vec<u8> {
    let mut content = pattern(SIZE);
    content[1_000..].iter_mut().for_each(|byte| *byte = !*byte);
    content
}

fn digest(content: &[u8]) -> DigestValidation {
    let facts = Facts::of(content, [Algorithm::Sha256]).unwrap();
    DigestValidation::new(facts.digest(Algorithm::Sha256).unwrap())
}

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap()
}

fn retry() -> RetryDelegate {
    RetryDelegate::new(5).base(Duration::ZERO)
}

fn mirrors<const N: usize>(urls: [&str; N]) -> MirrorDelegate {
    MirrorDelegate::new(urls.map(|url| url.parse().unwrap()))
}

fn paths(origin: &Origin) -> Vec<String> {
    origin.journal().into_iter().map(|received| received.target).collect()
}

/// Streams what must be complete.
fn streamed<D: Download + 'static>(download: D) -> (Head, Vec<u8>) {
    let (head, mut body) = stream(download, &Context::new()).unwrap();
    let mut bytes = Vec::new();
    body.read_to_end(&mut bytes).unwrap();
    (head, bytes)
}

/// Streams what must end in an error after its first byte, and returns what came until then.
fn broken<D: Download + 'static>(download: D) -> (Vec<u8>, DownloadError) {
    let (_, mut body) = stream(download, &Context::new()).unwrap();
    let mut bytes = Vec::new();
    let error = body.read_to_end(&mut bytes).unwrap_err();
    for _ in 0..3 {
        assert!(body.read(&mut [0; 10]).is_err(), "an error must never be followed by an end");
    }
    assert!(body.receipt().is_none());
    (bytes, *error.into_inner().unwrap().downcast::<DownloadError>().unwrap())
}

fn refused<D: Download + 'static>(download: D) -> DownloadError {
    stream(download, &Context::new()).map(|(head, _)| panic!("there is a head: {head:?}")).unwrap_err()
}

#[test]
fn a_bad_body_of_one_block_is_an_error_before_the_head() {
    let origin = Origin::start();
    let url = origin.on("/file", Scripted::ok("hello"));
    let error = refused(get(&url).validation(digest(b"other")));
    assert_eq!((error.kind().name(), error.gateway_status().as_u16()), ("digest-mismatch", 502));
    refused(get(&url).validation(SizeValidation::new(4)));
    refused(get(&url).validation(SizeValidation::new(6)));
    // Nothing went out, so another source may have anything.
    let good = origin.on("/good", Scripted::ok("other"));
    let download = get(&url).validation(digest(b"other")).handler(mirrors([&good]));
    assert_eq!(streamed(download).1, b"other");
}

#[test]
fn a_bad_body_of_many_blocks_ends_in_an_error_and_lacks_its_last_block() {
    let origin = Origin::start();
    for whole in [whole(), whole().chunked()] {
        let url = origin.on("/file", whole);
        let (bytes, error) = broken(get(&url).validation(digest(b"other")));
        assert_eq!(error.kind().name(), "digest-mismatch");
        assert!(bytes.len() < SIZE && bytes == pattern(SIZE)[..bytes.len()]);
    }
    let other_size = || SizeValidation::new(SIZE as u64 + 1);
    let (bytes, error) = broken(get(&origin.url("/file")).validation(other_size()));
    assert_eq!(error.kind().name(), "size-mismatch");
    assert!(bytes.len() < SIZE);
    // Where the length is announced, that is known before the first byte.
    let error = refused(get(&origin.on("/announced", whole())).validation(other_size()));
    assert_eq!((error.kind().name(), error.received()), ("size-mismatch", 0));
    let (bytes, error) = broken(get(&origin.on("/cut", whole().cut_after(CUT))));
    assert_eq!((error.kind().name(), error.received()), ("incomplete", CUT));
    assert!((bytes.len() as u64) < CUT);
}

#[test]
fn before_the_first_byte_everything_may_be_tried() {
    let origin = Origin::start();
    let few = origin.on("/few", whole().cut_after(1_000));
    let late = origin.on("/late", whole().stall_header());
    let good = origin.on("/good", Scripted::ok(other_content()).etag("\"good\""));
    let download = get(&origin.url("/lost")).read_timeout(Duration::from_millis(300));
    let (head, bytes) = streamed(download.handler(mirrors([&few, &late, &good])));
    assert!(bytes == other_content());
    assert_eq!(head.etag(), Some("\"good\""));
    assert_eq!(paths(&origin), ["/lost", "/few", "/late", "/good"]);
}

#[test]
fn after_it_an_exact_continuation_goes_on_at_the_offset() {
    let origin = Origin::start();
    let tagged = whole().etag("\"one\"").ranges();
    let url = origin.sequence("/file", [tagged.clone().cut_after(CUT), tagged.cut_after(CUT)]);
    let (head, bytes) = streamed(get(&url).handler(retry()));
    assert!(bytes == pattern(SIZE));
    assert_eq!((head.status().as_u16(), head.length()), (200, Some(SIZE as u64)));
    let ranges: Vec<_> =
        origin.journal().iter().map(|received| received.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [None, Some("bytes=100000-".to_owned()), Some("bytes=200000-".to_owned())]);
}

#[test]
fn after_it_a_copy_that_starts_again_repeats_nothing() {
    let tagged = whole().etag("\"one\"");
    // With a tag, a range is asked for twice: with it and, since the same content came all the same, without.
    let cases = [("the same strong tag", tagged, 2), ("an expected digest", whole(), 1)];
    for (proof, whole, asked) in cases {
        let (origin, identified) = (Origin::start(), asked == 1);
        let cut = whole.clone().cut_after(CUT);
        // The second one is cut within what was forwarded already.
        let later = [cut.clone().cut_after(30_000), cut.clone(), whole];
        let later = later.into_iter().flat_map(|reply| vec![reply; asked]);
        let url = origin.sequence("/file", std::iter::once(cut).chain(later));
        let mut download = get(&url).handler(retry());
        if identified {
            download = download.validation(digest(&pattern(SIZE)));
        }
        assert!(streamed(download).1 == pattern(SIZE), "{proof}");
        assert_eq!(origin.requests("/file"), 1 + 3 * asked, "{proof}");
    }
}

#[test]
fn after_it_nothing_follows_that_is_not_proved_to_be_the_same_content() {
    let weak = || whole().etag("W/\"weak\"");
    let cases = [
        ("no validator", whole(), whole()),
        ("a weak tag", weak(), weak()),
        ("another tag", whole().etag("\"one\""), whole().etag("\"two\"")),
        ("no tag any more", whole().etag("\"one\""), whole()),
        ("another total", whole().etag("\"one\""), Scripted::ok(pattern(SIZE + 1)).etag("\"one\"")),
    ];
    for (what, first, second) in cases {
        let origin = Origin::start();
        let url = origin.sequence("/file", [first.cut_after(CUT), second]);
        let (bytes, error) = broken(get(&url).handler(retry()));
        assert_eq!(origin.requests("/file"), 2, "{what}");
        assert!(error.failure().to_string().starts_with("cannot start again"), "{what}: {error}");
        assert!(bytes.len() as u64 <= CUT && bytes == pattern(SIZE)[..bytes.len()], "{what}");
    }
}

#[test]
fn after_it_another_content_of_the_same_length_is_an_error_though_a_digest_is_expected() {
    let origin = Origin::start();
    let cut = origin.on("/cut", whole().cut_after(CUT));
    let other = origin.on("/other", Scripted::ok(other_content()));
    let download = || get(&cut).validation(digest(&pattern(SIZE)));
    let (bytes, error) = broken(download().handler(mirrors([&other])));
    assert!(bytes == pattern(SIZE)[..bytes.len()] && bytes.len() as u64 <= CUT);
    assert!(error.failure().to_string().starts_with("the source has another content"), "{error}");
    // The one that was asked for is the other one: what was read is no part of it.
    let download = get(&cut).validation(digest(&other_content())).handler(mirrors([&other]));
    let (bytes, _) = broken(download);
    assert!(bytes == pattern(SIZE)[..bytes.len()]);
}

#[test]
fn a_wrong_content_in_between_is_found_at_its_beginning_and_passed_over() {
    let origin = Origin::start();
    let cut = origin.on("/cut", whole().cut_after(CUT));
    let wrong = origin.on("/wrong", Scripted::ok(other_content()));
    let good = origin.on("/good", whole());
    let download = get(&cut).validation(digest(&pattern(SIZE))).handler(mirrors([&wrong, &good]));
    assert!(streamed(download).1 == pattern(SIZE));
    assert_eq!(paths(&origin), ["/cut", "/wrong", "/good"]);
}

#[test]
fn a_wrong_content_that_was_read_in_part_is_not_completed_by_a_right_one() {
    let origin = Origin::start();
    let wrong = origin.on("/wrong", Scripted::ok(other_content()));
    let good = origin.on("/good", whole());
    let download = get(&wrong).validation(digest(&pattern(SIZE))).handler(mirrors([&good]));
    let (bytes, _) = broken(download);
    assert!(bytes == other_content()[..bytes.len()] && bytes.len() < SIZE);
    assert_eq!(paths(&origin), ["/wrong", "/good"]);
}

#[test]
fn a_download_that_panics_is_an_error_of_its_stream() {
    let origin = Origin::start();
    let url = origin.on("/file", whole());
    let early = |event: &mut Event<'_>, _: &Context| {
        assert!(!matches!(event, Event::Replied { .. }), "early");
        Action::Continue
    };
    assert!(matches!(refused(get(&url).handler(early)).kind(), ErrorKind::Panicked));
    let late = |event: &mut Event<'_>, _: &Context| {
        assert!(!matches!(event, Event::Fetched { received, .. } if *received > CUT), "late");
        Action::Continue
    };
    let (bytes, error) = broken(get(&url).handler(late));
    assert!(matches!(error.kind(), ErrorKind::Panicked));
    assert!(bytes == pattern(SIZE)[..bytes.len()]);
}
