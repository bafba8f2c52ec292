//! Watching a download from outside.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

use std::thread;
use std::time::Duration;

use ganymede::{
    Action, Algorithm, BufferWriter, ByteRange, Context, Download, DownloadMonitor, Event, Facts,
    HttpDownload, MirrorDelegate, Phase, RetryDelegate, SizeValidation,
};
use ganymede_kit::{Gate, Origin, Reply, pattern, wait_until};

const SIZE: u64 = 100_000;

fn whole() -> Reply {
    Reply::ok(pattern(100_000))
}

fn watched(url: &str, monitor: &DownloadMonitor) -> HttpDownload {
    HttpDownload::get(url).unwrap().writer(BufferWriter::new(1 << 20)).monitor(monitor)
}

/// What can be seen of the progress: phase, attempt, bytes there, bytes announced.
fn seen(monitor: &DownloadMonitor) -> (Phase, u32, u64, Option<u64>) {
    let progress = monitor.progress();
    (progress.phase, progress.attempt, progress.received, progress.total)
}

#[test]
fn another_thread_sees_how_far_a_download_is() {
    let (origin, head, half) = (Origin::start(), Gate::new(), Gate::new());
    let url = origin.on("/file", whole().gate(&head).gate_after(50_000, &half));
    let monitor = DownloadMonitor::new([Algorithm::Sha256]);
    assert_eq!(seen(&monitor), (Phase::Waiting, 0, 0, None));
    let mut download = watched(&url, &monitor);
    let thread = thread::spawn(move || download.run(&Context::new()).unwrap());
    head.wait_arrived(1);
    assert_eq!(seen(&monitor), (Phase::Sending, 1, 0, None));
    head.open();
    half.wait_arrived(1);
    wait_until("the first half", || monitor.progress().received == 50_000);
    assert_eq!(seen(&monitor), (Phase::Receiving, 1, 50_000, Some(SIZE)));
    assert!(monitor.facts().is_none());
    half.open();
    let receipt = thread.join().unwrap();
    assert_eq!(seen(&monitor), (Phase::Succeeded, 1, SIZE, Some(SIZE)));
    assert_eq!(monitor.facts().as_ref(), Some(receipt.facts()));
    assert_eq!(monitor.clone().facts(), Facts::of(&pattern(100_000)[..], [Algorithm::Sha256]).ok());
}

#[test]
fn a_wait_before_the_next_attempt_is_seen_as_repairing() {
    let (origin, context, monitor) = (Origin::start(), Context::new(), DownloadMonitor::new([]));
    let url = origin.on("/busy", Reply::error(503).header("Retry-After", "300"));
    let mut download = watched(&url, &monitor).handler(RetryDelegate::new(1));
    let running = context.child();
    let thread = thread::spawn(move || download.run(&running).unwrap_err());
    wait_until("the failure", || monitor.progress().phase == Phase::Repairing);
    context.cancel();
    assert!(thread.join().unwrap().is_cancelled());
    assert_eq!(monitor.progress().phase, Phase::Failed);
    assert!(monitor.facts().is_none());
}

#[test]
fn a_length_that_is_not_announced_is_an_unknown_total() {
    for whole in [whole().chunked(), whole().no_length()] {
        let (origin, gate, monitor) = (Origin::start(), Gate::new(), DownloadMonitor::new([]));
        let url = origin.on("/file", whole.gate_after(65_536, &gate));
        let mut download = watched(&url, &monitor);
        let thread = thread::spawn(move || download.run(&Context::new()).unwrap());
        wait_until("the first half", || monitor.progress().received == 65_536);
        assert_eq!(seen(&monitor), (Phase::Receiving, 1, 65_536, None));
        gate.open();
        thread.join().unwrap();
        assert_eq!(seen(&monitor), (Phase::Succeeded, 1, SIZE, None));
    }
}

#[test]
fn going_on_counts_from_where_it_was_and_starting_again_from_nothing() {
    let cases = [(whole().etag("\"1\"").ranges(), 40_000), (whole(), 0)];
    for (whole, offset) in cases {
        let (origin, gate, monitor) = (Origin::start(), Gate::new(), DownloadMonitor::new([]));
        let rest = whole.clone().gate_after(10_000, &gate);
        let url = origin.sequence("/file", [whole.cut_after(40_000), rest]);
        let mut download = watched(&url, &monitor).handler(RetryDelegate::new(1).base(Duration::ZERO));
        let thread = thread::spawn(move || download.run(&Context::new()).unwrap());
        gate.wait_arrived(1);
        wait_until("what is there", || monitor.progress().received == offset + 10_000);
        assert_eq!(seen(&monitor), (Phase::Receiving, 2, offset + 10_000, Some(SIZE)));
        gate.open();
        assert_eq!(thread.join().unwrap().facts().size(), SIZE);
        assert_eq!(seen(&monitor), (Phase::Succeeded, 2, SIZE, Some(SIZE)));
    }
}

#[test]
fn the_total_of_a_range_is_the_ranges() {
    let (origin, monitor) = (Origin::start(), DownloadMonitor::new([]));
    let url = origin.on("/file", whole().ranges());
    let range = ByteRange::new(1_000, Some(1_999)).unwrap();
    watched(&url, &monitor).range(range).run(&Context::new()).unwrap();
    assert_eq!(seen(&monitor), (Phase::Succeeded, 1, 1_000, Some(1_000)));
}

#[test]
fn facts_are_those_of_the_attempt_that_was_committed() {
    let (origin, monitor) = (Origin::start(), DownloadMonitor::new([Algorithm::Md5]));
    let long = origin.on("/long", whole());
    let good = origin.on("/good", Reply::ok("hello"));
    let mut download = watched(&long, &monitor)
        .validation(SizeValidation::new(5))
        .handler(MirrorDelegate::new([good.parse().unwrap()]));
    download.run(&Context::new()).unwrap();
    let facts = monitor.facts().unwrap();
    assert_eq!(facts.size(), 5);
    assert_eq!(facts.digest(Algorithm::Md5).unwrap().hex(), "5d41402abc4b2a76b9719d911017c592");
}

#[test]
fn a_second_run_forgets_the_first() {
    let (origin, monitor) = (Origin::start(), DownloadMonitor::new([]));
    let url = origin.sequence("/file", [Reply::error(503), whole(), Reply::error(404)]);
    let watching = monitor.clone();
    let at_first = move |event: &mut Event<'_>, _: &Context| {
        if let Event::Prepared { .. } = event {
            assert_eq!(seen(&watching), (Phase::Waiting, 0, 0, None));
            assert!(watching.facts().is_none());
        }
        Action::Continue
    };
    let mut download =
        watched(&url, &monitor).handler(at_first).handler(RetryDelegate::new(1).base(Duration::ZERO));
    download.run(&Context::new()).unwrap();
    assert_eq!(monitor.facts().unwrap().size(), SIZE);
    download.run(&Context::new()).unwrap_err();
    assert!(monitor.facts().is_none());
    assert_eq!((monitor.progress().phase, monitor.progress().attempt), (Phase::Failed, 1));
}

#[test]
fn facts_come_after_the_commit_and_before_succeeded_is_told() {
    let (origin, monitor, other) =
        (Origin::start(), DownloadMonitor::new([]), DownloadMonitor::new([Algorithm::Sha1]));
    let url = origin.on("/file", Reply::ok("hello"));
    let watching = monitor.clone();
    let watch = move |event: &mut Event<'_>, _: &Context| {
        let there = matches!(event, Event::Succeeded { .. });
        assert_eq!(watching.facts().is_some(), there, "{event:?}");
        Action::Continue
    };
    // Two that watch one download see the same.
    watched(&url, &monitor).monitor(&other).handler(watch).run(&Context::new()).unwrap();
    assert_eq!(monitor.facts(), other.facts());
    assert_eq!(other.facts().unwrap().digests().len(), 1);
}

#[test]
fn a_download_that_panics_is_seen_to_have_failed() {
    let origin = Origin::start();
    let url = origin.on("/file", whole());
    let monitor = DownloadMonitor::new([]);
    let mut download = watched(&url, &monitor).handler(|event: &mut Event<'_>, _: &Context| {
        assert!(!matches!(event, Event::Replied { .. }), "a handler's own mistake");
        Action::Continue
    });
    let result = thread::spawn(move || download.run(&Context::new()).is_ok()).join();
    assert!(result.is_err());
    assert_eq!(monitor.progress().phase, Phase::Failed);
}

#[test]
fn what_a_failed_attempt_had_is_not_counted_in_the_next_one_that_starts_anew() {
    let (origin, gate) = (Origin::start(), Gate::new());
    let url = origin.sequence("/file", [whole().cut_after(40_000), whole().gate(&gate)]);
    let monitor = DownloadMonitor::new([]);
    let mut download = watched(&url, &monitor).handler(RetryDelegate::new(1).base(Duration::ZERO));
    let thread = thread::spawn(move || download.run(&Context::new()).unwrap());
    gate.wait_arrived(1);
    let progress = monitor.progress();
    assert_eq!((progress.phase, progress.attempt, progress.received), (Phase::Sending, 2, 0));
    gate.open();
    assert_eq!(thread.join().unwrap().facts().size(), SIZE);
}
