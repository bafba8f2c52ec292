//! Forwarding and tunnels.

use std::time::{Duration, Instant};

use ganymede_kit::{Origin, Proxy, Reply, closed_port};

use crate::client::Client;

const GOOD: (&str, &str) = ("Proxy-Authorization", "Basic dXNlcjpzZWNyZXQ=");

#[test]
fn a_request_is_forwarded() {
    let (origin, proxy) = (Origin::start(), Proxy::start());
    let url = origin.on("/file?q=%7e", Reply::ok("hello"));
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get(&url, &[("X-Kept", "1"), ("Proxy-Connection", "Keep-Alive")]).body, b"hello");
    assert!(client.rest().0.is_empty());
    let received = &origin.journal()[0];
    assert_eq!(received.target, "/file?q=%7e");
    assert_eq!((received.header("x-kept"), received.header("proxy-connection")), (Some("1"), None));
    assert_eq!((proxy.journal()[0].target.as_str(), proxy.requests(&url)), (url.as_str(), 1));
}

#[test]
fn a_proxy_asks_for_credentials() {
    let (origin, proxy) = (Origin::start(), Proxy::basic("user", "secret"));
    let url = origin.on("/", Reply::ok("hello"));
    let mut client = Client::connect(proxy.address());
    let refused = client.get(&url, &[]);
    assert_eq!(refused.status(), 407);
    assert!(refused.header("proxy-authenticate").unwrap().starts_with("Basic"));
    assert_eq!(client.get(&url, &[("Proxy-Authorization", "Basic AAAA")]).status(), 407);
    assert_eq!(client.get(&url, &[GOOD]).body, b"hello");
    assert_eq!((proxy.connections(), proxy.journal()[2].header("proxy-authorization")), (1, Some(GOOD.1)));
    assert_eq!((origin.requests("/"), origin.journal()[0].header("proxy-authorization")), (1, None));
}

#[test]
fn a_tunnel_passes_everything_on() {
    let (origin, proxy) = (Origin::start(), Proxy::basic("user", "secret"));
    origin.on("/", Reply::ok("hello"));
    let authority = origin.address().to_string();
    let mut client = Client::connect(proxy.address());
    client.send("CONNECT", &authority, &[]);
    assert_eq!(client.receive().status(), 407);
    client.send("CONNECT", &authority, &[GOOD]);
    assert_eq!(client.head().unwrap().status(), 200);
    assert_eq!(client.get("/", &[]).body, b"hello");
    assert_eq!(client.get("/", &[]).body, b"hello");
    assert_eq!((origin.connections(), origin.requests("/"), proxy.requests(&authority)), (1, 2, 2));
    drop(client);
    origin.wait_open(0);
    proxy.wait_open(0);
}

#[test]
fn a_proxy_stays_on_this_machine() {
    let proxy = Proxy::start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("http://example.org/", &[]).status(), 403);
    assert_eq!(client.get("/no-absolute-form", &[]).status(), 403);
    assert_eq!(client.get(&format!("http://localhost:{}/", closed_port()), &[]).status(), 502);
}

#[test]
fn a_stalled_tunnel_ends_with_its_proxy_and_with_its_client() {
    let (origin, proxy) = (Origin::start(), Proxy::start());
    let url = origin.on("/", Reply::ok("hello").stall_after(2));
    let mut leaving = Client::connect(proxy.address());
    leaving.send("GET", &url, &[]);
    origin.wait_sent("/", 2);
    drop(leaving);
    origin.wait_open(0);
    let mut client = Client::connect(proxy.address());
    client.send("CONNECT", &origin.address().to_string(), &[]);
    assert_eq!(client.head().unwrap().status(), 200);
    let start = Instant::now();
    drop(proxy);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    origin.wait_open(0);
}
