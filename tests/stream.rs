//! A download as a stream: one for all sources, shared, bounded, and described by its head.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ganymede::{
    Action, Algorithm, Batch, Body, BufferWriter, ByteRange, Context, Credentials, DigestValidation,
    Download, DownloadError, ErrorKind, Event, Factory, Facts, Failure, FileDownload, Head, HttpDownload,
    Importer, Method, MirrorDelegate, Reply, Request, SlotKey, Url, stream,
};
use ganymede_kit::{Folder, Gate, Origin, Reply as Scripted, closed_port, pattern, wait_until};

const SIZE: usize = 300_000;
const CUT: u64 = 100_000;

fn whole() -> Scripted {
    Scripted::ok(pattern(SIZE))
}

fn digest(content: &[u8]) -> DigestValidation {
    let facts = Facts::of(content, [Algorithm::Sha256]).unwrap();
    DigestValidation::new(facts.digest(Algorithm::Sha256).unwrap())
}

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap()
}

fn mirrors<const N: usize>(urls: [&str; N]) -> MirrorDelegate {
    MirrorDelegate::new(urls.map(|url| url.parse().unwrap()))
}

fn paths(origin: &Origin) -> Vec<String> {
    origin.journal().into_iter().map(|received| received.target).collect()
}

/// Streams what must be complete.
fn streamed<D: Download + 'static>(download: D) -> (Head, Vec<u8>) {
    let (head, body) = stream(download, &Context::new()).unwrap();
    (head, rest_of(body).unwrap())
}

fn rest_of(mut body: Body) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    body.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn refused<D: Download + 'static>(download: D) -> DownloadError {
    stream(download, &Context::new()).map(|(head, _)| panic!("there is a head: {head:?}")).unwrap_err()
}

/// A streamer: it knows importers and contexts, and nothing else.
fn serve(importer: &dyn Importer, path: &str, context: &Context) -> Result<(Head, Vec<u8>), Failure> {
    let download = importer.download(path)?;
    let (head, body) = stream(download, context).map_err(|error| error.failure().clone())?;
    Ok((head, rest_of(body)?))
}

#[test]
fn one_streamer_serves_http_files_mirrored_sources_and_schemes_of_others() {
    let (origin, folder, context) = (Origin::start(), Folder::new(), Context::new());
    origin.on("/file", whole());
    folder.write("file", pattern(SIZE));
    let base = origin.url("/");
    let http =
        |path: &str| -> Result<Box<dyn Download>, Failure> { Ok(Box::new(get(&format!("{base}{path}")))) };
    let files = |path: &str| -> Result<Box<dyn Download>, Failure> {
        Ok(Box::new(FileDownload::get(&format!("file://{}", folder.file(path).display()))?))
    };
    let mirrored = |path: &str| -> Result<Box<dyn Download>, Failure> {
        Ok(Box::new(get(&format!("{base}lost/{path}")).handler(mirrors([&format!("{base}{path}")]))))
    };
    let patterns = Factory::new().register("pattern", |request: &Request, _: &Context| {
        Ok(Reply::new(Head::new(request.url()), Cursor::new(pattern(SIZE))))
    });
    let custom = |path: &str| -> Result<Box<dyn Download>, Failure> {
        Ok(Box::new(patterns.download(&format!("pattern:{path}"))?))
    };
    let importers: [(&dyn Importer, Option<&str>); 4] =
        [(&http, Some("300000")), (&files, Some("300000")), (&mirrored, Some("300000")), (&custom, None)];
    for (importer, length) in importers {
        let (head, bytes) = serve(importer, "file", &context).unwrap();
        assert!(bytes == pattern(SIZE));
        assert_eq!(head.end_to_end().get("content-length").map(|value| value.to_str().unwrap()), length);
    }
    assert!(matches!(serve(&files, "missing", &context).unwrap_err().kind(), ErrorKind::NotFound));
}

#[test]
fn what_passes_is_read_to_its_last_byte_and_has_a_receipt() {
    let origin = Origin::start();
    for size in [0, 1, 5_000, SIZE] {
        let url = origin.on("/file", Scripted::ok(pattern(size)));
        let (head, mut body) = stream(get(&url).validation(digest(&pattern(size))), &Context::new()).unwrap();
        assert_eq!(head.length(), Some(size as u64));
        assert!(body.receipt().is_none());
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).unwrap();
        assert!(bytes == pattern(size));
        assert_eq!(body.receipt().unwrap().facts().size(), size as u64);
        assert_eq!(body.read(&mut [0; 10]).unwrap(), 0);
    }
}

#[test]
fn two_hundred_requests_share_one_connection_and_one_log_in() {
    #[derive(PartialEq, Eq, Hash)]
    struct Token;
    impl SlotKey for Token {
        type Value = String;
    }
    let (origin, context, log_ins) = (Origin::start(), Context::new(), Arc::new(AtomicUsize::new(0)));
    origin.handle("/", |received| Scripted::ok(received.path().to_owned()).require_bearer("s3cret"));
    let (base, counted) = (origin.url(""), Arc::clone(&log_ins));
    let importer = move |path: &str| -> Result<Box<dyn Download>, Failure> {
        let counted = Arc::clone(&counted);
        let authorize = move |event: &mut Event<'_>, context: &Context| {
            let Event::Prepared { request } = event else { return Action::Continue };
            let log_in = |_: &Context| {
                counted.fetch_add(1, Ordering::SeqCst);
                Ok("s3cret".to_owned())
            };
            match context.slot(Token, log_in) {
                Ok(token) => request.set_credentials(Some(Credentials::bearer(token.as_str()))),
                Err(failure) => return Action::Fail(failure),
            }
            Action::Continue
        };
        Ok(Box::new(get(&format!("{base}{path}")).handler(authorize)))
    };
    for n in 0..200 {
        let path = format!("/{n}");
        // Each client of a server has a token of its own.
        let (_, bytes) = serve(&importer, &path, &context.child()).unwrap();
        assert_eq!(bytes, path.into_bytes());
    }
    assert_eq!((origin.journal().len(), origin.connections()), (200, 1));
    assert_eq!(log_ins.load(Ordering::SeqCst), 1);
}

#[test]
fn the_first_byte_is_there_before_the_source_has_ended() {
    let (origin, gate) = (Origin::start(), Gate::new());
    let url = origin.on("/file", whole().gate_after(CUT, &gate));
    let (head, mut body) = stream(get(&url), &Context::new()).unwrap();
    assert_eq!(head.length(), Some(SIZE as u64));
    let mut first = [0; 1_000];
    body.read_exact(&mut first).unwrap();
    assert!(first[..] == pattern(1_000));
    // It stands at the closed gate, so the source cannot have ended: wait, as it may still be on its way there.
    gate.wait_arrived(1);
    gate.open();
    assert!(rest_of(body).unwrap() == pattern(SIZE)[1_000..]);
}

/// The most memory that the process ever had, in KiB.
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn two_gigabytes_pass_through_little_memory() {
    const PERIOD: usize = 1_048_573;
    let (origin, content, length) = (Origin::start(), pattern(PERIOD + (64 << 10)), 2_u64 << 30);
    let url = origin.on("/file", Scripted::generated(length));
    let before = peak_memory();
    let (_, mut body) = stream(get(&url), &Context::new()).unwrap();
    let (mut block, mut at) = (vec![0; 64 << 10], 0_u64);
    loop {
        let read = body.read(&mut block).unwrap();
        if read == 0 {
            break;
        }
        let start = usize::try_from(at % PERIOD as u64).unwrap();
        assert!(block[..read] == content[start..start + read], "other bytes at {at}");
        at += read as u64;
    }
    assert_eq!(at, length);
    let grown = peak_memory() - before;
    assert!(grown < 64 << 10, "{grown} KiB");
}

#[test]
fn a_reader_that_does_not_read_holds_the_source_back() {
    let origin = Origin::start();
    let url = origin.on("/file", Scripted::generated(1 << 30));
    let (_, body) = stream(get(&url), &Context::new()).unwrap();
    // Until nothing moves any more.
    let mut sent = 0;
    wait_until("the source to stand still", || {
        std::thread::sleep(Duration::from_millis(200));
        let before = std::mem::replace(&mut sent, origin.sent("/file"));
        before == sent
    });
    assert!(sent < 64 << 20, "{sent} bytes");
    drop(body);
    origin.wait_open(0);
}

#[test]
fn a_reader_that_leaves_closes_the_source() {
    let origin = Origin::start();
    let endless = origin.on("/endless", Scripted::generated(1 << 40));
    let stalled = origin.on("/stalled", whole().stall_after(CUT));
    for url in [&endless, &stalled] {
        let context = Context::new();
        let (_, mut body) = stream(get(url).read_timeout(Duration::from_secs(600)), &context).unwrap();
        body.read_exact(&mut [0; 10]).unwrap();
        drop(body);
        origin.wait_open(0);
        assert!(!context.is_cancelled());
    }
}

#[test]
fn a_stream_whose_context_is_cancelled_ends_in_an_error() {
    let (origin, context) = (Origin::start(), Context::new());
    let url = origin.on("/stalled", whole().stall_after(CUT));
    let (_, mut body) = stream(get(&url), &context).unwrap();
    body.read_exact(&mut [0; 10]).unwrap();
    context.cancel();
    rest_of(body).unwrap_err();
    let error = stream(get(&url), &context).map(|_| ()).unwrap_err();
    assert!(error.is_cancelled());
}

#[test]
fn a_head_alone_and_a_range_pass() {
    let origin = Origin::start();
    let url = origin.on("/file", whole().etag("\"one\"").ranges());
    let (head, bytes) = streamed(get(&url).method(Method::Head));
    assert_eq!((head.length(), head.etag(), bytes.len()), (Some(SIZE as u64), Some("\"one\""), 0));
    assert_eq!(origin.journal()[0].method, "HEAD");
    let (head, bytes) = streamed(get(&url).range(ByteRange::new(1_000, Some(1_999)).unwrap()));
    assert!(bytes == pattern(SIZE)[1_000..2_000]);
    assert_eq!(head.status().as_u16(), 206);
    assert_eq!(head.header("content-range"), Some("bytes 1000-1999/300000"));
    assert_eq!((origin.journal().len(), head.length()), (2, Some(1_000)));
}

#[test]
fn headers_go_on_but_those_of_the_connection_and_cookies() {
    let origin = Origin::start();
    let reply = Scripted::ok("hello")
        .etag("\"one\"")
        .header("Content-Type", "text/plain; charset=utf-8")
        .header("Cache-Control", "max-age=60")
        .header("Content-Encoding", "br")
        .header("X-Twice", "1")
        .header("X-Twice", "2")
        .header("Connection", "X-Hop, keep-alive")
        .header("X-Hop", "1")
        .header("Keep-Alive", "timeout=5")
        .header("Proxy-Authenticate", "Basic")
        .header("Upgrade", "h2c")
        .header("TE", "trailers")
        .header("Trailer", "X-Sum")
        .header("Set-Cookie", "a=b");
    let (head, bytes) = streamed(get(&origin.on("/file", reply)));
    assert_eq!(bytes, b"hello");
    let headers = head.end_to_end();
    let mut passed: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    passed.sort();
    assert_eq!(
        passed,
        [
            "cache-control: max-age=60",
            "content-encoding: br",
            "content-length: 5",
            "content-type: text/plain; charset=utf-8",
            "etag: \"one\"",
            "x-twice: 1",
            "x-twice: 2",
        ]
    );
    let (head, _) = streamed(get(&origin.on("/chunked", whole().chunked())));
    assert!(head.end_to_end().is_empty(), "{:?}", head.end_to_end());
}

#[test]
fn the_head_is_there_before_the_body_has_ended() {
    let (origin, gate) = (Origin::start(), Gate::new());
    let url = origin.on("/file", whole().etag("\"one\"").gate_after(CUT, &gate));
    let (head, body) = stream(get(&url), &Context::new()).unwrap();
    assert_eq!(head.end_to_end()["etag"], "\"one\"");
    gate.open();
    assert!(rest_of(body).unwrap() == pattern(SIZE));
}

#[test]
fn a_conditional_request_comes_back_as_304() {
    let origin = Origin::start();
    let url = origin.on("/file", Scripted::ok("hello").etag("\"one\""));
    let (head, bytes) = streamed(get(&url).header("If-None-Match", "\"one\""));
    assert_eq!((head.status().as_u16(), head.etag(), bytes.len()), (304, Some("\"one\""), 0));
    let (head, bytes) = streamed(get(&url).header("If-None-Match", "\"old\""));
    assert_eq!((head.status().as_u16(), bytes.as_slice()), (200, &b"hello"[..]));
}

#[test]
fn a_gateway_knows_which_status_to_answer() {
    let origin = Origin::start();
    let status = |download: HttpDownload| refused(download).gateway_status().as_u16();
    for (there, here) in [
        (404, 404),
        (410, 410),
        (403, 403),
        (416, 416),
        (401, 502),
        (429, 503),
        (500, 502),
        (503, 503),
        (504, 504),
    ] {
        assert_eq!(status(get(&origin.on("/file", Scripted::error(there)))), here, "{there}");
    }
    assert_eq!(status(get(&format!("http://127.0.0.1:{}/", closed_port()))), 502);
    let soon = Duration::from_millis(100);
    let stalled = origin.on("/stalled", whole().stall_header());
    assert_eq!(status(get(&stalled).read_timeout(soon)), 504);
    assert_eq!(status(get(&stalled).deadline(soon)), 504);
    assert_eq!(status(get(&origin.on("/few", whole().cut_after(10)))), 502);
}

#[test]
fn one_importer_and_one_mirror_delegate_serve_a_batch_and_a_streamer() {
    // One block each: of a longer one that is bad, a reader has got the beginning when that is known.
    const FEW: usize = 3_000;
    let origin = Origin::start();
    origin.on("/cut", Scripted::ok(pattern(FEW)).cut_after(1_000));
    origin.on("/bad", Scripted::ok(vec![7; FEW]));
    origin.on("/good", Scripted::ok(pattern(FEW)));
    let list = origin.on("/list", Scripted::ok("cut\nbad\ngood\n"));
    let (base, delegate) = (origin.url(""), MirrorDelegate::list(list.parse::<Url>().unwrap()));
    let importer = move |path: &str| -> Result<Box<dyn Download>, Failure> {
        let download = HttpDownload::get(&format!("{base}{path}"))?;
        Ok(Box::new(download.validation(digest(&pattern(FEW))).handler(delegate.clone())))
    };
    let (context, tried) = (Context::new(), ["/lost", "/cut", "/bad", "/good"]);
    let (head, bytes) = serve(&importer, "/lost", &context).unwrap();
    assert!(bytes == pattern(FEW) && head.length() == Some(FEW as u64));
    assert_eq!(paths(&origin), ["/lost", "/list", "/cut", "/bad", "/good"]);
    let buffer = BufferWriter::new(FEW);
    let mut download = importer.download("/lost").unwrap();
    download.set_writer(Arc::new(buffer.clone()));
    for plan in Batch::new([download]).context(&context) {
        assert_eq!(plan.result().unwrap().attempts(), 4);
    }
    assert!(buffer.take().unwrap() == pattern(FEW));
    // The list is known by now, to both.
    assert_eq!(paths(&origin)[5..], tried);
    serve(&importer, "/lost", &context).unwrap();
    assert_eq!(paths(&origin)[9..], tried);
}
