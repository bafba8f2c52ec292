//! Stopping: by cancelling, by dropping and by a panic, against servers that stall wherever they can.
//!
//! In each cell of this grid the caller has control again at once, and what is left is what was there before: no file,
//! no thread, no descriptor, no connection, and no place taken among the limited ones.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ganymede::reqwest::dns::{Name, Resolve, Resolving};
use ganymede::{Batch, Context, Download, FileWriter, HttpDownload, Limits, Request, stream};
use ganymede_kit::{
    Authority, Backlog, Break, Folder, Ledger, Origin, Passage, Relay, Reply, Silent, descriptors, pattern,
    threads_named, wait_until,
};

use crate::alone;

/// Control is to be back within a second; a busy machine may take another one.
const AT_ONCE: Duration = Duration::from_secs(2);

/// What no time-out of these tests comes near.
const LATE: Duration = Duration::from_secs(600);

/// How many connections a context of these tests allows.
const PLACES: usize = 4;

/// Where a server stalls.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stall {
    Resolution,
    Connect,
    ConnectOfTls,
    Handshake,
    MidHandshake,
    Head,
    MidHead,
    FirstByte,
    Body,
    Refusal,
    Redirect,
}

const STALLS: [Stall; 11] = [
    Stall::Resolution,
    Stall::Connect,
    Stall::ConnectOfTls,
    Stall::Handshake,
    Stall::MidHandshake,
    Stall::Head,
    Stall::MidHead,
    Stall::FirstByte,
    Stall::Body,
    Stall::Refusal,
    Stall::Redirect,
];

/// How it is stopped.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stop {
    /// The context of a download is cancelled.
    Cancel,
    /// A batch is cancelled by its handle.
    Handle,
    /// The loop over a batch is left.
    Break,
    /// The loop over a batch panics.
    Panic,
    /// The reader of a stream is dropped; where there is none yet, the stream's context is cancelled.
    Stream,
}

const STOPS: [Stop; 5] = [Stop::Cancel, Stop::Handle, Stop::Break, Stop::Panic, Stop::Stream];

/// A resolver that never answers, and counts how often it was asked.
struct Mute(Arc<AtomicUsize>);

impl Resolve for Mute {
    fn resolve(&self, _: Name) -> Resolving {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(pending())
    }
}

/// Servers that stall, each in its own way, and one that does not.
struct Servers {
    backlog: Backlog,
    silent: Silent,
    handshake: Relay,
    head: Relay,
    origin: Origin,
    good: Origin,
    /// What the relay passes handshakes on to.
    _secure: Origin,
    asked: Arc<AtomicUsize>,
}

impl Servers {
    fn start() -> Self {
        let (origin, good) = (Origin::start(), Origin::start());
        good.on("/whole", Reply::ok("hello"));
        let long = || Reply::ok(pattern(50_000));
        origin.on("/head", long().stall_header());
        origin.on("/first", long().stall_after(0));
        origin.on("/body", long().stall_after(20_000));
        origin.on("/refusal", long().status(404).stall_after(10));
        origin.on("/redirect", long().status(302).header("Location", "/head").stall_after(10));
        let secure = Origin::tls(&Authority::new("unknown").server(&["127.0.0.1"]));
        let stall = || [Passage::After(10, Break::Stall)];
        Self {
            backlog: Backlog::start(),
            silent: Silent::start(),
            handshake: Relay::start(secure.address(), stall()),
            head: Relay::start(good.address(), stall()),
            origin,
            good,
            _secure: secure,
            asked: Arc::default(),
        }
    }

    /// The `n`th download that stalls: each has a target of its own.
    fn download(&self, n: usize, stall: Stall, folder: &Folder) -> HttpDownload {
        let url = match stall {
            Stall::Resolution => "http://stalls.example.com/".to_owned(),
            Stall::Connect => self.backlog.url("http", "/"),
            Stall::ConnectOfTls => self.backlog.url("https", "/"),
            Stall::Handshake => self.silent.url("https", "/"),
            Stall::MidHandshake => self.handshake.url("https", "/"),
            Stall::Head => self.origin.url("/head"),
            Stall::MidHead => self.head.url("http", "/whole"),
            Stall::FirstByte => self.origin.url("/first"),
            Stall::Body => self.origin.url("/body"),
            Stall::Refusal => self.origin.url("/refusal"),
            Stall::Redirect => self.origin.url("/redirect"),
        };
        let download = self.get(&url, folder, &format!("stalled {n}"));
        if stall != Stall::Resolution {
            return download;
        }
        let asked = Arc::clone(&self.asked);
        download.client_hook(move |builder| builder.dns_resolver(Arc::new(Mute(Arc::clone(&asked)))))
    }

    fn get(&self, url: &str, folder: &Folder, name: &str) -> HttpDownload {
        let download = HttpDownload::get(url).unwrap().no_proxy().connect_timeout(LATE).read_timeout(LATE);
        download.writer(FileWriter::new(folder.file(name)))
    }

    /// Who sees the connections that stall, if anybody does.
    fn ledger(&self, stall: Stall) -> Option<&Ledger> {
        match stall {
            Stall::Resolution | Stall::Connect | Stall::ConnectOfTls => None,
            Stall::Handshake => Some(&self.silent),
            Stall::MidHandshake => Some(&self.handshake),
            Stall::MidHead => Some(&self.head),
            _ => Some(&self.origin),
        }
    }

    /// Waits until a download stalls there.
    fn wait_stalled(&self, stall: Stall) {
        match self.ledger(stall) {
            Some(ledger) => wait_until("a connection that stalls", || ledger.open() > 0),
            None if stall == Stall::Resolution => {
                wait_until("a name to be looked up", || self.asked.load(Ordering::SeqCst) > 0);
            }
            None => wait_until("a thread that connects", || threads_named("ganymede-http") > 0),
        }
        // How far it has come by then, nothing can tell: it has stopped moving.
        thread::sleep(Duration::from_millis(100));
    }
}

/// Stops what stalls, and returns how long it took until there was control again.
fn stop(stop: Stop, stall: Stall, servers: &Servers, folder: &Folder, context: &Context) -> Duration {
    let download = servers.download(0, stall, folder);
    // One place is left for what does not stall.
    let stalled = || (1..PLACES).map(|n| servers.download(n, stall, folder));
    let good = servers.get(&servers.good.url("/whole"), folder, "whole");
    match stop {
        Stop::Cancel => {
            let (mut download, running) = (download, context.child());
            let cancelled = running.clone();
            let thread = thread::spawn(move || download.run(&running));
            servers.wait_stalled(stall);
            let start = Instant::now();
            cancelled.cancel();
            let error = thread.join().unwrap().unwrap_err();
            assert!(error.is_cancelled() || stall == Stall::Refusal, "{error}");
            start.elapsed()
        }
        Stop::Handle => {
            let batch = Batch::new(stalled()).context(context);
            let handle = batch.cancel_handle();
            thread::scope(|scope| {
                let stopping = scope.spawn(|| {
                    servers.wait_stalled(stall);
                    let start = Instant::now();
                    handle.cancel();
                    start
                });
                assert!(batch.into_iter().all(|plan| plan.result().is_err()));
                stopping.join().unwrap().elapsed()
            })
        }
        Stop::Break => {
            let mut batch = Batch::new([good].into_iter().chain(stalled())).context(context);
            batch.next().unwrap().result().unwrap();
            servers.wait_stalled(stall);
            let start = Instant::now();
            drop(batch);
            start.elapsed()
        }
        Stop::Panic => {
            let mut start = Instant::now();
            let panicking: thread::Result<()> = catch_unwind(AssertUnwindSafe(|| {
                let mut batch = Batch::new([good].into_iter().chain(stalled())).context(context);
                batch.next().unwrap().result().unwrap();
                servers.wait_stalled(stall);
                start = Instant::now();
                // Without the words that a panic prints.
                resume_unwind(Box::new("in the loop"))
            }));
            assert_eq!(*panicking.unwrap_err().downcast::<&str>().unwrap(), "in the loop");
            start.elapsed()
        }
        Stop::Stream => {
            let (running, (sender, bodies)) = (context.child(), mpsc::channel());
            let cancelled = running.clone();
            let thread = thread::spawn(move || sender.send(stream(download, &running)).is_ok());
            servers.wait_stalled(stall);
            let start = Instant::now();
            if stall == Stall::Body {
                let (_, body) = bodies.recv().unwrap().unwrap();
                drop(body);
            } else {
                cancelled.cancel();
                bodies.recv().unwrap().map(drop).unwrap_err();
            }
            assert!(thread.join().unwrap());
            start.elapsed()
        }
    }
}

/// Asserts that every place of a context is free, or gets so.
fn assert_places(context: &Context, what: &str) {
    let (free, taken) = mpsc::channel();
    let asking = context.child();
    let thread = thread::spawn(move || {
        let request = Request::get("ftp://example.com/").unwrap();
        let permits: Result<Vec<_>, _> = (0..PLACES).map(|_| asking.permit(&request)).collect();
        free.send(permits.map(drop))
    });
    let all = taken.recv_timeout(Duration::from_secs(20));
    assert!(all.is_ok_and(|all| all.is_ok()), "{what}: a place is still taken");
    thread.join().unwrap().unwrap();
}

#[test]
fn wherever_a_server_stalls_and_however_it_is_stopped_control_is_back_at_once_and_nothing_is_left() {
    let _alone = alone();
    let servers = Servers::start();
    wait_until("earlier tests to be over", || threads_named("ganymede") == 0);
    for stall in STALLS {
        for how in STOPS {
            let what = format!("{how:?} × {stall:?}");
            let (before, folder) = (descriptors(), Folder::new());
            servers.asked.store(0, Ordering::SeqCst);
            let context = Context::with_limits(Limits::new().total(PLACES));
            let took = stop(how, stall, &servers, &folder, &context);
            assert!(took < AT_ONCE, "{what}: {took:?}");
            let files: &[&str] = if matches!(how, Stop::Break | Stop::Panic) { &["whole"] } else { &[] };
            assert_eq!(folder.entries(), files, "{what}");
            assert_places(&context, &what);
            if let Some(ledger) = servers.ledger(stall) {
                ledger.wait_open(0);
            }
            drop(context);
            wait_until(&what, || threads_named("ganymede") == 0 && descriptors() == before);
        }
    }
}
