//! Connections that break on the way.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ganymede_kit::{Backlog, Break, Origin, Passage, Refusing, Relay, Reply};

use crate::client::Client;

const HEAD: usize = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n".len();

fn origin() -> Origin {
    let origin = Origin::start();
    origin.on("/", Reply::ok("0123456789"));
    origin
}

/// All that comes through a relay in answer to one request, and how it ends.
fn through(passage: Passage) -> (usize, Result<usize, ErrorKind>) {
    let origin = origin();
    let relay = Relay::start(origin.address(), [passage]);
    let mut client = Client::connect(relay.address());
    client.send("GET", "/", &[("Connection", "close")]);
    let (bytes, end) = client.rest();
    (bytes.len(), end.map_err(|error| error.kind()))
}

#[test]
fn a_relay_passes_everything_on_until_either_end_closes() {
    let origin = origin();
    let relay = Relay::start(origin.address(), [Passage::Pass]);
    assert_eq!(relay.url("http", "/"), format!("http://{}/", relay.address()));
    let mut client = Client::connect(relay.address());
    for _ in 0..2 {
        assert_eq!(client.get("/", &[]).body, b"0123456789");
    }
    assert_eq!((origin.connections(), relay.connections()), (1, 1));
    drop(client);
    origin.wait_open(0);
    relay.wait_open(0);
    let mut client = Client::connect(relay.address());
    assert_eq!(client.get("/", &[("Connection", "close")]).body, b"0123456789");
    assert!(client.rest().0.is_empty());
}

#[test]
fn a_relay_breaks_a_connection_after_so_many_bytes() {
    let close = "Connection: close\r\n".len();
    for after in [0, 1, HEAD, HEAD + close + 5] {
        let bytes = after as u64;
        assert_eq!(through(Passage::After(bytes, Break::Close)), (after, Ok(after)));
        let (passed, end) = through(Passage::After(bytes, Break::Reset));
        assert!(passed <= after, "an RST may overtake what came before");
        assert_eq!(end, Err(ErrorKind::ConnectionReset));
        assert_eq!(through(Passage::After(bytes, Break::Say(b"???".to_vec()))), (after + 3, Ok(after + 3)));
    }
}

#[test]
fn a_relay_breaks_a_connection_before_anything_is_read() {
    let origin = origin();
    let passages = [Passage::Refuse(Break::Say(b"220 hello\r\n".to_vec())), Passage::Refuse(Break::Reset)];
    let relay = Relay::start(origin.address(), passages);
    assert_eq!(Client::connect(relay.address()).rest().0, b"220 hello\r\n");
    for _ in 0..2 {
        let error = Client::connect(relay.address()).rest().1.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!((origin.connections(), relay.connections()), (0, 3));
}

#[test]
fn a_relay_stalls_and_drips_until_the_client_leaves_or_it_is_dropped() {
    let (origin, start) = (origin(), Instant::now());
    let hour = Duration::from_secs(3600);
    let passages = [
        Passage::Refuse(Break::Stall),
        Passage::After(HEAD as u64, Break::Stall),
        Passage::After(2, Break::Drip(hour)),
        Passage::After(2, Break::Drip(Duration::from_millis(1))),
    ];
    let relay = Relay::start(origin.address(), passages);
    let mut clients = Vec::new();
    for length in [0, HEAD, 3] {
        let mut client = Client::connect(relay.address());
        client.send("GET", "/", &[]);
        assert_eq!(client.exactly(length).len(), length);
        clients.push(client);
    }
    let mut client = Client::connect(relay.address());
    assert_eq!(client.get("/", &[]).body, b"0123456789");
    clients.remove(0);
    relay.wait_open(3);
    clients.remove(0);
    relay.wait_open(2);
    drop(relay);
    assert!(start.elapsed() < hour);
}

#[test]
fn ports_that_let_nobody_in_do_so_when_they_are_opened() {
    let origin = origin();
    let (backlog, refusing) = (Backlog::start(), Refusing::start());
    let refused = TcpStream::connect(refusing.address()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(refusing.url("http", "/"), format!("http://{}/", refusing.address()));
    let stalled = TcpStream::connect_timeout(&backlog.address(), Duration::from_millis(50)).unwrap_err();
    assert_eq!(stalled.kind(), ErrorKind::TimedOut);
    let addresses = [backlog.address(), refusing.address()];
    let relays = [backlog.open(origin.address()), refusing.open(origin.address())];
    for (address, relay) in addresses.into_iter().zip(relays) {
        assert_eq!(relay.address(), address);
        assert_eq!(Client::connect(address).get("/", &[]).body, b"0123456789");
    }
}

#[test]
fn a_mended_relay_lets_everybody_pass() {
    let origin = Origin::start();
    origin.on("/file", Reply::ok("hello").close());
    let relay = Relay::start(origin.address(), [Passage::Refuse(Break::Close)]);
    assert!(Client::connect(relay.address()).rest().0.is_empty());
    relay.mend();
    assert_eq!(Client::connect(relay.address()).get("/file", &[]).body, b"hello");
}
