//! Limits of connections and of bytes a second: for each host and in all, with redirect targets and mirror lists
//! counted.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ganymede::{Action, Batch, BufferWriter, Context, Download, Event, HttpDownload, Limits, MirrorDelegate};
use ganymede_kit::{Gate, Origin, Reply, pattern, wait_until};

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap().writer(BufferWriter::new(1 << 20))
}

/// Runs all of them, many at a time, and asserts that they succeed.
#[track_caller]
fn all_succeed(
    downloads: impl IntoIterator<Item = HttpDownload>,
    concurrency: usize,
    context: &Context,
) -> usize {
    let mut count = 0;
    for plan in Batch::new(downloads).concurrency(concurrency).context(context) {
        plan.result().unwrap();
        count += 1;
    }
    count
}

#[test]
fn five_thousand_downloads_keep_to_eight_connections_and_use_them_again() {
    let origin = Origin::start();
    origin.handle("/", |request| match request.path().split('/').nth(1) {
        Some("redirected") => Reply::redirect(302, request.target.replace("redirected", "small")),
        Some("moved") => Reply::error(404),
        Some("list") => Reply::ok(request.target.replace("list", "small")),
        _ => Reply::ok(format!("content of {}", request.target)),
    });
    let downloads = (0..5_000).map(|n| match n % 10 {
        0 => get(&origin.url(&format!("/redirected/{n}"))),
        1 => {
            let list = origin.url(&format!("/list/{n}")).parse().unwrap();
            get(&origin.url(&format!("/moved/{n}"))).handler(MirrorDelegate::list(list))
        }
        _ => get(&origin.url(&format!("/small/{n}"))),
    });
    let context = Context::with_limits(Limits::new().per_host(8));
    assert_eq!(all_succeed(downloads, 32, &context), 5_000);
    assert_eq!(origin.journal().len(), 4_000 + 500 * 2 + 500 * 3);
    assert!(origin.peak() <= 8, "{} at once", origin.peak());
    assert!(origin.in_flight_peak() <= 8, "{} at once", origin.in_flight_peak());
    assert!(origin.connections() <= 16, "{} in all", origin.connections());
}

#[test]
fn the_deadline_of_a_download_ends_its_waiting_for_a_place() {
    let origin = Origin::start();
    let gate = Gate::new();
    let (held, free) =
        (origin.on("/held", Reply::ok("held").gate(&gate)), origin.on("/free", Reply::ok("free")));
    let context = Context::with_limits(Limits::new().total(1));
    thread::scope(|scope| {
        let holding = scope.spawn(|| get(&held).run(&context));
        gate.wait_arrived(1);
        let error = get(&free).deadline(Duration::from_millis(100)).run(&context).unwrap_err();
        assert_eq!((error.kind().name(), error.is_transient()), ("timeout", false));
        gate.open();
        assert_eq!(holding.join().unwrap().unwrap().facts().size(), 4);
    });
    assert_eq!(origin.requests("/free"), 0);
}

/// Asserts that of 16 downloads that want to, this many are let through at once: no more, and no fewer.
#[track_caller]
fn lets_through(expected: usize, limits: Limits, hosts: &[&str]) {
    let origin = Origin::start();
    let gate = Gate::new();
    let reply = Reply::ok("content").gate(&gate);
    origin.handle("/", move |_| reply.clone());
    let probe = origin.on("/probe", Reply::ok("content"));
    let sending = Arc::new(AtomicUsize::new(0));
    let downloads = (0..16).map(|n| {
        let sending = Arc::clone(&sending);
        let url = origin.url_at(hosts[n % hosts.len()], &format!("/{n}"));
        get(&url).handler(move |event: &mut Event<'_>, _: &Context| {
            if let Event::Sending { .. } = event {
                sending.fetch_add(1, Ordering::SeqCst);
            }
            Action::Continue
        })
    });
    let downloads: Vec<_> = downloads.collect();
    let context = Context::with_limits(limits);
    thread::scope(|scope| {
        let running = scope.spawn(|| all_succeed(downloads, 16, &context));
        gate.wait_arrived(expected);
        wait_until("all downloads to begin", || sending.load(Ordering::SeqCst) == 16);
        // Whoever is let through beyond that comes before these, which nothing limits, have gone and come.
        let others = Context::new();
        for _ in 0..50 {
            get(&probe).run(&others).unwrap();
        }
        assert_eq!(gate.standing(), expected);
        gate.open();
        assert_eq!(running.join().unwrap(), 16);
    });
}

#[test]
fn limits_count_for_each_host_and_in_all() {
    let hosts = ["127.0.0.1", "localhost"];
    lets_through(2, Limits::new().per_host(2), &hosts[..1]);
    lets_through(4, Limits::new().per_host(2), &hosts);
    lets_through(3, Limits::new().total(3), &hosts);
    lets_through(3, Limits::new().total(3).per_host(2), &hosts);
    lets_through(16, Limits::new(), &hosts);
}

#[test]
fn one_place_is_enough_for_redirects_mirrors_and_their_lists() {
    let origin = Origin::start();
    origin.on("/file", Reply::ok("content"));
    let redirected = origin.on("/start", Reply::redirect(302, "/file"));
    let moved = origin.on("/list", Reply::redirect(302, "/the-list"));
    origin.on("/the-list", Reply::ok("/missing\n/start\n"));
    let downloads = (0..20).map(|n| match n % 2 {
        0 => get(&redirected),
        _ => get(&origin.url("/gone")).handler(MirrorDelegate::list(moved.parse().unwrap())),
    });
    let context = Context::with_limits(Limits::new().total(1));
    assert_eq!(all_succeed(downloads, 8, &context), 20);
    assert_eq!((origin.in_flight_peak(), origin.peak(), origin.requests("/the-list")), (1, 1, 1));
}

#[test]
fn who_waits_for_a_place_can_be_cancelled() {
    let origin = Origin::start();
    let gate = Gate::new();
    let held = origin.on("/held", Reply::ok("content").gate(&gate));
    let waiting = origin.on("/waiting", Reply::ok("content"));
    let context = Context::with_limits(Limits::new().total(1));
    let child = context.child();
    thread::scope(|scope| {
        let holding = scope.spawn(|| get(&held).run(&context));
        gate.wait_arrived(1);
        let waiting = scope.spawn(|| get(&waiting).run(&child));
        child.cancel();
        assert!(waiting.join().unwrap().unwrap_err().is_cancelled());
        gate.open();
        holding.join().unwrap().unwrap();
    });
    assert_eq!(origin.requests("/waiting"), 0);
    // The place that was held is free again.
    get(&waiting).run(&context).unwrap();
}

#[test]
fn the_bytes_of_a_second_are_limited_for_all_together() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok(pattern(30_000)));
    // Without the burst of a tenth of a second, 90,000 bytes are to be earned.
    let context = Context::with_limits(Limits::new().rate(100_000));
    let start = Instant::now();
    assert_eq!(all_succeed((0..4).map(|_| get(&url)), 4, &context), 4);
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
}

#[test]
fn the_bytes_of_a_second_are_limited_for_each_host_alone() {
    let origin = Origin::start();
    origin.on("/file", Reply::ok(pattern(100_000)));
    let context = Context::with_limits(Limits::new().rate_per_host(1_000));
    let busy = context.child();
    let mut slow = get(&origin.url("/file"));
    let (fetched, seen) = std::sync::mpsc::channel();
    slow = slow.handler(move |event: &mut Event<'_>, _: &Context| {
        if let Event::Fetched { .. } = event {
            fetched.send(()).unwrap();
        }
        Action::Continue
    });
    thread::scope(|scope| {
        let running = scope.spawn(|| slow.run(&busy));
        // Its first block has to be paid off, which takes a minute or more; another host is not in debt.
        origin.wait_sent("/file", 100_000);
        let small = origin.url_at("localhost", "/small");
        origin.on("/small", Reply::ok("content"));
        assert_eq!(get(&small).run(&context).unwrap().facts().size(), 7);
        busy.cancel();
        assert!(running.join().unwrap().unwrap_err().is_cancelled());
    });
    drop(seen);
}

#[test]
fn a_limited_rate_slows_the_source_and_not_only_what_is_done_with_its_bytes() {
    let origin = Origin::start();
    let url = origin.on("/large", Reply::generated(64 << 20));
    let context = Context::with_limits(Limits::new().rate(256 << 10));
    let running = context.child();
    let (fetched, seen) = std::sync::mpsc::channel();
    let mut download = HttpDownload::get(&url).unwrap().writer(BufferWriter::new(64 << 20)).handler(
        move |event: &mut Event<'_>, _: &Context| {
            if let Event::Fetched { received, .. } = event {
                let _ = fetched.send(*received);
            }
            Action::Continue
        },
    );
    thread::scope(|scope| {
        let running = scope.spawn(move || download.run(&running));
        while seen.recv().unwrap() < 512 << 10 {}
        // Time enough for all of it, if nothing slowed it; what is sent but not received, the system's buffers hold.
        thread::sleep(Duration::from_secs(1));
        assert!(origin.sent("/large") < 32 << 20, "{} bytes are sent", origin.sent("/large"));
        context.cancel();
        assert!(running.join().unwrap().unwrap_err().is_cancelled());
    });
}

#[test]
fn waiting_for_a_rate_ends_when_it_is_cancelled_and_at_the_deadline() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok(pattern(100_000)));
    let context = Context::with_limits(Limits::new().rate(1));
    let start = Instant::now();
    let error = get(&url).deadline(Duration::from_millis(500)).run(&context).unwrap_err();
    assert_eq!((error.kind().name(), error.is_transient()), ("timeout", false));
    let (child, (fetched, seen)) = (context.child(), std::sync::mpsc::channel());
    let mut download = get(&url).handler(move |event: &mut Event<'_>, _: &Context| {
        if let Event::Replied { .. } = event {
            fetched.send(()).unwrap();
        }
        Action::Continue
    });
    thread::scope(|scope| {
        let running = scope.spawn(|| download.run(&child));
        seen.recv().unwrap();
        child.cancel();
        assert!(running.join().unwrap().unwrap_err().is_cancelled());
    });
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
