//! Many requests on one connection.

use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use ganymede::reqwest::ClientBuilder;
use ganymede::{Batch, BufferWriter, Context, Download, FileWriter, Head, Http, Limits, Output, Writer};
use ganymede_kit::{Gate, Reply, pattern, wait_until};

use crate::{Site, fetch};

#[test]
fn downloads_share_one_connection() {
    let site = Site::new();
    for n in 0..60_usize {
        site.origin.on(&format!("/{n}"), Reply::ok(pattern(10_000 + n)));
    }
    let downloads = (0..60_usize).map(|n| {
        site.get(&format!("/{n}")).writer(FileWriter::new(site.folder.file(format!("targets/{n}"))))
    });
    let plans: Vec<_> = Batch::new(downloads).concurrency(8).collect();
    assert!(plans.len() == 60 && plans.iter().all(|plan| plan.result().is_ok()));
    for n in 0..60_usize {
        assert!(site.folder.read(format!("targets/{n}")) == pattern(10_000 + n), "{n}");
    }
    assert_eq!(site.versions(), [(1, "HTTP/2".to_owned())]);
    assert_eq!(site.origin.connections(), 1, "one, from the first on");
}

#[test]
fn who_finds_a_connection_there_keeps_nobody_waiting() {
    let (site, gate) = (Site::new(), Gate::new());
    site.origin.on("/first", Reply::ok("first"));
    site.origin.on("/held", Reply::ok("held").gate(&gate));
    site.origin.on("/free", Reply::ok("free"));
    let context = Context::new();
    assert_eq!(fetch(site.get("/first"), &context).unwrap().0, b"first");
    let held = thread::spawn({
        let (download, context) = (site.get("/held"), context.clone());
        move || fetch(download, &context)
    });
    gate.wait_arrived(1);
    assert_eq!(fetch(site.get("/free"), &context).unwrap().0, b"free");
    gate.open();
    assert_eq!(held.join().unwrap().unwrap().0, b"held");
    assert_eq!(site.origin.connections(), 1);
}

#[test]
fn a_host_that_takes_few_requests_at_once_is_waited_for() {
    let site = Site::at_once(2);
    // Longer, for those at the end, than the time-out.
    let slow = Reply::ok(pattern(60_000)).drip(6_000, Duration::from_millis(100));
    site.origin.handle("/", move |_| slow.clone());
    let downloads = (0..16).map(|n| {
        let download = site.get(&format!("/{n}")).read_timeout(Duration::from_secs(1));
        download.writer(BufferWriter::new(1 << 20))
    });
    let plans: Vec<_> = Batch::new(downloads).concurrency(16).collect();
    for plan in &plans {
        let receipt = plan.result().unwrap();
        assert_eq!((receipt.facts().size(), receipt.attempts()), (60_000, 1));
    }
    assert!(plans.len() == 16 && site.origin.in_flight_peak() <= 2);
    assert_eq!(site.origin.journal().len(), 16);
}

#[test]
fn a_limit_on_a_host_counts_its_requests() {
    let site = Site::new();
    let gate = Gate::new();
    let held = Reply::ok(pattern(1_000)).gate(&gate);
    site.origin.handle("/", move |_| held.clone());
    let context = Context::with_limits(Limits::new().per_host(3));
    let downloads = (0..12).map(|n| site.get(&format!("/{n}")).writer(BufferWriter::new(1 << 20)));
    let batch = Batch::new(downloads).concurrency(8).context(&context);
    let running = thread::spawn({
        let gate = gate.clone();
        move || {
            gate.wait_arrived(3);
            gate.open();
        }
    });
    assert_eq!(batch.filter(|plan| plan.result().is_ok()).count(), 12);
    running.join().unwrap();
    assert_eq!((site.origin.in_flight_peak(), site.origin.connections()), (3, 1));
}

/// A writer that takes nothing until its gate is opened.
struct Held(Arc<Latch>);

#[derive(Default)]
struct Latch {
    open: std::sync::Mutex<bool>,
    changed: std::sync::Condvar,
}

impl Latch {
    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

struct Holding(Arc<Latch>, u64);

impl Writer for Held {
    fn open(&self) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(Holding(Arc::clone(&self.0), 0)))
    }
}

impl io::Write for Holding {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let open = self.0.open.lock().unwrap();
        drop(self.0.changed.wait_while(open, |open| !*open).unwrap());
        self.1 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Holding {
    fn offset(&self) -> u64 {
        self.1
    }

    fn begin(&mut self, _: &Head, offset: u64) -> io::Result<()> {
        self.1 = offset;
        Ok(())
    }

    fn commit(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn downloads_that_are_not_taken_do_not_stop_the_others_on_their_connection() {
    const LONG: u64 = 12 << 20;
    let site = Site::new();
    let context = Context::new();
    let latch = Arc::new(Latch::default());
    site.origin.handle("/held", |_| Reply::generated(LONG));
    site.origin.on("/free", Reply::generated(40 << 20));
    let held: Vec<_> = (0..12)
        .map(|n| {
            let mut download = site.get(&format!("/held{n}")).writer(Held(Arc::clone(&latch)));
            let context = context.clone();
            thread::spawn(move || download.run(&context))
        })
        .collect();
    // All of them have got as much as they may, and nobody takes it.
    wait_until("the windows to be full", || {
        let sent = |n| site.origin.sent(&format!("/held{n}"));
        let before: u64 = (0..12).map(sent).sum();
        thread::sleep(Duration::from_millis(100));
        let after: u64 = (0..12).map(sent).sum();
        before == after && (0..12).all(|n| sent(n) > 0)
    });
    let most = (0..12).map(|n| site.origin.sent(&format!("/held{n}"))).max().unwrap();
    assert!(most <= 9 << 20, "{most} bytes wait for who takes none");
    let (bytes, _) = fetch(site.get("/free"), &context).unwrap();
    assert!(bytes == pattern(40 << 20));
    latch.open();
    for download in held {
        assert_eq!(download.join().unwrap().unwrap().facts().size(), LONG);
    }
    assert_eq!(site.origin.connections(), 1);
}

#[test]
fn a_download_that_is_cancelled_leaves_the_connection_to_the_others() {
    let site = Site::new();
    let gate = Gate::new();
    let held = Reply::ok(pattern(900_000)).gate_after(300_000, &gate);
    site.origin.handle("/", move |_| held.clone());
    let room = Context::new();
    let running: Vec<_> = (0..8)
        .map(|n| {
            let context = room.child();
            let download = site.get(&format!("/{n}"));
            let cancelling = context.clone();
            (cancelling, thread::spawn(move || fetch(download, &context)))
        })
        .collect();
    gate.wait_arrived(8);
    running[3].0.cancel();
    site.origin.wait_resets(1);
    gate.open();
    for (n, (_, download)) in running.into_iter().enumerate() {
        match download.join().unwrap() {
            Ok((bytes, _)) => assert!(n != 3 && bytes == pattern(900_000), "{n}"),
            Err(error) => assert!(n == 3 && error.is_cancelled(), "{n}: {error:?}"),
        }
    }
    assert_eq!((site.origin.resets(), site.versions().len()), (1, 1));
}

#[test]
fn a_connection_outlives_hundreds_of_downloads_that_were_cancelled() {
    let site = Site::new();
    site.origin.on("/whole", Reply::ok("whole"));
    site.origin.handle("/long", |_| Reply::generated(8 << 20));
    let room = Context::new();
    assert_eq!(fetch(site.get("/whole"), &room).unwrap().0, b"whole");
    for round in 0..30 {
        let context = room.child();
        let running: Vec<_> = (0..10)
            .map(|n| {
                let (download, context) = (site.get(&format!("/long/{round}/{n}")), context.clone());
                thread::spawn(move || fetch(download, &context))
            })
            .collect();
        site.origin.wait_requests(round * 10 + 11);
        context.cancel();
        for download in running {
            let result = download.join().unwrap();
            assert!(result.is_ok() || result.is_err_and(|error| error.is_cancelled()));
        }
    }
    assert_eq!(fetch(site.get("/whole"), &room).unwrap().0, b"whole");
    assert_eq!(site.origin.connections(), 1);
}

#[test]
fn http_1_1_is_spoken_on_request() {
    let site = Site::new();
    site.origin.on("/file", Reply::ok(pattern(300_000)));
    let context = Context::new();
    assert!(fetch(site.get("/file").http1_only(), &context).unwrap().0 == pattern(300_000));
    assert_eq!(site.versions(), [(1, "HTTP/1.1".to_owned())]);
    // Such connections are not mixed with others.
    assert!(fetch(site.get("/file"), &context).unwrap().0 == pattern(300_000));
    assert_eq!(site.versions(), [(1, "HTTP/1.1".to_owned()), (2, "HTTP/2".to_owned())]);
}

#[test]
fn a_hook_may_ask_for_http_2_alone() {
    let site = Site::new();
    site.origin.on("/file", Reply::ok(pattern(300_000)));
    let http = Http::new().client_hook(ClientBuilder::http2_prior_knowledge);
    let download = site.get("/file").map(|_| http.no_proxy().ca_certificate(&site.authority));
    let (bytes, _) = fetch(download, &Context::new()).unwrap();
    assert!(bytes == pattern(300_000));
    assert_eq!(site.versions(), [(1, "HTTP/2".to_owned())]);
}
