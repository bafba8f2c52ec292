//! What goes over the wire: requests byte for byte, bodies in every framing, ranges, heads and receipts.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::time::Duration;

use ganymede::{
    Algorithm, BufferWriter, ByteRange, Context, Download, DownloadMonitor, ErrorKind, FileWriter,
    HttpDownload, Method, RetryDelegate,
};
use ganymede_kit::{Folder, Origin, Reply, pattern};

use support::fetch;

const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap()
}

#[test]
fn a_file_arrives_byte_for_byte_in_every_framing() {
    let origin = Origin::start();
    let folder = Folder::new();
    let context = Context::new();
    let content = pattern(3_000_001);
    let framings = [
        ("length", Reply::ok(content.clone())),
        ("chunked", Reply::ok(content.clone()).chunked()),
        ("close", Reply::ok(content.clone()).no_length()),
        ("slow-header", Reply::ok(content.clone()).slow_header(Duration::from_micros(100))),
        ("small-chunks", Reply::ok(content.clone()).chunked().drip(100_003, Duration::from_millis(1))),
        ("empty", Reply::ok("")),
        ("empty-chunked", Reply::ok("").chunked()),
        ("empty-close", Reply::ok("").no_length()),
    ];
    for (name, reply) in framings {
        let expected = if name.starts_with("empty") { Vec::new() } else { content.clone() };
        let url = origin.on(&format!("/{name}"), reply);
        let receipt = get(&url).writer(FileWriter::new(folder.file(name))).run(&context).unwrap();
        assert!(folder.read(name) == expected, "{name}");
        assert_eq!(receipt.facts().size(), expected.len() as u64, "{name}");
    }
    assert_eq!(folder.entries().len(), 8);
}

#[test]
fn urls_reach_the_origin_byte_for_byte() {
    let targets = [
        "/bucket/a%2Fb%2fc?X-Amz-Signature=ab%2Fcd%2Bef%3D%3D&X-Amz-Credential=AK%2F20240101%2Fus",
        "/plus+and%2Bplus?a=1+2&b=1%2B2&c=%20&d=+",
        "/semi;colon;v=1.2/a,b(c)!$&*?list=a;b;c,d",
        "/~user/%7Euser?tilde=~&t=%7e",
        "/space%20here?q=%20%09",
        "/equals==/a=b==?sig=AbC+/dEf==&&x==",
        "/at@sign:colon/@v1:2?at=@&colon=:&slash=/a/b/&question=a?b?c",
        "/brackets[0]/pipe|?filter[a]=[1,2]&p=a|b",
        "/not-%zz-encoded/%?q=%zz&r=100%",
        "/euro%e2%82%ac/%E2%82%AC?e=%e2%82%ac&E=%E2%82%AC&bad=%ff%FE",
        "//double//slash///?a//b",
        "/dots.../.hidden/a..b?../x/./y",
        "/empty-query?",
        "/?only=query",
        "/caps/%3A%3a/%5B%5d?x=%5B%5d",
        "/back%5Cslash?b=\\",
        "/caret^?c=^&t=`&b={}",
        "/quote%22?q=%22&lt=%3C",
        "/very/long/a%2Fb/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?Policy=eyJ_-~",
    ];
    let origin = Origin::start();
    origin.handle("/", |_| Reply::ok("here"));
    let context = Context::new();
    for target in targets {
        let mut download = get(&origin.url(target)).writer(BufferWriter::new(10));
        download.run(&context).unwrap();
    }
    let seen: Vec<String> = origin.journal().into_iter().map(|request| request.target).collect();
    assert_eq!(seen, targets);
}

#[test]
fn an_apostrophe_in_a_query_and_dot_segments_are_changed_as_documented() {
    let origin = Origin::start();
    origin.handle("/", |_| Reply::ok("here"));
    for target in ["/it's?it's", "/a/./b/../c?x#fragment"] {
        fetch(get(&origin.url(target))).unwrap();
    }
    let seen: Vec<String> = origin.journal().into_iter().map(|request| request.target).collect();
    assert_eq!(seen, ["/it's?it%27s", "/a/c?x"]);
}

#[test]
fn content_codings_are_never_asked_for() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("content"));
    fetch(get(&url)).unwrap();
    let request = &origin.journal()[0];
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert_eq!(
        (request.method.as_str(), request.target.as_str(), request.version.as_str()),
        ("GET", "/file", "HTTP/1.1")
    );
    let host = origin.address().to_string();
    assert_eq!(request.header("host"), Some(host.as_str()));
    let agent = request.header("user-agent").unwrap();
    assert!(agent.starts_with("ganymede/"), "{agent}");
    assert!(request.header("authorization").is_none() && request.header("range").is_none());
}

#[test]
fn a_content_coding_that_comes_all_the_same_is_stored_as_it_came() {
    // "hello\n" by gzip(1), and bytes that are no gzip at all.
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\xe7\x02\x00\x20\x30\x3a\x36\x06\x00\x00\x00";
    let origin = Origin::start();
    for (coding, bytes) in
        [("gzip", &gzip[..]), ("gzip", b"no gzip"), ("br", b"x"), ("deflate", b"y"), ("zstd", b"z")]
    {
        let url = origin.on("/file", Reply::ok(bytes).header("Content-Encoding", coding));
        let (stored, receipt) = fetch(get(&url)).unwrap();
        assert_eq!(stored, bytes, "{coding}");
        assert_eq!(receipt.head().header("content-encoding"), Some(coding));
        assert_eq!(receipt.head().length(), Some(bytes.len() as u64));
    }
}

#[test]
fn head_asks_for_the_head_alone_and_leaves_nothing_at_the_target() {
    let origin = Origin::start();
    let folder = Folder::new();
    let url = origin.on("/file", Reply::ok(pattern(5_000)).etag("\"one\"").modified(MODIFIED));
    let context = Context::new();
    let without = get(&url).method(Method::Head).run(&context).unwrap();
    let writer = FileWriter::new(folder.file("target"));
    let with = get(&url).method(Method::Head).writer(writer).run(&context).unwrap();
    for receipt in [without, with] {
        let head = receipt.head();
        assert_eq!((head.status().as_u16(), head.length(), head.etag()), (200, Some(5_000), Some("\"one\"")));
        assert_eq!(head.header("last-modified"), Some(MODIFIED));
        assert_eq!(receipt.facts().size(), 0);
    }
    assert!(folder.entries().is_empty());
    assert!(origin.journal().iter().all(|request| request.method == "HEAD"));
    // A reply without a body leaves its connection usable.
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_conditional_request_that_finds_nothing_new_leaves_the_target_alone() {
    let origin = Origin::start();
    let folder = Folder::new();
    folder.write("target", "what was there");
    let url = origin.on("/file", Reply::ok("new").etag("\"one\""));
    let mut download =
        get(&url).header("If-None-Match", "\"one\"").writer(FileWriter::new(folder.file("target")));
    let receipt = download.run(&Context::new()).unwrap();
    assert_eq!(receipt.head().status().as_u16(), 304);
    assert_eq!(receipt.head().etag(), Some("\"one\""));
    assert_eq!(folder.entries(), ["target"]);
    assert_eq!(folder.read("target"), b"what was there");
}

#[test]
fn a_range_is_asked_for_and_is_the_content() {
    let origin = Origin::start();
    let content = pattern(100_000);
    let url = origin.on("/file", Reply::ok(content.clone()).ranges());
    let ranges =
        [(10, Some(19), 10..20), (99_990, None, 99_990..100_000), (50_000, Some(500_000), 50_000..100_000)];
    for (first, last, expected) in ranges {
        let range = ByteRange::new(first, last).unwrap();
        let (stored, receipt) = fetch(get(&url).range(range)).unwrap();
        assert!(stored == content[expected.clone()], "{range}");
        let head = receipt.head();
        assert_eq!((head.status().as_u16(), head.offset(), head.total()), (206, first, Some(100_000)));
        assert_eq!(head.length(), Some(expected.len() as u64));
    }
    let asked: Vec<_> = origin.journal().iter().map(|one| one.header("range").unwrap().to_owned()).collect();
    assert_eq!(asked, ["bytes=10-19", "bytes=99990-", "bytes=50000-500000"]);
}

#[test]
fn a_range_that_is_ignored_shifted_or_not_there_is_an_error() {
    let origin = Origin::start();
    let folder = Folder::new();
    let range = ByteRange::new(10, Some(19)).unwrap();
    let run = |url: &str, range| {
        get(url).range(range).writer(FileWriter::new(folder.file("part"))).run(&Context::new()).unwrap_err()
    };
    let ignored = run(&origin.on("/ignored", Reply::ok(pattern(100))), range);
    assert!(matches!(ignored.kind(), ErrorKind::Unsupported), "{ignored}");
    assert!(ignored.to_string().contains("everything instead of bytes=10-19"), "{ignored}");
    let shifted = run(&origin.on("/shifted", Reply::ok(pattern(100)).range_shift(3)), range);
    assert!(matches!(shifted.kind(), ErrorKind::Unsupported), "{shifted}");
    let beyond = run(&origin.on("/beyond", Reply::ok(pattern(100)).ranges()), ByteRange::from(100));
    assert_eq!(beyond.status().map(|status| status.as_u16()), Some(416), "{beyond}");
    assert!(folder.entries().is_empty());
}

#[test]
fn a_receipt_tells_source_head_attempts_and_facts() {
    let origin = Origin::start();
    let content = pattern(70_000);
    let whole = Reply::ok(content.clone()).etag("\"one\"").header("X-Note", "seen");
    origin.sequence("/final", [Reply::error(503), whole]);
    let url = origin.on("/start", Reply::redirect(302, "/final"));
    let with_user = url.replace("http://", "http://amy:secret@");
    let monitor = DownloadMonitor::new([Algorithm::Sha256]);
    let retry = RetryDelegate::new(2).base(Duration::ZERO);
    let (stored, receipt) = fetch(get(&with_user).monitor(&monitor).handler(retry)).unwrap();
    assert!(stored == content);
    assert_eq!(receipt.source().as_str(), url);
    assert_eq!(receipt.head().url().as_str(), origin.url("/final"));
    assert_eq!(receipt.attempts(), 2);
    let head = receipt.head();
    assert_eq!(
        (head.status().as_u16(), head.header("x-note"), head.etag()),
        (200, Some("seen"), Some("\"one\""))
    );
    assert_eq!((head.offset(), head.length(), head.total()), (0, Some(70_000), Some(70_000)));
    assert_eq!(receipt.facts().size(), 70_000);
    assert_eq!(monitor.facts().as_ref(), Some(receipt.facts()));
    assert!(receipt.facts().digest(Algorithm::Sha256).is_some());
    assert!(receipt.warnings().is_empty());
}

#[test]
fn a_receipt_tells_the_time_for_connecting_waiting_and_receiving() {
    let origin = Origin::start();
    let pause = Duration::from_millis(60);
    let slow = Reply::ok(pattern(2_000)).delay(pause).drip(1_000, pause);
    let url = origin.on("/file", slow);
    let context = Context::new();
    let timing = |url: &str| {
        let mut download = get(url).writer(BufferWriter::new(10_000));
        download.run(&context).unwrap().timing()
    };
    let (fresh, reused) = (timing(&url), timing(&url));
    assert_eq!(origin.connections(), 1);
    assert!(fresh.connecting > Duration::ZERO, "{fresh:?}");
    assert_eq!(reused.connecting, Duration::ZERO, "{reused:?}");
    for timing in [fresh, reused] {
        // What the server waits is what is waited for, less what the two clocks may differ.
        assert!(timing.waiting > pause / 2, "{timing:?}");
        assert!(timing.receiving > pause / 2, "{timing:?}");
    }
}

#[test]
fn a_url_of_another_scheme_is_refused_before_anything_is_sent() {
    for url in ["ftp://127.0.0.1/file", "file:///etc/hostname", "data:,hello"] {
        let error = fetch(get(url)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unsupported) && !error.is_transient(), "{error}");
    }
    assert!(matches!(HttpDownload::get("example.com/file").unwrap_err().kind(), ErrorKind::Unsupported));
}

#[test]
fn a_download_without_a_writer_sends_nothing() {
    let origin = Origin::start();
    let error = get(&origin.on("/file", Reply::ok("content"))).run(&Context::new()).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Unsupported) && error.to_string().contains("writer"),
        "{error}"
    );
    assert_eq!(origin.connections(), 0);
}
