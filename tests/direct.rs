//! Plain HTTP on the thread that asks: what is left on a connection, and bodies that another thread receives.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use ganymede::{
    Action, BufferWriter, Context, Download, ErrorKind, Event, HttpDownload, Limits, Method, RetryDelegate,
    stream,
};
use ganymede_kit::{Origin, Reply, pattern, threads_named, wait_until};

/// The name of the threads that receive large bodies.
const RECEIVERS: &str = "ganymede-receive";

const LARGE: usize = 12_000_001;

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap()
}

fn fetch(url: &str, context: &Context) -> Vec<u8> {
    let buffer = BufferWriter::new(1 << 20);
    get(url).writer(buffer.clone()).run(context).unwrap();
    buffer.take().unwrap()
}

/// Counts the most receivers that were seen while blocks came.
fn watched(download: HttpDownload, seen: &Arc<AtomicUsize>) -> HttpDownload {
    let seen = Arc::clone(seen);
    download.handler(move |event: &mut Event<'_>, _: &Context| {
        if let Event::Fetched { .. } = event {
            seen.fetch_max(threads_named(RECEIVERS), Ordering::Relaxed);
        }
        Action::Continue
    })
}

#[test]
fn a_large_body_has_a_thread_that_ends_with_it_and_its_connection_is_used_again() {
    let origin = Origin::start();
    let content = pattern(LARGE);
    let context = Context::new();
    for reply in [Reply::ok(content.clone()), Reply::ok(content.clone()).chunked()] {
        let url = origin.on("/large", reply);
        let (buffer, seen) = (BufferWriter::new(LARGE), Arc::new(AtomicUsize::new(0)));
        watched(get(&url), &seen).writer(buffer.clone()).run(&context).unwrap();
        assert!(buffer.take().unwrap() == content);
        assert_eq!(seen.load(Ordering::Relaxed), 1);
        wait_until("the receiver has ended", || threads_named(RECEIVERS) == 0);
    }
    let small = origin.on("/small", Reply::ok("small"));
    assert_eq!(fetch(&small, &context), b"small");
    assert_eq!((origin.requests("/large"), origin.connections()), (2, 1));
}

#[test]
fn a_small_body_or_one_that_is_to_come_slowly_has_none() {
    let origin = Origin::start();
    let content = pattern(2_000_000);
    let url = origin.on("/file", Reply::ok(content.clone()));
    let limited = Context::with_limits(Limits::new().rate(1 << 30));
    let large = origin.on("/large", Reply::ok(pattern(LARGE)));
    for (url, context, length) in [(&url, Context::new(), 2_000_000), (&large, limited, LARGE)] {
        let (buffer, seen) = (BufferWriter::new(LARGE), Arc::new(AtomicUsize::new(0)));
        watched(get(url), &seen).writer(buffer.clone()).run(&context).unwrap();
        assert!(buffer.take().unwrap() == pattern(length));
        assert_eq!(seen.load(Ordering::Relaxed), 0, "{url}");
    }
}

#[test]
fn a_receiver_that_waits_for_its_server_ends_at_once_when_the_download_is_cancelled() {
    let origin = Origin::start();
    let url = origin.on("/large", Reply::ok(pattern(LARGE)).stall_after(8_000_000));
    let context = Context::new();
    let cancelled = context.clone();
    let cancel = thread::spawn(move || {
        wait_until("the server stalls", || origin.sent("/large") == 8_000_000);
        wait_until("the receiver is there", || threads_named(RECEIVERS) == 1);
        cancelled.cancel();
        origin
    });
    let error = get(&url).writer(BufferWriter::new(LARGE)).run(&context).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Cancelled), "{error}");
    assert_eq!(threads_named(RECEIVERS), 0);
    cancel.join().unwrap().wait_open(0);
}

#[test]
fn a_receiver_that_waits_for_its_reader_ends_when_the_stream_is_dropped() {
    let origin = Origin::start();
    let url = origin.on("/large", Reply::generated(1 << 30));
    let (_, mut body) = stream(get(&url), &Context::new()).unwrap();
    let mut first = vec![0; 4_000_000];
    body.read_exact(&mut first).unwrap();
    assert!(first == pattern(4_000_000));
    wait_until("the receiver is there", || threads_named(RECEIVERS) == 1);
    drop(body);
    wait_until("the receiver has ended", || threads_named(RECEIVERS) == 0);
    origin.wait_open(0);
}

#[test]
fn a_large_body_that_is_cut_or_stalls_is_gone_on_with() {
    let content = pattern(LARGE);
    for broken in [
        Reply::ok(content.clone()).etag("\"1\"").ranges().cut_after(7_000_000),
        Reply::ok(content.clone()).etag("\"1\"").ranges().stall_after(7_000_000),
        Reply::ok(content.clone()).etag("\"1\"").ranges().reset_after(7_000_000),
    ] {
        let origin = Origin::start();
        let whole = Reply::ok(content.clone()).etag("\"1\"").ranges();
        let url = origin.sequence("/large", [broken, whole]);
        let buffer = BufferWriter::new(LARGE);
        let mut download = get(&url).read_timeout(Duration::from_millis(500)).writer(buffer.clone());
        download = download.handler(RetryDelegate::new(1));
        let receipt = download.attempts(2).run(&Context::new()).unwrap();
        assert_eq!(receipt.attempts(), 2);
        assert!(buffer.take().unwrap() == content);
        let asked = origin.journal().last().unwrap().header("range").map(str::to_owned);
        assert!(asked.is_some_and(|range| range.starts_with("bytes=") && range != "bytes=0-"));
        assert_eq!(threads_named(RECEIVERS), 0);
    }
}

#[test]
fn what_a_server_sends_unasked_while_its_connection_is_idle_is_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (ended, has_ended) = channel::<()>();
    let (sent, was_sent) = channel::<()>();
    let server = thread::spawn(move || {
        let reply = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let read_head = |socket: &mut TcpStream| {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                socket.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
        };
        let (mut first, _) = listener.accept().unwrap();
        read_head(&mut first);
        first.write_all(reply("one").as_bytes()).unwrap();
        has_ended.recv().unwrap();
        first.write_all(reply("evil").as_bytes()).unwrap();
        sent.send(()).unwrap();
        let (mut second, _) = listener.accept().unwrap();
        read_head(&mut second);
        second.write_all(reply("two").as_bytes()).unwrap();
        // Closed by who finds on it what was not asked for.
        assert_eq!(first.read(&mut [0; 1]).unwrap_or(0), 0);
    });
    let context = Context::new();
    assert_eq!(fetch(&url, &context), b"one");
    ended.send(()).unwrap();
    was_sent.recv().unwrap();
    assert_eq!(fetch(&url, &context), b"two");
    server.join().unwrap();
}

#[test]
fn what_comes_before_the_answer_and_what_has_no_body_leave_the_connection_in_order() {
    let origin = Origin::start();
    let context = Context::new();
    let early =
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nafter";
    let hinted = origin.on("/hinted", Reply::raw(early));
    assert_eq!(fetch(&hinted, &context), b"after");
    let old = origin.on("/old", Reply::raw("HTTP/1.0 200 OK\r\n\r\nuntil the end"));
    assert_eq!(fetch(&old, &context), b"until the end");
    let before = origin.connections();
    let url = origin.on("/file", Reply::ok(pattern(100_000)));
    let receipt = get(&url).method(Method::Head).run(&context).unwrap();
    assert_eq!(receipt.head().length(), Some(100_000));
    assert!(fetch(&url, &context) == pattern(100_000));
    assert_eq!(origin.connections(), before + 1);
}

#[test]
fn a_time_limit_that_a_hook_sets_on_a_request_is_kept() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("late").stall_header());
    let download = get(&url).request_hook(|request| request.timeout(Duration::from_millis(100)));
    let error = download.writer(BufferWriter::new(10)).run(&Context::new()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout), "{error}");
}
