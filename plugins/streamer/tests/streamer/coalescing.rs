//! Many clients at once, and one fetch.

use std::thread::{scope, sleep};
use std::time::Duration;

use ganymede_kit::{End, Folder, Gate, Origin, Reply, pattern};

use crate::{LARGE, keeping, passing};

#[test]
fn fifty_simultaneous_misses_are_one_fetch_and_each_gets_every_byte() {
    let (origin, folder) = (Origin::start(), Folder::new());
    for (server, path) in [(keeping(&origin, &folder), "/kept"), (passing(&origin), "/passed")] {
        let gate = Gate::new();
        origin.on(path, Reply::ok(pattern(200_000)).header("Cache-Control", "max-age=60").gate(&gate));
        let clients: Vec<_> = (0..50).map(|_| server.ask("GET", path, &[])).collect();
        gate.wait_arrived(1);
        // Those whose request has arrived later than the head is at least on its way have none of their own either.
        gate.open();
        let answers = scope(|scope| {
            let readers: Vec<_> = clients.into_iter().map(|client| scope.spawn(|| client.read())).collect();
            readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
        });
        for answer in &answers {
            answer.is_whole(&pattern(200_000));
        }
        if path == "/kept" {
            assert_eq!(origin.requests(path), 1);
            let collapsed = answers.iter().filter(|answer| answer.cache().contains("collapsed")).count();
            let hits = answers.iter().filter(|answer| answer.is_hit()).count();
            assert_eq!(collapsed + hits, 49);
        }
    }
}

#[test]
fn who_comes_in_the_middle_gets_every_byte_from_the_first() {
    let (origin, folder, gate) = (Origin::start(), Folder::new(), Gate::new());
    let server = keeping(&origin, &folder);
    origin.on("/file", Reply::ok(pattern(LARGE)).gate_after(2_000_000, &gate));
    let mut first = server.ask("GET", "/file", &[]);
    first.read_bytes(1_500_000);
    let mut second = server.ask("GET", "/file", &[]);
    assert!(second.read_bytes(1_500_000).len() >= 1_500_000);
    gate.open();
    let second = second.read();
    assert!(second.is_whole(&pattern(LARGE)).cache().contains("collapsed"));
    first.read().is_whole(&pattern(LARGE));
    assert_eq!(origin.requests("/file"), 1);
}

#[test]
fn a_client_that_does_not_read_holds_up_neither_others_nor_the_source() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    // More than the system buffers for a connection.
    let content = pattern(64 << 20);
    origin.on("/file", Reply::ok(content.clone()).header("Cache-Control", "max-age=60"));
    let mut slow = server.ask("GET", "/file", &[]);
    slow.read_bytes(1000);
    server.get("/file").is_whole(&content);
    assert_eq!(origin.sent("/file"), 64 << 20);
    slow.read().is_whole(&content);
    assert_eq!(origin.requests("/file"), 1);
}

#[test]
fn where_nothing_is_kept_a_client_that_lags_is_cut_and_the_others_are_not() {
    let origin = Origin::start();
    let server = passing(&origin);
    let content = pattern(64 << 20);
    let gate = Gate::new();
    origin.on("/file", Reply::ok(content.clone()).gate(&gate));
    let mut slow = server.ask("GET", "/file", &[]);
    let fast = server.ask("GET", "/file", &[]);
    gate.wait_arrived(1);
    // Both are there before the first byte.
    while server.get("/-/metrics").body.windows(18).all(|line| line != b"ganymede_clients 3") {
        sleep(Duration::from_millis(5));
    }
    gate.open();
    slow.read_bytes(1000);
    fast.read().is_whole(&content);
    let slow = slow.read();
    slow.is_cut();
    assert!(slow.body.len() < content.len());
    assert_eq!(origin.requests("/file"), 1);
}

#[test]
fn where_nothing_is_kept_the_source_waits_for_who_is_alone() {
    let origin = Origin::start();
    let server = passing(&origin);
    origin.on("/file", Reply::generated(256 << 20));
    let mut slow = server.ask("GET", "/file", &[]);
    slow.read_bytes(1000);
    let (mut before, mut same) = (0, 0);
    while same < 50 {
        sleep(Duration::from_millis(4));
        let sent = origin.sent("/file");
        same = if sent == before { same + 1 } else { 0 };
        before = sent;
    }
    assert!(before < 64 << 20, "{before} bytes were sent");
    // It goes on when it is read on.
    assert!(slow.read_bytes(usize::try_from(before).unwrap() + 1_000_000).len() > 1_000_000);
    slow.leave();
    origin.wait_open(0);
}

#[test]
fn a_failure_is_shared_and_is_one_fetch() {
    let (origin, folder, gate) = (Origin::start(), Folder::new(), Gate::new());
    let server = keeping(&origin, &folder);
    origin.on("/file", Reply::error(404).gate(&gate));
    let clients: Vec<_> = (0..10).map(|_| server.ask("GET", "/file", &[])).collect();
    gate.wait_arrived(1);
    gate.open();
    for client in clients {
        let answer = client.read();
        assert_eq!((answer.status, answer.end), (404, End::Whole));
    }
    assert_eq!(origin.requests("/file"), 1);
}

#[test]
fn what_is_for_one_alone_is_given_to_no_other() {
    let (origin, folder, gate) = (Origin::start(), Folder::new(), Gate::new());
    let server = keeping(&origin, &folder);
    origin.on("/file", Reply::ok("x").header("Cache-Control", "private, max-age=60").gate(&gate));
    let clients: Vec<_> = (0..3).map(|_| server.ask("GET", "/file", &[])).collect();
    gate.wait_arrived(1);
    gate.open();
    for client in clients {
        client.read().is_whole(b"x");
    }
    assert_eq!(origin.requests("/file"), 3);
}
