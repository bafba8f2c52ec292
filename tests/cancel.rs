//! Stopping at any point: at once, whatever the servers do, and without leaving anything behind.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

use std::error::Error;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ganymede::{
    Batch, BufferWriter, Context, Download, DownloadMonitor, FileWriter, HttpDownload, Limits, Phase, stream,
};
use ganymede_kit::{Backlog, Folder, Origin, Reply, Silent, descriptors, pattern, threads_named, wait_until};

/// Long enough for any machine, and far below the time-outs of the downloads.
const SOON: Duration = Duration::from_secs(10);
const LATE: Duration = Duration::from_secs(600);

/// Lets the tests of this file run one after the other: they count threads and descriptors of the process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    wait_until("earlier tests to be over", || threads_named("ganymede") == 0);
    alone
}

/// An origin whose first three contents are whole and all others stall, and the folder they go to.
struct Stalling {
    origin: Origin,
    folder: Folder,
    descriptors: usize,
}

impl Stalling {
    fn start() -> Self {
        let (origin, folder) = (Origin::start(), Folder::new());
        origin.handle("/", |received| {
            let whole = Reply::ok(pattern(50_000));
            match received.path() {
                "/0" | "/1" | "/2" => whole,
                _ => whole.stall_after(20_000),
            }
        });
        Self { origin, folder, descriptors: descriptors() }
    }

    fn downloads(&self) -> impl Iterator<Item = HttpDownload> {
        (0..1_000).map(|n| {
            let download = HttpDownload::get(&self.origin.url(&format!("/{n}"))).unwrap();
            download.read_timeout(LATE).writer(FileWriter::new(self.folder.file(n.to_string())))
        })
    }

    /// Everything is as it was, but for these files.
    #[track_caller]
    fn assert_clean(&self, files: &[&str]) {
        assert_eq!(self.folder.entries(), files);
        wait_until("all threads to be gone", || threads_named("ganymede") == 0);
        self.origin.wait_open(0);
        wait_until("all descriptors to be closed", || descriptors() == self.descriptors);
    }
}

const FILES: [&str; 3] = ["0", "1", "2"];

/// Takes three of a batch and leaves it.
fn take_three(stalling: &Stalling, concurrency: usize, backlog: usize) {
    let mut taken = 0;
    let start = Instant::now();
    for plan in Batch::new(stalling.downloads()).concurrency(concurrency).backlog(backlog) {
        plan.result().unwrap();
        taken += 1;
        if taken == 3 {
            break;
        }
    }
    assert!(start.elapsed() < SOON);
}

#[test]
fn breaking_out_of_a_batch_leaves_no_file_thread_or_descriptor() {
    let (_alone, stalling) = (alone(), Stalling::start());
    take_three(&stalling, 8, 64);
    stalling.assert_clean(&FILES);
    assert!(stalling.origin.journal().len() < 1_000);
}

#[test]
fn so_it_is_two_hundred_times_over() {
    let (_alone, stalling) = (alone(), Stalling::start());
    for _ in 0..200 {
        take_three(&stalling, 8, 16);
    }
    stalling.assert_clean(&FILES);
}

#[test]
fn so_it_is_with_the_smallest_backlog_and_concurrency() {
    let (_alone, stalling) = (alone(), Stalling::start());
    for (concurrency, backlog) in [(1, 1), (1, 64), (8, 1)] {
        take_three(&stalling, concurrency, backlog);
        stalling.assert_clean(&FILES);
    }
}

#[test]
fn so_it_is_in_a_context_that_lives_on() {
    let (_alone, stalling, context) = (alone(), Stalling::start(), Context::new());
    for _ in 0..20 {
        let mut batch = Batch::new(stalling.downloads()).context(&context);
        assert!(batch.by_ref().take(3).all(|plan| plan.result().is_ok()));
        drop(batch);
        assert_eq!(stalling.folder.entries(), FILES);
        assert!(!context.is_cancelled(), "the batch has a token of its own");
    }
    wait_until("the batches' own threads to be gone", || threads_named("ganymede") == 1);
    drop(context);
    stalling.assert_clean(&FILES);
}

#[test]
fn dropping_a_batch_that_waits_for_nobody_and_one_that_was_never_asked() {
    let (_alone, stalling) = (alone(), Stalling::start());
    drop(Batch::new(stalling.downloads()));
    assert!(stalling.origin.journal().is_empty());
    let mut batch = Batch::new(stalling.downloads().skip(3).take(8));
    let handle = batch.cancel_handle();
    thread::scope(|scope| {
        scope.spawn(|| {
            stalling.origin.wait_requests(8);
            handle.cancel();
        });
        assert!(batch.next().unwrap().result().unwrap_err().is_cancelled());
    });
    drop(batch);
    stalling.assert_clean(&[]);
}

#[test]
fn an_error_in_the_loop_leaves_nothing_behind() {
    fn import(stalling: &Stalling) -> Result<(), Box<dyn Error>> {
        for (seen, plan) in Batch::new(stalling.downloads()).enumerate() {
            plan.into_parts().1?;
            if seen == 2 {
                Err("the importer's own")?;
            }
        }
        Ok(())
    }
    let (_alone, stalling) = (alone(), Stalling::start());
    let start = Instant::now();
    assert_eq!(import(&stalling).unwrap_err().to_string(), "the importer's own");
    assert!(start.elapsed() < SOON);
    stalling.assert_clean(&FILES);
}

#[test]
fn a_panic_in_the_loop_leaves_nothing_behind() {
    let (_alone, stalling) = (alone(), Stalling::start());
    let start = Instant::now();
    let panicking = || {
        for (seen, plan) in Batch::new(stalling.downloads()).enumerate() {
            plan.result().unwrap();
            assert!(seen < 2, "in the loop");
        }
    };
    let panic = catch_unwind(AssertUnwindSafe(panicking)).unwrap_err();
    assert_eq!(*panic.downcast::<&str>().unwrap(), "in the loop");
    assert!(start.elapsed() < SOON);
    stalling.assert_clean(&FILES);
}

#[test]
fn a_handle_cancels_from_another_thread_and_the_batch_yields_what_was_pulled() {
    let (_alone, stalling) = (alone(), Stalling::start());
    let batch = Batch::new(stalling.downloads()).concurrency(4).backlog(10);
    let (handle, counters) = (batch.cancel_handle(), batch.counters());
    let start = Instant::now();
    let mut ends = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            stalling.origin.wait_requests(7);
            handle.cancel();
        });
        for plan in batch {
            ends.push(plan.result().map(|_| ()).map_err(|error| error.kind().name()));
        }
    });
    assert!(start.elapsed() < SOON);
    assert_eq!(ends.len() as u64, counters.pulled());
    assert!(counters.pulled() <= 13);
    assert_eq!(ends.iter().filter(|end| end.is_ok()).count(), 3);
    assert!(ends.iter().all(|end| matches!(end, Ok(()) | Err("cancelled"))), "{ends:?}");
    assert_eq!((counters.succeeded(), counters.running()), (3, 0));
    stalling.assert_clean(&FILES);
}

#[test]
fn cancelling_ends_a_download_wherever_its_server_stalls() {
    let _alone = alone();
    let (backlog, silent, origin, folder) =
        (Backlog::start(), Silent::start(), Origin::start(), Folder::new());
    let header = origin.on("/header", Reply::ok("hello").stall_header());
    let slow_header = origin.on("/slow", Reply::ok("hello").slow_header(Duration::from_secs(1)));
    let redirect = origin.on("/redirect", Reply::redirect(302, "/header"));
    let body = origin.on("/body", Reply::ok(pattern(50_000)).stall_after(20_000));
    let refusal = origin.on("/refusal", Reply::ok(pattern(50_000)).status(404).stall_after(10));
    let before = descriptors();
    let stalls = [
        ("in the connect", backlog.url("http", "/")),
        ("in the connect of https", backlog.url("https", "/")),
        ("in the handshake", silent.url("https", "/")),
        ("before the head", silent.url("http", "/")),
        ("before the head, with a request read", header),
        ("within the head", slow_header),
        ("behind a redirect", redirect),
        ("within the body", body),
        ("within the body of a refusal", refusal),
    ];
    for (where_, url) in stalls {
        let (context, monitor) = (Context::new(), DownloadMonitor::new([]));
        let mut download = HttpDownload::get(&url)
            .unwrap()
            .no_proxy()
            .connect_timeout(LATE)
            .read_timeout(LATE)
            .monitor(&monitor)
            .writer(FileWriter::new(folder.file("file")));
        let running = context.child();
        let thread = thread::spawn(move || download.run(&running).unwrap_err());
        wait_until("the download to begin", || monitor.progress().phase != Phase::Waiting);
        // Where it stalls then, nothing can tell: it has stopped moving.
        thread::sleep(Duration::from_millis(100));
        let start = Instant::now();
        context.cancel();
        let error = thread.join().unwrap();
        assert!(start.elapsed() < SOON, "{where_}");
        assert!(error.is_cancelled() || where_.ends_with("refusal"), "{where_}: {error}");
        assert_eq!(error.gateway_status().as_u16(), if error.is_cancelled() { 503 } else { 404 });
        drop(context);
        wait_until(where_, || threads_named("ganymede") == 0 && descriptors() <= before);
    }
    assert!(folder.entries().is_empty());
}

#[test]
fn cancelling_ends_the_wait_for_a_place_among_limited_connections() {
    let (_alone, stalling) = (alone(), Stalling::start());
    let context = Context::with_limits(Limits::new().per_host(1));
    let batch = Batch::new(stalling.downloads().skip(3).take(6)).context(&context);
    let handle = batch.cancel_handle();
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            stalling.origin.wait_requests(1);
            handle.cancel();
        });
        assert!(batch.into_iter().all(|plan| plan.result().unwrap_err().is_cancelled()));
    });
    assert!(start.elapsed() < SOON);
    assert_eq!(stalling.origin.peak(), 1);
    drop(context);
    stalling.assert_clean(&[]);
}

#[test]
fn a_download_in_a_cancelled_context_sends_nothing() {
    let (_alone, origin, context) = (alone(), Origin::start(), Context::new());
    let (url, buffer) = (origin.on("/file", Reply::ok("hello")), BufferWriter::new(100));
    context.cancel();
    let mut download = HttpDownload::get(&url).unwrap().writer(buffer.clone());
    assert!(download.run(&context.child()).unwrap_err().is_cancelled());
    assert_eq!((origin.connections(), buffer.take()), (0, None));
    let pulled = std::cell::Cell::new(0);
    let source = std::iter::from_fn(|| {
        pulled.set(pulled.get() + 1);
        Some(HttpDownload::get(&url).unwrap())
    });
    assert_eq!((Batch::new(source).context(&context).count(), pulled.get()), (0, 0));
}

#[test]
fn leaving_a_stream_leaves_no_thread_or_descriptor() {
    let (_alone, stalling) = (alone(), Stalling::start());
    for _ in 0..50 {
        let download = HttpDownload::get(&stalling.origin.url("/3")).unwrap().read_timeout(LATE);
        let (_, mut body) = stream(download, &Context::new()).unwrap();
        body.read_exact(&mut [0; 10]).unwrap();
        let start = Instant::now();
        drop(body);
        assert!(start.elapsed() < SOON);
    }
    stalling.assert_clean(&[]);
}

#[test]
fn one_batch_is_cancelled_without_its_sibling() {
    let (_alone, stalling, context) = (alone(), Stalling::start(), Context::new());
    let mut left = Batch::new(stalling.downloads().skip(3)).context(&context);
    let handle = left.cancel_handle();
    let mut right = Batch::new(stalling.downloads().take(3)).context(&context);
    right.next().unwrap().result().unwrap();
    handle.cancel();
    assert!(left.next().is_none());
    assert!(right.all(|plan| plan.result().is_ok()));
    assert!(!context.is_cancelled());
}
