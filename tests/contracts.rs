//! What the types promise, apart from what they do.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

use std::error::Error;
use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ganymede::{
    Attached, Batch, Body, BufferWriter, Check, Context, Counters, Credentials, Digest, DigestValidation,
    Download, DownloadError, DownloadMonitor, ErrorKind, EventHandler, Factory, Failure, FileDownload,
    FileProtocol, FileWriter, Head, Hook, Http, HttpDownload, Importer, Limits, Method, MirrorDelegate,
    Output, ParseDigestError, Permit, Plan, Protocol, Receipt, Reply, Request, RetryDelegate, SizeValidation,
    SlotKey, TeeWriter, Transfer, TryBatch, Validation, ValidationError, WarnOnly, Writer,
};
use ganymede_kit::{Authority, Folder, Origin, Reply as Scripted, closed_port, pattern};

fn shared<T: Send + Sync>() {}
fn sent<T: Send>() {}
fn shown<T: Debug>() {}

#[test]
fn specifications_are_shared_between_threads_and_states_are_sent() {
    shared::<Box<dyn Protocol>>();
    shared::<Box<dyn Writer>>();
    shared::<Box<dyn Validation>>();
    shared::<Box<dyn Importer>>();
    shared::<(Context, Hook, Permit, Limits, Counters, DownloadMonitor)>();
    shared::<(Http, FileProtocol, Factory, Request, Head, Receipt, Digest)>();
    shared::<(FileWriter, BufferWriter, TeeWriter<FileWriter, BufferWriter>)>();
    shared::<(DigestValidation, SizeValidation, WarnOnly<SizeValidation>)>();
    shared::<(MirrorDelegate, RetryDelegate)>();
    shared::<(Failure, ErrorKind, DownloadError, ValidationError, ParseDigestError)>();
    sent::<(Box<dyn Download>, Box<dyn EventHandler>, Box<dyn Output>, Box<dyn Check>)>();
    sent::<(HttpDownload, FileDownload, Transfer<Factory>, Attached<HttpDownload, String>)>();
    sent::<(Reply, Body, Plan<HttpDownload>)>();
}

#[test]
fn everything_public_can_be_shown() {
    shown::<(Context, Hook, Permit, Limits, Counters, DownloadMonitor, Http, FileProtocol, Factory)>();
    shown::<(Request, Head, Reply, Receipt, HttpDownload, Attached<HttpDownload, u8>, Plan<HttpDownload>)>();
    shown::<(FileWriter, BufferWriter, TeeWriter<FileWriter, BufferWriter>, DigestValidation, Body)>();
    shown::<(SizeValidation, WarnOnly<SizeValidation>, MirrorDelegate, RetryDelegate, Credentials)>();
    shown::<(Batch<'_, HttpDownload>, TryBatch<'_, HttpDownload, io::Error>)>();
}

#[test]
fn the_traits_are_object_safe_and_their_objects_work() {
    let folder = Folder::new();
    let url = format!("file://{}", folder.write("file", "hello").display());
    let protocol: Arc<dyn Protocol> = Arc::new(FileProtocol::new());
    let buffer = BufferWriter::new(10);
    let writer: Box<dyn Writer> = Box::new(buffer.clone());
    let validation: Arc<dyn Validation> = Arc::new(SizeValidation::new(5));
    let transfer = Transfer::new(Request::get(&url).unwrap(), protocol).writer(writer).validation(validation);
    let mut download: Box<dyn Download> = Box::new(transfer);
    download.run(&Context::new()).unwrap();
    assert_eq!(buffer.take().unwrap(), b"hello");
    let boxed: Box<dyn Protocol> = Box::new(FileProtocol::new());
    let mut boxed: Box<dyn Download> = Box::new(Transfer::new(Request::get(&url).unwrap(), boxed));
    boxed.set_writer(Arc::new(buffer.clone()));
    assert!(Batch::new([boxed]).all(|plan| plan.result().is_ok()));
    assert_eq!(buffer.take().unwrap(), b"hello");
}

#[test]
fn errors_are_as_small_as_a_pointer() {
    assert_eq!(size_of::<DownloadError>(), size_of::<usize>());
    assert_eq!(size_of::<Failure>(), size_of::<usize>());
}

/// Errors of many kinds, from real downloads.
fn errors() -> Vec<DownloadError> {
    let (origin, folder, authority) = (Origin::start(), Folder::new(), Authority::new("unknown"));
    let secure = Origin::tls(&authority.server(&["127.0.0.1"]));
    let good = origin.on("/good", Scripted::ok("hello"));
    let cut = origin.on("/cut", Scripted::ok(pattern(1_000)).cut_after(10));
    let stall = origin.on("/stall", Scripted::ok(pattern(1_000)).stall_after(10));
    let aside = origin.on("/aside", Scripted::redirect(302, "http://[/"));
    let garbage = origin.on("/garbage", Scripted::raw("this is no HTTP\r\n\r\n"));
    let text = origin.on("/list", Scripted::ok([0xff, b'\n']));
    let get = |url: &str| HttpDownload::get(url).unwrap().writer(BufferWriter::new(10_000));
    let list = |url: &str| get(&origin.url("/missing")).handler(MirrorDelegate::list(url.parse().unwrap()));
    let ca = folder.write("ca.pem", "no certificate");
    let downloads = vec![
        get(&origin.url("/missing")),
        get(&cut),
        get(&stall).read_timeout(Duration::from_millis(100)),
        get(&stall).deadline(Duration::from_millis(100)),
        get(&aside),
        get(&garbage),
        get(&secure.url("/")),
        get(&format!("http://127.0.0.1:{}/", closed_port())),
        get(&good).writer(FileWriter::new(folder.path())),
        get(&good).writer(BufferWriter::new(1)),
        get(&good).validation(SizeValidation::new(1)),
        get(&good).validation(SizeValidation::new(9)),
        get(&good).validation(DigestValidation::new("md5-AAAAAAAAAAAAAAAAAAAAAA==".parse().unwrap())),
        get(&good).ca_certificate(ca),
        get(&good).header("bad name", "x"),
        get(&good).proxy("nonsense"),
        get("ftp://127.0.0.1/"),
        HttpDownload::get(&good).unwrap(),
        list(&text),
        list(&origin.url("/missing")),
    ];
    downloads.into_iter().map(|mut download| download.run(&Context::new()).unwrap_err()).collect()
}

#[test]
fn no_text_of_an_error_repeats_that_of_its_source() {
    for error in errors() {
        let mut chain = vec![error.to_string()];
        let mut next = error.source();
        while let Some(source) = next {
            chain.push(source.to_string());
            next = source.source();
        }
        assert!(chain.iter().all(|text| !text.is_empty()), "{chain:?}");
        for (at, inner) in chain.iter().enumerate().skip(1) {
            assert!(!chain[..at].iter().any(|outer| outer.contains(inner)), "{chain:#?}");
            // Nor does it say the same in other words: what the reason is, it leaves to its source.
            let last = inner.rsplit(": ").next().unwrap();
            assert!(!chain[..at].iter().any(|outer| outer.contains(last)), "{chain:#?}");
        }
    }
}

#[test]
fn every_error_has_a_name_and_a_status_for_a_gateway() {
    let names: Vec<_> = errors().iter().map(|error| error.kind().name()).collect();
    for name in [
        "not-found",
        "incomplete",
        "timeout",
        "redirect",
        "tls",
        "connect",
        "write",
        "too-large",
        "size-mismatch",
        "digest-mismatch",
        "unsupported",
        "mirror-list",
        "other",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    for error in errors() {
        let status = error.gateway_status().as_u16();
        assert!((400..600).contains(&status), "{status} for {error}");
    }
}

#[test]
fn no_secret_is_in_any_text() {
    let origin = Origin::start();
    let url = origin.url("/missing").replace("127", "amy:s3cret@127");
    let mut download = HttpDownload::get(&url)
        .unwrap()
        .bearer_token("s3cret")
        .header("X-Token", "s3cret")
        .proxy("http://amy:s3cret@127.0.0.1:1")
        .credentials(Credentials::password("amy", "s3cret"))
        .writer(BufferWriter::new(10))
        .handler(MirrorDelegate::new([url.parse().unwrap()]));
    download.request_mut().set_header("x-own", "s3cret").unwrap();
    let list = MirrorDelegate::list(url.parse().unwrap());
    let texts = [
        format!("{download:?} {:?} {:?} {list:?}", download.request(), download.protocol()),
        format!("{:?}", MirrorDelegate::new([url.parse().unwrap()])),
    ];
    let error = download.run(&Context::new()).unwrap_err();
    for text in texts.into_iter().chain([format!("{error} {error:?}")]) {
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[test]
fn a_failure_comes_back_from_an_input_error_as_it_was() {
    let failures = [
        Failure::from_status(ganymede::reqwest::StatusCode::TOO_MANY_REQUESTS)
            .retry_after(Some(Duration::from_secs(7))),
        Failure::new(ErrorKind::Tls, "cut").transient(true).caused_by(io::Error::other("the cause")),
        Failure::cancelled(),
        ValidationError::custom("no").into(),
    ];
    for failure in failures {
        let back = Failure::from(io::Error::from(failure.clone()));
        let all = |failure: &Failure| {
            let source = failure.source().map(ToString::to_string);
            let kind = failure.kind().name();
            (failure.to_string(), kind, failure.status(), failure.wait(), failure.is_transient(), source)
        };
        assert_eq!(all(&back), all(&failure));
    }
}

#[test]
fn a_buffer_is_never_larger_than_its_cap() {
    let origin = Origin::start();
    let announced = origin.on("/announced", Scripted::generated(1 << 30));
    let endless = origin.on("/endless", Scripted::generated(1 << 30).chunked());
    let just = origin.on("/just", Scripted::ok(pattern(1_000)).chunked());
    for (url, fits) in [(&announced, false), (&endless, false), (&just, true)] {
        let buffer = BufferWriter::new(1_000);
        match HttpDownload::get(url).unwrap().writer(buffer.clone()).run(&Context::new()) {
            Ok(_) => assert!(fits && buffer.take().unwrap() == pattern(1_000)),
            Err(error) => {
                assert!(!fits && buffer.take().is_none());
                assert!(matches!(error.kind(), ErrorKind::TooLarge), "{error}");
            }
        }
    }
    assert!(origin.sent("/endless") < 64 << 20);
}

#[test]
fn a_tee_writes_to_both_or_to_none() {
    let (origin, folder, buffer) = (Origin::start(), Folder::new(), BufferWriter::new(1 << 20));
    let whole = Scripted::ok(pattern(200_000)).etag("\"1\"").ranges();
    let url = origin.sequence("/file", [whole.clone().cut_after(90_000), whole]);
    let tee = || TeeWriter::new(FileWriter::new(folder.file("file")), buffer.clone());
    let retry = RetryDelegate::new(1).base(Duration::ZERO);
    HttpDownload::get(&url).unwrap().writer(tee()).handler(retry).run(&Context::new()).unwrap();
    assert!(folder.read("file") == pattern(200_000) && buffer.take().unwrap() == pattern(200_000));
    // Both stood at the same byte, so both have gone on.
    assert_eq!(origin.journal()[1].header("range"), Some("bytes=90000-"));

    let bad = origin.on("/bad", Scripted::ok("hello"));
    let mut download = HttpDownload::get(&bad).unwrap().writer(tee()).validation(SizeValidation::new(9));
    download.run(&Context::new()).unwrap_err();
    assert!(buffer.take().is_none() && folder.read("file") == pattern(200_000));

    let small = TeeWriter::new(FileWriter::new(folder.file("other")), BufferWriter::new(1));
    let error = HttpDownload::get(&bad).unwrap().writer(small).run(&Context::new()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TooLarge));
    assert_eq!(folder.entries(), ["file"]);
}

/// Notes in the context how often it was opened there.
struct Noting(BufferWriter);

#[derive(PartialEq, Eq, Hash)]
struct Opened;

impl SlotKey for Opened {
    type Value = AtomicUsize;
}

impl Writer for Noting {
    fn open(&self) -> io::Result<Box<dyn Output>> {
        Err(io::Error::other("without a context"))
    }

    fn open_in(&self, context: &Context) -> io::Result<Box<dyn Output>> {
        context.slot(Opened, |_| Ok(AtomicUsize::new(0)))?.fetch_add(1, Ordering::Relaxed);
        self.0.open()
    }
}

#[test]
fn a_writer_is_opened_in_the_context_of_its_run_also_within_others() {
    let (origin, context) = (Origin::start(), Context::new());
    let url = origin.on("/file", Scripted::ok("hello"));
    let noting = || Noting(BufferWriter::new(10));
    let boxed: Box<dyn Writer> = Box::new(noting());
    let tee = TeeWriter::new(Arc::new(noting()), TeeWriter::new(boxed, noting()));
    HttpDownload::get(&url).unwrap().writer(tee).run(&context.child()).unwrap();
    let opened = context.slot(Opened, |_| Ok(AtomicUsize::new(0))).unwrap();
    assert_eq!(opened.load(Ordering::Relaxed), 3);
}

#[test]
fn running_without_a_writer_is_a_clear_error_and_asks_nobody() {
    let origin = Origin::start();
    let mut download = HttpDownload::get(&origin.on("/file", Scripted::ok("hello"))).unwrap();
    let error = download.run(&Context::new()).unwrap_err();
    assert_eq!(error.failure().to_string(), "the download has no writer: set one before it is run");
    assert_eq!(origin.connections(), 0);
    download.set_writer(Arc::new(BufferWriter::new(10)));
    download.run(&Context::new()).unwrap();
}

#[test]
fn a_head_alone_is_received_and_nothing_committed() {
    let (origin, folder) = (Origin::start(), Folder::new());
    folder.write("file", "the old one");
    let url = origin.on("/file", Scripted::ok("hello").etag("\"1\"").header("X-Own", "7"));
    let mut download = HttpDownload::get(&url)
        .unwrap()
        .method(Method::Head)
        .writer(FileWriter::new(folder.file("file")))
        .validation(SizeValidation::new(5));
    let receipt = download.run(&Context::new()).unwrap();
    let head = receipt.head();
    assert_eq!((head.length(), head.etag(), head.header("x-own")), (Some(5), Some("\"1\""), Some("7")));
    assert_eq!((origin.journal()[0].method.as_str(), receipt.facts().size()), ("HEAD", 0));
    assert_eq!((folder.entries(), folder.read("file")), (vec!["file".to_owned()], b"the old one".to_vec()));
    // A head needs no writer.
    HttpDownload::get(&url).unwrap().method(Method::Head).run(&Context::new()).unwrap();
}

#[test]
fn a_download_error_travels_as_an_io_error_and_becomes_a_failure_without_loss() {
    let origin = ganymede_kit::Origin::start();
    let url = origin.on("/busy", ganymede_kit::Reply::error(503));
    let mut download = HttpDownload::get(&url).unwrap().writer(BufferWriter::new(10));
    let error = download.run(&Context::new()).unwrap_err();
    let failure = Failure::from(std::io::Error::from(error.clone()));
    assert_eq!(failure.status(), error.status());
    assert!(failure.is_transient() && failure.to_string().contains("/busy: the server answered 503"));
}

#[test]
fn a_download_of_ones_own_can_fail_by_itself() {
    let failure = Failure::new(ErrorKind::Other, "nobody wants it");
    let error = DownloadError::new(&"own://amy:secret@host/a".parse().unwrap(), failure);
    assert_eq!(error.to_string(), "own://host/a: nobody wants it");
    assert!(error.history().is_empty());
}
