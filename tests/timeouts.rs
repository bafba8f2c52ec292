//! Time-outs: for connecting, for silence, and for the whole.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::{Duration, Instant};

use ganymede::{
    Context, Download, DownloadError, ErrorKind, FileWriter, HttpDownload, Receipt, RetryDelegate,
};
use ganymede_kit::{Backlog, Folder, Origin, Reply, Silent, pattern};

const SHORT: Duration = Duration::from_millis(300);
/// What no time-out of these tests comes near, unless it is the wrong one.
const LONG: Duration = Duration::from_secs(60);

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap().connect_timeout(LONG).read_timeout(LONG)
}

fn run(download: HttpDownload, folder: &Folder) -> Result<Receipt, DownloadError> {
    download.writer(FileWriter::new(folder.file("target"))).run(&Context::new())
}

/// Asserts that a download times out, by the time-out that is short and not by one that is long, and leaves nothing.
#[track_caller]
fn times_out(download: HttpDownload) -> DownloadError {
    let (folder, start) = (Folder::new(), Instant::now());
    let error = run(download, &folder).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout), "{error:?}");
    assert!(start.elapsed() < LONG / 2, "{error:?}");
    assert_eq!(error.gateway_status().as_u16(), 504);
    assert!(folder.entries().is_empty(), "{:?}", folder.entries());
    error
}

#[test]
fn a_connection_that_is_not_accepted_times_out() {
    let backlog = Backlog::start();
    for scheme in ["http", "https"] {
        let error = times_out(get(&backlog.url(scheme, "/file")).connect_timeout(SHORT));
        assert!(error.is_transient() && error.to_string().contains("no connection"), "{error}");
    }
}

#[test]
fn a_handshake_that_stalls_times_out_as_a_part_of_connecting() {
    let silent = Silent::start();
    let error = times_out(get(&silent.url("https", "/file")).connect_timeout(SHORT));
    assert!(error.is_transient() && error.to_string().contains("no connection"), "{error}");
    assert_eq!(silent.connections(), 1);
    silent.wait_open(0);
}

#[test]
fn a_head_that_does_not_come_times_out() {
    let (silent, origin) = (Silent::start(), Origin::start());
    let mute = origin.on("/mute", Reply::ok("content").stall_header());
    for url in [silent.url("http", "/file"), mute] {
        let error = times_out(get(&url).read_timeout(SHORT));
        assert!(error.is_transient() && error.to_string().contains("no byte of the head"), "{error}");
    }
    origin.wait_open(0);
    silent.wait_open(0);
}

#[test]
fn a_body_that_stalls_times_out_with_what_there_was() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok(pattern(100_000)).stall_after(40_000));
    let error = times_out(get(&url).read_timeout(SHORT));
    assert!(error.is_transient(), "{error:?}");
    assert_eq!((error.received(), error.expected()), (40_000, Some(100_000)));
    assert!(error.to_string().contains("no byte of the body"), "{error}");
    origin.wait_open(0);
}

#[test]
fn a_drip_slower_than_the_time_out_fails() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok(pattern(1_000)).drip(100, Duration::from_secs(20)));
    let error = times_out(get(&url).read_timeout(SHORT));
    assert_eq!(error.received(), 100);
}

#[test]
fn a_slow_but_steady_body_succeeds_however_long_it_takes() {
    let origin = Origin::start();
    let folder = Folder::new();
    // Some 3 s in all, with pauses far shorter than the time-out that is shorter than the whole.
    let reply = Reply::ok(pattern(3_000)).drip(50, Duration::from_millis(50));
    let url = origin.on("/file", reply);
    let start = Instant::now();
    let timeout = Duration::from_millis(1_500);
    let receipt = run(get(&url).read_timeout(timeout), &folder).unwrap();
    assert!(start.elapsed() > timeout);
    assert!(folder.read("target") == pattern(3_000));
    assert!(receipt.timing().receiving > timeout, "{:?}", receipt.timing());
}

#[test]
fn the_deadline_ends_a_body_that_is_slow_and_steady() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::generated(1 << 30).drip(100, Duration::from_millis(10)));
    let retry = RetryDelegate::new(5).base(Duration::ZERO);
    let error = times_out(get(&url).deadline(SHORT).handler(retry));
    assert!(!error.is_transient() && error.to_string().contains("deadline"), "{error:?}");
    assert!(error.received() > 0 && error.attempts() == 1, "{error:?}");
    origin.wait_open(0);
}

#[test]
fn the_deadline_ends_connecting_a_head_that_stalls_and_a_body_that_stalls() {
    let (origin, silent, backlog) = (Origin::start(), Silent::start(), Backlog::start());
    let urls = [
        origin.on("/body", Reply::ok(pattern(1_000)).stall_after(10)),
        origin.on("/head", Reply::ok("content").stall_header()),
        silent.url("https", "/handshake"),
        backlog.url("http", "/connecting"),
    ];
    for url in urls {
        let error = times_out(get(&url).deadline(SHORT).handler(RetryDelegate::new(5)));
        assert!(!error.is_transient() && error.to_string().contains("deadline"), "{url}: {error:?}");
    }
}

#[test]
fn the_deadline_counts_all_attempts_and_the_time_between_them() {
    let origin = Origin::start();
    let busy = Reply::error(503).header("Retry-After", "50");
    let error = times_out(get(&origin.on("/busy", busy)).deadline(SHORT).handler(RetryDelegate::new(5)));
    assert!(error.to_string().contains("deadline"), "{error}");
    assert_eq!(origin.requests("/busy"), 1);
    let url = origin.on("/slow", Reply::error(500).delay(SHORT / 4));
    let retry = RetryDelegate::new(1_000).base(Duration::ZERO);
    let error = times_out(get(&url).deadline(SHORT).handler(retry));
    assert!(error.attempts() > 1 && origin.requests("/slow") < 10, "{error:?}");
}

#[test]
fn each_run_has_the_whole_deadline() {
    let origin = Origin::start();
    let url = origin.sequence("/file", [Reply::ok("content").stall_header(), Reply::ok("content")]);
    let folder = Folder::new();
    let mut download = get(&url).deadline(SHORT * 4).writer(FileWriter::new(folder.file("target")));
    let context = Context::new();
    let error = download.run(&context).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout), "{error:?}");
    download.run(&context).unwrap();
    assert_eq!(folder.read("target"), b"content");
}

#[test]
fn a_time_out_is_repaired_by_a_retry() {
    let origin = Origin::start();
    let content = pattern(50_000);
    let stalled = Reply::ok(content.clone()).stall_after(10_000);
    let url = origin.sequence("/file", [stalled.clone().stall_header(), stalled, Reply::ok(content.clone())]);
    let folder = Folder::new();
    let retry = RetryDelegate::new(2).base(Duration::ZERO);
    let receipt = run(get(&url).read_timeout(SHORT * 5).handler(retry), &folder).unwrap();
    assert_eq!(receipt.attempts(), 3);
    assert!(folder.read("target") == content);
}
