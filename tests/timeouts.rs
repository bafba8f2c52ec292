//! Time-outs: for connecting, for silence, for slowness, and for the whole.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use ganymede::{
    Action, Batch, BufferWriter, Context, Download, DownloadError, ErrorKind, Event, Failure, FileWriter,
    Head, HttpDownload, Limits, MirrorDelegate, Output, Receipt, Request, RetryDelegate, Transfer, Writer,
};
use ganymede_kit::{Backlog, Folder, Gate, Origin, Reply, Silent, pattern, threads_named, wait_until};

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

#[test]
fn a_pause_may_be_longer_while_siblings_keep_the_link_busy() {
    let origin = Origin::start();
    let timeout = Duration::from_secs(1);
    let gates: Vec<Vec<_>> = (0..4).map(|_| (0..3).map(|_| Gate::new()).collect()).collect();
    for (n, gates) in gates.iter().enumerate() {
        let reply = Reply::ok("abcd").gate_after(1, &gates[0]).gate_after(2, &gates[1]);
        origin.on(&format!("/{n}"), reply.gate_after(3, &gates[2]));
    }
    let context = Context::new();
    thread::scope(|scope| {
        let downloads = (0..4).map(|n| {
            let mut download = get(&origin.url(&format!("/{n}"))).read_timeout(timeout);
            download = download.writer(BufferWriter::new(4));
            let context = &context;
            scope.spawn(move || download.run(context))
        });
        let downloads: Vec<_> = downloads.collect();
        // One after the other gets a byte, each after longer than the time-out.
        for turn in 0..12 {
            gates[turn % 4][turn / 4].wait_arrived(1);
            thread::sleep(timeout * 2 / 5);
            gates[turn % 4][turn / 4].open();
        }
        for download in downloads {
            assert_eq!(download.join().unwrap().unwrap().facts().size(), 4);
        }
    });
}

#[test]
fn a_pause_of_one_alone_or_of_all_is_none_longer_than_the_time_out() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok(pattern(100)).stall_after(10));
    let context = Context::new();
    let start = Instant::now();
    thread::scope(|scope| {
        let downloads = (0..4).map(|_| {
            let mut download = get(&url).read_timeout(SHORT).writer(BufferWriter::new(100));
            let context = &context;
            scope.spawn(move || download.run(context))
        });
        for download in downloads.collect::<Vec<_>>() {
            let error = download.join().unwrap().unwrap_err();
            assert!(error.to_string().contains("no byte of the body"), "{error}");
        }
    });
    assert!(start.elapsed() < LONG / 2);
}

#[test]
fn a_stall_ends_however_busy_its_siblings_are() {
    let origin = Origin::start();
    let stalled = origin.on("/stalled", Reply::ok(pattern(100)).stall_after(10));
    let mute = origin.on("/mute", Reply::ok("content").stall_header());
    let busy = origin.on("/busy", Reply::generated(1 << 30).drip(100, Duration::from_millis(10)));
    let context = Context::new();
    let siblings = context.child();
    thread::scope(|scope| {
        let running: Vec<_> = (0..2)
            .map(|_| {
                let mut download = get(&busy).writer(BufferWriter::new(1 << 30));
                let siblings = &siblings;
                scope.spawn(move || download.run(siblings))
            })
            .collect();
        origin.wait_sent("/busy", 200);
        for (url, part) in [(stalled, "body"), (mute, "head")] {
            let mut download = get(&url).read_timeout(SHORT).writer(BufferWriter::new(100));
            let error = download.run(&context).unwrap_err();
            assert!(error.to_string().contains(&format!("no byte of the {part}")), "{error}");
        }
        siblings.cancel();
        for download in running {
            assert!(download.join().unwrap().unwrap_err().is_cancelled());
        }
    });
}

#[test]
fn a_source_slower_than_the_least_speed_fails_and_may_be_tried_again() {
    let origin = Origin::start();
    let content = pattern(50_000);
    let slow = Reply::ok(content.clone()).drip(100, Duration::from_millis(20));
    let url = origin.on("/file", slow);
    let least = |url: &str| get(url).min_speed(100_000, SHORT * 2);
    let error = times_out(least(&url));
    assert!(error.is_transient(), "{error:?}");
    assert!(error.to_string().contains("slower than 100000 bytes a second over the last 0.6s"), "{error}");
    assert!(error.received() > 0 && error.received() < 50_000, "{error:?}");

    let slow = Reply::ok(content.clone()).etag("\"one\"").ranges().drip(100, Duration::from_millis(20));
    let url = origin.sequence("/again", [slow, Reply::ok(content.clone()).etag("\"one\"").ranges()]);
    let folder = Folder::new();
    let receipt = run(least(&url).handler(RetryDelegate::new(1).base(Duration::ZERO)), &folder).unwrap();
    assert_eq!(receipt.attempts(), 2);
    assert!(folder.read("target") == content);
    // What had come was kept.
    assert!(origin.journal().last().unwrap().header("range").is_some());
}

#[test]
fn a_source_that_stalls_is_slower_than_any_least_speed_at_once_and_not_at_its_next_byte() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok(pattern(100_000)).stall_after(40_000));
    let error = times_out(get(&url).min_speed(1, SHORT));
    assert!(error.is_transient() && error.to_string().contains("slower than"), "{error:?}");
    assert_eq!(error.received(), 40_000);
    origin.wait_open(0);
}

#[test]
fn a_source_faster_than_the_least_speed_succeeds() {
    let origin = Origin::start();
    let folder = Folder::new();
    let url = origin.on("/file", Reply::ok(pattern(300_000)).drip(1_000, Duration::from_millis(10)));
    run(get(&url).min_speed(1_000, Duration::from_secs(1)), &folder).unwrap();
    assert!(folder.read("target") == pattern(300_000));
    // None at all is none.
    run(get(&url).min_speed(0, Duration::ZERO), &folder).unwrap();
}

/// An output that takes its time.
struct Slow;
impl Writer for Slow {
    fn open(&self) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(Self))
    }
}
impl io::Write for Slow {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        thread::sleep(SHORT);
        Ok(block.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
impl Output for Slow {
    fn offset(&self) -> u64 {
        0
    }

    fn begin(&mut self, _: &Head, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn commit(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_time_of_a_slow_writer_or_of_a_limit_on_the_rate_is_no_slowness_of_the_source() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok(pattern(100_000)));
    let least = || get(&url).min_speed(100_000, Duration::from_secs(1));
    assert_eq!(least().writer(Slow).run(&Context::new()).unwrap().facts().size(), 100_000);
    let context = Context::with_limits(Limits::new().rate(50_000));
    least().writer(BufferWriter::new(100_000)).run(&context).unwrap();
}

/// A body that waits until its context is cancelled, as one of a plugin does that knows no time-outs.
struct Endless(Context, bool);
impl io::Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.1 {
            self.1 = true;
            buffer[0] = 7;
            return Ok(1);
        }
        let (cancelled, wait) = channel();
        let _hook = self.0.on_cancel(move || cancelled.send(()).unwrap_or_default());
        wait.recv().unwrap();
        // What a socket says that was shut down.
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

#[test]
fn a_protocol_that_only_watches_its_context_is_stopped_on_time() {
    let endless = |request: &Request, context: &Context| -> Result<ganymede::Reply, Failure> {
        let body = io::BufReader::new(Endless(context.clone(), false));
        Ok(ganymede::Reply::new(Head::new(request.url()), body))
    };
    let download = || {
        let request = Request::get("test:endless").unwrap();
        Transfer::new(request, endless).writer(BufferWriter::new(10))
    };
    let (context, start) = (Context::new(), Instant::now());
    let error = download().min_speed(1_000, SHORT).run(&context).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout) && error.is_transient(), "{error:?}");
    assert_eq!(error.received(), 1);
    let retry = RetryDelegate::new(2).base(Duration::ZERO);
    let error = download().min_speed(1_000, SHORT).handler(retry).run(&context).unwrap_err();
    assert_eq!((error.kind().name(), error.attempts()), ("timeout", 3));
    let error = download().deadline(SHORT).handler(RetryDelegate::new(9)).run(&context).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout) && !error.is_transient(), "{error:?}");
    assert_eq!((error.failure().to_string().as_str(), error.attempts()), ("the deadline has passed", 1));
    // It is still the caller's to cancel.
    let running = context.child();
    let thread = thread::spawn({
        let mut download = download().min_speed(1, LONG).deadline(LONG);
        move || download.run(&running)
    });
    context.cancel();
    assert!(thread.join().unwrap().unwrap_err().is_cancelled());
    assert!(start.elapsed() < LONG / 2);
    drop(context);
    wait_until("the watchdog to be gone", || threads_named("ganymede-watch") == 0);
}

#[test]
fn the_deadline_stops_a_protocol_that_sends_forever() {
    let mute = |_: &Request, context: &Context| -> Result<ganymede::Reply, Failure> {
        context.sleep(Duration::MAX)?;
        Err(ErrorKind::Other.into())
    };
    let request = Request::get("test:mute").unwrap();
    let mut download = Transfer::new(request, mute).writer(BufferWriter::new(10)).deadline(SHORT);
    let error = download.run(&Context::new()).unwrap_err();
    assert_eq!(error.failure().to_string(), "the deadline has passed");
}

#[test]
fn the_deadline_ends_the_waiting_for_what_another_download_fetches() {
    let (origin, gate) = (Origin::start(), Gate::new());
    let missing = origin.on("/file", Reply::error(404));
    origin.on("/list", Reply::ok("/mirror").gate(&gate));
    origin.on("/mirror", Reply::ok("content"));
    let list: ganymede::Url = origin.url("/list").parse().unwrap();
    let listed = || get(&missing).writer(BufferWriter::new(10)).handler(MirrorDelegate::list(list.clone()));
    let context = Context::new();
    thread::scope(|scope| {
        let first = scope.spawn(|| listed().run(&context));
        gate.wait_arrived(1);
        let error = listed().deadline(SHORT).run(&context).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::MirrorList), "{error:?}");
        assert!(error.to_string().contains("the deadline has passed"), "{error}");
        gate.open();
        first.join().unwrap().unwrap();
    });
}

#[test]
fn the_deadline_ends_the_waiting_for_a_place_in_a_batch() {
    let (origin, gate) = (Origin::start(), Gate::new());
    let broken = origin.on("/broken", Reply::error(500));
    let long = origin.on("/long", Reply::ok(pattern(100)).gate_after(10, &gate));
    let again = |event: &mut Event<'_>, _: &Context| match event {
        Event::Error { .. } => Action::Retry(SHORT),
        _ => Action::Continue,
    };
    let downloads = [get(&broken).deadline(SHORT * 5).handler(again), get(&long)];
    let mut batch =
        Batch::new(downloads.map(|download| download.writer(BufferWriter::new(100)))).concurrency(1);
    // The other has its place by then, and keeps it.
    let first = batch.next().unwrap();
    assert_eq!(first.result().unwrap_err().kind().name(), "timeout");
    gate.open();
    assert_eq!(batch.next().unwrap().result().unwrap().facts().size(), 100);
}
