//! What clients may take, and what the remote is asked for at once.

use std::io::{Read, Write};
use std::thread;

use ganymede_kit::{End, Folder, Gate, Origin, Reply, pattern, wait_until};

use super::{LARGE, Serving};

#[test]
fn requests_and_their_sizes_are_bounded() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.on("/held", Reply::ok(pattern(LARGE)).stall_after(1_000_000));
    let arguments =
        ["--remote", &origin.url("/"), "--clients", "1", "--url-size", "100", "--header-count", "20"];
    let serving = Serving::start(&folder, arguments.iter().chain(&["--header-size", "8K"]));
    assert_eq!(serving.get(&format!("/{}", "x".repeat(200))).status, 414);
    let many: Vec<(&str, &str)> = vec![("X-A", "b"); 30];
    assert_eq!(serving.ask("GET", "/x", &many).read().status, 431);
    let long = "x".repeat(10_000);
    assert_eq!(serving.ask("GET", "/x", &[("X-A", &long)]).read().status, 431);
    let mut held = serving.ask("GET", "/held", &[]);
    held.read_bytes(1000);
    let refused = serving.get("/x");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    held.leave();
    wait_until("a place", || serving.get("/x").status == 404);
}

#[test]
fn connections_are_bounded_over_all_places_and_in_time() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let mut command = crate::ganymede::command(&folder);
    command.args([
        "stream",
        "--listen",
        "127.0.0.1:0",
        "--listen",
        "127.0.0.1:0",
        "--remote",
        &origin.url("/"),
    ]);
    command.args(["--connections", "1", "--idle", "500ms"]);
    let serving = Serving::run(command, 2);
    let mut held = serving.connect();
    held.write_all(b"GET /-/health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    held.read_exact(&mut [0; 12]).unwrap();
    let mut other = std::net::TcpStream::connect(serving.addresses()[1]).unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    // Nothing more is asked for, so it is closed, however that looks.
    let _ = held.read_to_end(&mut Vec::new());
    wait_until("a place", || serving.get("/-/health").status == 200);
}

#[test]
fn what_is_on_its_way_to_a_slow_client_is_not_lost_when_its_connection_is_idle() {
    let (folder, origin) = (Folder::new(), Origin::start());
    // So much is in the buffers of the systems before anything is read.
    let content = pattern(60_000);
    origin.on("/file", Reply::ok(content.clone()));
    let arguments = ["--remote", &origin.url("/"), "--connections", "1", "--idle", "300ms"];
    let serving = Serving::start(&folder, arguments);
    let mut slow = serving.connect();
    slow.write_all(b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    serving.wait_printed("\"GET /file\" 200 60000 ");
    wait_until("its place", || serving.get("/-/health").status == 200);
    let mut received = Vec::new();
    slow.read_to_end(&mut received).unwrap();
    assert!(received.ends_with(&content), "{} bytes", received.len());
}

#[test]
fn who_reads_nothing_is_cut() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.on("/file", Reply::generated(256 << 20));
    let serving = Serving::start(&folder, ["--remote", &origin.url("/"), "--stall", "500ms"]);
    let client = serving.ask("GET", "/file", &[]);
    origin.wait_open(1);
    origin.wait_open(0);
    assert_eq!(client.read().end, End::Reset);
}

#[test]
fn the_remote_is_asked_for_no_more_at_once_than_is_said() {
    let (folder, origin, gate) = (Folder::new(), Origin::start(), Gate::new());
    origin.handle("/", {
        let gate = gate.clone();
        move |_| Reply::ok("x").gate(&gate)
    });
    let serving = Serving::start(&folder, ["--remote", &origin.url("/"), "--per-host", "2"]);
    thread::scope(|scope| {
        for number in 0..8 {
            let serving = &serving;
            scope.spawn(move || serving.get(&format!("/{number}")).is_whole(b"x").status);
        }
        gate.wait_arrived(2);
        wait_until("all to be asked for", || {
            let metrics = String::from_utf8(serving.get("/-/metrics").body).unwrap();
            metrics.contains("ganymede_clients 9\n")
        });
        gate.open();
    });
    assert_eq!((origin.peak(), origin.journal().len()), (2, 8));
}
