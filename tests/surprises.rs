//! Servers, clocks and callers that do what nobody expects of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use ganymede::{
    BufferWriter, Context, Download, Failure, FileDownload, FileWriter, Head, Http, HttpDownload, Method,
    MirrorDelegate, Request, RetryDelegate, SlotKey, Transfer, reqwest, stream,
};
use ganymede_kit::{Folder, Gate, Origin, PATIENCE, Reply, Silent, pattern, wait_until};

/// Returns what `run` returns, which must be soon.
fn soon<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(run()));
    receiver.recv_timeout(PATIENCE).expect("it ends")
}

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap().writer(BufferWriter::new(1 << 20))
}

#[test]
fn a_success_that_is_of_no_use_and_has_no_end_is_left_at_once() {
    for status in [201, 202, 206] {
        let origin = Origin::start();
        let url = origin.on("/file", Reply::generated(1 << 40).status(status));
        let error = soon(move || get(&url).run(&Context::new()).unwrap_err());
        assert!(matches!(error.kind().name(), "status" | "unsupported"), "{error:?}");
        origin.wait_open(0);
    }
}

#[test]
fn a_time_out_may_be_longer_than_any_clock_goes() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("hello"));
    get(&url).read_timeout(Duration::MAX).deadline(Duration::MAX).run(&Context::new()).unwrap();
}

#[test]
fn a_length_beside_chunks_is_not_forwarded() {
    let origin = Origin::start();
    let text =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let url = origin.on("/file", Reply::raw(text));
    let (head, mut body) = stream(HttpDownload::get(&url).unwrap(), &Context::new()).unwrap();
    let mut content = String::new();
    body.read_to_string(&mut content).unwrap();
    assert_eq!((content.as_str(), head.end_to_end().get("content-length")), ("hello", None));
}

#[test]
fn a_head_that_is_alone_needs_no_room_and_leaves_nothing() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = origin.on("/file", Reply::ok(pattern(1000)));
    let head = |url: &str| HttpDownload::get(url).unwrap().method(Method::Head);
    let receipt = head(&url).writer(BufferWriter::new(10)).run(&Context::new()).unwrap();
    assert_eq!((receipt.head().length(), receipt.head().is_alone()), (Some(1000), true));
    head(&url).writer(FileWriter::new(folder.file("a/file"))).run(&Context::new()).unwrap();
    assert!(folder.entries().is_empty());
}

#[test]
fn times_that_have_no_http_date_are_left_out() {
    let folder = Folder::new();
    let path = folder.write("file", "hello");
    let latest = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    for (time, text) in [
        (latest, Some("Fri, 31 Dec 9999 23:59:59 GMT")),
        (latest + Duration::from_secs(1), None),
        (UNIX_EPOCH - Duration::from_secs(1), None),
    ] {
        let head = Head::new(&"memory:file".parse().unwrap()).with_modified(time);
        assert_eq!(head.header("last-modified"), text);
        // Not every file system keeps such times; what it makes of them must be bearable all the same.
        let _ = File::options().write(true).open(&path).unwrap().set_modified(time);
        let download = FileDownload::get(&format!("file://{}", path.display())).unwrap();
        download.writer(BufferWriter::new(10)).run(&Context::new()).unwrap();
    }
}

#[test]
fn what_a_hook_sets_stays_behind_like_every_other_header() {
    let (here, there) = (Origin::start(), Origin::start());
    let target = there.on("/file", Reply::ok("hello"));
    let url = here.on("/file", Reply::redirect(302, target));
    let hook = |builder: reqwest::RequestBuilder| builder.header("x-token", "secret").bearer_auth("secret");
    get(&url).request_hook(hook).run(&Context::new()).unwrap();
    let seen = |origin: &Origin| {
        let request = origin.journal().remove(0);
        ["x-token", "authorization"].map(|name| request.header(name).map(str::to_owned))
    };
    assert_eq!(seen(&here), [Some("secret".to_owned()), Some("Bearer secret".to_owned())]);
    assert_eq!(seen(&there), [None, None]);
}

#[test]
fn the_deadline_ends_the_fetching_of_a_mirror_list_too() {
    let (origin, silent) = (Origin::start(), Silent::start());
    let delegate = MirrorDelegate::list(silent.url("http", "/list").parse().unwrap());
    let mut download = get(&origin.url("/missing")).deadline(Duration::from_millis(200)).handler(delegate);
    let error = soon(move || download.run(&Context::new()).unwrap_err());
    assert_eq!(error.kind().name(), "mirror-list");
}

#[derive(PartialEq, Eq, Hash)]
struct Session;

impl SlotKey for Session {
    type Value = u8;
}

#[test]
fn who_waits_for_a_slot_is_not_failed_by_its_makers_cancelling() {
    let root = Context::new();
    let (begin, begun) = channel();
    let leaving = root.child();
    thread::scope(|scope| {
        let (maker, begin) = (leaving.clone(), begin);
        let making = scope.spawn(move || {
            maker.slot(Session, |context| {
                let (open, closed) = channel::<()>();
                let _hook = context.on_cancel(move || drop(open));
                begin.send(()).unwrap();
                // As a socket that was shut down: it says what it has seen.
                let _ = closed.recv();
                Err(io::Error::from(io::ErrorKind::ConnectionAborted).into())
            })
        });
        begun.recv().unwrap();
        let waiting = scope.spawn(|| root.slot(Session, |_| Ok(7)));
        leaving.cancel();
        assert_eq!(making.join().unwrap().unwrap_err().kind().name(), "cancelled");
        assert_eq!(*waiting.join().unwrap().unwrap(), 7);
    });
}

#[test]
fn what_was_forgotten_is_made_again() {
    let context = Context::new();
    assert_eq!(*context.slot(Session, |_| Ok(1)).unwrap(), 1);
    assert_eq!(*context.slot(Session, |_| Ok(2)).unwrap(), 1);
    context.child().forget(&Session);
    assert_eq!(*context.slot(Session, |_| Ok(3)).unwrap(), 3);
}

#[test]
fn a_continuation_need_not_repeat_when_the_content_was_modified() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let content = pattern(2000);
    let first =
        Reply::ok(content.clone()).etag("\"a\"").modified("Sun, 06 Nov 1994 08:49:37 GMT").cut_after(1000);
    let head = "HTTP/1.1 206 Partial Content\r\nContent-Length: 1000\r\nETag: \"a\"\r\n\
                Content-Range: bytes 1000-1999/2000\r\n\r\n";
    let rest = Reply::raw([head.as_bytes(), &content[1000..]].concat());
    let url = origin.sequence("/file", [first, rest]);
    let retry = RetryDelegate::new(1).base(Duration::ZERO);
    let download = HttpDownload::get(&url).unwrap().handler(retry);
    download.writer(FileWriter::new(folder.file("file"))).run(&Context::new()).unwrap();
    assert!(folder.read("file") == content);
    let modified = fs::metadata(folder.file("file")).unwrap().modified().unwrap();
    assert_eq!(modified.duration_since(UNIX_EPOCH).unwrap().as_secs(), 784_111_777);
}

#[test]
fn cookies_are_in_no_text() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("x").header("Set-Cookie", "session=secret"));
    let receipt = get(&url).run(&Context::new()).unwrap();
    assert!(!format!("{receipt:?}").contains("secret"));
}

/// Resolves a name the first time, and never again.
struct Once(AtomicUsize, SocketAddr);

impl reqwest::dns::Resolve for Once {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let (before, address) = (self.0.fetch_add(1, Ordering::SeqCst), self.1);
        Box::pin(async move {
            if before > 0 {
                std::future::pending::<()>().await;
            }
            let addresses: reqwest::dns::Addrs = Box::new([address].into_iter());
            Ok(addresses)
        })
    }
}

#[test]
fn the_read_time_out_holds_for_who_got_a_free_connection_while_making_one() {
    let (origin, gate) = (Origin::start(), Gate::new());
    origin.on("/one", Reply::ok("one").gate(&gate));
    origin.on("/two", Reply::ok("two").stall_header());
    let resolver = Arc::new(Once(AtomicUsize::new(0), origin.address()));
    let resolving = Arc::clone(&resolver);
    let http = Http::new()
        .connect_timeout(Duration::from_secs(2))
        .read_timeout(Duration::from_secs(1))
        .client_hook(move |builder| builder.dns_resolver(Arc::clone(&resolving)));
    let context = Context::new();
    let fetch = |path: &str| {
        let request = Request::get(&origin.url_at("name.test", path)).unwrap();
        let mut download = Transfer::new(request, http.clone()).writer(BufferWriter::new(10));
        let context = context.clone();
        thread::spawn(move || soon(move || download.run(&context)))
    };
    let one = fetch("/one");
    gate.wait_arrived(1);
    let two = fetch("/two");
    wait_until("the second one to resolve", || resolver.0.load(Ordering::SeqCst) == 2);
    gate.open();
    one.join().unwrap().unwrap();
    let failure: Failure = two.join().unwrap().unwrap_err().into();
    assert_eq!(failure.kind().name(), "timeout");
}
