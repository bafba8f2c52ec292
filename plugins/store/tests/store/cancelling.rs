//! Cancelling, in each phase.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use ganymede::{BufferWriter, Context, Download, DownloadError, HttpDownload, Receipt, Request, Transfer};
use ganymede_kit::{Break, Origin, Passage, Relay, Reply, pattern, threads_named, wait_until};
use ganymede_store::{Store, StoreWriter};

use crate::server::{Act, Asked, ID, SECRET, Server};
use crate::support::store;

const MIB: usize = 1 << 20;

/// Runs a download, cancels it once it is `there`, and returns how it ended: within a second.
fn cancelled(
    mut download: impl Download + 'static,
    what: &str,
    there: impl FnMut() -> bool,
) -> Result<Receipt, DownloadError> {
    let context = Context::new();
    let (sender, receiver) = channel();
    let running = context.clone();
    std::thread::spawn(move || drop(sender.send(download.run(&running))));
    wait_until(what, there);
    let start = Instant::now();
    context.cancel();
    let ended = receiver.recv_timeout(Duration::from_secs(10)).expect("it does not end");
    assert!(start.elapsed() < Duration::from_millis(1_500), "it took {:?} to end", start.elapsed());
    ended
}

#[test]
fn waiting_for_the_answer_ends() {
    let server = Server::start();
    let url = server.put("a", b"hello");
    server.rule(|_| Some(Act::Stall));
    let download = Transfer::new(Request::get(&url).unwrap(), store(&server)).writer(BufferWriter::new(10));
    let ended = cancelled(download, "the question", || server.count(|_| true) == 1);
    assert!(ended.unwrap_err().is_cancelled());
}

#[test]
fn waiting_for_the_body_ends() {
    let server = Server::start();
    let url = server.put("a", &pattern(MIB));
    let relay = Relay::start(server.address(), [Passage::After(100_000, Break::Stall)]);
    let store = Store::new().endpoint(relay.url("http", "").trim_end_matches('/')).credentials(ID, SECRET);
    let monitor = ganymede::DownloadMonitor::new([]);
    let download =
        Transfer::new(Request::get(&url).unwrap(), store).writer(BufferWriter::new(MIB)).monitor(&monitor);
    let ended = cancelled(download, "some bytes", || monitor.progress().received > 0);
    assert!(ended.unwrap_err().is_cancelled());
}

#[test]
fn waiting_for_a_part_to_be_taken_ends_and_leaves_nothing_that_could_be_removed() {
    let (server, origin) = (Server::start(), Origin::start());
    let url = origin.on("/file", Reply::ok(pattern(60 * MIB)));
    server.rule(|asked| asked.is_part().then_some(Act::Stall));
    let writer = StoreWriter::new(&store(&server), "s3://bucket/a").unwrap();
    let download = HttpDownload::get(&url).unwrap().writer(writer);
    let ended = cancelled(download, "two parts", || server.count(Asked::is_part) == 2);
    assert!(ended.unwrap_err().is_cancelled());
    wait_until("the upload to be removed", || server.unfinished().is_empty());
    assert_eq!(server.count(|asked| asked.method == "DELETE"), 1);
    assert_eq!(server.keys(), [""; 0]);
}

#[test]
fn waiting_for_the_commit_ends_and_leaves_nothing() {
    for size in [100, 20 * MIB] {
        let (server, origin) = (Server::start(), Origin::start());
        let url = origin.on("/file", Reply::ok(pattern(size)));
        let commits = |asked: &Asked| {
            (asked.method == "POST" && asked.query.contains("uploadId"))
                || (asked.method == "PUT" && asked.query.find("partNumber").is_none())
        };
        server.rule(move |asked| commits(asked).then_some(Act::Stall));
        let writer = StoreWriter::new(&store(&server), "s3://bucket/a").unwrap();
        let download = HttpDownload::get(&url).unwrap().writer(writer);
        let ended = cancelled(download, "the commit", || server.count(commits) == 1);
        assert!(ended.is_err());
        wait_until("the upload to be removed", || server.unfinished().is_empty());
        assert_eq!(server.keys(), [""; 0]);
    }
}

#[test]
fn an_output_that_is_dropped_removes_its_upload_before_it_returns() {
    let server = Server::start();
    let writer: Arc<dyn ganymede::Writer> =
        Arc::new(StoreWriter::new(&store(&server), "s3://bucket/a").unwrap());
    let context = Context::new();
    let mut output = writer.open_in(&context).unwrap();
    output.begin(&ganymede::Head::new(&"http://example.com/".parse().unwrap()), 0).unwrap();
    output.write_all(&pattern(30 * MIB)).unwrap();
    wait_until("a part", || server.count(Asked::is_part) > 0);
    assert!(!server.unfinished().is_empty());
    drop(output);
    assert_eq!((server.unfinished(), server.keys()), (Vec::new(), Vec::new()));
}

#[test]
fn nothing_is_left_of_a_context_that_is_gone() {
    let server = Server::start();
    let url = server.put("a", b"hello");
    {
        let context = Context::new();
        let mut download =
            Transfer::new(Request::get(&url).unwrap(), store(&server)).writer(BufferWriter::new(10));
        download.run(&context).unwrap();
        assert!(threads_named("ganymede-store") > 0);
    }
    // Other tests of this process have contexts of their own, which end as well.
    wait_until("the thread for stores to end", || threads_named("ganymede-store") == 0);
}
