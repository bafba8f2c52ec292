//! What a test can see and wait for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use ganymede_kit::{Backlog, Folder, Origin, Reply, Silent};

use crate::client::Client;

#[test]
fn one_connection_after_the_other_is_a_peak_of_one() {
    let origin = Origin::start();
    origin.on("/", Reply::ok("hello"));
    for turn in 0..200 {
        let header: &[(&str, &str)] = if turn % 2 == 0 { &[] } else { &[("Connection", "close")] };
        let mut client = Client::connect(origin.address());
        assert_eq!(client.get("/", header).body, b"hello");
        if turn % 2 == 1 {
            let _ = client.rest();
        }
    }
    assert_eq!((origin.connections(), origin.peak(), origin.in_flight_peak()), (200, 1, 1));
}

#[test]
fn a_panic_in_a_handler_is_passed_on() {
    let origin = Origin::start();
    origin.handle("/", |_| panic!("the handler's own"));
    let mut client = Client::connect(origin.address());
    client.send("GET", "/", &[]);
    assert!(client.rest().0.is_empty());
    let mut other = Client::connect(origin.address());
    other.send("GET", "/", &[]);
    assert!(other.rest().0.is_empty());
    let panic = catch_unwind(AssertUnwindSafe(|| drop(origin))).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"the handler's own"));
}

#[test]
fn a_silent_server_sees_who_leaves() {
    let silent = Silent::start();
    let mut client = Client::connect(silent.address());
    client.send("GET", "/", &[]);
    silent.wait_open(1);
    drop(client);
    silent.wait_open(0);
    assert_eq!(silent.connections(), 1);
    assert!(silent.url("https", "/x").ends_with("/x"));
}

#[test]
fn a_full_backlog_lets_nobody_in() {
    let backlog = Backlog::start();
    let connect = || std::net::TcpStream::connect_timeout(&backlog.address(), Duration::from_millis(50));
    assert!(connect().is_err());
    assert!(connect().is_err());
}

#[test]
fn a_folder_goes_with_all_that_is_in_it() {
    let folder = Folder::new();
    assert!(folder.entries().is_empty());
    folder.write("deep/er/file", "x");
    assert_eq!(folder.entries(), ["deep/", "deep/er/", "deep/er/file"]);
    assert_eq!(folder.read("deep/er/file"), b"x");
    let path = folder.path().to_owned();
    drop(folder);
    assert!(!path.exists());
}

#[test]
fn a_journal_tells_how_much_of_each_body_was_written() {
    let origin = Origin::start();
    let whole = Reply::ok("0123456789").etag("\"a\"").ranges();
    origin.sequence("/file", [whole.clone().drip(1, Duration::ZERO).cut_after(3), whole]);
    let mut client = Client::connect(origin.address());
    client.send("GET", "/file", &[]);
    assert!(client.rest().0.ends_with(b"\r\n\r\n012"));
    let mut client = Client::connect(origin.address());
    assert_eq!(client.get("/file?again", &[("Range", "bytes=3-")]).body, b"3456789");
    assert_eq!(client.get("/other", &[]).status(), 404);
    let sent: Vec<u64> = origin.journal().iter().map(|received| received.sent).collect();
    assert_eq!((sent[0], sent[1], origin.sent_in_all("/file"), origin.sent("/file")), (3, 7, 10, 7));
}
