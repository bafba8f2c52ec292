//! Many downloads as a stream.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt, stream};
use ganymede::{BufferWriter, Context, ErrorKind, FileDownload, Limits};
use ganymede_async::Batch;
use ganymede_kit::{Gate, Origin, Reply, pattern};

use super::{Stubborn, block_on, get, panicking, until};

fn missing(n: usize) -> ganymede::Transfer<ganymede::FileProtocol> {
    FileDownload::get(&format!("file:///no/such/{n}")).unwrap().writer(BufferWriter::new(1))
}

#[test]
fn each_comes_back_in_order_of_completion_and_so_many_run_at_a_time() {
    let (origin, gate) = (Origin::start(), Gate::new());
    origin.handle("/", |received| Reply::ok(received.target.clone()));
    origin.on("/0", Reply::ok("/0").gate(&gate));
    let base = origin.url("/");
    block_on(async {
        let downloads = (0..20).map(|n| get(&format!("{base}{n}")).attach(n));
        let mut batch = Batch::new(downloads).concurrency(3).backlog(6);
        let counters = batch.counters();
        let mut order = Vec::new();
        while let Some(plan) = batch.next().await {
            let size = plan.result().unwrap().facts().size();
            let number = plan.into_attachment();
            assert_eq!(size, format!("/{number}").len() as u64);
            order.push(number);
            if order.len() == 19 {
                gate.open();
            }
        }
        assert_eq!(order.pop(), Some(0));
        order.sort_unstable();
        assert_eq!(order, (1..20).collect::<Vec<_>>());
        assert_eq!((counters.pulled(), counters.succeeded(), counters.running()), (20, 20, 0));
    });
    assert!(origin.in_flight_peak() <= 3, "{}", origin.in_flight_peak());
}

#[test]
fn what_is_finished_is_handed_out_while_the_list_has_nothing_to_offer() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("hello"));
    block_on(async {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let mut batch = Batch::from_stream(stream::poll_fn(move |wake| receiver.poll_recv(wake)));
        for _ in 0..3 {
            assert!(futures::poll!(batch.next()).is_pending());
            sender.send(get(&url)).unwrap();
            // The list goes on for ever, and has nothing more at present.
            assert_eq!(batch.next().await.unwrap().result().unwrap().facts().size(), 5);
        }
        drop(sender);
        assert!(batch.next().await.is_none());
    });
}

#[test]
fn no_more_is_pulled_than_the_backlog_has_room_for() {
    let (pulled, alive) = (Arc::new(AtomicUsize::new(0)), Arc::<AtomicUsize>::default());
    struct Alive(Arc<AtomicUsize>);
    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    block_on(async {
        let downloads = stream::iter(0..10_000).map(|n| {
            pulled.fetch_add(1, Ordering::SeqCst);
            assert!(alive.fetch_add(1, Ordering::SeqCst) < 5);
            missing(n).attach(Alive(Arc::clone(&alive)))
        });
        let mut batch = Batch::from_stream(downloads).concurrency(2).backlog(5);
        assert_eq!(pulled.load(Ordering::SeqCst), 0);
        drop(batch.next().await.unwrap());
        // While nobody polls it, what was pulled runs to its end, and nothing more is.
        let counters = batch.counters();
        until("all that was pulled to end", || counters.failed() == counters.pulled()).await;
        assert!(pulled.load(Ordering::SeqCst) <= 6);
        let mut taken = 1;
        while let Some(plan) = batch.next().await {
            drop(plan);
            taken += 1;
            assert!(pulled.load(Ordering::SeqCst) <= taken + 5);
        }
        assert_eq!(taken, 10_000);
    });
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn dropping_it_closes_its_connections_and_waits_for_nothing() {
    let origin = Origin::start();
    origin.handle("/", |_| Reply::ok(pattern(10_000)).stall_after(5_000));
    let base = origin.url("/");
    block_on(async {
        let mut batch = Batch::new((0..100).map(|n| get(&format!("{base}{n}")))).concurrency(4).backlog(8);
        assert!(futures::poll!(batch.next()).is_pending());
        until("four to stall", || origin.journal().iter().filter(|one| one.sent == 5_000).count() == 4).await;
        drop(batch);
        until("the connections to be closed", || origin.open() == 0).await;
    });
    let (download, stubborn) = Stubborn::download();
    block_on(async {
        let mut batch = Batch::new([download]);
        assert!(futures::poll!(batch.next()).is_pending());
        stubborn.asked().await;
        drop(batch);
        stubborn.go();
    });
}

#[test]
fn closing_it_waits_for_its_threads() {
    let (download, stubborn) = Stubborn::download();
    let alive = Arc::new(());
    block_on(async {
        let mut batch = Batch::new([download.attach(Arc::clone(&alive))]);
        assert!(futures::poll!(batch.next()).is_pending());
        stubborn.asked().await;
        let mut closing = Box::pin(batch.close());
        assert!(futures::poll!(&mut closing).is_pending());
        assert_eq!(Arc::strong_count(&alive), 2);
        stubborn.go();
        closing.await;
        assert_eq!(Arc::strong_count(&alive), 1);
    });
}

#[test]
fn cancelling_it_from_elsewhere_ends_it_also_while_it_waits_for_its_list() {
    block_on(async {
        let context = Context::new();
        let downloads = stream::iter([missing(0)]).chain(stream::pending());
        let mut batch = Batch::from_stream(downloads).context(&context);
        assert!(batch.next().await.is_some());
        assert!(futures::poll!(batch.next()).is_pending());
        let handle = batch.cancel_handle();
        let thread = std::thread::spawn(move || handle.cancel());
        assert!(batch.next().await.is_none());
        thread.join().unwrap();
        assert!(!context.is_cancelled());
    });
}

#[test]
fn a_failed_or_panicked_download_is_one_failed_plan() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("hello"));
    block_on(async {
        let downloads = [get(&url), get(&url).handler(panicking), get(&origin.url("/missing"))];
        let plans: Vec<_> = Batch::new(downloads).collect().await;
        let failed = |kind: fn(&ErrorKind) -> bool| {
            plans.iter().filter(|plan| plan.result().err().is_some_and(|error| kind(error.kind()))).count()
        };
        assert_eq!(failed(|kind| matches!(kind, ErrorKind::Panicked)), 1);
        assert_eq!(failed(|kind| matches!(kind, ErrorKind::NotFound)), 1);
        assert_eq!(plans.len(), 3);
    });
}

#[test]
fn the_end_of_the_list_in_an_error_or_a_panic_comes_after_all_results() {
    block_on(async {
        let torn = (0..3).map(|n| if n == 2 { Err("torn") } else { Ok(missing(n)) });
        let ends: Vec<_> = Batch::try_new(torn).collect().await;
        assert!(ends[0].is_ok() && ends[1].is_ok() && matches!(ends[2], Err("torn")) && ends.len() == 3);
        let torn = (0..3).map(|n| if n == 2 { resume_unwind(Box::new("torn")) } else { missing(n) });
        let mut batch = Batch::from_stream(stream::iter(torn));
        assert!(batch.next().await.is_some() && batch.next().await.is_some());
        let last = catch_unwind(AssertUnwindSafe(|| futures::FutureExt::now_or_never(batch.next())));
        assert_eq!(last.err().and_then(|panic| panic.downcast_ref::<&str>().copied()), Some("torn"));
    });
}

#[test]
fn one_that_waits_for_its_host_gives_its_place_to_another() {
    let (origin, gate) = (Origin::start(), Gate::new());
    origin.handle("/", |received| Reply::ok(received.target.clone()));
    let url = origin.on("/held", Reply::ok("held").gate(&gate));
    let context = Context::with_limits(Limits::new().per_host(1));
    block_on(async {
        let other = Origin::start();
        let fast = other.on("/fast", Reply::ok("fast"));
        // Two at a time: the second waits for the first one's host, and the third runs.
        let mut batch =
            Batch::new([get(&url), get(&url), get(&fast)]).context(&context).concurrency(2).backlog(3);
        let first = batch.next().await.unwrap();
        assert_eq!(first.result().unwrap().source().path(), "/fast");
        gate.open();
        assert_eq!(batch.count().await, 2);
    });
}
