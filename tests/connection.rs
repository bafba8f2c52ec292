//! Connections of protocols with sockets of their own: guarded, counted, in time, and cut when cancelled.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::{BufRead, Read, Write};
use std::net::{Ipv6Addr, TcpListener};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use ganymede::{Connection, Connector, Context, ErrorKind, Failure, Guard, Limits, Request};
use ganymede_kit::{Backlog, Break, Origin, Passage, Refusing, Relay, Reply, Silent, wait_until};

/// What no test comes near.
const LATE: Duration = Duration::from_secs(600);

fn request(url: &str) -> Request {
    Request::get(url).unwrap()
}

fn connect(url: &str, connector: &Connector, context: &Context) -> Result<Connection, Failure> {
    connector.connect(&request(url), 7, context)
}

fn patient() -> Connector {
    Connector::new().connect_timeout(LATE).read_timeout(LATE)
}

/// Does something on a thread, cancels when it is under way, and returns how it ended.
fn cancelled<T: Send>(
    work: impl FnOnce(&Context) -> Result<T, Failure> + Send,
    under_way: impl FnOnce(),
) -> Failure {
    let context = Context::new();
    thread::scope(|scope| {
        let thread = scope.spawn(|| work(&context).map(drop));
        under_way();
        context.cancel();
        wait_until("it to end", || thread.is_finished());
        thread.join().unwrap().unwrap_err()
    })
}

#[test]
fn a_name_leads_to_whichever_of_its_addresses_answers() {
    let origin = Origin::start();
    origin.on("/file", Reply::ok("hello"));
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("plain://{host}:{}/file", origin.address().port());
        let mut connection = connect(&url, &patient(), &Context::new()).unwrap();
        write!(connection, "GET /file HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        connection.read_to_string(&mut text).unwrap();
        assert!(text.ends_with("\r\n\r\nhello"), "{text}");
    }
    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    let url = format!("plain://[::1]:{}/", listener.local_addr().unwrap().port());
    assert!(connect(&url, &patient(), &Context::new()).unwrap().socket().peer_addr().unwrap().is_ipv6());
}

#[test]
fn the_port_is_the_given_one_unless_the_url_names_another() {
    let silent = Silent::start();
    let request = request("plain://127.0.0.1/");
    let connection = patient().connect(&request, silent.address().port(), &Context::new()).unwrap();
    assert_eq!(connection.socket().peer_addr().unwrap(), silent.address());
}

#[test]
fn nobody_there_and_no_host_at_all_have_their_kinds() {
    let context = Context::new();
    let refusing = Refusing::start();
    let failure = connect(&refusing.url("plain", "/"), &patient(), &context).unwrap_err();
    assert!(matches!(failure.kind(), ErrorKind::Connect), "{failure:?}");
    let failure = connect("plain:nothing", &patient(), &context).unwrap_err();
    assert!(matches!(failure.kind(), ErrorKind::Unsupported), "{failure:?}");
    let failure = connect("plain://amy:secret@no-such-host.invalid/", &patient(), &context).unwrap_err();
    assert!(matches!(failure.kind(), ErrorKind::Connect), "{failure:?}");
    assert!(!failure.to_string().contains("secret"), "{failure}");
    let backlog = Backlog::start();
    let hasty = Connector::new().connect_timeout(Duration::from_millis(50));
    let failure = connect(&backlog.url("plain", "/"), &hasty, &context).unwrap_err();
    assert!(matches!(failure.kind(), ErrorKind::Timeout), "{failure:?}");
}

#[test]
fn the_guard_is_asked_for_addresses_and_names() {
    let silent = Silent::start();
    let port = silent.address().port();
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"] {
        let guarded = patient().guard(Guard::public_only());
        let url = format!("plain://{host}:{port}/");
        let failure = connect(&url, &guarded, &Context::new()).unwrap_err();
        assert!(matches!(failure.kind(), ErrorKind::Forbidden), "{host}: {failure:?}");
    }
    assert_eq!(silent.connections(), 0);
    let guarded = patient().guard(Guard::public_only().allow("127.0.0.1"));
    assert!(connect(&silent.url("plain", "/"), &guarded, &Context::new()).is_ok());
}

#[test]
fn a_host_has_no_more_connections_than_its_limit() {
    let silent = Silent::start();
    let context = Context::with_limits(Limits::new().per_host(1));
    let url = silent.url("plain", "/");
    let first = connect(&url, &patient(), &context).unwrap();
    let (sender, receiver) = channel();
    thread::scope(|scope| {
        scope.spawn(|| sender.send(connect(&url, &patient(), &context).map(drop)).unwrap());
        assert!(receiver.recv_timeout(Duration::from_millis(100)).is_err());
        assert_eq!(silent.connections(), 1);
        drop(first);
        assert!(receiver.recv_timeout(ganymede_kit::PATIENCE).unwrap().is_ok());
    });
}

#[test]
fn cancelling_ends_connecting_and_reading() {
    let backlog = Backlog::start();
    let waits = || wait_until("it to connect", || ganymede_kit::threads_named("ganymede-connect") > 0);
    let failure = cancelled(|context| connect(&backlog.url("plain", "/"), &patient(), context), waits);
    assert!(matches!(failure.kind(), ErrorKind::Cancelled), "{failure:?}");

    let silent = Silent::start();
    let reading = |context: &Context| {
        let mut connection = connect(&silent.url("plain", "/"), &patient(), context)?;
        // An end of its own would be no error.
        Ok(connection.read_line(&mut String::new())?)
    };
    let failure = cancelled(reading, || silent.wait_open(1));
    assert!(matches!(failure.kind(), ErrorKind::Cancelled), "{failure:?}");
    silent.wait_open(0);
}

#[test]
fn silence_is_a_time_out() {
    let silent = Silent::start();
    let hasty = Connector::new().read_timeout(Duration::from_millis(50));
    let mut connection = connect(&silent.url("plain", "/"), &hasty, &Context::new()).unwrap();
    let failure = Failure::from(connection.read(&mut [0; 10]).unwrap_err());
    assert!(matches!(failure.kind(), ErrorKind::Timeout) && failure.is_transient(), "{failure:?}");
}

#[test]
fn a_body_has_just_its_length_and_says_what_it_lacks() {
    let origin = Origin::start();
    origin.on("/file", Reply::raw("0123456789"));
    let body = |length: u64, to: &str| {
        let mut connection = connect(to, &patient(), &Context::new()).unwrap();
        write!(connection, "GET /file HTTP/1.0\r\n\r\n").unwrap();
        connection.body(length)
    };
    let url = format!("plain://{}/", origin.address());
    for length in [0, 1, 10] {
        let (mut body, mut bytes) = (body(length, &url), Vec::new());
        body.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"0123456789"[..bytes.len()]);
        assert_eq!(bytes.len() as u64, length);
        assert!(body.fill_buf().unwrap().is_empty());
    }
    let lacking = |to: &str| {
        let mut bytes = Vec::new();
        let failure = Failure::from(body(11, to).read_to_end(&mut bytes).unwrap_err());
        assert!(matches!(failure.kind(), ErrorKind::Incomplete) && failure.is_transient(), "{failure:?}");
        bytes
    };
    assert_eq!(lacking(&url), b"0123456789");
    let relay = Relay::start(origin.address(), [Passage::After(5, Break::Reset)]);
    assert!(b"01234".starts_with(&lacking(&relay.url("plain", "/"))));
}
