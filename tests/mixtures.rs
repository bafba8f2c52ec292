//! Whatever servers, mirrors and handlers do between two attempts: never a mixed or shortened content, and never a
//! success without one.

#![allow(clippy::unwrap_used, reason = "a test tells its failure by a panic")]

use std::time::Duration;

use ganymede::{
    Action, Algorithm, BufferWriter, ByteRange, Check, Context, DigestValidation, Download, DownloadError,
    Event, Factory, Facts, HttpDownload, Method, MirrorDelegate, Protocol, RetryDelegate, Transfer, Url,
    Validation, ValidationError,
};
use ganymede_kit::{Folder, Origin, Reply, pattern};

fn retry() -> RetryDelegate {
    RetryDelegate::new(5).base(Duration::ZERO)
}

fn digest(content: &[u8]) -> DigestValidation {
    let facts = Facts::of(content, [Algorithm::Sha256]).unwrap();
    DigestValidation::new(facts.digest(Algorithm::Sha256).unwrap())
}

fn negative(content: &[u8]) -> Vec<u8> {
    content.iter().map(|byte| !byte).collect()
}

/// Runs a download, and returns what it stored.
fn run<P: Protocol>(download: Transfer<P>) -> Result<Vec<u8>, DownloadError> {
    let buffer = BufferWriter::new(1 << 20);
    download.writer(buffer.clone()).run(&Context::new()).map(|_| buffer.take().unwrap())
}

/// A part of a content as raw bytes, with a `Content-Range` of `range` and these further headers.
fn part(range: &str, headers: &str, body: &[u8]) -> Reply {
    let head = format!("HTTP/1.1 206 Partial Content\r\n{headers}Content-Range: bytes {range}\r\n\r\n");
    Reply::raw([head.as_bytes(), body].concat())
}

/// A content that begins without telling its length, and is cut after 1,000 bytes.
fn cut_without_a_length(content: &[u8]) -> Reply {
    Reply::ok(content).etag("\"a\"").ranges().chunked().drip(1000, Duration::from_millis(1)).cut_after(1000)
}

#[test]
fn a_range_is_not_everything_that_a_source_without_ranges_sends() {
    let origin = Origin::start();
    for whole in
        [Reply::ok(pattern(1000)).chunked(), Reply::ok(pattern(1000)).no_length(), Reply::ok(pattern(1000))]
    {
        let url = origin.on("/file", whole);
        let error =
            run(HttpDownload::get(&url).unwrap().range(ByteRange::new(0, Some(9)).unwrap())).unwrap_err();
        assert_eq!(error.kind().name(), "unsupported");
    }
}

#[test]
fn a_continuation_tells_the_length_that_the_beginning_did_not() {
    let content = pattern(2000);
    let whole = Reply::ok(content.clone()).etag("\"a\"").ranges();
    let early = part("1000-1999/2000", "Connection: close\r\nETag: \"a\"\r\n", &content[1000..1500]);
    let short = part("1000-1499/2000", "Content-Length: 500\r\nETag: \"a\"\r\n", &content[1000..1500]);
    for broken in [early, short] {
        let origin = Origin::start();
        let url = origin.sequence("/file", [cut_without_a_length(&content), broken, whole.clone()]);
        assert!(run(HttpDownload::get(&url).unwrap().handler(retry())).unwrap() == content);
        assert_eq!(origin.journal()[2].header("range"), Some("bytes=1500-"));
    }
}

#[test]
fn a_handler_that_asks_for_another_range_gets_that_range_alone() {
    let content = pattern(3000);
    let whole = Reply::ok(content.clone()).etag("\"a\"").ranges();
    for first in [whole.clone().cut_after(1000), cut_without_a_length(&content)] {
        let origin = Origin::start();
        let url = origin.sequence("/file", [first, whole.clone()]);
        let narrow = |event: &mut Event<'_>, _: &Context| match event {
            Event::Error { request, .. } => {
                request.set_range(ByteRange::new(500, None));
                Action::Retry(Duration::ZERO)
            }
            _ => Action::Continue,
        };
        assert!(run(HttpDownload::get(&url).unwrap().handler(narrow)).unwrap() == content[500..]);
    }
}

#[test]
fn a_redirect_that_leads_elsewhere_the_second_time_continues_nothing() {
    let (first, second, front) = (Origin::start(), Origin::start(), Origin::start());
    let content = pattern(2000);
    let other = negative(&content);
    let here = first.on("/file", Reply::ok(content).etag("\"a\"").ranges().cut_after(1000));
    // It heeds no If-Range, and has no tag that would tell.
    second.handle("/", move |request| match request.header("range") {
        Some(_) => part("1000-1999/2000", "Content-Length: 1000\r\n", &pattern(2000)[1000..]),
        None => Reply::ok(negative(&pattern(2000))),
    });
    let there = second.url("/file");
    let url = front.sequence("/file", [Reply::redirect(302, here), Reply::redirect(302, there)]);
    assert!(run(HttpDownload::get(&url).unwrap().handler(retry())).unwrap() == other);
}

#[test]
fn that_nothing_has_changed_is_no_content_unless_it_was_asked() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("").status(304));
    let error = run(HttpDownload::get(&url).unwrap()).unwrap_err();
    assert_eq!((error.kind().name(), error.status().unwrap().as_u16()), ("status", 304));
    let own = ganymede::reqwest::blocking::Client::new();
    let error = run(Transfer::new(ganymede::Request::get(&url).unwrap(), own)).unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 304);
}

#[test]
fn a_good_mirror_is_asked_again_when_what_it_went_on_with_was_bad() {
    let (bad, good) = (Origin::start(), Origin::start());
    let content = pattern(3000);
    let url = bad.on("/file", Reply::ok(negative(&content)).cut_after(1000));
    let mirror = good.on("/file", Reply::ok(content.clone()).ranges());
    let download = HttpDownload::get(&url).unwrap().validation(digest(&content));
    let delegate = MirrorDelegate::new([mirror.parse().unwrap()]);
    assert!(run(download.handler(delegate)).unwrap() == content);
    let asked: Vec<_> =
        good.journal().iter().map(|request| request.header("range").map(str::to_owned)).collect();
    assert_eq!(asked, [Some("bytes=1000-".to_owned()), None]);
}

#[test]
fn a_handler_that_makes_a_head_a_get_needs_a_writer() {
    for at_sending in [false, true] {
        let origin = Origin::start();
        let url = origin.on("/file", Reply::ok("hello"));
        let fetch = move |event: &mut Event<'_>, _: &Context| {
            match event {
                Event::Prepared { request } if !at_sending => request.set_method(Method::Get),
                Event::Sending { request, .. } if at_sending => request.set_method(Method::Get),
                _ => {}
            }
            Action::Continue
        };
        let mut download = HttpDownload::get(&url).unwrap().method(Method::Head).handler(fetch);
        assert!(download.run(&Context::new()).unwrap_err().to_string().contains("no writer"));
        assert!(origin.journal().is_empty());
    }
}

/// Would prove what the content is, if anybody enforced it.
struct Lax;

impl Validation for Lax {
    fn identifies(&self) -> bool {
        true
    }

    fn enforced(&self) -> bool {
        false
    }

    fn begin(&self) -> Box<dyn Check> {
        Box::new(Self)
    }
}

impl Check for Lax {
    fn finish(self: Box<Self>, _: &Facts) -> Result<(), ValidationError> {
        Err(ValidationError::custom("it is not"))
    }
}

#[test]
fn what_only_warns_proves_nothing() {
    let (one, other) = (Origin::start(), Origin::start());
    let content = pattern(2000);
    let url = one.on("/file", Reply::ok(content.clone()).cut_after(1000));
    let mirror = other.on("/file", Reply::ok(negative(&content)).ranges());
    let download = HttpDownload::get(&url).unwrap().validation(Lax);
    assert!(!download.identifies());
    let delegate = MirrorDelegate::new([mirror.parse().unwrap()]);
    assert!(run(download.handler(delegate)).unwrap() == negative(&content));
}

#[test]
fn a_handler_that_signs_urls_does_not_hide_which_mirrors_were_tried() {
    let origin = Origin::start();
    let [first, second] = ["/1", "/2"].map(|path| origin.on(path, Reply::error(404)));
    let third = origin.on("/3", Reply::ok("hello"));
    let sign = |event: &mut Event<'_>, _: &Context| {
        if let Event::Sending { request, .. } = event {
            let mut url = request.url().clone();
            url.set_query(Some("signature=1"));
            request.set_url(url);
        }
        Action::Continue
    };
    let delegate = MirrorDelegate::new([second.parse().unwrap(), third.parse().unwrap()]);
    let content = run(HttpDownload::get(&first).unwrap().handler(sign).handler(delegate)).unwrap();
    assert_eq!(content, b"hello");
    let targets: Vec<_> = origin.journal().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/1?signature=1", "/2?signature=1", "/3?signature=1"]);
}

#[test]
fn a_file_that_is_shorter_than_what_is_there_is_taken_from_its_beginning() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let content = pattern(500);
    let mirror = Url::from_file_path(folder.write("file", &content)).unwrap();
    // Another content, longer, and of no known length.
    let url = origin.on("/file", cut_without_a_length(&pattern(4000)));
    let download = Factory::new().download(&url).unwrap().validation(digest(&content));
    assert!(run(download.handler(MirrorDelegate::new([mirror]))).unwrap() == content);
}

#[test]
fn an_impatient_handler_loses_nothing_of_what_was_fetched() {
    let origin = Origin::start();
    let content = pattern(500_000);
    let url = origin.on("/file", Reply::ok(content.clone()).etag("\"a\"").ranges());
    let mut left = 3;
    let impatient = move |event: &mut Event<'_>, _: &Context| match event {
        Event::Fetched { .. } if left > 0 => {
            left -= 1;
            Action::Retry(Duration::ZERO)
        }
        _ => Action::Continue,
    };
    assert!(run(HttpDownload::get(&url).unwrap().handler(impatient)).unwrap() == content);
    let journal = origin.journal();
    assert_eq!(journal.len(), 4);
    assert!(
        journal[1..].iter().all(|request| request.header("range").is_some_and(|range| range != "bytes=0-"))
    );
}
