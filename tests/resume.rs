//! Going on where an attempt broke off, and never with bytes of another content.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ganymede::{
    Algorithm, BufferWriter, ByteRange, Context, DigestValidation, Download, DownloadMonitor, ErrorKind,
    Facts, Head, HttpDownload, MirrorDelegate, Output, Receipt, RetryDelegate, SizeValidation, Url,
    ValidationError,
};
use ganymede_kit::{Origin, Reply, pattern};

const SIZE: usize = 300_000;
const CUT: u64 = 100_000;
const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn whole() -> Reply {
    Reply::ok(pattern(SIZE)).ranges()
}

/// Bytes of the same length that differ everywhere.
fn other_content() -> Vec<u8> {
    pattern(SIZE).into_iter().map(|byte| !byte).collect()
}

fn digest(content: &[u8]) -> DigestValidation {
    let facts = Facts::of(content, [Algorithm::Sha256]).unwrap();
    DigestValidation::new(facts.digest(Algorithm::Sha256).unwrap())
}

fn download(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap().handler(RetryDelegate::new(9).base(Duration::ZERO))
}

/// Runs a download, which must succeed, and returns its receipt and its bytes.
fn run(download: HttpDownload) -> (Receipt, Vec<u8>) {
    let buffer = BufferWriter::new(1 << 20);
    let receipt = download.writer(buffer.clone()).run(&Context::new()).unwrap();
    (receipt, buffer.take().unwrap())
}

/// The values of a header in the requests that an origin got.
fn sent(origin: &Origin, name: &str) -> Vec<Option<String>> {
    origin.journal().iter().map(|received| received.header(name).map(str::to_owned)).collect()
}

/// The same, as text: `-` where there was none.
fn ranges(origin: &Origin) -> Vec<String> {
    sent(origin, "range").into_iter().map(|range| range.unwrap_or_else(|| "-".to_owned())).collect()
}

fn mirror(url: &str) -> MirrorDelegate {
    MirrorDelegate::new([Url::parse(url).unwrap()])
}

#[test]
fn a_strong_etag_guards_the_rest_that_is_asked_for() {
    let origin = Origin::start();
    let whole = whole().etag("\"one\"").modified(OLD);
    let url = origin.sequence("/file", [whole.clone().cut_after(CUT), whole]);
    let (receipt, bytes) = run(download(&url));
    assert!(bytes == pattern(SIZE));
    assert_eq!((receipt.attempts(), receipt.facts().size()), (2, SIZE as u64));
    assert_eq!(ranges(&origin), ["-", "bytes=100000-"]);
    assert_eq!(sent(&origin, "if-range"), [None, Some("\"one\"".to_owned())]);
}

#[test]
fn a_time_of_modification_guards_it_where_there_is_no_strong_etag() {
    for tag in [None, Some("W/\"weak\"")] {
        let origin = Origin::start();
        let whole = tag.into_iter().fold(whole().modified(OLD), Reply::etag);
        let url = origin.sequence("/file", [whole.clone().cut_after(CUT), whole]);
        assert!(run(download(&url)).1 == pattern(SIZE));
        assert_eq!(ranges(&origin), ["-", "bytes=100000-"]);
        assert_eq!(sent(&origin, "if-range"), [None, Some(OLD.to_owned())]);
    }
}

#[test]
fn a_time_too_young_to_be_strong_guards_nothing() {
    let origin = Origin::start();
    let whole = whole().modified(OLD).header("Date", OLD);
    let url = origin.sequence("/file", [whole.clone().cut_after(CUT), whole]);
    assert!(run(download(&url)).1 == pattern(SIZE));
    assert_eq!(ranges(&origin), ["-", "-"]);
}

#[test]
fn without_a_validator_it_starts_again_unless_a_digest_is_expected() {
    for tag in [None, Some("W/\"weak\"")] {
        let origin = Origin::start();
        let whole = tag.into_iter().fold(whole(), Reply::etag);
        let url = origin.sequence("/file", [whole.clone().cut_after(CUT), whole.clone()]);
        assert!(run(download(&url)).1 == pattern(SIZE));
        assert_eq!(ranges(&origin), ["-", "-"]);

        let origin = Origin::start();
        let url = origin.sequence("/file", [whole.clone().cut_after(CUT), whole]);
        assert!(run(download(&url).validation(digest(&pattern(SIZE)))).1 == pattern(SIZE));
        assert_eq!(ranges(&origin), ["-", "bytes=100000-"]);
        assert_eq!(sent(&origin, "if-range"), [None, None]);
    }
}

#[test]
fn a_source_that_sends_everything_all_the_same_starts_the_copy_again() {
    let origin = Origin::start();
    let whole = Reply::ok(pattern(SIZE)).modified(OLD);
    let url = origin.sequence("/file", [whole.clone().cut_after(CUT), whole]);
    assert!(run(download(&url)).1 == pattern(SIZE));
    assert_eq!(ranges(&origin), ["-", "bytes=100000-"]);
}

#[test]
fn a_content_that_was_changed_meanwhile_comes_whole() {
    let origin = Origin::start();
    let changed = Reply::ok(other_content()).ranges();
    let url = origin.sequence("/file", [whole().etag("\"one\"").cut_after(CUT), changed.etag("\"two\"")]);
    assert!(run(download(&url)).1 == other_content());
    assert_eq!(origin.requests("/file"), 2);
}

#[test]
fn a_part_of_another_place_total_or_content_is_dropped_and_everything_asked_for() {
    let tagged = || whole().etag("\"one\"");
    let wrong = [
        ("starts later", tagged().range_shift(7), 3),
        ("starts earlier", tagged().range_shift(-7), 3),
        // That is everything already.
        ("starts at the beginning", tagged().range_shift(-100_000), 2),
        ("other total", tagged().range_total(SIZE as u64 + 1), 3),
        ("other tag", tagged().range_etag("\"two\""), 3),
    ];
    for (what, wrong, requests) in wrong {
        let origin = Origin::start();
        let url = origin.sequence("/file", [tagged().cut_after(CUT), wrong, tagged()]);
        let (receipt, bytes) = run(download(&url));
        assert!(bytes == pattern(SIZE), "{what}");
        // Within the attempt that went on: nothing has failed yet.
        assert_eq!(receipt.attempts(), 2, "{what}");
        assert_eq!(ranges(&origin), ["-", "bytes=100000-", "-"][..requests], "{what}");
    }
}

#[test]
fn a_part_with_another_date_is_dropped() {
    let origin = Origin::start();
    let dated = || whole().modified(OLD);
    let mut part = b"HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Length: 200000\r\n\
        Content-Range: bytes 100000-299999/300000\r\nLast-Modified: Mon, 07 Nov 1994 08:49:37 GMT\r\n\r\n"
        .to_vec();
    part.extend_from_slice(&other_content()[100_000..]);
    let url = origin.sequence("/file", [dated().cut_after(CUT), Reply::raw(part), dated()]);
    assert!(run(download(&url)).1 == pattern(SIZE));
    assert_eq!(ranges(&origin), ["-", "bytes=100000-", "-"]);
}

#[test]
fn a_rest_that_is_not_there_starts_the_copy_again() {
    let origin = Origin::start();
    let tagged = || whole().etag("\"one\"");
    let url = origin.sequence("/file", [tagged().cut_after(CUT), Reply::error(416), tagged()]);
    let (receipt, bytes) = run(download(&url));
    assert!(bytes == pattern(SIZE));
    assert_eq!(
        (receipt.attempts(), ranges(&origin)),
        (2, ["-", "bytes=100000-", "-"].map(String::from).into())
    );
}

#[test]
fn a_refusal_in_between_does_not_lose_what_is_there() {
    let origin = Origin::start();
    let tagged = || whole().etag("\"one\"");
    let busy = Reply::error(503);
    let url = origin.sequence("/file", [tagged().cut_after(CUT), busy.clone(), busy, tagged()]);
    assert!(run(download(&url)).1 == pattern(SIZE));
    assert_eq!(ranges(&origin), ["-", "bytes=100000-", "bytes=100000-", "bytes=100000-"]);
}

#[test]
fn many_cuts_fetch_each_byte_once() {
    let origin = Origin::start();
    let url = origin.on("/file", whole().etag("\"one\"").cut_after(70_000));
    let (receipt, bytes) = run(download(&url));
    assert!(bytes == pattern(SIZE));
    assert_eq!(receipt.attempts(), 5);
    let expected = ["-", "bytes=70000-", "bytes=140000-", "bytes=210000-", "bytes=280000-"];
    assert_eq!(ranges(&origin), expected);
}

#[test]
fn a_range_of_the_callers_is_gone_on_with_inside_its_bounds() {
    let origin = Origin::start();
    let whole = whole().etag("\"one\"");
    let url = origin.sequence("/file", [whole.clone().cut_after(50_000), whole]);
    let (_, bytes) = run(download(&url).range(ByteRange::new(1_000, Some(200_999)).unwrap()));
    assert!(bytes == pattern(SIZE)[1_000..201_000]);
    assert_eq!(ranges(&origin), ["bytes=1000-200999", "bytes=51000-200999"]);
}

#[test]
fn digests_are_right_after_going_on_and_after_starting_again() {
    let facts = Facts::of(&pattern(SIZE)[..], Algorithm::ALL).unwrap();
    for (what, whole) in [("going on", whole().etag("\"one\"")), ("again", Reply::ok(pattern(SIZE)))] {
        let (origin, monitor) = (Origin::start(), DownloadMonitor::new(Algorithm::ALL));
        let first = whole.clone().cut_after(CUT);
        let url = origin.sequence("/file", [first.clone(), first, whole]);
        let validation = SizeValidation::new(SIZE as u64);
        let (receipt, bytes) = run(download(&url).monitor(&monitor).validation(validation));
        assert!(bytes == pattern(SIZE));
        assert_eq!((monitor.facts().unwrap(), receipt.facts()), (facts.clone(), &facts), "{what}");
    }
}

#[test]
fn a_mirror_goes_on_where_another_stopped_when_a_digest_is_expected() {
    let (origin, elsewhere) = (Origin::start(), Origin::start());
    let url = origin.on("/file", whole().etag("\"here\"").cut_after(CUT));
    let there = elsewhere.on("/copy", whole().etag("\"there\""));
    let download = HttpDownload::get(&url).unwrap().validation(digest(&pattern(SIZE)));
    let (receipt, bytes) = run(download.handler(mirror(&there)));
    assert!(bytes == pattern(SIZE));
    assert_eq!(receipt.source().as_str(), there);
    assert_eq!(ranges(&elsewhere), ["bytes=100000-"]);
    // The tag of the one source says nothing at the other.
    assert_eq!(sent(&elsewhere, "if-range"), [None]);
}

#[test]
fn a_mirror_goes_on_for_the_same_strong_etag_and_starts_again_for_another() {
    for (tag, whole_of) in [("\"one\"", pattern(SIZE)), ("\"two\"", other_content())] {
        let (origin, elsewhere) = (Origin::start(), Origin::start());
        let url = origin.on("/file", whole().etag("\"one\"").cut_after(CUT));
        let there = elsewhere.on("/copy", Reply::ok(whole_of.clone()).ranges().etag(tag));
        let (_, bytes) = run(HttpDownload::get(&url).unwrap().handler(mirror(&there)));
        assert!(bytes == whole_of, "{tag}");
        assert_eq!(ranges(&elsewhere), ["bytes=100000-"]);
        assert_eq!(sent(&elsewhere, "if-range"), [Some("\"one\"".to_owned())]);
    }
}

#[test]
fn a_mirror_that_sends_a_part_without_confirming_the_tag_is_asked_for_everything() {
    let part = |tag: &str| {
        let mut part = format!(
            "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Length: 200000\r\n\
             Content-Range: bytes 100000-299999/300000\r\n{tag}\r\n"
        )
        .into_bytes();
        part.extend_from_slice(&other_content()[100_000..]);
        Reply::raw(part)
    };
    for tag in ["", "ETag: \"two\"\r\n", "ETag: W/\"one\"\r\n"] {
        let (origin, elsewhere) = (Origin::start(), Origin::start());
        let url = origin.on("/file", whole().etag("\"one\"").cut_after(CUT));
        let there = elsewhere.sequence("/copy", [part(tag), Reply::ok(other_content())]);
        let (_, bytes) = run(HttpDownload::get(&url).unwrap().handler(mirror(&there)));
        assert!(bytes == other_content(), "{tag:?}");
        assert_eq!(ranges(&elsewhere), ["bytes=100000-", "-"]);
    }
}

#[test]
fn without_a_digest_and_a_strong_etag_a_mirror_starts_from_the_first_byte() {
    let (origin, elsewhere) = (Origin::start(), Origin::start());
    let url = origin.on("/file", whole().modified(OLD).cut_after(CUT));
    let there = elsewhere.on("/copy", Reply::ok(other_content()).ranges().modified(OLD));
    let (_, bytes) = run(HttpDownload::get(&url).unwrap().handler(mirror(&there)));
    assert!(bytes == other_content());
    assert_eq!(ranges(&elsewhere), ["-"]);
}

#[test]
fn a_mixture_of_two_contents_is_found_and_never_stored() {
    let (origin, buffer) = (Origin::start(), BufferWriter::new(1 << 20));
    let url = origin.on("/file", whole().cut_after(CUT));
    let wrong = origin.on("/wrong", Reply::ok(other_content()).ranges());
    let make = |mirrors: Vec<Url>| {
        let download = HttpDownload::get(&url).unwrap().validation(digest(&pattern(SIZE)));
        download.writer(buffer.clone()).handler(MirrorDelegate::new(mirrors))
    };
    let error = make(vec![wrong.parse().unwrap()]).run(&Context::new()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Validation(ValidationError::Digest { .. })));
    assert!(buffer.take().is_none());
    // The mirror may be good and only what it went on with bad: as the last one, it is asked for everything.
    assert_eq!(ranges(&origin), ["-", "bytes=100000-", "-"]);
    // What was mixed is thrown away: the next source is asked for everything.
    let good = origin.on("/good", whole());
    make(vec![wrong.parse().unwrap(), good.parse().unwrap()]).run(&Context::new()).unwrap();
    assert!(buffer.take().unwrap() == pattern(SIZE));
    assert_eq!(ranges(&origin)[3..], ["-", "bytes=100000-", "-"]);
}

#[test]
fn a_retry_after_too_many_bytes_counts_from_nothing() {
    // The ancestor of this design failed here: "expected 8, actual 204808".
    for first in [Reply::ok(pattern(204_800)), Reply::ok(pattern(SIZE)).cut_after(204_800).ranges()] {
        let origin = Origin::start();
        let url = origin.on("/file", first);
        let good = origin.on("/good", Reply::ok("12345678").ranges());
        let monitor = DownloadMonitor::new([Algorithm::Sha256]);
        let download = HttpDownload::get(&url)
            .unwrap()
            .monitor(&monitor)
            .validation(digest(b"12345678"))
            .validation(SizeValidation::new(8));
        let (receipt, bytes) = run(download.handler(mirror(&good)));
        assert_eq!((bytes.as_slice(), receipt.facts().size()), (&b"12345678"[..], 8));
        assert_eq!(monitor.facts(), Facts::of(&b"12345678"[..], [Algorithm::Sha256]).ok());
    }
}

#[test]
fn after_a_cut_in_a_longer_body_a_short_one_counts_from_nothing() {
    let origin = Origin::start();
    let cut = Reply::ok(pattern(SIZE)).cut_after(204_800);
    let url = origin.sequence("/file", [cut, Reply::ok("12345678")]);
    let download = download(&url).validation(digest(b"12345678"));
    let (receipt, bytes) = run(download);
    assert_eq!((bytes.as_slice(), receipt.facts().size()), (&b"12345678"[..], 8));
    assert_eq!(ranges(&origin), ["-", "bytes=204800-"]);
}

/// An output that always starts anew.
struct Anew(Arc<Mutex<Vec<u8>>>, Vec<u8>);

impl Write for Anew {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        self.1.extend_from_slice(block);
        Ok(block.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Anew {
    fn begin(&mut self, _: &Head, offset: u64) -> io::Result<()> {
        assert_eq!((offset, self.1.len()), (0, 0));
        Ok(())
    }

    fn commit(self: Box<Self>) -> io::Result<()> {
        *self.0.lock().unwrap() = self.1;
        Ok(())
    }
}

#[test]
fn an_output_that_cannot_go_on_gets_everything_again() {
    let (origin, stored) = (Origin::start(), Arc::new(Mutex::new(Vec::new())));
    let whole = whole().etag("\"one\"");
    let url = origin.sequence("/file", [whole.clone().cut_after(CUT), whole]);
    let target = Arc::clone(&stored);
    let writer =
        move || -> io::Result<Box<dyn Output>> { Ok(Box::new(Anew(Arc::clone(&target), Vec::new()))) };
    download(&url).writer(writer).run(&Context::new()).unwrap();
    assert!(*stored.lock().unwrap() == pattern(SIZE));
    assert_eq!(ranges(&origin), ["-", "-"]);
}

#[test]
fn a_range_that_is_dropped_for_the_tag_beside_it_is_asked_for_alone_and_compared() {
    for (changed, requests) in [(false, 3), (true, 4)] {
        let origin = Origin::start();
        let tagged = whole().etag("\"one\"");
        let (first, count) = (tagged.clone().cut_after(CUT), std::sync::atomic::AtomicUsize::new(0));
        // As some caches do it: a range with If-Range is a range that was not asked for.
        let url = origin.handle("/file", move |received| {
            match (count.fetch_add(1, std::sync::atomic::Ordering::SeqCst), received.header("if-range")) {
                (0, _) => first.clone(),
                (_, Some(_)) => Reply::ok(pattern(SIZE)).etag("\"one\""),
                // Between the two requests it may have changed.
                (2, None) if changed => Reply::ok(other_content()).ranges().etag("\"two\""),
                (3, None) => Reply::ok(other_content()).ranges().etag("\"two\""),
                (_, None) => tagged.clone(),
            }
        });
        let (receipt, bytes) = run(download(&url));
        assert_eq!(receipt.attempts(), 2);
        assert!(bytes == if changed { other_content() } else { pattern(SIZE) });
        let ranges = ranges(&origin);
        assert_eq!(ranges[..3], ["-", "bytes=100000-", "bytes=100000-"]);
        assert_eq!(ranges.len(), requests);
        assert_eq!(sent(&origin, "if-range")[1..3], [Some("\"one\"".to_owned()), None]);
    }
}

#[test]
fn a_part_without_a_tag_proves_nothing_when_it_was_not_asked_about_one() {
    let origin = Origin::start();
    let count = std::sync::atomic::AtomicUsize::new(0);
    let url = origin.handle("/file", move |received| {
        match (count.fetch_add(1, std::sync::atomic::Ordering::SeqCst), received.header("range")) {
            (0, _) => whole().etag("\"one\"").cut_after(CUT),
            (1, _) => Reply::ok(pattern(SIZE)).etag("\"one\""),
            // It may be of any content of that length.
            (2, _) => Reply::ok(other_content()).ranges(),
            _ => whole().etag("\"one\""),
        }
    });
    assert!(run(download(&url)).1 == pattern(SIZE));
    assert_eq!(ranges(&origin), ["-", "bytes=100000-", "bytes=100000-", "-"]);
}

#[test]
fn a_body_that_broke_off_at_its_very_end_is_whole_if_the_source_has_no_more() {
    let long = [pattern(SIZE), vec![1]].concat();
    // Chunks whose last one, which is empty, does not come: the length is known to nobody.
    let cut = || Reply::ok(pattern(SIZE)).ranges().etag("\"one\"").chunked().cut_after(SIZE as u64);
    for (later, asked) in [
        (Reply::ok(pattern(SIZE)).ranges().etag("\"one\""), 2),
        (Reply::ok(long.clone()).ranges().etag("\"two\""), 2),
        (Reply::ok(long.clone()[1..1000].to_vec()).ranges().etag("\"one\""), 3),
    ] {
        let origin = Origin::start();
        let url = origin.sequence("/file", [cut(), later]);
        let (_, bytes) = run(download(&url));
        let whole = [&pattern(SIZE)[..], &long, &long[1..1000]];
        assert!(whole.contains(&bytes.as_slice()));
        assert_eq!(ranges(&origin).len(), asked);
        assert_eq!(ranges(&origin)[1], "bytes=300000-");
    }
}

#[test]
fn what_a_source_without_validators_has_changed_meanwhile_is_fetched_again_when_the_digest_tells() {
    let origin = Origin::start();
    let changed = || Reply::ok(other_content()).ranges();
    let url = origin.sequence("/file", [whole().cut_after(CUT), changed()]);
    let (receipt, bytes) = run(download(&url).validation(digest(&other_content())));
    assert!(bytes == other_content());
    assert_eq!(receipt.attempts(), 2);
    assert_eq!(ranges(&origin), ["-", "bytes=100000-", "-"]);
}

#[test]
fn a_part_that_lost_its_tag_is_of_no_use() {
    let origin = Origin::start();
    let tagged = || whole().etag("\"one\"");
    // A server that knows nothing of If-Range any more, nor of tags.
    let careless = Reply::ok(other_content()).range_unguarded();
    let url = origin.sequence("/file", [tagged().cut_after(CUT), careless, tagged()]);
    assert!(run(download(&url)).1 == pattern(SIZE));
    assert_eq!(ranges(&origin), ["-", "bytes=100000-", "-"]);
}
