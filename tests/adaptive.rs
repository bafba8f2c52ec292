//! A batch that finds out how many downloads at a time are best: more where they wait, fewer where they are too many.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ganymede::{
    Batch, BufferWriter, CancelHandle, Context, Download, HttpDownload, Limits, Plan, RetryDelegate,
};
use ganymede_kit::{Origin, Reply, closed_port, pattern, wait_until};

/// How long a reply of a server takes that is far away.
const FAR: Duration = Duration::from_millis(100);

/// More downloads than any of these tests can take.
const ENDLESS: usize = 10_000;

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap().no_proxy().writer(BufferWriter::new(1 << 20))
}

fn path(plan: &Plan<HttpDownload>) -> String {
    plan.download().request().url().path().to_owned()
}

#[test]
fn it_begins_with_a_few_and_runs_more_where_each_only_waits() {
    let origin = Origin::start();
    origin.handle("/", |received| Reply::ok(received.path().to_owned()).delay(FAR));
    let downloads = (0..ENDLESS).map(|n| get(&origin.url(&format!("/{n}"))));
    let batch = Batch::new(downloads).adaptive(24);
    let counters = batch.counters();
    assert_eq!(counters.concurrency(), 4);
    let mut seen = Vec::new();
    for plan in batch {
        assert_eq!(plan.result().unwrap().facts().size(), path(&plan).len() as u64);
        seen.push(counters.concurrency());
        if counters.concurrency() == 24 && seen.len() > 100 {
            break;
        }
    }
    assert_eq!(seen.last(), Some(&24), "{seen:?}");
    assert!((8..=24).contains(&origin.in_flight_peak()), "{}", origin.in_flight_peak());
}

/// A server that answers so many at a time, and refuses all others at once.
fn narrow(places: usize) -> (Origin, Arc<AtomicUsize>) {
    let (origin, refused) = (Origin::start(), Arc::new(AtomicUsize::new(0)));
    let (busy, refusals) = (AtomicUsize::new(0), Arc::clone(&refused));
    origin.handle("/", move |received| {
        let before = busy.fetch_add(1, Ordering::SeqCst);
        let reply = if before < places {
            thread::sleep(Duration::from_millis(30));
            Reply::ok(received.path().to_owned())
        } else {
            refusals.fetch_add(1, Ordering::SeqCst);
            Reply::error(429)
        };
        busy.fetch_sub(1, Ordering::SeqCst);
        reply
    });
    (origin, refused)
}

#[test]
fn where_too_many_are_refused_fewer_run_and_all_succeed() {
    let (origin, refused) = narrow(6);
    let retry = RetryDelegate::new(20).base(Duration::from_millis(10));
    let downloads = (0..400).map(|n| get(&origin.url(&format!("/{n}"))).handler(retry.clone()));
    let batch = Batch::new(downloads).adaptive(64).backlog(128);
    let counters = batch.counters();
    let mut seen = Vec::new();
    for plan in batch {
        plan.result().unwrap();
        seen.push(counters.concurrency());
    }
    assert_eq!((seen.len(), counters.succeeded()), (400, 400));
    // It has gone too far once, and a little now and then.
    assert!(seen.iter().all(|concurrency| *concurrency <= 12), "{seen:?}");
    assert!(seen[100..].iter().filter(|concurrency| **concurrency <= 6).count() > 200, "{seen:?}");
    assert!(refused.load(Ordering::SeqCst) < 40, "{refused:?}");
}

#[test]
fn a_host_that_is_not_there_or_wants_to_be_left_alone_costs_the_others_nothing() {
    let (far, held) = (Origin::start(), Origin::start());
    far.handle("/", |_| Reply::ok("content").delay(FAR));
    held.sequence("/first", [Reply::ok("content")]);
    held.handle("/", |_| Reply::error(503).header("Retry-After", "1"));
    let dead = format!("http://127.0.0.1:{}/", closed_port());
    let downloads = (0..ENDLESS).map(|n| match n % 12 {
        0 if n == 0 => get(&held.url("/first")),
        0 => get(&held.url(&format!("/{n}"))),
        6 => get(&dead),
        _ => get(&far.url(&format!("/{n}"))),
    });
    let mut batch = Batch::new(downloads).adaptive(16).backlog(256);
    let counters = batch.counters();
    assert!(batch.any(|_| counters.concurrency() == 16), "{counters:?}");
    assert!(counters.failed() > 0 && counters.succeeded() > 20);
}

#[test]
fn bytes_count_before_any_download_has_ended() {
    let origin = Origin::start();
    let url = origin.on("/large", Reply::generated(1 << 29).drip(4 << 10, Duration::from_millis(10)));
    let downloads = (0..100).map(|_| HttpDownload::get(&url).unwrap().writer(BufferWriter::new(1 << 30)));
    let batch = Batch::try_new(downloads.map(Ok::<_, ()>)).adaptive(8);
    struct Cancelling(CancelHandle);
    impl Drop for Cancelling {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }
    let (counters, cancelling) = (batch.counters(), Cancelling(batch.cancel_handle()));
    let looking = thread::spawn(move || {
        let _cancelling = cancelling;
        wait_until("twice as many to run", || counters.concurrency() == 8 && counters.running() == 8);
        assert_eq!((counters.succeeded(), counters.failed(), counters.bytes()), (0, 0, 0));
        let received = counters.received();
        wait_until("more to come", || counters.received() > received + (1 << 18));
    });
    assert!(batch.map(Result::unwrap).all(|plan| plan.into_result().unwrap_err().is_cancelled()));
    looking.join().unwrap();
}

#[test]
fn the_limit_of_a_host_holds_in_any_case() {
    let (origin, context) = (Origin::start(), Context::with_limits(Limits::new().per_host(2)));
    origin.handle("/", |_| Reply::ok(pattern(1_000)).delay(Duration::from_millis(10)));
    let downloads = (0..150).map(|n| get(&origin.url(&format!("/{n}"))));
    let batch = Batch::new(downloads).adaptive(32).context(&context);
    assert_eq!(batch.filter(|plan| plan.result().is_ok()).count(), 150);
    assert!(origin.in_flight_peak() <= 2);
}

#[test]
fn what_was_said_last_counts() {
    let none = || Batch::new(std::iter::empty::<HttpDownload>());
    assert_eq!(none().counters().concurrency(), 8);
    assert_eq!(none().adaptive(32).concurrency(5).counters().concurrency(), 5);
    assert_eq!(none().concurrency(5).adaptive(32).counters().concurrency(), 4);
    assert_eq!(none().adaptive(2).counters().concurrency(), 2);
    assert_eq!(none().adaptive(0).counters().concurrency(), 1);
}

#[test]
fn one_at_most_is_one_after_the_other() {
    let origin = Origin::start();
    origin.handle("/", |received| Reply::ok(received.path().to_owned()));
    let downloads = (0..100).map(|n| get(&origin.url(&format!("/{n}"))));
    let paths: Vec<_> = Batch::new(downloads).adaptive(1).map(|plan| path(&plan)).collect();
    assert_eq!(paths, (0..100).map(|n| format!("/{n}")).collect::<Vec<_>>());
    assert_eq!(origin.in_flight_peak(), 1);
}

#[test]
fn dropped_while_it_changes_it_leaves_nothing_running() {
    let origin = Origin::start();
    origin.handle("/", |_| Reply::ok("content").delay(Duration::from_millis(20)));
    for taken in [0, 1, 30, 90, 150, 250] {
        let downloads = (0..ENDLESS).map(|n| get(&origin.url(&format!("/{n}"))));
        let mut batch = Batch::new(downloads).adaptive(32);
        let counters = batch.counters();
        assert_eq!(batch.by_ref().take(taken).filter(|plan| plan.result().is_ok()).count(), taken);
        drop(batch);
        assert_eq!(counters.running(), 0);
    }
    origin.wait_open(0);
}
