//! Objects as targets.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ganymede::{
    Action, Context, Digest, DigestValidation, Download, Event, Existing, Head, HttpDownload, RetryDelegate,
    Writer,
};
use ganymede_kit::{Origin, Reply, pattern, wait_until};
use ganymede_store::{StoreConditional, StoreWriter};

use crate::server::{Act, Asked, Server};
use crate::support::store;

const MIB: usize = 1 << 20;

fn to(server: &Server, key: &str) -> StoreWriter {
    StoreWriter::new(&store(server), &format!("s3://bucket/{key}")).unwrap()
}

fn of(origin: &Origin, content: &[u8]) -> String {
    origin.on("/file", Reply::ok(content).ranges().etag("\"1\"").header("content-type", "text/x-test"))
}

#[test]
fn forty_mebibytes_go_up_in_parts_and_appear_at_the_end() {
    let server = Arc::new(Server::start());
    let (origin, content) = (Origin::start(), pattern(40 * MIB));
    let url = of(&origin, &content);
    let (there, seen) = (Arc::clone(&server), Arc::new(AtomicUsize::new(0)));
    let looks = Arc::clone(&seen);
    let look = move |event: &mut Event<'_>, _: &Context| {
        if let Event::Fetched { .. } = event
            && there.count(Asked::is_part) > 0
        {
            assert_eq!(there.keys(), [""; 0], "it is there before it is complete");
            looks.fetch_add(1, Ordering::Relaxed);
        }
        Action::Continue
    };
    let mut download = HttpDownload::get(&url).unwrap().handler(look).writer(to(&server, "a/b"));
    download.run(&Context::new()).unwrap();
    assert!(seen.load(Ordering::Relaxed) > 0);
    assert!(server.get("a/b").unwrap() == content);
    assert_eq!(server.unfinished(), [""; 0]);
    assert_eq!(server.count(Asked::is_part), 5);
    let begun = server.journal().into_iter().find(|asked| asked.query.contains("uploads")).unwrap();
    assert_eq!(begun.header("content-type"), Some("text/x-test"));
}

#[test]
fn no_more_is_taken_than_a_few_parts_while_the_store_takes_none() {
    let server = Server::start();
    server.rule(|asked| asked.is_part().then_some(Act::Stall));
    let context = Context::new();
    let taken = Arc::new(AtomicUsize::new(0));
    let (counter, writer, running) = (Arc::clone(&taken), to(&server, "a"), context.clone());
    let thread = std::thread::spawn(move || {
        let mut output = writer.open_in(&running).unwrap();
        let head = Head::new(&"http://example.com/".parse().unwrap());
        output.begin(&head, 0).unwrap();
        let block = vec![1; 64 << 10];
        for _ in 0..(100 * MIB / block.len()) {
            if output.write_all(&block).is_err() {
                return;
            }
            counter.fetch_add(block.len(), Ordering::Relaxed);
        }
    });
    wait_until("two parts to be on their way", || server.count(Asked::is_part) == 2);
    let mut last = 0;
    wait_until("the writer to be full", || {
        let before = std::mem::replace(&mut last, taken.load(Ordering::Relaxed));
        std::thread::sleep(Duration::from_millis(300));
        before == last
    });
    assert!((16 * MIB..=40 * MIB).contains(&last), "{last}");
    context.cancel();
    thread.join().unwrap();
}

#[test]
fn a_wrong_digest_leaves_nothing_and_what_was_there() {
    let server = Server::start();
    server.put("a", b"as it was");
    let origin = Origin::start();
    let url = of(&origin, &pattern(20 * MIB));
    let wrong: Digest = "md5:00000000000000000000000000000000".parse().unwrap();
    let download = HttpDownload::get(&url).unwrap().validation(DigestValidation::new(wrong));
    let error = download.writer(to(&server, "a")).run(&Context::new()).unwrap_err();
    assert_eq!(error.kind().name(), "digest-mismatch");
    assert!(server.count(Asked::is_part) > 0);
    assert_eq!(server.get("a").as_deref(), Some(&b"as it was"[..]));
    assert_eq!((server.keys(), server.unfinished()), (vec!["a".to_owned()], Vec::new()));
}

#[test]
fn a_source_that_breaks_off_is_gone_on_with_in_the_same_upload() {
    let (server, origin) = (Server::start(), Origin::start());
    let content = pattern(20 * MIB);
    let whole = Reply::ok(content.clone()).ranges().etag("\"1\"");
    let url = origin.sequence("/file", [whole.clone().cut_after(18 * MIB as u64), whole]);
    let download =
        HttpDownload::get(&url).unwrap().handler(RetryDelegate::new(2).base(Duration::from_millis(1)));
    let receipt = download.writer(to(&server, "a")).run(&Context::new()).unwrap();
    assert_eq!(receipt.attempts(), 2);
    assert!(server.get("a").unwrap() == content);
    assert_eq!(server.count(|asked| asked.query.contains("uploads")), 1, "a second upload was begun");
    assert_eq!(server.count(Asked::is_part), 3);
}

#[test]
fn a_source_that_has_another_content_after_a_cut_starts_a_new_upload_and_leaves_none() {
    let (server, origin) = (Server::start(), Origin::start());
    let (old, new) = (vec![b'o'; 20 * MIB], vec![b'n'; 20 * MIB]);
    let first = Reply::ok(old).ranges().etag("\"1\"").cut_after(18 * MIB as u64);
    let url = origin.sequence("/file", [first, Reply::ok(new.clone()).ranges().etag("\"2\"")]);
    let download =
        HttpDownload::get(&url).unwrap().handler(RetryDelegate::new(2).base(Duration::from_millis(1)));
    download.writer(to(&server, "a")).run(&Context::new()).unwrap();
    assert!(server.get("a").unwrap() == new);
    assert_eq!(server.unfinished(), [""; 0]);
}

#[test]
fn a_part_that_is_refused_for_the_moment_is_sent_again() {
    let (server, origin) = (Server::start(), Origin::start());
    let content = pattern(20 * MIB);
    let url = of(&origin, &content);
    let refused = AtomicUsize::new(0);
    server.rule(move |asked| {
        let first = asked.is_part() && refused.fetch_add(1, Ordering::Relaxed) < 2;
        first.then_some(Act::Refuse(503, None, "SlowDown"))
    });
    let receipt = HttpDownload::get(&url).unwrap().writer(to(&server, "a")).run(&Context::new()).unwrap();
    assert_eq!(receipt.attempts(), 1);
    assert!(server.get("a").unwrap() == content);
}

#[test]
fn a_store_that_takes_no_parts_fails_the_download_and_is_tried_anew_by_a_retry() {
    let (server, origin) = (Arc::new(Server::start()), Origin::start());
    let content = pattern(30 * MIB);
    let url = of(&origin, &content);
    server.rule(|asked| asked.is_part().then_some(Act::Refuse(500, None, "InternalError")));
    let recovering = Arc::clone(&server);
    let recover = move |event: &mut Event<'_>, _: &Context| {
        if let Event::Error { error, .. } = event {
            assert_eq!((error.kind().name(), error.is_transient()), ("write", true), "{error}");
            recovering.recover();
        }
        Action::Continue
    };
    let download = HttpDownload::get(&url).unwrap().handler(recover);
    let download = download.handler(RetryDelegate::new(1).base(Duration::from_millis(1)));
    download.writer(to(&server, "a")).run(&Context::new()).unwrap();
    assert!(server.get("a").unwrap() == content);
    assert_eq!(server.unfinished(), [""; 0]);
}

#[test]
fn what_is_created_only_does_not_replace_what_appeared_meanwhile() {
    for size in [100, 20 * MIB] {
        let (server, origin) = (Arc::new(Server::start()), Origin::start());
        let url = of(&origin, &pattern(size));
        let there = Arc::clone(&server);
        let appear = move |event: &mut Event<'_>, _: &Context| {
            if let Event::Replied { .. } = event {
                there.put("a", b"another's");
            }
            Action::Continue
        };
        let writer = to(&server, "a").create_only();
        let error =
            HttpDownload::get(&url).unwrap().handler(appear).writer(writer).run(&Context::new()).unwrap_err();
        assert_eq!(error.kind().name(), "write");
        assert!(error.to_string().contains("there already"), "{error}");
        assert_eq!(server.get("a").as_deref(), Some(&b"another's"[..]));
        assert_eq!(server.unfinished(), [""; 0]);
    }
}

#[test]
fn an_object_that_is_there_is_replaced_or_kept_or_fails_the_download() {
    let (server, origin) = (Server::start(), Origin::start());
    let url = of(&origin, b"new");
    let run = |existing| {
        let writer = to(&server, "a");
        let wrapped = writer.clone();
        let download =
            HttpDownload::get(&url).unwrap().map(|http| StoreConditional::new(http, wrapped, existing));
        download.writer(writer).run(&Context::new())
    };
    run(Existing::Skip).unwrap();
    assert_eq!(server.get("a").as_deref(), Some(&b"new"[..]));
    server.put("a", b"old");
    let receipt = run(Existing::Skip).unwrap();
    assert_eq!((receipt.head().status().as_u16(), receipt.head().length()), (304, Some(3)));
    let error = run(Existing::Fail).unwrap_err();
    assert!(error.to_string().contains("s3://bucket/a is there already"), "{error}");
    assert_eq!(server.get("a").as_deref(), Some(&b"old"[..]));
    run(Existing::Replace).unwrap();
    assert_eq!(server.get("a").as_deref(), Some(&b"new"[..]));
    assert_eq!(run(Existing::Verify).unwrap_err().kind().name(), "unsupported");
    assert_eq!(origin.requests("/file"), 2);
}
