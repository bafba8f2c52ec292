//! Many downloads at once: bounded, lazy, in order of completion, each with what is tied to it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

use std::cell::Cell;
use std::collections::HashSet;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ganymede::{
    Batch, BufferWriter, Context, Counters, Download, ErrorKind, Failure, FileWriter, Head, HttpDownload,
    Protocol, Reply, Request, Transfer, stream,
};
use ganymede_kit::{Folder, Gate, Origin, Reply as Scripted, pattern, wait_until};

/// A source whose contents are empty.
fn nothing(request: &Request, _: &Context) -> Result<Reply, Failure> {
    Ok(Reply::new(Head::new(request.url()).with_length(Some(0)), io::empty()))
}

fn numbered<P: Protocol>(n: usize, protocol: P) -> Transfer<P> {
    Transfer::new(Request::get(&format!("test:{n}")).unwrap(), protocol).writer(BufferWriter::new(100))
}

fn number(download: &impl Download) -> usize {
    download.request().url().path().parse().unwrap()
}

/// The most memory that the process ever had, in KiB.
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn forty_slow_downloads_four_at_a_time_are_four_at_the_server() {
    let (origin, folder, context) = (Origin::start(), Folder::new(), Context::new());
    origin.handle("/", |received| Scripted::ok(received.path().to_owned()).delay(Duration::from_millis(200)));
    let downloads = (0..40).map(|n| {
        let download = HttpDownload::get(&origin.url(&format!("/{n}"))).unwrap();
        download.writer(FileWriter::new(folder.file(n.to_string())))
    });
    let batch = Batch::new(downloads).concurrency(4).context(&context);
    assert!(batch.map(|plan| plan.result().map(|_| ()).unwrap()).count() == 40);
    assert_eq!(origin.in_flight_peak(), 4);
    assert!(origin.connections() <= 4, "{} connections", origin.connections());
    for n in 0..40 {
        assert_eq!(folder.read(n.to_string()), format!("/{n}").into_bytes());
    }
    assert_eq!(folder.entries().len(), 40);
}

#[test]
fn a_hundred_downloads_share_the_connections_of_their_context() {
    let (origin, context) = (Origin::start(), Context::new());
    let url = origin.on("/file", Scripted::ok(pattern(10_000)));
    let downloads = || {
        let make = |_| HttpDownload::get(&url).unwrap().writer(BufferWriter::new(10_000));
        Batch::new((0..50).map(make)).concurrency(4).context(&context)
    };
    for _ in 0..2 {
        assert!(downloads().all(|plan| plan.result().is_ok()));
    }
    assert_eq!(origin.requests("/file"), 100);
    assert!(origin.connections() <= 4, "{} connections", origin.connections());
}

#[test]
fn it_works_with_every_other_setting_at_its_default() {
    let mut seen = HashSet::new();
    for plan in Batch::new((0..10).map(|n| numbered(n, nothing))).backlog(3) {
        assert_eq!(plan.result().unwrap().facts().size(), 0);
        seen.insert(number(plan.download()));
    }
    assert_eq!(seen.len(), 10);
}

#[test]
fn one_failure_and_one_panic_are_one_failed_plan_each() {
    let some = |request: &Request, context: &Context| match request.url().path() {
        "7" => Err(ErrorKind::NotFound.into()),
        "11" => panic!("number eleven"),
        _ => nothing(request, context),
    };
    let batch = Batch::new((0..30).map(|n| numbered(n, some)));
    let counters = batch.counters();
    let mut seen = 0;
    for plan in batch {
        seen += 1;
        match (number(plan.download()), plan.result()) {
            (7, result) => assert!(result.unwrap_err().is_not_found()),
            (11, result) => {
                let error = result.unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::Panicked));
                assert_eq!(error.url().as_str(), "test:11");
                assert_eq!(error.failure().to_string(), "the download panicked: number eleven");
            }
            (_, result) => drop(result.unwrap()),
        }
    }
    assert_eq!(seen, 30);
    let counted = [counters.pulled(), counters.succeeded(), counters.failed(), counters.running()];
    assert_eq!(counted, [30, 28, 2, 0]);
}

#[test]
fn results_come_in_order_of_completion() {
    let gate = Arc::new(std::sync::Barrier::new(2));
    let opened = Arc::clone(&gate);
    let first_waits = move |request: &Request, context: &Context| {
        if request.url().path() == "0" {
            gate.wait();
        }
        nothing(request, context)
    };
    let downloads = (0..6).map(|n| numbered(n, first_waits.clone()));
    let mut batch = Batch::new(downloads).concurrency(2);
    let early: Vec<_> = batch.by_ref().take(5).map(|plan| number(plan.download())).collect();
    assert_eq!(early, [1, 2, 3, 4, 5]);
    opened.wait();
    assert_eq!(batch.map(|plan| number(plan.download())).collect::<Vec<_>>(), [0]);
}

#[test]
fn a_million_downloads_are_pulled_no_further_than_the_backlog_in_flat_memory() {
    const BACKLOG: usize = 16;
    let (pulled, taken, alive) = (Cell::new(0), Cell::new(0), Arc::new(AtomicUsize::new(0)));
    struct Alive(Arc<AtomicUsize>);
    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let source = (0..1_000_000).map(|n| {
        pulled.set(pulled.get() + 1);
        assert!(pulled.get() - taken.get() <= BACKLOG, "{} pulled, {} taken", pulled.get(), taken.get());
        assert!(alive.fetch_add(1, Ordering::SeqCst) < BACKLOG);
        numbered(n, nothing).attach(Alive(Arc::clone(&alive)))
    });
    let batch = Batch::new(source).backlog(BACKLOG).concurrency(2);
    assert_eq!(pulled.get(), 0, "nothing is pulled before a result is wanted");
    let mut memory = 0;
    for plan in batch {
        plan.result().unwrap();
        taken.set(taken.get() + 1);
        if taken.get() == 500_000 {
            memory = peak_memory();
        }
    }
    assert_eq!((pulled.get(), taken.get()), (1_000_000, 1_000_000));
    assert_eq!(alive.load(Ordering::SeqCst), 0);
    let grown = peak_memory() - memory;
    assert!(grown < 16 << 10, "{grown} KiB more in the second half");
}

#[test]
fn no_more_than_the_backlog_is_alive_while_nothing_ends() {
    let (gate, origin, pulled) = (Gate::new(), Origin::start(), Cell::new(0));
    let url = origin.on("/file", Scripted::ok("hello").gate(&gate));
    let source = (0..20).map(|_| {
        pulled.set(pulled.get() + 1);
        HttpDownload::get(&url).unwrap().writer(BufferWriter::new(10))
    });
    // The last of the backlog is pulled before the caller waits, and one more never.
    let opener = gate.clone();
    let checked = source.inspect(|_| {
        if pulled.get() == 5 {
            let opener = opener.clone();
            std::thread::spawn(move || {
                opener.wait_arrived(3);
                opener.open();
            });
        }
    });
    let mut batch = Batch::new(checked).backlog(5).concurrency(3);
    batch.next().unwrap().result().unwrap();
    assert_eq!(pulled.get(), 5);
    assert_eq!(batch.count(), 19);
}

#[test]
fn an_error_of_the_source_comes_last_and_after_all_earlier_results() {
    let source = (0..10).map(|n| if n < 7 { Ok(numbered(n, nothing)) } else { Err("the list is torn") });
    let mut plans = 0;
    let mut error = None;
    for item in Batch::try_new(source).backlog(3) {
        match item {
            Ok(plan) => {
                assert!(error.is_none());
                plan.result().unwrap();
                plans += 1;
            }
            Err(why) => assert_eq!(error.replace(why), None),
        }
    }
    assert_eq!((plans, error), (7, Some("the list is torn")));
}

#[test]
fn a_panic_of_the_source_reaches_the_caller_after_all_earlier_results() {
    for backlog in [1, 3, 64] {
        let source = (0..10).map(|n| {
            assert!(n < 7, "the list is torn");
            numbered(n, nothing)
        });
        let taken = Cell::new(0);
        let run = || {
            for plan in Batch::new(source).backlog(backlog) {
                plan.result().unwrap();
                taken.set(taken.get() + 1);
            }
        };
        let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
        assert_eq!((*panic.downcast::<&str>().unwrap(), taken.get()), ("the list is torn", 7));
    }
}

#[test]
fn an_empty_batch_ends_and_an_ended_batch_stays_so() {
    let mut empty = Batch::new(std::iter::empty::<HttpDownload>());
    assert!(empty.next().is_none() && empty.next().is_none());
    let mut one = Batch::new([numbered(0, nothing)]);
    assert!(one.next().is_some() && one.next().is_none() && one.next().is_none());
    let mut failed = Batch::try_new([Ok(numbered(0, nothing)), Err("torn"), Ok(numbered(1, nothing))]);
    assert_eq!(failed.next().unwrap().unwrap().download().request().url().path(), "0");
    assert_eq!(failed.next().unwrap().map(|_| ()), Err("torn"));
    assert!(failed.next().is_none(), "what comes after an error is not pulled");
}

#[test]
fn what_is_ready_is_handed_out_before_a_slow_source_is_pulled_again() {
    let (pulled, counters, slow) = (Cell::new(0), Cell::new(None), Arc::new(AtomicUsize::new(0)));
    let pulling = Arc::clone(&slow);
    let first_waits = move |request: &Request, context: &Context| {
        wait_until("the source to be slow", || pulling.load(Ordering::SeqCst) == 1);
        nothing(request, context)
    };
    let source = (0..5).map(|n| {
        pulled.set(pulled.get() + 1);
        if n == 1 {
            slow.store(1, Ordering::SeqCst);
            let counters: Arc<Counters> = counters.take().unwrap();
            wait_until("the first download to end", || counters.succeeded() == 1);
            // It is counted a moment before it can be handed out.
            std::thread::sleep(Duration::from_millis(100));
        }
        numbered(n, first_waits.clone())
    });
    let mut batch = Batch::new(source);
    counters.set(Some(batch.counters()));
    assert_eq!((number(batch.next().unwrap().download()), pulled.get()), (0, 2));
    assert_eq!(batch.count(), 4);
}

#[test]
fn a_source_that_ends_slowly_is_an_end_all_the_same() {
    let counters = Cell::new(None);
    let slow_end = std::iter::from_fn(|| {
        let counters: Arc<Counters> = counters.take()?;
        wait_until("all earlier downloads to end", || counters.succeeded() == 5);
        None
    });
    let batch = Batch::new((0..5).map(|n| numbered(n, nothing)).chain(slow_end));
    counters.set(Some(batch.counters()));
    assert_eq!(batch.count(), 5);
}

#[test]
fn one_at_a_time_keeps_the_order() {
    let downloads = (0..50).map(|n| numbered(n, nothing));
    let order: Vec<_> =
        Batch::new(downloads).concurrency(0).backlog(0).map(|plan| number(plan.download())).collect();
    assert_eq!(order, (0..50).collect::<Vec<_>>());
}

struct Counted(usize, Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn each_attachment_comes_back_with_its_own_download_and_is_dropped_once() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let some = |request: &Request, context: &Context| {
        let n: u64 = request.url().path().parse().unwrap();
        std::thread::sleep(Duration::from_millis(n * 7 % 5));
        assert!(n % 10 != 3, "one of many panics");
        if n % 10 == 4 { Err(ErrorKind::NotFound.into()) } else { nothing(request, context) }
    };
    let downloads = (0..200).map(|n| numbered(n, some).attach(Counted(n, Arc::clone(&dropped))));
    let (mut order, mut kept) = (Vec::new(), Vec::new());
    for plan in Batch::new(downloads) {
        let n = number(plan.download());
        assert_eq!(plan.attachment().0, n);
        assert_eq!(plan.result().is_ok(), !matches!(n % 10, 3 | 4));
        order.push(n);
        match n % 2 {
            0 => kept.push(plan.into_attachment()),
            _ => drop(plan),
        }
        assert_eq!(dropped.load(Ordering::SeqCst), order.len() - kept.len());
    }
    assert!(!order.is_sorted(), "completion was not shuffled at all");
    drop(kept);
    assert_eq!(dropped.load(Ordering::SeqCst), 200);
    order.sort_unstable();
    assert_eq!(order, (0..200).collect::<Vec<_>>());
}

#[test]
fn attachments_of_a_batch_that_is_left_are_dropped_once_too() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let made = Cell::new(0);
    let downloads = (0..200).map(|n| {
        made.set(made.get() + 1);
        numbered(n, nothing).attach(Counted(n, Arc::clone(&dropped)))
    });
    for plan in Batch::new(downloads).backlog(20) {
        if plan.attachment().0 >= 30 {
            break;
        }
    }
    assert_eq!(dropped.load(Ordering::SeqCst), made.get());
    assert!(made.get() < 200);
}

#[test]
fn the_plain_loop_works_on_a_blocking_thread_of_an_asynchronous_program() {
    let origin = Origin::start();
    origin.handle("/", |received| Scripted::ok(received.path().to_owned()));
    let work = move || {
        let context = Context::new();
        let downloads = (0..20).map(|n| {
            let buffer = BufferWriter::new(100);
            let download = HttpDownload::get(&origin.url(&format!("/{n}"))).unwrap();
            download.writer(buffer.clone()).attach((n, buffer))
        });
        for plan in Batch::new(downloads).context(&context).backlog(3) {
            let (n, buffer) = plan.attachment();
            assert_eq!(buffer.take().unwrap(), format!("/{n}").into_bytes());
        }
        let download = HttpDownload::get(&origin.url("/streamed")).unwrap();
        let (_, mut body) = stream(download, &context).unwrap();
        let mut text = String::new();
        body.read_to_string(&mut text).unwrap();
        assert_eq!(text, "/streamed");
        origin
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let origin = runtime.block_on(async { tokio::task::spawn_blocking(work).await.unwrap() });
    assert_eq!(origin.journal().len(), 21);
    // To block a thread of the runtime itself is no good idea, but no panic either.
    let size = runtime.block_on(async {
        let mut download = HttpDownload::get(&origin.url("/here")).unwrap().writer(BufferWriter::new(100));
        download.run(&Context::new()).unwrap().facts().size()
    });
    assert_eq!(size, 5);
}
