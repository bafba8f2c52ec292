//! Servers that do not serve.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Deref;
use std::time::Duration;

use crate::ledger::Ledger;
use crate::server::Server;

/// A server that accepts connections and never answers, so that a TLS handshake or a first reply stalls.
///
/// ```
/// let silent = ganymede_kit::Silent::start();
/// let client = std::net::TcpStream::connect(silent.address()).unwrap();
/// silent.wait_open(1);
/// ```
#[derive(Debug)]
pub struct Silent {
    server: Server,
}

impl Silent {
    /// Starts it.
    #[must_use]
    pub fn start() -> Self {
        let server = Server::start("kit-silent", |visit| {
            let mut block = [0; 4096];
            while visit.socket().as_ref().read(&mut block)? > 0 {}
            Ok(())
        });
        Self { server }
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// A URL with this scheme and path that leads to it.
    #[must_use]
    pub fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://{}{path}", self.server.address)
    }
}

impl Deref for Silent {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        &self.server.ledger
    }
}

/// A listener whose queue is full and never emptied, so that connecting to it stalls.
///
/// ```
/// use std::{net::TcpStream, time::Duration};
///
/// let backlog = ganymede_kit::Backlog::start();
/// let refused = TcpStream::connect_timeout(&backlog.address(), Duration::from_millis(100)).unwrap_err();
/// assert_eq!(refused.kind(), std::io::ErrorKind::TimedOut);
/// ```
#[derive(Debug)]
pub struct Backlog {
    address: SocketAddr,
    // Clients first: they are dropped first, and wait for nobody.
    _queue: Vec<TcpStream>,
    _listener: TcpListener,
}

impl Backlog {
    /// Starts it, and fills its queue with connections of its own.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on the loopback interface");
        let address = listener.local_addr().expect("the address of a listener");
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let queue = std::iter::from_fn(connect).take(8192).collect();
        Self { address, _queue: queue, _listener: listener }
    }

    /// The address nobody gets through to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL with this scheme and path that leads to it.
    #[must_use]
    pub fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://{}{path}", self.address)
    }
}

/// A port of 127.0.0.1 where nobody listens, so that connecting to it is refused.
#[must_use]
pub fn closed_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on the loopback interface");
    listener.local_addr().expect("the address of a listener").port()
}
