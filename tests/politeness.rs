//! One budget for each host: a hold for all who want to ask it, a backoff for all when it fails, and other hosts go on.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use ganymede::{
    Action, Batch, BufferWriter, Context, Download, DownloadError, ErrorKind, Event, Failure, HttpDownload,
    Limits, MirrorDelegate, Reply, Request, RetryDelegate, Transfer,
};
use ganymede_kit::{Gate, Origin, Reply as Scripted, closed_port, wait_until};

/// What no test comes near, unless something waits that should not.
const LONG: Duration = Duration::from_secs(100);
const SOON: Duration = Duration::from_secs(20);

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap().writer(BufferWriter::new(1 << 20))
}

fn busy(seconds: u64) -> Scripted {
    Scripted::error(503).header("Retry-After", seconds.to_string())
}

/// A download, and what tells that it is about to be sent.
fn told(download: HttpDownload) -> (HttpDownload, Receiver<()>) {
    let (sender, receiver) = channel();
    let download = download.handler(move |event: &mut Event<'_>, _: &Context| {
        if let Event::Sending { .. } = event {
            let _ = sender.send(());
        }
        Action::Continue
    });
    (download, receiver)
}

/// The path of a download's URL, and whether it failed.
fn ended(plan: &ganymede::Plan<HttpDownload>) -> (String, bool) {
    (plan.download().request().url().path().to_owned(), plan.result().is_err())
}

#[test]
fn a_host_that_asks_for_it_is_left_alone_by_all_while_others_are_asked() {
    let (held, free, context) = (Origin::start(), Origin::start(), Context::new());
    let url = held.sequence("/busy", [busy(3), Scripted::ok("content")]);
    held.handle("/held", |_| Scripted::ok("content"));
    free.handle("/free", |_| Scripted::ok("content"));
    let start = Instant::now();
    assert_eq!(get(&url).run(&context).unwrap_err().status().unwrap(), 503);
    // Three times as many as there are workers want the host that is held, and they come first.
    let urls = (0..6).map(|n| held.url(&format!("/held/{n}")));
    let urls = urls.chain((0..6).map(|n| free.url(&format!("/free/{n}"))));
    let mut batch = Batch::new(urls.map(|url| get(&url))).concurrency(2).context(&context);
    let first: Vec<_> = batch.by_ref().take(6).map(|plan| ended(&plan)).collect();
    assert!(first.iter().all(|(path, failed)| path.starts_with("/free") && !failed), "{first:?}");
    assert_eq!(held.journal().len(), 1);
    let rest: Vec<_> = batch.map(|plan| ended(&plan)).collect();
    assert!(rest.len() == 6 && rest.iter().all(|(_, failed)| !failed), "{rest:?}");
    assert!(start.elapsed() >= Duration::from_secs(3));
    assert!(held.in_flight_peak() <= 2);
}

#[test]
fn a_retry_waits_for_the_hold_with_the_others() {
    let (origin, context) = (Origin::start(), Context::new());
    let answered = AtomicUsize::new(0);
    origin.handle("/", move |_| match answered.fetch_add(1, Ordering::SeqCst) {
        0 => busy(1),
        _ => Scripted::ok("content"),
    });
    let downloads = (0..20).map(|n| get(&origin.url(&format!("/{n}"))).handler(RetryDelegate::new(1)));
    let downloads: Vec<_> = downloads.collect();
    let plans = Batch::new(downloads).concurrency(1).context(&context);
    assert_eq!(plans.map(|plan| plan.result().map(|_| ()).unwrap()).count(), 20);
    assert_eq!(origin.journal().len(), 21);
}

#[test]
fn a_host_that_asks_for_too_long_is_asked_by_nobody_until_then() {
    let (shut, free, context) = (Origin::start(), Origin::start(), Context::new());
    let (url, other) = (shut.on("/busy", busy(7_200)), shut.on("/other", Scripted::ok("content")));
    let host = shut.address();
    let message = format!("{host} asks to be left alone for 2h, longer than the 5m allowed");
    let first = get(&url).handler(RetryDelegate::new(5)).run(&context).unwrap_err();
    assert_eq!((first.failure().to_string(), first.attempts()), (message.clone(), 1));
    assert_eq!((first.status().unwrap().as_u16(), first.is_transient()), (503, false));
    let second = get(&other).handler(RetryDelegate::new(5)).run(&context.child()).unwrap_err();
    assert_eq!((second.failure().to_string(), second.attempts()), (message, 1));
    assert_eq!((second.status().unwrap().as_u16(), second.is_transient()), (503, false));
    assert_eq!(shut.journal().len(), 1);
    get(&free.on("/file", Scripted::ok("content"))).run(&context).unwrap();
    // Another context knows nothing of that.
    get(&other).run(&Context::new()).unwrap();
}

#[test]
fn a_host_that_was_shut_is_asked_again_when_its_time_has_come() {
    let origin = Origin::start();
    let context = Context::with_limits(Limits::new().max_retry_after(Duration::from_millis(100)));
    let url = origin.sequence("/file", [busy(2), Scripted::ok("content")]);
    let start = Instant::now();
    let error = get(&url).run(&context).unwrap_err();
    assert!(error.failure().to_string().contains("for 2s, longer than the 0.1s allowed"), "{error}");
    wait_until("the host to be asked again", || {
        get(&url).run(&context).is_ok_and(|receipt| receipt.facts().size() == 7)
    });
    assert!(start.elapsed() >= Duration::from_millis(1_900));
    assert_eq!(origin.requests("/file"), 2);
}

#[test]
fn redirect_targets_and_mirror_lists_are_held_and_hold() {
    let (origin, target) = (Origin::start(), Origin::start());
    let redirected = origin.on("/redirected", Scripted::redirect(302, target.url("/busy")));
    let listed =
        || get(&origin.url("/gone")).handler(MirrorDelegate::list(target.url("/list").parse().unwrap()));
    let direct = target.on("/file", Scripted::ok("content"));
    target.on("/busy", busy(7_200));
    target.on("/list", Scripted::ok("/file\n"));
    let refuses = |error: DownloadError, what: &str| {
        let text = error.to_string();
        assert!(text.contains(&format!("{} asks to be left alone", target.address())), "{what}: {text}");
    };
    // Whoever is told first, tells all the others.
    let context = Context::new();
    refuses(get(&redirected).run(&context).unwrap_err(), "redirected, first");
    assert_eq!(target.journal().len(), 1);
    refuses(get(&redirected).run(&context).unwrap_err(), "redirected");
    refuses(get(&direct).run(&context).unwrap_err(), "direct");
    let error = listed().run(&context).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::MirrorList), "{error:?}");
    refuses(error, "listed");
    assert_eq!(target.journal().len(), 1);
    // The host that redirected is none the worse for it.
    get(&origin.on("/file", Scripted::ok("content"))).run(&context).unwrap();

    target.on("/list", busy(7_200));
    let context = Context::new();
    refuses(listed().run(&context).unwrap_err(), "listed, first");
    refuses(get(&direct).run(&context).unwrap_err(), "direct after the list");
    assert_eq!(target.requests("/file"), 0);
}

#[test]
fn a_client_of_the_callers_own_holds_and_is_held() {
    let (origin, context) = (Origin::start(), Context::new());
    let (url, file) = (origin.on("/busy", busy(7_200)), origin.on("/file", Scripted::ok("content")));
    let own = |url: &str| {
        let client = reqwest::blocking::Client::new();
        Transfer::new(Request::get(url).unwrap(), client).writer(BufferWriter::new(100))
    };
    own(&file).run(&context).unwrap();
    let error = own(&url).run(&context).unwrap_err();
    assert!(error.to_string().contains("asks to be left alone") && !error.is_transient(), "{error}");
    assert!(own(&file).run(&context).unwrap_err().to_string().contains("asks to be left alone"));
    assert!(get(&file).run(&context).unwrap_err().to_string().contains("asks to be left alone"));
    assert_eq!(origin.journal().len(), 2);
}

#[test]
fn a_protocol_of_a_plugin_holds_its_host_by_its_permit() {
    let (context, sent) = (Context::new(), Arc::new(AtomicUsize::new(0)));
    let download = |number: usize| {
        let sent = Arc::clone(&sent);
        let protocol = move |request: &Request, context: &Context| -> Result<Reply, Failure> {
            let mut permit = context.permit(request)?;
            sent.fetch_add(1, Ordering::SeqCst);
            let failure = Failure::new(ErrorKind::Status, "slow down").retry_after(Some(Duration::MAX));
            Err(permit.failed(failure))
        };
        let request = Request::get(&format!("store://bucket.example.com/{number}")).unwrap();
        Transfer::new(request, protocol).writer(BufferWriter::new(0))
    };
    for number in 0..3 {
        let text = download(number).run(&context).unwrap_err().failure().to_string();
        assert!(text.starts_with("bucket.example.com asks to be left alone for"), "{text}");
    }
    assert_eq!(sent.load(Ordering::SeqCst), 1);
}

#[test]
fn a_hold_that_outlasts_the_deadline_fails_at_once_and_says_why() {
    let (origin, context) = (Origin::start(), Context::with_limits(Limits::new().per_host(1)));
    let (gate, start, patient) = (Gate::new(), Instant::now(), context.child());
    let url = origin.on("/busy", busy(200).gate(&gate));
    let file = origin.on("/file", Scripted::ok("content"));
    let late = |error: DownloadError| {
        assert_eq!((error.kind().name(), error.is_transient()), ("timeout", false));
        let text = error.failure().to_string();
        assert!(text.contains("asks to be left alone for 3m20s") && text.contains("the deadline"), "{text}");
    };
    thread::scope(|scope| {
        let first = scope.spawn(|| get(&url).run(&context));
        gate.wait_arrived(1);
        // These wait already, for the place that the first has: one after the other, and the last in a hurry.
        let [ahead, behind] =
            [(get(&file), &patient), (get(&file).deadline(LONG), &context)].map(|(one, room)| {
                let (mut waiting, sending) = told(one);
                let thread = scope.spawn(move || waiting.run(room));
                sending.recv().unwrap();
                thread::sleep(Duration::from_millis(50));
                thread
            });
        gate.open();
        assert_eq!(first.join().unwrap().unwrap_err().status().unwrap(), 503);
        late(behind.join().unwrap().unwrap_err());
        patient.cancel();
        assert!(ahead.join().unwrap().unwrap_err().is_cancelled());
    });
    late(get(&file).deadline(LONG).run(&context).unwrap_err());
    assert!(start.elapsed() < SOON);
    assert_eq!(origin.requests("/file"), 0);
}

#[test]
fn who_waits_for_a_hold_can_be_cancelled() {
    let (origin, context) = (Origin::start(), Context::new());
    let (url, file) = (origin.on("/busy", busy(200)), origin.on("/file", Scripted::ok("content")));
    get(&url).run(&context).unwrap_err();
    let (child, start) = (context.child(), Instant::now());
    let (mut waiting, sending) = told(get(&file));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| waiting.run(&child));
        sending.recv().unwrap();
        child.cancel();
        assert!(waiting.join().unwrap().unwrap_err().is_cancelled());
    });
    // Nor does a batch that is dropped wait for it, with its downloads parked.
    let mut batch = Batch::new((0..40).map(|_| get(&file))).concurrency(2).context(&context);
    let free = Origin::start();
    let mut other = Batch::new([get(&free.on("/file", Scripted::ok("content")))]).context(&context);
    assert_eq!(other.next().unwrap().result().unwrap().facts().size(), 7);
    let (handle, counters) = (batch.cancel_handle(), batch.counters());
    let cancelling = thread::spawn(move || {
        wait_until("all of them to be pulled", || counters.pulled() == 40);
        handle.cancel();
    });
    assert!(batch.next().unwrap().into_result().unwrap_err().is_cancelled());
    cancelling.join().unwrap();
    drop(batch);
    assert!(start.elapsed() < SOON);
    assert_eq!(origin.requests("/file"), 0);
}

#[test]
fn a_batch_does_not_hammer_a_host_that_fails() {
    for reply in [Scripted::error(503), Scripted::ok("some content").cut_after(5)] {
        let origin = Origin::start();
        origin.handle("/", move |_| reply.clone());
        let retry = RetryDelegate::new(3).base(Duration::ZERO);
        let downloads = (0..200).map(|n| get(&origin.url(&format!("/{n}"))).handler(retry.clone()));
        let downloads: Vec<_> = downloads.collect();
        let batch = Batch::new(downloads).concurrency(16).backlog(200);
        let handle = batch.cancel_handle();
        let requests = thread::scope(|scope| {
            let looking = scope.spawn(|| {
                origin.wait_requests(16);
                thread::sleep(Duration::from_millis(700));
                let requests = origin.journal().len();
                handle.cancel();
                requests
            });
            assert_eq!(batch.filter(|plan| plan.result().is_err()).count(), 200);
            looking.join().unwrap()
        });
        // Each at once would be 800; there is one wave of the first, and then a probe now and then.
        assert!(requests < 80, "{requests} requests");
    }
}

#[test]
fn a_host_that_comes_back_serves_all() {
    let origin = Origin::start();
    let answered = AtomicUsize::new(0);
    origin.handle("/", move |received| match answered.fetch_add(1, Ordering::SeqCst) {
        0..12 => Scripted::error(502),
        _ => Scripted::ok(received.path().to_owned()),
    });
    let retry = RetryDelegate::new(12).base(Duration::ZERO);
    let downloads = (0..100).map(|n| get(&origin.url(&format!("/{n}"))).handler(retry.clone()));
    let downloads: Vec<_> = downloads.collect();
    let plans = Batch::new(downloads).concurrency(4).backlog(100);
    assert_eq!(plans.map(|plan| plan.result().map(|_| ()).unwrap()).count(), 100);
    assert_eq!(origin.journal().len(), 112);
    assert!(origin.in_flight_peak() <= 4);
}

#[test]
fn a_list_on_a_host_that_is_not_there_ends_soon_and_others_are_not_held_up() {
    let free = Origin::start();
    free.handle("/", |_| Scripted::ok("content"));
    let dead = format!("http://127.0.0.1:{}/", closed_port());
    let downloads = (0..1_000).map(|n| match n % 100 {
        0 => get(&free.url(&format!("/{n}"))),
        _ => get(&format!("{dead}{n}")),
    });
    let downloads: Vec<_> = downloads.collect();
    let mut failed = 0;
    for plan in Batch::new(downloads).concurrency(8).backlog(250) {
        if let Err(error) = plan.into_result() {
            assert!(matches!(error.kind(), ErrorKind::Connect) && error.is_transient(), "{error:?}");
            failed += 1;
        }
    }
    assert_eq!((failed, free.journal().len()), (990, 10));
}

#[test]
fn a_host_that_fails_is_not_left_alone_where_that_is_not_wanted() {
    let origin = Origin::start();
    let url = origin.on("/file", Scripted::error(503));
    let context = Context::with_limits(Limits::new().backoff(Duration::ZERO));
    let start = Instant::now();
    for _ in 0..40 {
        get(&url).run(&context).unwrap_err();
    }
    // With it, these would be half a minute and more.
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

fn nothing(request: &Request) -> Reply {
    Reply::new(ganymede::Head::new(request.url()).with_length(Some(0)), io::empty())
}

fn numbered<P: ganymede::Protocol>(n: usize, protocol: P) -> Transfer<P> {
    Transfer::new(Request::get(&format!("test:{n}")).unwrap(), protocol).writer(BufferWriter::new(0))
}

#[test]
fn who_waits_makes_place_for_others_and_never_are_more_at_work_than_may_be() {
    #[derive(Default)]
    struct Count(AtomicUsize, AtomicUsize);
    impl Count {
        fn during<T>(&self, work: impl FnOnce() -> T) -> T {
            let now = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            self.1.fetch_max(now, Ordering::SeqCst);
            let done = work();
            self.0.fetch_sub(1, Ordering::SeqCst);
            done
        }
    }
    let (working, waiting) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let (at_work, at_rest) = (Arc::clone(&working), Arc::clone(&waiting));
    let protocol = move |request: &Request, context: &Context| {
        for _ in 0..3 {
            at_work.during(|| thread::sleep(Duration::from_millis(2)));
            at_rest.during(|| context.sleep(Duration::from_millis(60)))?;
        }
        at_work.during(|| thread::sleep(Duration::from_millis(2)));
        Ok(nothing(request))
    };
    let downloads = (0..100).map(|n| numbered(n, protocol.clone()));
    let batch = Batch::new(downloads).concurrency(3).backlog(30);
    let counters = batch.counters();
    let mut most = 0;
    for plan in batch {
        plan.result().unwrap();
        most = most.max(counters.running());
    }
    assert!(working.1.load(Ordering::SeqCst) <= 3, "{:?} at once", working.1);
    assert!(waiting.1.load(Ordering::SeqCst) > 3, "{:?} at once", waiting.1);
    assert!(most <= 30);
    assert_eq!((counters.succeeded(), counters.running()), (100, 0));
}

#[test]
fn between_two_attempts_others_run() {
    let origin = Origin::start();
    let first = origin.sequence("/first", [Scripted::error(500), Scripted::ok("content")]);
    origin.handle("/", |_| Scripted::ok("content"));
    let again = |event: &mut Event<'_>, _: &Context| match event {
        Event::Error { .. } => Action::Retry(Duration::from_secs(3)),
        _ => Action::Continue,
    };
    let others: Vec<_> = (0..20).map(|n| get(&origin.url(&format!("/{n}")))).collect();
    let downloads = std::iter::once(get(&first).handler(again)).chain(others);
    let ended: Vec<_> = Batch::new(downloads).concurrency(1).map(|plan| ended(&plan)).collect();
    assert_eq!((ended.len(), ended[20].clone()), (21, ("/first".to_owned(), false)));
    assert_eq!(origin.in_flight_peak(), 1);
}

#[derive(PartialEq, Eq, Hash)]
struct Shared;

impl ganymede::SlotKey for Shared {
    type Value = ();
}

#[test]
fn who_makes_what_others_wait_for_never_waits_for_them() {
    let protocol = |request: &Request, context: &Context| {
        context.slot(Shared, |context| context.sleep(Duration::from_millis(200)))?;
        Ok(nothing(request))
    };
    for concurrency in 1..4 {
        let batch = Batch::new((0..50).map(|n| numbered(n, protocol))).concurrency(concurrency);
        assert_eq!(batch.filter(|plan| plan.result().is_ok()).count(), 50);
    }
}

#[test]
fn who_wants_a_place_back_gives_up_when_the_batch_is_dropped() {
    let (sender, slept) = channel();
    let protocol = move |request: &Request, context: &Context| {
        if request.url().path() == "0" {
            context.sleep(Duration::from_millis(100))?;
            return Ok(nothing(request));
        }
        // It has the only place, and stays until it is cancelled.
        let (cancelled, wait) = channel();
        let _hook = context.on_cancel(move || cancelled.send(()).unwrap_or_default());
        let _ = sender.send(());
        let _ = wait.recv();
        Err(Failure::cancelled())
    };
    let mut batch = Batch::new((0..10).map(|n| numbered(n, protocol.clone()))).concurrency(1);
    let handle = batch.cancel_handle();
    let cancelling = thread::spawn(move || {
        slept.recv().unwrap();
        thread::sleep(Duration::from_millis(300));
        handle.cancel();
    });
    let start = Instant::now();
    assert!(batch.next().is_some());
    drop(batch);
    cancelling.join().unwrap();
    assert!(start.elapsed() < SOON);
}

#[test]
fn a_place_at_a_host_and_one_in_a_batch_are_not_waited_for_crosswise() {
    let (origin, elsewhere) = (Origin::start(), Origin::start());
    let one = origin.sequence("/one", [busy(1), Scripted::ok("content")]);
    let two = origin.on("/two", Scripted::ok("content"));
    origin.on("/list", Scripted::ok(elsewhere.url("/mirror")));
    elsewhere.on("/mirror", Scripted::ok("content"));
    let three = elsewhere.on("/three", Scripted::error(404));
    let list: ganymede::Url = origin.url("/list").parse().unwrap();
    let downloads = [one, two, three]
        .map(|url| get(&url).handler(RetryDelegate::new(3)).handler(MirrorDelegate::list(list.clone())));
    // The last one fetches a list from the host whose only place the first one has, who wants its own place back.
    let context = Context::with_limits(Limits::new().per_host(1));
    let batch = Batch::new(downloads).concurrency(1).context(&context);
    let sizes = batch.map(|plan| plan.into_result().unwrap().facts().size());
    assert_eq!(sizes.collect::<Vec<_>>(), [7; 3]);
}
