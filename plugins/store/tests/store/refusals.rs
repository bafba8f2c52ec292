//! How stores say no.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ganymede::{
    BufferWriter, Context, Download, HttpDownload, Limits, Protocol, Request, RetryDelegate, Transfer,
};
use ganymede_kit::{Origin, Reply, closed_port};
use ganymede_store::{Store, StoreWriter};

use crate::server::{Act, ID, SECRET, Server};
use crate::support::{fetch, refused, store};

#[test]
fn wrong_credentials_are_told_apart_from_what_is_missing() {
    let server = Server::start();
    let url = server.put("a", b"hello");
    let store = Store::new().endpoint(server.endpoint());
    for (store, reason) in [
        (store.clone().credentials(ID, "wrong-secret"), "SignatureDoesNotMatch"),
        (store.clone().credentials("nobody", SECRET), "credentials"),
        (store.anonymous(), "AccessDenied"),
    ] {
        let failure = refused(&store, &url);
        assert_eq!(failure.kind().name(), "unauthorized", "{failure}");
        let text = format!("{failure} {failure:?} {store:?}");
        assert!(text.contains(reason) && text.contains("s3://bucket/a"), "{text}");
        assert!(!text.contains("wrong-secret") && !text.contains(SECRET), "{text}");
    }
}

#[test]
fn a_missing_object_and_a_missing_bucket_are_not_found() {
    let server = Server::start();
    let missing = refused(&store(&server), "s3://bucket/missing");
    assert_eq!(missing.kind().name(), "not-found");
    assert!(missing.to_string().contains("no such object"), "{missing}");
    let missing = refused(&store(&server), "s3://nowhere/missing");
    assert_eq!(missing.kind().name(), "not-found");
    assert!(missing.to_string().contains("no such bucket"), "{missing}");
}

#[test]
fn a_target_in_a_missing_bucket_fails_with_that_reason() {
    let (server, origin) = (Server::start(), Origin::start());
    let url = origin.on("/file", Reply::ok("hello"));
    let writer = StoreWriter::new(&store(&server), "s3://nowhere/a").unwrap();
    let error = HttpDownload::get(&url).unwrap().writer(writer).run(&Context::new()).unwrap_err();
    assert_eq!(error.kind().name(), "write");
    assert!(error.to_string().contains("no such bucket"), "{error}");
    let wrong = Store::new().endpoint(server.endpoint()).credentials(ID, "wrong-secret");
    let writer = StoreWriter::new(&wrong, "s3://bucket/a").unwrap();
    let error = HttpDownload::get(&url).unwrap().writer(writer).run(&Context::new()).unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.contains("credentials") && !text.contains("wrong-secret"), "{text}");
    assert_eq!(server.keys(), [""; 0]);
}

#[test]
fn a_store_that_asks_for_it_is_left_alone_by_all_downloads_and_asked_again() {
    let server = Server::start();
    let (one, two) = (server.put("one", b"1"), server.put("two", b"2"));
    let refusals = AtomicUsize::new(0);
    server.rule(move |_| {
        let first = refusals.fetch_add(1, Ordering::Relaxed) == 0;
        first.then_some(Act::Refuse(503, Some(("retry-after", "1")), "SlowDown"))
    });
    let (store, context) = (store(&server), Context::with_limits(Limits::new()));
    let start = Instant::now();
    let failure = store.send(&Request::get(&one).unwrap(), &context).err().unwrap();
    assert_eq!((failure.is_transient(), failure.wait()), (true, Some(Duration::from_secs(1))), "{failure:?}");
    // Another object of the same store waits, too.
    let buffer = BufferWriter::new(10);
    let mut download = Transfer::new(Request::get(&two).unwrap(), store).writer(buffer.clone());
    download.run(&context).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(900), "it was not left alone");
    assert_eq!(buffer.take().as_deref(), Some(&b"2"[..]));
    assert_eq!(server.count(|_| true), 2);
}

#[test]
fn a_failure_for_the_moment_is_repaired_by_a_retry() {
    let server = Server::start();
    let url = server.put("a", b"hello");
    let refusals = AtomicUsize::new(0);
    server.rule(move |_| {
        let first = refusals.fetch_add(1, Ordering::Relaxed) < 2;
        first.then_some(Act::Refuse(500, None, "InternalError"))
    });
    let buffer = BufferWriter::new(10);
    let download = Transfer::new(Request::get(&url).unwrap(), store(&server)).writer(buffer.clone());
    let receipt =
        download.handler(RetryDelegate::new(3).base(Duration::from_millis(1))).run(&Context::new()).unwrap();
    assert_eq!((receipt.attempts(), buffer.take().as_deref()), (3, Some(&b"hello"[..])));
}

#[test]
fn a_store_that_is_not_there_is_no_connection() {
    let endpoint = format!("http://127.0.0.1:{}", closed_port());
    let store = Store::new().endpoint(endpoint).credentials(ID, SECRET);
    let failure = refused(&store, "s3://bucket/a");
    assert!(failure.is_transient());
    assert_eq!(failure.kind().name(), "connect", "{failure:?}");
}

#[test]
fn a_store_that_sends_nothing_is_given_up_after_the_time_out() {
    let server = Server::start();
    let url = server.put("a", b"hello");
    server.rule(|_| Some(Act::Stall));
    let (result, _) = fetch(&store(&server).read_timeout(Duration::from_millis(200)), &url);
    let error = result.unwrap_err();
    assert_eq!((error.kind().name(), error.is_transient()), ("timeout", true), "{error:?}");
}

#[test]
fn an_endpoint_that_is_none_is_refused_and_not_quoted() {
    let store = Store::new().endpoint("http://user:secret@[").credentials(ID, SECRET);
    let failure = refused(&store, "s3://bucket/a");
    assert_eq!(failure.kind().name(), "unsupported");
    assert!(!format!("{failure} {failure:?} {store:?}").contains("secret"), "{failure}");
}
