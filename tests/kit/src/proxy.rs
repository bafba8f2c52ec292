//! A forwarding HTTP proxy.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;

use crate::answer::Credentials;
use crate::delivery::deliver;
use crate::ledger::Visit;
use crate::received::Received;
use crate::reply::Reply;
use crate::server::{Server, face};
use crate::wire::Wire;

/// An HTTP proxy: it forwards requests in absolute form and opens tunnels for `CONNECT`, to this machine only.
///
/// Its journal holds what the client told the proxy, `Proxy-Authorization` included, not what passes in a tunnel.
///
/// ```
/// let proxy = ganymede_kit::Proxy::basic("user", "secret");
/// // .. download through proxy.url() ..
/// assert!(proxy.journal().iter().all(|request| request.header("proxy-authorization").is_some()));
/// ```
#[derive(Debug)]
pub struct Proxy {
    server: Server,
}

impl Proxy {
    /// Starts a proxy for everyone.
    #[must_use]
    pub fn start() -> Self {
        Self::serve(None)
    }

    /// Starts a proxy that answers 407 to whoever does not show this user and password.
    #[must_use]
    pub fn basic(user: &str, password: &str) -> Self {
        Self::serve(Some(Credentials::basic(user, password)))
    }

    /// The URL of the proxy, without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    fn serve(credentials: Option<Credentials>) -> Self {
        Self { server: Server::start("kit-proxy", move |visit| serve(visit, credentials.as_ref())) }
    }
}

face!(Proxy);

fn serve(visit: &Visit, credentials: Option<&Credentials>) -> io::Result<()> {
    let mut wire = Wire::plain(visit.socket());
    while let Some(received) = Received::read(&mut wire, visit.number)? {
        let place = visit.ledger.record(received.clone());
        wire.release()?;
        let shown = received.header("proxy-authorization");
        let refusal = match credentials.and_then(|credentials| credentials.challenge(shown)) {
            Some(challenge) => Reply::error(407).header("Proxy-Authenticate", challenge),
            None => match route(&received) {
                None => Reply::error(403),
                Some((upstream, target)) => match TcpStream::connect(upstream) {
                    Err(_) => Reply::error(502),
                    Ok(upstream) => return pass(visit, &received, target, &Arc::new(upstream)),
                },
            },
        };
        if !deliver(&refusal, &received, place, &mut wire, &visit.ledger)? {
            break;
        }
    }
    Ok(())
}

/// Where a request goes, and its target there; `None` when that is not on this machine.
fn route(received: &Received) -> Option<(SocketAddr, &str)> {
    let (authority, target) = if received.method == "CONNECT" {
        (received.target.as_str(), "")
    } else {
        let rest = received.target.strip_prefix("http://")?;
        rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()))
    };
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?));
    matches!(host, "127.0.0.1" | "localhost").then_some((address, target))
}

fn pass(visit: &Visit, received: &Received, target: &str, upstream: &Arc<TcpStream>) -> io::Result<()> {
    let client = visit.socket();
    visit.ledger.track(upstream);
    upstream.set_nodelay(true)?;
    if received.method == "CONNECT" {
        client.as_ref().write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    } else {
        upstream.as_ref().write_all(&forwarded(received, target))?;
    }
    thread::scope(|scope| {
        let up = || relay(&client, upstream);
        thread::Builder::new().name("kit-proxy".to_owned()).spawn_scoped(scope, up)?;
        relay(upstream, &client);
        Ok(())
    })
}

/// The request as the origin gets it: one to a connection, since its end is the end of the reply.
fn forwarded(received: &Received, target: &str) -> Vec<u8> {
    let slash = if target.starts_with('/') { "" } else { "/" };
    let mut head = format!("{} {slash}{target} HTTP/1.1\r\n", received.method);
    let hop = ["connection", "proxy-connection", "proxy-authorization", "keep-alive"];
    for (name, value) in received.headers.iter().filter(|(name, _)| !hop.contains(&&*name.to_lowercase())) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("Connection: close\r\n\r\n");
    [head.as_bytes(), &received.body].concat()
}

/// Passes bytes on until either end is closed, and then closes the other.
fn relay(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from, to);
    let mut block = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut block) {
        if to.write_all(&block[..length]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
