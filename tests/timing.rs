//! Where the time of attempts goes, of those that fail too.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::{self, BufRead, Cursor, Read, Write};
use std::net::SocketAddr;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use ganymede::reqwest::dns::{Addrs, Name, Resolve, Resolving};
use ganymede::{
    Action, Batch, BufferWriter, Check, Conditional, Context, Digest, Download, DownloadError, ErrorKind,
    Event, Existing, Facts, Failure, FileProtocol, Head, HttpDownload, Limits, Output, Receipt, Reply,
    Request, RetryDelegate, Timing, Transfer, Validation, ValidationError, Writer,
};
use ganymede_kit::{
    Authority, Backlog, Break, Folder, Gate, Origin, Passage, Relay, Reply as Served, Silent, pattern,
};

/// What is waited for, so that it can be found again: far more than two clocks may differ.
const PAUSE: Duration = Duration::from_millis(60);

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap().writer(BufferWriter::new(1 << 20))
}

/// A request that is answered from memory.
fn here() -> Request {
    Request::get("memory:here").unwrap()
}

fn content(request: &Request) -> Reply {
    Reply::new(Head::new(request.url()).with_length(Some(7)), Cursor::new("content"))
}

/// Runs a download that comes to a gate, opens it a while later, and returns how long that was at least.
fn held<D: Download>(mut download: D, gate: &Gate) -> (Result<Receipt, DownloadError>, Duration) {
    thread::scope(|scope| {
        let running = scope.spawn(move || download.run(&Context::new()));
        gate.wait_arrived(1);
        let start = Instant::now();
        sleep(PAUSE);
        let held = start.elapsed();
        gate.open();
        (running.join().unwrap(), held)
    })
}

#[test]
fn a_head_that_comes_late_was_waited_for() {
    let (origin, gate) = (Origin::start(), Gate::new());
    let url = origin.on("/file", Served::ok("content").gate(&gate));
    let (receipt, held) = held(get(&url), &gate);
    let timing = receipt.unwrap().timing();
    assert!(timing.waiting >= held, "{timing:?}");
    assert!(timing.connecting > Duration::ZERO, "{timing:?}");
}

/// A body that takes a while for each block, of which the last is a failure or the end.
struct Late {
    block: &'static [u8],
    end: Option<ErrorKind>,
}

impl Read for Late {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Late {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        sleep(PAUSE);
        match self.end.take_if(|_| self.block.is_empty()) {
            Some(kind) => Err(Failure::from(kind).into()),
            None => Ok(self.block),
        }
    }

    fn consume(&mut self, length: usize) {
        self.block = &self.block[length..];
    }
}

#[test]
fn a_body_that_comes_late_was_received_for_long_and_so_was_one_that_never_came_whole() {
    let late = |end: Option<ErrorKind>| {
        let protocol = move |request: &Request, _: &Context| -> Result<Reply, Failure> {
            let head = Head::new(request.url()).with_length(Some(7));
            Ok(Reply::new(head, Late { block: b"content", end: end.clone() }))
        };
        Transfer::new(here(), protocol).writer(BufferWriter::new(7)).run(&Context::new())
    };
    let timing = late(None).unwrap().timing();
    assert!(timing.receiving >= PAUSE * 2, "{timing:?}");
    let error = late(Some(ErrorKind::Incomplete)).unwrap_err();
    let timing = error.history()[0].timing();
    assert!(timing.receiving >= PAUSE * 2, "{timing:?}");
}

/// A writer whose every step takes a while.
struct Slow;

struct SlowOutput(u64);

impl Writer for Slow {
    fn open(&self) -> io::Result<Box<dyn Output>> {
        sleep(PAUSE);
        Ok(Box::new(SlowOutput(0)))
    }
}

impl Write for SlowOutput {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        sleep(PAUSE);
        self.0 += block.len() as u64;
        Ok(block.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for SlowOutput {
    fn offset(&self) -> u64 {
        self.0
    }

    fn begin(&mut self, _: &Head, _: u64) -> io::Result<()> {
        sleep(PAUSE);
        Ok(())
    }

    fn commit(self: Box<Self>) -> io::Result<()> {
        sleep(PAUSE * 2);
        match self.0 {
            7 => Ok(()),
            _ => Err(io::Error::other("no room")),
        }
    }
}

#[test]
fn a_slow_writer_was_written_to_and_committed_for_long() {
    let protocol = |request: &Request, _: &Context| -> Result<Reply, Failure> { Ok(content(request)) };
    let receipt = Transfer::new(here(), protocol).writer(Slow).run(&Context::new()).unwrap();
    let timing = receipt.timing();
    assert!(timing.writing >= PAUSE * 3, "{timing:?}");
    assert!(timing.committing >= PAUSE * 2, "{timing:?}");
}

#[test]
fn a_commit_that_fails_was_a_commit_all_the_same() {
    let protocol = |request: &Request, _: &Context| -> Result<Reply, Failure> {
        Ok(Reply::new(Head::new(request.url()), Cursor::new("other content")))
    };
    let error = Transfer::new(here(), protocol).writer(Slow).run(&Context::new()).unwrap_err();
    let timing = error.history()[0].timing();
    assert!(timing.committing >= PAUSE * 2, "{timing:?}");
}

/// A validation that takes a while for each block, and for its verdict.
#[derive(Clone)]
struct Thorough;

impl Validation for Thorough {
    fn begin(&self) -> Box<dyn Check> {
        Box::new(Self)
    }
}

impl Check for Thorough {
    fn update(&mut self, _: &[u8]) -> Result<(), ValidationError> {
        sleep(PAUSE);
        Ok(())
    }

    fn finish(self: Box<Self>, _: &Facts) -> Result<(), ValidationError> {
        sleep(PAUSE);
        Ok(())
    }
}

#[test]
fn a_slow_validation_was_checked_for_long() {
    let protocol = |request: &Request, _: &Context| -> Result<Reply, Failure> { Ok(content(request)) };
    let transfer = Transfer::new(here(), protocol).writer(BufferWriter::new(7)).validation(Thorough);
    let timing = { transfer }.run(&Context::new()).unwrap().timing();
    assert!(timing.checking >= PAUSE * 2, "{timing:?}");
}

#[test]
fn a_file_that_is_looked_at_instead_of_asked_for_was_checked() {
    let folder = Folder::new();
    let path = folder.write("file", pattern(1 << 20));
    let digest: Digest = format!("md5:{}", "0".repeat(32)).parse().unwrap();
    let request = Request::get(&format!("file://{}", path.display())).unwrap();
    let protocol = Conditional::new(FileProtocol::new(), &path, Existing::Verify).digests([digest]);
    let timing = ganymede::Protocol::send(&protocol, &request, &Context::new()).unwrap().timing();
    assert!(timing.checking > Duration::ZERO, "{timing:?}");
}

/// A resolver that takes a while, and finds this machine.
struct Slowly;

impl Resolve for Slowly {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(async {
            sleep(PAUSE);
            let found: Vec<SocketAddr> = vec![([127, 0, 0, 1], 0).into()];
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[test]
fn a_name_was_resolved_before_it_was_connected_to_and_neither_is_on_a_connection_that_is_there() {
    let origin = Origin::start();
    origin.on("/file", Served::ok("content"));
    let context = Context::new();
    let mut download = get(&origin.url_at("example.com", "/file")).no_proxy().resolver(Slowly);
    let fresh = download.run(&context).unwrap().timing();
    assert!(fresh.resolving >= PAUSE && fresh.connecting > Duration::ZERO, "{fresh:?}");
    let reused = download.run(&context).unwrap().timing();
    assert_eq!((reused.resolving, reused.connecting), (Duration::ZERO, Duration::ZERO));
    let literal = get(&origin.url("/file")).no_proxy().run(&Context::new()).unwrap().timing();
    assert_eq!(literal.resolving, Duration::ZERO);
    assert!(literal.connecting > Duration::ZERO, "{literal:?}");
}

#[test]
fn a_place_at_a_host_was_queued_for() {
    let (origin, gate) = (Origin::start(), Gate::new());
    let urls = ["/1", "/2"].map(|path| origin.on(path, Served::ok("content").gate(&gate)));
    let context = Context::with_limits(Limits::new().per_host(1));
    let downloads = urls.map(|url| get(&url));
    thread::scope(|scope| {
        let plans = scope.spawn(|| Batch::new(downloads).context(&context).collect::<Vec<_>>());
        gate.wait_arrived(1);
        sleep(PAUSE * 8);
        gate.open();
        let timings: Vec<_> = plans.join().unwrap().iter().map(|p| p.result().unwrap().timing()).collect();
        assert!(timings[0].queueing < timings[1].queueing, "{timings:?}");
        assert!(timings[1].queueing >= PAUSE, "{timings:?}");
    });
}

#[test]
fn a_rate_that_is_limited_was_throttled() {
    let origin = Origin::start();
    let url = origin.on("/file", Served::ok(pattern(60_000)));
    let context = Context::with_limits(Limits::new().rate(200_000));
    let timing = get(&url).run(&context).unwrap().timing();
    assert!(timing.throttling > Duration::ZERO, "{timing:?}");
}

#[test]
fn an_attempt_that_fails_tells_where_its_time_has_gone() {
    let (origin, gate) = (Origin::start(), Gate::new());
    let busy = origin.on("/busy", Served::error(503).gate(&gate));
    let (error, time) = held(get(&busy), &gate);
    let timing = error.unwrap_err().history()[0].timing();
    assert!(timing.waiting >= time && timing.connecting > Duration::ZERO, "{timing:?}");
}

#[test]
fn a_connection_that_is_not_accepted_was_connected_to_until_the_time_out() {
    let backlog = Backlog::start();
    let limit = Duration::from_millis(600);
    let mut download = get(&backlog.url("http", "/file")).connect_timeout(limit);
    let error = download.run(&Context::new()).unwrap_err();
    let timing = error.history()[0].timing();
    assert!(timing.connecting >= limit / 2 && timing.waiting < timing.connecting, "{timing:?}");
}

#[test]
fn a_handshake_is_told_from_the_connection_that_it_makes_secure() {
    let (authority, folder) = (Authority::new("trusted"), Folder::new());
    let origin = Origin::tls(&authority.server(&["127.0.0.1"]));
    origin.on("/file", Served::ok("content"));
    // Each byte of the handshake is late, and of a certificate alone there are hundreds.
    let slow = Passage::After(0, Break::Drip(Duration::from_millis(1)));
    let relay = Relay::start(origin.address(), [slow.clone(), Passage::Pass, slow]);
    let url = relay.url("https", "/file");
    let trusted = authority.write_to(folder.path(), "ca");
    let download = || get(&url).ca_certificate(&trusted);
    let context = Context::new();
    let first = download().run(&context).unwrap().timing();
    assert!(first.securing >= PAUSE * 5 && first.connecting < first.securing, "{first:?}");
    assert!(first.connecting > Duration::ZERO && first.waiting < first.securing, "{first:?}");
    let reused = download().run(&context).unwrap().timing();
    assert_eq!((reused.connecting, reused.securing), (Duration::ZERO, Duration::ZERO));
    let another = download().run(&Context::new()).unwrap().timing();
    assert!(another.securing > Duration::ZERO && another.securing < first.securing, "{another:?}");
    // What a hook makes of it is not known, and counts as connecting.
    let hooked = download().client_hook(|client| client).run(&Context::new()).unwrap().timing();
    assert!(hooked.connecting >= PAUSE * 5 && hooked.securing == Duration::ZERO, "{hooked:?}");
}

#[test]
fn a_handshake_that_does_not_end_took_the_time_until_it_was_given_up() {
    let silent = Silent::start();
    let limit = Duration::from_millis(600);
    let mut download = get(&silent.url("https", "/file")).verify(false).connect_timeout(limit);
    let error = download.run(&Context::new()).unwrap_err();
    let timing = error.history()[0].timing();
    assert!(timing.securing >= limit / 2 && timing.connecting < timing.securing, "{timing:?}");
}

#[test]
fn each_attempt_has_a_time_of_its_own() {
    let long = Duration::from_millis(400);
    let first = std::sync::atomic::AtomicBool::new(true);
    let protocol = move |request: &Request, _: &Context| -> Result<Reply, Failure> {
        if first.swap(false, std::sync::atomic::Ordering::Relaxed) {
            sleep(long);
            return Err(ErrorKind::Timeout.into());
        }
        Ok(content(request))
    };
    let (times, failed) = std::sync::mpsc::channel();
    let noting = move |event: &mut Event<'_>, _: &Context| {
        if let Event::Error { error, .. } = event {
            times.send(error.history()[0].timing()).unwrap();
        }
        Action::Continue
    };
    let transfer = Transfer::new(here(), protocol).writer(BufferWriter::new(7)).handler(noting);
    let receipt = { transfer }.handler(RetryDelegate::new(1)).run(&Context::new()).unwrap();
    assert_eq!(receipt.attempts(), 2);
    assert!(failed.recv().unwrap().waiting >= long);
    assert!(receipt.timing().total() < long, "{:?}", receipt.timing());
}

#[test]
fn what_handlers_take_is_none_of_it() {
    let long = Duration::from_millis(400);
    let protocol = |request: &Request, _: &Context| -> Result<Reply, Failure> { Ok(content(request)) };
    let dawdling = move |event: &mut Event<'_>, _: &Context| {
        if matches!(event, Event::Sending { .. } | Event::Replied { .. } | Event::Fetched { .. }) {
            sleep(long);
        }
        Action::Continue
    };
    let transfer = Transfer::new(here(), protocol).writer(BufferWriter::new(7)).handler(dawdling);
    let timing = { transfer }.run(&Context::new()).unwrap().timing();
    assert!(timing.total() < long, "{timing:?}");
}

#[test]
fn what_a_protocol_tells_is_kept_and_what_it_does_not_was_waiting() {
    let told = Duration::from_millis(7);
    let protocol = move |request: &Request, _: &Context| -> Result<Reply, Failure> {
        sleep(PAUSE);
        let mut timing = Timing::default();
        timing.securing = told;
        match request.url().path() {
            "here" => Ok(content(request).with_timing(timing)),
            _ => Err(Failure::from(ErrorKind::Connect).with_timing(timing)),
        }
    };
    let kept = |timing: Timing| {
        assert_eq!((timing.securing, timing.connecting), (told, Duration::ZERO));
        assert!(timing.waiting >= PAUSE - told, "{timing:?}");
    };
    let mut served = Transfer::new(here(), protocol).writer(BufferWriter::new(7));
    kept(served.run(&Context::new()).unwrap().timing());
    let mut refused =
        Transfer::new(Request::get("memory:nowhere").unwrap(), protocol).writer(BufferWriter::new(7));
    kept(refused.run(&Context::new()).unwrap_err().history()[0].timing());
}
