//! Nothing is left: not of one broken batch, and not of a thousand.
//!
//! It counts what the process holds, so this test is alone in its file and thus in its process.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ganymede::{
    Action, Batch, Context, Download, Event, FileWriter, HttpDownload, Limits, RetryDelegate, SizeValidation,
    TryBatch,
};
use ganymede_kit::{Folder, Origin, Reply, descriptors, pattern, threads, threads_named, wait_until};

const BATCHES: usize = 1_000;

/// What no time-out of this test comes near.
const LATE: Duration = Duration::from_secs(600);

/// Counts the downloads that are alive.
struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Ground {
    origin: Origin,
    folder: Folder,
    alive: Arc<AtomicUsize>,
}

impl Ground {
    fn start() -> Self {
        let origin = Origin::start();
        origin.handle("/", |received| {
            let whole = Reply::ok(pattern(20_000));
            match received.path() {
                "/whole" => whole,
                "/head" => whole.stall_header(),
                "/cut" => whole.cut_after(5_000),
                "/missing" => Reply::error(404),
                _ => whole.stall_after(5_000),
            }
        });
        Self { origin, folder: Folder::new(), alive: Arc::default() }
    }

    /// The `n`th download of a list: some are whole, others end badly or never.
    fn download(&self, n: usize, panics: bool) -> impl Download + use<> {
        let path = ["/whole", "/stalled", "/cut", "/head", "/whole", "/missing", "/whole", "/wrong"][n % 8];
        let url = self.origin.url(if path == "/wrong" { "/whole" } else { path });
        let mut download = HttpDownload::get(&url).unwrap().no_proxy().read_timeout(LATE);
        if path == "/wrong" {
            // Nothing here lets another run go on: a partial file that is left is one that was forgotten.
            download = download.validation(SizeValidation::new(1));
        }
        if panics && path == "/whole" {
            download = download.handler(|event: &mut Event<'_>, _: &Context| match event {
                // Without the words that a panic prints.
                Event::Fetched { .. } => resume_unwind(Box::new("a handler's own")),
                _ => Action::Continue,
            });
        }
        self.alive.fetch_add(1, Ordering::SeqCst);
        let retry = RetryDelegate::new(2).base(Duration::from_millis(1));
        download
            .handler(retry)
            .writer(FileWriter::new(self.folder.file(n.to_string())))
            .attach(Alive(Arc::clone(&self.alive)))
    }

    /// Runs a batch that comes to a bad end, in one of many ways.
    fn break_batch(&self, number: usize) {
        let context = if number.is_multiple_of(3) {
            Context::with_limits(patient())
        } else {
            Context::with_limits(patient().total(3))
        };
        let list = (0..1_000).map(|n| self.download(n, number.is_multiple_of(2)));
        let taken = number % 5;
        match number % 7 {
            // It is left after a few.
            0 | 1 => {
                let _ = broken(list.map(Ok), &context, 16).take(1 + taken).count();
            }
            // It is dropped where it was never asked, and when it was asked once.
            2 => {
                let mut batch = broken(list.map(Ok), &context, 4);
                drop((taken > 2).then(|| batch.next()));
            }
            // Its context is cancelled, with some taken and some running, and it is run to its end.
            3 => {
                let context = Context::with_limits(patient());
                let mut cancelled = Batch::new(list).context(&context).backlog(8).concurrency(4);
                let _ = cancelled.by_ref().take(taken).count();
                context.cancel();
                assert!(cancelled.count() <= 8);
            }
            // Its list ends in an error, before anything that stalls.
            4 => {
                let torn = list.enumerate().map(|(n, one)| if n == 1 { Err("torn") } else { Ok(one) });
                let ends: Vec<_> = broken(torn, &context, 16).collect();
                assert!(ends.len() == 2 && ends[1].is_err());
            }
            // Its list panics while others run, and that reaches the loop; it comes after all earlier results.
            5 => {
                let torn = list
                    .enumerate()
                    .map(|(n, one)| if n == 1 { resume_unwind(Box::new("torn")) } else { Ok(one) });
                let run = AssertUnwindSafe(|| broken(torn, &context, 16).count());
                assert!(catch_unwind(run).is_err());
            }
            // The loop panics.
            _ => {
                let run = AssertUnwindSafe(|| {
                    broken(list.map(Ok), &context, 16).nth(taken);
                    resume_unwind(Box::new("in the loop"))
                });
                assert!(catch_unwind(run).is_err());
            }
        }
    }
}

fn broken<'a, D: Download + 'static>(
    list: impl Iterator<Item = Result<D, &'static str>> + 'a,
    context: &Context,
    backlog: usize,
) -> TryBatch<'a, D, &'static str> {
    Batch::try_new(list).context(context).backlog(backlog).concurrency(4)
}

/// Limits of who does not spare a host that breaks off all the time.
fn patient() -> Limits {
    Limits::new().backoff(Duration::ZERO)
}

#[test]
fn a_thousand_batches_that_are_broken_in_many_ways_leave_no_thread_descriptor_or_file() {
    let ground = Ground::start();
    // What is made once for the whole process is made now.
    ground.break_batch(0);
    let settled = || threads_named("ganymede") == 0 && ground.origin.open() == 0;
    wait_until("the first batch to be gone", settled);
    wait_until("the threads of its connections to be gone", || threads_named("kit-origin") <= 2);
    let before = (descriptors(), threads());
    for number in 0..BATCHES {
        ground.break_batch(number);
        // A batch waits for its threads: what it wrote is there or gone when control is back.
        let entries = ground.folder.entries();
        assert!(entries.iter().all(|name| name.parse::<usize>().is_ok()), "{number}: {entries:?}");
        assert_eq!(ground.alive.load(Ordering::SeqCst), 0, "{number}: downloads are alive");
    }
    wait_until("all threads and connections to be gone", settled);
    assert!(ground.folder.entries().iter().all(|name| ground.folder.read(name) == pattern(20_000)));
    wait_until("all to be as it was", || descriptors() <= before.0 && threads() <= before.1);
}
