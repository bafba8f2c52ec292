//! Clients that leave.

use ganymede_kit::{Folder, Gate, Origin, Reply, pattern, wait_until};
use ganymede_streamer::{Policy, Streamer};

use crate::{LARGE, Running, cache, files, keeping, passing, remote};

#[test]
fn when_all_have_left_the_source_is_left_at_any_point() {
    let (origin, folder) = (Origin::start(), Folder::new());
    for server in [keeping(&origin, &folder), passing(&origin)] {
        origin.on("/mute", Reply::ok("x").stall_header());
        let asked = origin.requests("/mute");
        let clients = [server.ask("GET", "/mute", &[]), server.ask("GET", "/mute", &[])];
        wait_until("it to be asked for", || origin.requests("/mute") == asked + 1);
        drop(clients);
        origin.wait_open(0);

        origin.on("/stalled", Reply::ok(pattern(LARGE)).stall_after(1_000_000));
        let mut clients = [server.ask("GET", "/stalled", &[]), server.ask("GET", "/stalled", &[])];
        for client in &mut clients {
            client.read_bytes(500_000);
        }
        let [one, other] = clients;
        one.leave();
        assert_eq!(origin.open(), 1);
        other.leave();
        origin.wait_open(0);
    }
    wait_until("what was begun to be gone", || files(&folder, "incoming").is_empty());
}

#[test]
fn where_it_is_to_be_finished_it_is_finished_and_kept() {
    for set in
        [|streamer: Streamer| streamer.finish(true), |streamer: Streamer| streamer.policy(Policy::Immediate)]
    {
        let (origin, folder, gate) = (Origin::start(), Folder::new(), Gate::new());
        let server = Running::start(set(Streamer::new(remote(&origin)).cache(cache(&folder))));
        let reply = Reply::ok(pattern(LARGE)).header("Cache-Control", "max-age=60");
        origin.on("/file", reply.gate_after(1_000_000, &gate));
        let mut client = server.ask("GET", "/file", &[]);
        client.read_bytes(500_000);
        client.leave();
        gate.open();
        origin.wait_sent("/file", LARGE as u64);
        wait_until("it to be kept", || {
            server.get_with("/file", &[("Cache-Control", "only-if-cached")]).status == 200
        });
        server.get("/file").is_whole(&pattern(LARGE));
        assert_eq!(origin.requests("/file"), 1);
    }
}

#[test]
fn what_is_not_kept_is_not_finished_either() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = Running::start(Streamer::new(remote(&origin)).cache(cache(&folder)).finish(true));
    origin.on("/file", Reply::ok(pattern(LARGE)).header("Cache-Control", "no-store").stall_after(1_000_000));
    let mut client = server.ask("GET", "/file", &[]);
    client.read_bytes(500_000);
    client.leave();
    origin.wait_open(0);
}

#[test]
fn what_is_finished_for_nobody_is_bounded_too() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = Running::start(Streamer::new(remote(&origin)).cache(cache(&folder)).finish(true).clients(2));
    let stalled = Reply::ok(pattern(LARGE)).header("Cache-Control", "max-age=60").stall_after(1_000_000);
    origin.handle("/", move |_| stalled.clone());
    for path in ["/one", "/two"] {
        let mut client = server.ask("GET", path, &[]);
        client.read_bytes(500_000);
        client.leave();
    }
    let gone = || String::from_utf8_lossy(&server.get("/-/metrics").body).contains("ganymede_clients 1\n");
    wait_until("both to have left", gone);
    let refused = server.get("/three");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(origin.requests("/three"), 0);
    // Who wants what is under way has it all the same.
    let mut client = server.ask("GET", "/one", &[]);
    assert!(client.read_bytes(500_000).len() >= 500_000);
}

#[test]
fn who_leaves_does_not_disturb_who_stays() {
    let (origin, folder, gate) = (Origin::start(), Folder::new(), Gate::new());
    let server = keeping(&origin, &folder);
    origin.on("/file", Reply::ok(pattern(LARGE)).gate_after(1_000_000, &gate));
    let mut first = server.ask("GET", "/file", &[]);
    first.read_bytes(500_000);
    let mut second = server.ask("GET", "/file", &[]);
    second.read_bytes(500_000);
    first.leave();
    gate.open();
    second.read().is_whole(&pattern(LARGE));
    assert_eq!(origin.requests("/file"), 1);
}
