//! Trying the same source again: what for, after how long, and how often.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use ganymede::{
    Action, BufferWriter, Context, DigestValidation, Download, ErrorKind, Event, EventHandler, FileWriter,
    HttpDownload, Limits, MirrorDelegate, RetryDelegate,
};
use ganymede_kit::{Authority, Folder, Origin, Reply, closed_port, pattern};

const TRANSIENT: [u16; 7] = [408, 425, 429, 500, 502, 503, 504];

/// A delegate whose waits are noted and not waited for; those that the server asked for end the download.
struct Hurried(RetryDelegate, Arc<Mutex<Vec<Duration>>>);

impl EventHandler for Hurried {
    fn handle(&mut self, event: &mut Event<'_>, context: &Context) -> Action {
        match self.0.handle(event, context) {
            Action::Retry(wait) => {
                self.1.lock().unwrap().push(wait);
                let Event::Error { error, .. } = event else { unreachable!("no other is answered so") };
                match error.failure().wait() {
                    Some(_) => Action::Continue,
                    None => Action::Retry(Duration::ZERO),
                }
            }
            action => action,
        }
    }
}

fn at_once(retries: u32) -> RetryDelegate {
    RetryDelegate::new(retries).base(Duration::ZERO)
}

fn download(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap().writer(BufferWriter::new(1 << 20))
}

/// Runs a download to its failure, and returns the waits that its delegate asked for.
fn waits(url: &str, delegate: RetryDelegate) -> Vec<Duration> {
    waits_within(Limits::new(), url, delegate)
}

fn waits_within(limits: Limits, url: &str, delegate: RetryDelegate) -> Vec<Duration> {
    let (waits, context) = (Arc::default(), Context::with_limits(limits));
    download(url).handler(Hurried(delegate, Arc::clone(&waits))).run(&context).unwrap_err();
    Arc::into_inner(waits).map_or_else(Vec::new, |waits| waits.into_inner().unwrap())
}

#[test]
fn each_transient_status_is_retried() {
    let (origin, context) = (Origin::start(), Context::new());
    for status in TRANSIENT {
        let path = format!("/{status}");
        let url = origin.sequence(&path, [Reply::error(status), Reply::ok("hello")]);
        let buffer = BufferWriter::new(10);
        let mut download = HttpDownload::get(&url).unwrap().writer(buffer.clone()).handler(at_once(1));
        assert_eq!(download.run(&context).unwrap().attempts(), 2, "{status}");
        assert_eq!((origin.requests(&path), buffer.take().unwrap()), (2, b"hello".to_vec()), "{status}");
    }
}

#[test]
fn no_other_status_is_ever_retried() {
    let (origin, context) = (Origin::start(), Context::new());
    origin.handle("/", |received| Reply::error(received.path()[1..].parse().unwrap()));
    for status in (400..=499).chain([501, 505, 507, 511]).filter(|status| !TRANSIENT.contains(status)) {
        let path = format!("/{status}");
        let error = download(&origin.url(&path)).handler(at_once(3)).run(&context).unwrap_err();
        assert_eq!(error.status().unwrap().as_u16(), status);
        assert_eq!((error.attempts(), origin.requests(&path)), (1, 1), "{status}");
        assert!(!error.is_transient());
    }
}

#[test]
fn each_transient_fault_is_retried() {
    let origin = Origin::start();
    let whole = Reply::ok(pattern(50_000));
    let soon = Duration::from_secs(1);
    let faults = [
        ("cut", whole.clone().cut_after(20_000), ErrorKind::Incomplete),
        ("cut before the body", whole.clone().cut_after(0), ErrorKind::Incomplete),
        ("reset", whole.clone().reset_after(20_000), ErrorKind::Incomplete),
        ("short", whole.clone().length(60_000), ErrorKind::Incomplete),
        ("chunks without an end", whole.clone().chunked().cut_after(50_000), ErrorKind::Incomplete),
        ("no head", Reply::raw(""), ErrorKind::Incomplete),
        ("stalled", whole.clone().stall_after(20_000), ErrorKind::Timeout),
        ("stalled head", whole.clone().stall_header(), ErrorKind::Timeout),
    ];
    for (what, fault, kind) in faults {
        let path = format!("/{}", what.replace(' ', "-"));
        let (first, second) = (Arc::new(Mutex::new(None)), BufferWriter::new(1 << 20));
        let noted = Arc::clone(&first);
        let note = move |event: &mut Event<'_>, _: &Context| {
            if let Event::Error { error, .. } = event {
                *noted.lock().unwrap() = Some(error.kind().name());
            }
            Action::Continue
        };
        let url = origin.sequence(&path, [fault, whole.clone()]);
        let mut download = HttpDownload::get(&url)
            .unwrap()
            .read_timeout(soon)
            .writer(second.clone())
            .handler(note)
            .handler(at_once(1));
        let attempts = download.run(&Context::new()).map(|receipt| receipt.attempts());
        assert_eq!(attempts.unwrap_or_else(|error| panic!("{what}: {error}")), 2, "{what}");
        assert_eq!(*first.lock().unwrap(), Some(kind.name()), "{what}");
        assert!(second.take().unwrap() == pattern(50_000), "{what}");
    }
}

#[test]
fn a_refused_connection_and_a_cut_handshake_are_retried() {
    let refused = format!("http://127.0.0.1:{}/", closed_port());
    let error = download(&refused).handler(at_once(2)).run(&Context::new()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Connect));
    assert_eq!(error.attempts(), 3);

    let (folder, authority) = (Folder::new(), Authority::new("trusted"));
    let origin = Origin::tls(&authority.server(&["127.0.0.1"]));
    let (url, buffer) = (origin.on("/file", Reply::ok("hello")), BufferWriter::new(10));
    origin.cut_handshakes(1);
    let mut download = HttpDownload::get(&url)
        .unwrap()
        .ca_certificate(authority.write_to(folder.path(), "ca"))
        .writer(buffer.clone())
        .handler(at_once(1));
    assert_eq!(download.run(&Context::new()).unwrap().attempts(), 2);
    assert_eq!(buffer.take().unwrap(), b"hello");
}

#[test]
fn what_will_not_get_better_is_not_retried() {
    let (origin, folder, authority) = (Origin::start(), Folder::new(), Authority::new("unknown"));
    let secure = Origin::tls(&authority.server(&["127.0.0.1"]));
    let good = origin.on("/good", Reply::ok("hello"));
    let aside = origin.on("/aside", Reply::redirect(302, "file:///etc/hostname"));
    let digest = "md5:d41d8cd98f00b204e9800998ecf8427e".parse().unwrap();
    let downloads = [
        ("digest-mismatch", download(&good).validation(DigestValidation::new(digest))),
        ("too-large", HttpDownload::get(&good).unwrap().writer(BufferWriter::new(2))),
        ("write", HttpDownload::get(&good).unwrap().writer(FileWriter::new(folder.path()))),
        ("redirect", download(&aside)),
        ("tls", download(&secure.url("/"))),
        ("unsupported", download("ftp://127.0.0.1/")),
    ];
    for (kind, download) in downloads {
        let error = download.handler(at_once(3)).run(&Context::new()).unwrap_err();
        assert_eq!((error.kind().name(), error.attempts()), (kind, 1), "{error}");
    }
}

#[test]
fn the_waits_grow_exponentially_up_to_a_cap_with_full_jitter() {
    let origin = Origin::start();
    // A failure of the host would make each attempt wait for that, too.
    let url = origin.on("/broken", Reply::error(500));
    let (base, cap) = (Duration::from_millis(100), Duration::from_secs(1));
    let delegate = RetryDelegate::new(8).base(base).cap(cap);
    let runs: Vec<_> = (0..64).map(|_| waits(&url, delegate.clone())).collect();
    for (retry, bound) in [100, 200, 400, 800, 1000, 1000, 1000, 1000].into_iter().enumerate() {
        let bound = Duration::from_millis(bound);
        let mut waits: Vec<_> = runs.iter().map(|waits| waits[retry]).collect();
        waits.sort_unstable();
        assert!(waits[63] <= bound, "wait {retry}: {waits:?}");
        // Sixty-four uniform draws, none of them in a half: that never happens.
        assert!(waits[63] > bound / 2 && waits[0] < bound / 2, "wait {retry}: {waits:?}");
    }
    assert!(runs.iter().all(|waits| waits.len() == 8));
}

#[test]
fn a_retry_after_in_seconds_or_as_a_date_is_obeyed_up_to_a_limit() {
    let origin = Origin::start();
    let busy = |value: &str| origin.on("/busy", Reply::error(429).header("Retry-After", value));
    let delegate = || RetryDelegate::new(1).cap(Duration::ZERO);
    assert_eq!(waits(&busy("7"), delegate()), [Duration::from_secs(7)]);
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
    let asked = waits(&busy(&date), delegate());
    assert!(asked.len() == 1 && (80..=100).contains(&asked[0].as_secs()), "{asked:?}");
    assert_eq!(waits(&busy("Sun, 06 Nov 1994 08:49:37 GMT"), delegate()), [Duration::ZERO]);
    // Nobody can say what that means, so the wait is one of the delegate's own.
    assert_eq!(waits(&busy("soon"), delegate()), [Duration::ZERO]);
    assert!(waits(&busy("301"), delegate()).is_empty());
    let patient = Limits::new().max_retry_after(Duration::from_secs(301));
    assert_eq!(waits_within(patient, &busy("301"), delegate()), [Duration::from_secs(301)]);
}

#[test]
fn the_engine_sleeps_before_it_sends_again() {
    let origin = Origin::start();
    let busy = Reply::error(503).header("Retry-After", "1");
    let url = origin.sequence("/busy", [busy, Reply::ok("hello")]);
    let start = Instant::now();
    assert_eq!(download(&url).handler(RetryDelegate::new(1)).run(&Context::new()).unwrap().attempts(), 2);
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn sleeping_ends_when_the_context_is_cancelled() {
    let (origin, context) = (Origin::start(), Context::new());
    let url = origin.on("/busy", Reply::error(503).header("Retry-After", "300"));
    let running = context.clone();
    let (sleeping, slept) = std::sync::mpsc::channel();
    let tell = move |event: &mut Event<'_>, _: &Context| {
        if let Event::Error { .. } = event {
            sleeping.send(()).unwrap();
        }
        Action::Continue
    };
    let thread = thread::spawn(move || {
        download(&url).handler(tell).handler(RetryDelegate::new(9)).run(&running).unwrap_err()
    });
    slept.recv().unwrap();
    context.cancel();
    let error = thread.join().unwrap();
    assert!(error.is_cancelled());
    assert_eq!(error.history()[0].failure().status().unwrap(), 503);
    assert_eq!(origin.requests("/busy"), 1);
}

#[test]
fn nobody_sleeps_for_an_attempt_that_would_come_after_the_deadline() {
    let origin = Origin::start();
    let url = origin.on("/busy", Reply::error(503).header("Retry-After", "300"));
    let mut download = download(&url).deadline(Duration::from_secs(120)).handler(RetryDelegate::new(9));
    let start = Instant::now();
    let error = download.run(&Context::new()).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(60));
    assert_eq!((error.kind().name(), error.is_transient()), ("timeout", false));
    let text = error.failure().to_string();
    assert!(text.contains("due in 5m") && text.contains("the deadline"), "{text}");
    assert_eq!(error.history()[0].failure().status().unwrap(), 503);
    assert_eq!(origin.requests("/busy"), 1);
}

#[test]
fn the_attempt_cap_ends_what_handlers_would_go_on_with() {
    let origin = Origin::start();
    let url = origin.on("/broken", Reply::error(500));
    for (cap, expected) in [(2, 2), (0, 1)] {
        let before = origin.requests("/broken");
        let error = download(&url).attempts(cap).handler(at_once(50)).run(&Context::new()).unwrap_err();
        assert_eq!(error.attempts(), expected);
        assert_eq!(origin.requests("/broken") - before, expected as usize);
    }
    let endless = |event: &mut Event<'_>, _: &Context| match event {
        Event::Error { .. } => Action::Retry(Duration::ZERO),
        _ => Action::Continue,
    };
    assert_eq!(download(&url).handler(endless).run(&Context::new()).unwrap_err().attempts(), 100);
}

#[test]
fn retries_are_counted_for_each_source() {
    let origin = Origin::start();
    let url = origin.on("/a", Reply::error(500));
    let mirrors = ["/b", "/c"].map(|path| origin.on(path, Reply::error(500)).parse().unwrap());
    let mut download = download(&url).handler(at_once(2)).handler(MirrorDelegate::new(mirrors));
    let error = download.run(&Context::new()).unwrap_err();
    let asked: Vec<_> = origin.journal().into_iter().map(|received| received.target).collect();
    assert_eq!(asked, ["/a", "/a", "/a", "/b", "/b", "/b", "/c", "/c", "/c"]);
    assert_eq!(error.attempts(), 9);
}

#[test]
fn one_delegate_serves_many_downloads_and_runs() {
    let (origin, delegate, context) = (Origin::start(), at_once(2), Context::new());
    for path in ["/a", "/b"] {
        let mut download = download(&origin.on(path, Reply::error(500))).handler(delegate.clone());
        for run in 1..=3 {
            assert_eq!(download.run(&context).unwrap_err().attempts(), 3);
            assert_eq!(origin.requests(path), run * 3);
        }
    }
}

#[test]
fn without_a_handler_the_first_failure_is_final_and_an_error() {
    let origin = Origin::start();
    let url = origin.sequence("/file", [Reply::error(503), Reply::ok("hello")]);
    let error = download(&url).run(&Context::new()).unwrap_err();
    assert_eq!((error.status().unwrap().as_u16(), origin.requests("/file")), (503, 1));
    // Retries that are left do not turn a failure that is not transient into a success.
    let error = download(&origin.url("/missing")).handler(at_once(5)).run(&Context::new()).unwrap_err();
    assert!(error.is_not_found());
}
