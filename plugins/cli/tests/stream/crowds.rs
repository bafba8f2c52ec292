//! Many clients at once: fast ones, slow ones, and such as leave.

use std::thread::scope;
use std::time::Duration;

use ganymede_kit::{Folder, Gate, Origin, Reply, pattern, wait_until};

use crate::LARGE;
use crate::serving::Serving;

/// Starts it before an origin, with a cache or without one.
fn serving(origin: &Origin, folder: &Folder, keeps: bool) -> Serving {
    match keeps {
        true => Serving::keeping(&origin.url("/"), folder, [""; 0]),
        false => Serving::start(["--remote", &origin.url("/")]),
    }
}

#[test]
fn fifty_simultaneous_misses_are_one_request_to_the_remote() {
    for keeps in [true, false] {
        let (origin, folder, gate) = (Origin::start(), Folder::new(), Gate::new());
        let content = pattern(LARGE);
        origin.on("/file", Reply::ok(content.clone()).gate(&gate));
        let server = serving(&origin, &folder, keeps);
        let clients: Vec<_> = (0..50).map(|_| server.ask("GET", "/file", &[])).collect();
        gate.wait_arrived(1);
        // The one that asks for this number counts, too.
        wait_until("all to have come", || server.metric("ganymede_clients") == 51);
        gate.open();
        scope(|scope| {
            for client in clients {
                scope.spawn(|| {
                    client.read().is_whole(&content);
                });
            }
        });
        assert_eq!((origin.requests("/file"), origin.sent_in_all("/file")), (1, LARGE as u64));
        assert_eq!(server.metric("ganymede_fetches_total"), 1);
    }
}

#[test]
fn two_hundred_slow_clients_hold_up_nobody_and_take_no_memory_that_grows_with_the_content() {
    const SIZE: usize = 64 << 20;
    const CLIENTS: usize = 200;
    let (origin, folder) = (Origin::start(), Folder::new());
    origin.on("/file", Reply::generated(SIZE as u64).header("Cache-Control", "max-age=600"));
    let server = serving(&origin, &folder, true);
    origin.on("/warm", Reply::ok(pattern(LARGE)));
    server.get("/warm").is_whole(&pattern(LARGE));
    let before = server.memory();
    let mut slow: Vec<_> = (0..CLIENTS).map(|_| server.ask("GET", "/file", &[])).collect();
    for client in &mut slow {
        client.read_bytes(100_000);
    }
    // All of it is there, and whoever reads gets it, while those do not read on.
    let content = pattern(SIZE);
    server.get("/file").is_whole(&content);
    assert_eq!((origin.requests("/file"), origin.sent("/file")), (1, SIZE as u64));
    let grown = server.memory().saturating_sub(before);
    println!("{CLIENTS} slow clients take {grown} bytes");
    assert!(grown < SIZE as u64, "{grown} bytes more for {CLIENTS} slow clients");
    // They have lost nothing by that.
    for client in slow.drain(..3) {
        client.read_slowly(1 << 20, Duration::from_millis(1)).is_whole(&content);
    }
    let grown = server.memory().saturating_sub(before);
    assert!(grown < SIZE as u64, "{grown} bytes more for {CLIENTS} slow clients");
    assert_eq!(server.metric("ganymede_clients"), 1 + CLIENTS as u64 - 3);
}

#[test]
fn a_slow_client_of_what_is_not_kept_is_cut_when_it_holds_up_another_and_never_told_an_end() {
    const SIZE: u64 = 64 << 20;
    let (origin, folder, gate) = (Origin::start(), Folder::new(), Gate::new());
    origin.on("/file", Reply::generated(SIZE).gate(&gate));
    let server = serving(&origin, &folder, false);
    let mut slow = server.ask("GET", "/file", &[]);
    let fast = server.ask("GET", "/file", &[]);
    wait_until("both to have come", || server.metric("ganymede_clients") == 3);
    gate.open();
    slow.read_bytes(1000);
    fast.read().is_whole(&pattern(SIZE as usize));
    slow.read().is_cut();
    assert_eq!(origin.requests("/file"), 1);
}

#[test]
fn when_all_have_left_the_remote_is_left() {
    for keeps in [true, false] {
        let (origin, folder) = (Origin::start(), Folder::new());
        let server = serving(&origin, &folder, keeps);
        origin.on("/mute", Reply::ok("x").stall_header());
        origin.on("/file", Reply::ok(pattern(LARGE)).stall_after(1_000_000));
        for path in ["/mute", "/file"] {
            let mut clients: Vec<_> = (0..3).map(|_| server.ask("GET", path, &[])).collect();
            wait_until("all to have come", || server.metric("ganymede_clients") == 4);
            wait_until("the remote to be asked", || origin.requests(path) == 1);
            if path == "/file" {
                for client in &mut clients {
                    client.read_bytes(500_000);
                }
            }
            let last = clients.pop();
            drop(clients);
            wait_until("the others to be gone", || server.metric("ganymede_clients") == 2);
            assert_eq!((origin.open(), origin.requests(path)), (1, 1));
            drop(last);
            origin.wait_open(0);
        }
        let is_left = |name: &String| name.starts_with("cache/incoming/") && !name.ends_with('/');
        wait_until("nothing to be left of it", || !folder.entries().iter().any(is_left));
    }
}
