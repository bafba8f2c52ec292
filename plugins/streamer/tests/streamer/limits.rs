//! What clients may not do, and the end of the server.

use std::io::{Read, Write};
use std::time::Duration;

use ganymede_kit::{End, Folder, Gate, Origin, Reply, pattern, wait_until};
use ganymede_streamer::{Server, Streamer};

use crate::{LARGE, Running, cache, keeping, passing, remote};

#[test]
fn a_path_that_leads_elsewhere_is_refused_before_the_source_is_asked() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    let paths = [
        "/..",
        "/a/../b",
        "/%2e%2e/b",
        "/a/.%2E/b",
        "/./a",
        "/a//b",
        "//a",
        "/a%2fb",
        "/a%5cb",
        "/a%00",
        "/a%0d%0ab",
        "/%7f",
        "/%",
        "/%4",
        "/%zz",
    ];
    for path in paths {
        assert_eq!(server.get(path).status, 400, "{path}");
    }
    assert_eq!(origin.journal().len(), 0);
}

#[test]
fn other_methods_and_long_targets_are_refused() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PURGE"] {
        let answer = server.ask(method, "/a", &[]).read();
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    assert_eq!(server.get(&format!("/{}", "a".repeat(8 << 10))).status, 414);
    assert_eq!(server.get(&format!("/{}", "a".repeat(8000))).status, 404);
    let long = "x".repeat(40 << 10);
    assert_eq!(server.get_with("/a", &[("X-Long", &long)]).status, 431);
    let many: Vec<String> = (0..200).map(|number| format!("x-{number}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(server.get_with("/a", &many).status, 431);
}

#[test]
fn more_clients_than_there_are_places_for_are_told_to_come_back() {
    let (origin, folder, gate) = (Origin::start(), Folder::new(), Gate::new());
    let server = Running::start(Streamer::new(remote(&origin)).cache(cache(&folder)).clients(2));
    origin.on("/file", Reply::ok("x").gate(&gate));
    let clients = [server.ask("GET", "/file", &[]), server.ask("GET", "/file", &[])];
    let busy = || String::from_utf8_lossy(&server.get("/-/metrics").body).contains("ganymede_clients 3\n");
    wait_until("both to have a place", busy);
    let refused = server.get("/file");
    assert_eq!((refused.status, refused.header("retry-after"), refused.end), (503, Some("1"), End::Whole));
    assert_eq!(server.get("/-/health").status, 200);
    gate.open();
    for client in clients {
        client.read().is_whole(b"x");
    }
    server.get("/file").is_whole(b"x");
}

#[test]
fn more_connections_than_there_are_places_for_are_told_to_come_back() {
    let origin = Origin::start();
    let server = Running::with(Streamer::new(remote(&origin)), |server| server.connections(1));
    origin.on("/file", Reply::ok("x"));
    let held = server.connect();
    // It is accepted first, being the first.
    let mut turned_away = server.connect();
    let mut text = String::new();
    turned_away.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("Retry-After"), "{text}");
    drop(held);
    wait_until("a place", || server.get("/file").status == 200);
}

#[test]
fn clones_for_other_listeners_share_the_places() {
    let origin = Origin::start();
    let shared = Server::new(Streamer::new(remote(&origin)).router()).connections(1);
    let [one, other] =
        [shared.clone(), shared].map(|server| Running::serving(axum::Router::new(), |_| server));
    let mut held = one.connect();
    held.write_all(b"GET /-/health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    held.read_exact(&mut [0; 12]).unwrap();
    assert_eq!(other.get("/-/health").status, 503);
    drop(held);
    wait_until("a place", || other.get("/-/health").status == 200);
}

#[test]
fn a_client_that_reads_nothing_is_cut_and_one_that_is_slow_is_not() {
    let origin = Origin::start();
    let streamer = Streamer::new(remote(&origin));
    let server = Running::with(streamer, |server| server.stall(Duration::from_millis(700)));
    origin.on("/file", Reply::generated(64 << 20));
    let client = server.ask("GET", "/file", &[]);
    origin.wait_open(1);
    origin.wait_open(0);
    drop(client);

    origin.on("/slow", Reply::ok(pattern(LARGE)).drip(200_000, Duration::from_millis(200)));
    server.get("/slow").is_whole(&pattern(LARGE));
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let origin = Origin::start();
    let server =
        Running::with(Streamer::new(remote(&origin)), |server| server.idle(Duration::from_millis(200)));
    let mut socket = server.connect();
    socket.write_all(b"GET /a HTTP/1.1\r\nHost:").unwrap();
    let mut rest = Vec::new();
    // Whether something is said or not, it ends.
    let _ = socket.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"HTTP/1.1 2"));
}

#[test]
fn who_does_not_say_which_http_they_speak_is_not_waited_for() {
    let origin = Origin::start();
    let server =
        Running::with(Streamer::new(remote(&origin)), |server| server.idle(Duration::from_millis(200)));
    for beginning in ["", "P", "PRI * HTTP/2.0\r\n"] {
        let mut socket = server.connect();
        socket.write_all(beginning.as_bytes()).unwrap();
        let mut rest = Vec::new();
        // It ends, in whatever way, before this side gives up.
        if let Err(error) = socket.read_to_end(&mut rest) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{beginning:?}");
        }
        assert_eq!(rest, b"", "{beginning:?}");
    }
    // It says enough, and is answered for as long as that takes.
    origin.on("/", Reply::ok("x").delay(Duration::from_millis(800)));
    let mut socket = server.connect();
    socket.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut rest = String::new();
    socket.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("HTTP/1.0 200 ") && rest.ends_with("\r\n\r\nx"), "{rest}");
}

#[test]
fn when_it_is_told_to_stop_it_ends_what_it_has_begun_and_begins_nothing() {
    let (origin, folder, gate) = (Origin::start(), Folder::new(), Gate::new());
    let streamer = Streamer::new(remote(&origin)).cache(cache(&folder));
    let mut server = Running::with(streamer, |server| server.drain(ganymede_kit::PATIENCE));
    origin.on("/file", Reply::ok(pattern(LARGE)).gate_after(1_000_000, &gate));
    let mut client = server.ask("GET", "/file", &[]);
    client.read_bytes(500_000);
    server.stop();
    wait_until("it to accept nothing", || std::net::TcpStream::connect(server.address()).is_err());
    gate.open();
    client.read().is_whole(&pattern(LARGE));
    server.join();
    origin.wait_open(0);
}

#[test]
fn what_does_not_end_in_time_is_cut_and_the_source_is_left() {
    let origin = Origin::start();
    let mut server = passing(&origin);
    origin.on("/file", Reply::ok(pattern(LARGE)).stall_after(1_000_000));
    let mut client = server.ask("GET", "/file", &[]);
    client.read_bytes(500_000);
    server.join();
    assert_ne!(client.read().end, End::Whole);
    origin.wait_open(0);
}

#[test]
fn health_and_metrics_are_its_own() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let server = keeping(&origin, &folder);
    origin.on("/file", Reply::ok(pattern(1000)).header("Cache-Control", "max-age=60"));
    server.get("/file");
    server.get("/file");
    server.get("/missing");
    assert_eq!(server.get("/-/health").body, b"ok\n");
    let text = || String::from_utf8(server.get("/-/metrics").body).unwrap();
    let line = "ganymede_requests_total{cache=\"hit\",status=\"200\"} 1\n";
    wait_until("the hit to be counted", || text().contains(line));
    // Those of the clients before end a moment later.
    wait_until("the others to have left", || text().contains("ganymede_connections 1\n"));
    let text = text();
    for line in [
        "ganymede_requests_total{cache=\"miss\",status=\"200\"} 1\n",
        "ganymede_requests_total{cache=\"error\",status=\"404\"} 1\n",
        "ganymede_fetches_total 2\n",
        "ganymede_fetched_bytes_total 1000\n",
        "ganymede_cache_entries 1\n",
        "ganymede_cache_bytes 1000\n",
        "ganymede_fills 0\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}
