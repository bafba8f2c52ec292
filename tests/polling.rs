//! The faces for event loops: who polls in vain is woken, and nothing there waits for a thread.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::future::poll_fn;
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context as Wakes, Poll, Wake, Waker};
use std::thread::{self, Thread};

use ganymede::{
    Action, Body, BufferWriter, Context, ErrorKind, Event, Failure, FileDownload, Http, HttpDownload, Pool,
    Protocol, Reply, Request, Transfer,
};
use ganymede_kit::{Gate, Origin, PATIENCE, Reply as Scripted, pattern};

/// Wakes the thread that polls; no executor could be smaller.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let (mut future, waker) = (pin!(future), Waker::from(Arc::new(Unpark(thread::current()))));
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Wakes::from_waker(&waker)) {
            return value;
        }
        thread::park_timeout(PATIENCE);
    }
}

fn get(url: &str) -> Transfer<Http> {
    HttpDownload::get(url).unwrap().no_proxy().writer(BufferWriter::new(1 << 20))
}

/// A download that waits, whatever is cancelled, until the other end of a channel is dropped; and one more channel by
/// which it says that it does.
fn stubborn() -> (Transfer<Box<dyn Protocol>>, Sender<()>, Receiver<()>) {
    let ((rein, held), (asking, asked)) = (channel::<()>(), channel());
    let held = Mutex::new(held);
    let protocol = move |_: &Request, _: &Context| -> Result<Reply, Failure> {
        asking.send(()).unwrap();
        let _ = held.lock().unwrap().recv();
        Err(Failure::cancelled())
    };
    let protocol: Box<dyn Protocol> = Box::new(protocol);
    let request = Request::get("stubborn:mule").unwrap();
    (Transfer::new(request, protocol).writer(BufferWriter::new(1)), rein, asked)
}

#[test]
fn a_pool_wakes_for_each_that_ends_and_says_when_it_is_empty() {
    let (origin, gate) = (Origin::start(), Gate::new());
    let slow = origin.on("/slow", Scripted::ok("slow").gate(&gate));
    let fast = origin.on("/fast", Scripted::ok("fast"));
    let mut pool = Pool::new().concurrency(2);
    assert!(block_on(poll_fn(|wake| pool.poll(wake))).is_none());
    for url in [&slow, &fast, &fast] {
        pool.push(get(url));
    }
    assert_eq!(pool.len(), 3);
    for left in [2, 1] {
        let plan = block_on(poll_fn(|wake| pool.poll(wake))).unwrap();
        assert_eq!((plan.result().unwrap().source().path(), pool.len()), ("/fast", left));
    }
    gate.open();
    assert!(block_on(poll_fn(|wake| pool.poll(wake))).unwrap().result().is_ok());
    assert!(pool.is_empty() && block_on(poll_fn(|wake| pool.poll(wake))).is_none());
    assert_eq!(pool.counters().pulled(), 3);
}

#[test]
fn a_panic_is_one_plan_of_a_pool() {
    let mut pool = Pool::new();
    let panicking =
        |_: &mut Event<'_>, _: &Context| -> Action { std::panic::resume_unwind(Box::new("a handler's own")) };
    pool.push(FileDownload::get("file:///x").unwrap().writer(BufferWriter::new(1)).handler(panicking));
    let plan = block_on(poll_fn(|wake| pool.poll(wake))).unwrap();
    assert!(matches!(plan.result().unwrap_err().kind(), ErrorKind::Panicked));
}

#[test]
fn cancelling_a_pool_wakes_who_asked_for_that() {
    let context = Context::new();
    let mut pool = Pool::<Transfer<Http>>::new().context(&context);
    let handle = pool.cancel_handle();
    let mut polled = 0;
    block_on(poll_fn(|wake| {
        polled += 1;
        let cancelled = pool.poll_cancelled(wake);
        if polled == 1 {
            assert!(cancelled.is_pending());
            let handle = handle.clone();
            thread::spawn(move || handle.cancel());
        }
        cancelled
    }));
    assert!(polled >= 2 && !context.is_cancelled());
}

#[test]
fn dropping_a_pool_and_leaving_a_body_wait_for_nothing() {
    let (download, rein, asked) = stubborn();
    let mut pool = Pool::new();
    pool.push(download);
    asked.recv_timeout(PATIENCE).unwrap();
    assert!(pool.poll(&mut Wakes::from_waker(Waker::noop())).is_pending());
    // Had one of these waited for its thread, the rein would never be let go.
    drop(pool);
    drop(rein);
    let (download, rein, asked) = stubborn();
    let body = Body::begin(download, &Context::new()).unwrap();
    asked.recv_timeout(PATIENCE).unwrap();
    body.leave();
    drop(rein);
}

#[test]
fn the_end_of_a_pool_is_told_when_its_threads_are_gone() {
    let (download, rein, asked) = stubborn();
    let alive = Arc::new(());
    let mut pool = Pool::new();
    pool.push(download.attach(Arc::clone(&alive)));
    asked.recv_timeout(PATIENCE).unwrap();
    assert!(pool.poll_end(&mut Wakes::from_waker(Waker::noop())).is_pending());
    assert_eq!(Arc::strong_count(&alive), 2);
    drop(rein);
    block_on(poll_fn(|wake| pool.poll_end(wake)));
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn a_body_wakes_for_its_head_its_blocks_and_its_end() {
    let (origin, gate) = (Origin::start(), Gate::new());
    let url = origin.on("/file", Scripted::ok(pattern(300_000)).gate(&gate));
    let mut body = Body::begin(get(&url), &Context::new()).unwrap();
    assert!(body.poll_head(&mut Wakes::from_waker(Waker::noop())).is_pending());
    let opening = thread::spawn(move || gate.open());
    let head = block_on(poll_fn(|wake| body.poll_head(wake))).unwrap();
    assert_eq!(head.length(), Some(300_000));
    let mut bytes = Vec::new();
    loop {
        match block_on(poll_fn(|wake| body.poll_block(wake))).unwrap() {
            end if end.is_empty() => break,
            block => bytes.extend(block),
        }
    }
    assert!(bytes == pattern(300_000) && body.receipt().is_some());
    assert!(block_on(poll_fn(|wake| body.poll_block(wake))).unwrap().is_empty());
    opening.join().unwrap();
}

#[test]
fn what_fails_before_the_first_byte_and_after_it_is_told_to_who_polls() {
    let origin = Origin::start();
    let cut = origin.on("/cut", Scripted::ok(pattern(300_000)).cut_after(200_000));
    let mut body = Body::begin(get(&origin.url("/missing")), &Context::new()).unwrap();
    assert!(block_on(poll_fn(|wake| body.poll_head(wake))).unwrap_err().is_not_found());
    let mut body = Body::begin(get(&cut), &Context::new()).unwrap();
    block_on(poll_fn(|wake| body.poll_head(wake))).unwrap();
    let error = loop {
        if let Err(error) = block_on(poll_fn(|wake| body.poll_block(wake))) {
            break error;
        }
    };
    assert!(matches!(error.kind(), ErrorKind::Incomplete), "{error:?}");
    // It stays so.
    assert!(block_on(poll_fn(|wake| body.poll_block(wake))).is_err());
}
