//! What goes wrong, and when.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use ganymede_kit::{Gate, Origin, Reply, closed_port, pattern};

use crate::client::Client;

const TICK: Duration = Duration::from_millis(20);

/// All that comes on a connection after one request for the reply.
fn exchange(reply: Reply) -> (String, Result<usize, ErrorKind>) {
    let origin = Origin::start();
    origin.on("/", reply);
    let mut client = Client::connect(origin.address());
    client.send("GET", "/", &[]);
    let (bytes, end) = client.rest();
    (String::from_utf8(bytes).unwrap(), end.map_err(|error| error.kind()))
}

#[test]
fn a_body_is_cut() {
    let (text, end) = exchange(Reply::ok("0123456789").cut_after(4));
    assert_eq!(text, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123");
    assert_eq!(end, Ok(text.len()));
    assert!(exchange(Reply::ok("0123456789").cut_after(0)).0.ends_with("\r\n\r\n"));
}

#[test]
fn a_connection_is_reset() {
    let (text, end) = exchange(Reply::ok("0123456789").reset_after(4));
    assert_eq!((text.ends_with("\r\n\r\n0123"), end), (true, Err(ErrorKind::ConnectionReset)));
}

#[test]
fn a_length_is_wrong() {
    assert!(
        exchange(Reply::ok("0123").length(9))
            .0
            .ends_with("Content-Length: 9\r\nConnection: close\r\n\r\n0123")
    );
    assert!(
        exchange(Reply::ok("0123").length(2))
            .0
            .ends_with("Content-Length: 2\r\nConnection: close\r\n\r\n0123")
    );
    assert_eq!(exchange(Reply::ok("01").no_length()).0, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n01");
    assert_eq!(exchange(Reply::raw("\0 nonsense")).0, "\0 nonsense");
}

#[test]
fn a_body_comes_in_chunks() {
    let chunked = Reply::ok("0123456789").chunked().drip(4, Duration::ZERO);
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (cut, expected) in [
        (2, "4\r\n01"),
        (4, "4\r\n0123\r\n"),
        (9, "4\r\n0123\r\n4\r\n4567\r\n2\r\n8"),
        (10, "4\r\n0123\r\n4\r\n4567\r\n2\r\n89\r\n"),
    ] {
        assert_eq!(exchange(chunked.clone().cut_after(cut)).0, format!("{head}{expected}"));
    }
    let whole = exchange(chunked.close()).0;
    assert!(whole.ends_with("\r\n\r\n4\r\n0123\r\n4\r\n4567\r\n2\r\n89\r\n0\r\n\r\n"), "{whole}");
    assert!(exchange(Reply::ok("").chunked().close()).0.ends_with("\r\n\r\n0\r\n\r\n"));
    let trailing = Reply::ok("").chunked().trailer("X-Sum", "none").close();
    assert!(exchange(trailing).0.ends_with("\r\n\r\n0\r\nX-Sum: none\r\n\r\n"));
}

#[test]
fn a_reply_takes_its_time() {
    let start = Instant::now();
    let _ = exchange(Reply::ok("0123").close().delay(TICK).drip(1, TICK));
    assert!(start.elapsed() >= TICK * 4);
    let start = Instant::now();
    let (text, _) = exchange(Reply::ok("").close().slow_header(TICK / 10));
    assert!(start.elapsed() >= TICK / 10 * u32::try_from(text.len()).unwrap());
}

#[test]
fn dropping_an_origin_ends_whatever_it_is_doing() {
    let origin = Origin::start();
    let gate = Gate::new();
    let hour = Duration::from_secs(3600);
    let reply = Reply::ok("0123");
    origin.on("/stall", reply.clone().stall_after(2));
    origin.on("/mute", reply.clone().stall_header());
    origin.on("/gate", reply.clone().gate(&gate));
    origin.on("/delay", reply.clone().delay(hour));
    origin.on("/drip", reply.clone().drip(1, hour));
    origin.on("/slow", reply.slow_header(hour));
    origin.on("/full", Reply::generated(1 << 40));
    let mut clients: Vec<_> = ["/stall", "/mute", "/gate", "/delay", "/drip", "/slow", "/full", "/idle"]
        .map(|target| {
            let mut client = Client::connect(origin.address());
            client.send("GET", target, &[]);
            client
        })
        .into();
    origin.wait_requests(8);
    origin.wait_sent("/stall", 2);
    origin.wait_sent("/full", 100_000);
    assert_eq!((origin.open(), origin.peak()), (8, 8));
    let start = Instant::now();
    drop(origin);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    for client in &mut clients[..6] {
        assert!(client.rest().0.len() < 100);
    }
}

#[test]
fn a_client_that_leaves_is_noticed_wherever_it_waits() {
    let origin = Origin::start();
    let gate = Gate::new();
    let hour = Duration::from_secs(3600);
    origin.on("/stall", Reply::ok("0123").stall_after(2));
    origin.on("/mute", Reply::ok("0123").stall_header());
    origin.on("/gate", Reply::ok("0123").gate(&gate));
    origin.on("/delay", Reply::ok("0123").delay(hour));
    origin.on("/drip", Reply::ok("0123").drip(1, hour));
    for (count, target) in ["/stall", "/mute", "/gate", "/delay", "/drip"].iter().enumerate() {
        let mut client = Client::connect(origin.address());
        client.send("GET", target, &[]);
        origin.wait_requests(count + 1);
        drop(client);
        origin.wait_open(0);
    }
    assert_eq!((origin.connections(), origin.peak()), (5, 1));
}

#[test]
fn a_gate_holds_replies_back() {
    let origin = Origin::start();
    let (before, within) = (Gate::new(), Gate::new());
    let body = pattern(200_000);
    origin.on("/", Reply::ok(body.clone()).gate(&before).gate_after(150_000, &within));
    let mut clients = [Client::connect(origin.address()), Client::connect(origin.address())];
    for client in &mut clients {
        client.send("GET", "/", &[]);
    }
    before.wait_arrived(2);
    assert_eq!((origin.sent("/"), origin.in_flight_peak()), (0, 2));
    before.open();
    for client in &mut clients {
        assert_eq!(client.head().unwrap().status(), 200);
        assert!(client.exactly(150_000) == body[..150_000]);
    }
    within.wait_arrived(2);
    assert_eq!(origin.sent("/"), 150_000);
    within.open();
    for client in &mut clients {
        assert!(client.exactly(50_000) == body[150_000..]);
    }
}

#[test]
fn a_fault_counts_the_bytes_of_its_own_reply() {
    let origin = Origin::start();
    origin.on("/", Reply::ok(pattern(100)).ranges().cut_after(10));
    let mut client = Client::connect(origin.address());
    client.send("HEAD", "/", &[]);
    assert_eq!(client.head().unwrap().header("content-length"), Some("100"));
    client.send("GET", "/", &[("Range", "bytes=50-")]);
    assert_eq!(client.head().unwrap().status(), 206);
    assert_eq!(client.rest().0, pattern(100)[50..60]);
}

#[test]
fn a_closed_port_refuses() {
    let error = std::net::TcpStream::connect(("127.0.0.1", closed_port())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_guard_of_a_range_is_taken_wrongly() {
    let origin = Origin::start();
    let whole = Reply::ok("0123456789").etag("\"a\"").modified("Sun, 06 Nov 1994 08:49:37 GMT").ranges();
    origin.on("/ignored", whole.clone().range_unguarded());
    origin.on("/dates", whole.range_by_date());
    let mut client = Client::connect(origin.address());
    let mut status =
        |path: &str, guard: &str| client.get(path, &[("Range", "bytes=4-"), ("If-Range", guard)]).status();
    assert_eq!((status("/ignored", "\"a\""), status("/ignored", "\"b\"")), (206, 206));
    assert_eq!((status("/dates", "\"a\""), status("/dates", "\"b\"")), (200, 200));
    assert_eq!(status("/dates", "Sun, 06 Nov 1994 08:49:37 GMT"), 206);
    assert_eq!(status("/dates", "Mon, 07 Nov 1994 08:49:37 GMT"), 200);
    assert_eq!(client.get("/dates", &[("Range", "bytes=4-")]).status(), 206);
}
