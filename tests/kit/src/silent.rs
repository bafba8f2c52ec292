//! Servers that do not serve.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::relay::{Passage, Relay};
use crate::server::{Server, face};

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

    /// A URL with this scheme and path that leads to it.
    #[must_use]
    pub fn url(&self, scheme: &str, path: &str) -> String {
        self.server.url(scheme, path)
    }
}

face!(Silent);

/// A listener whose queue is full and not emptied, so that connecting to it stalls.
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
    queue: Vec<TcpStream>,
    listener: TcpListener,
}

impl Backlog {
    /// Starts it, and fills its queue with connections of its own.
    #[must_use]
    pub fn start() -> Self {
        let socket = bound();
        socket.listen(0).expect("a listener");
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().expect("the address of a listener");
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let queue = std::iter::from_fn(connect).take(64).collect();
        Self { address, queue, listener }
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

    /// Lets everybody in from now on, and through to the server at `to`.
    #[must_use]
    pub fn open(self, to: SocketAddr) -> Relay {
        drop(self.queue);
        SockRef::from(&self.listener).listen(128).expect("a listener");
        Relay::listen(self.listener, to, [Passage::Pass])
    }
}

/// A port of 127.0.0.1 that is taken and where nobody listens, so that connecting to it is refused.
///
/// ```
/// let refusing = ganymede_kit::Refusing::start();
/// let refused = std::net::TcpStream::connect(refusing.address()).unwrap_err();
/// assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
/// ```
#[derive(Debug)]
pub struct Refusing {
    socket: Socket,
}

impl Refusing {
    /// Takes the port.
    #[must_use]
    pub fn start() -> Self {
        Self { socket: bound() }
    }

    /// The address where connections are refused.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        let address = self.socket.local_addr().expect("the address of a socket");
        address.as_socket().expect("an address of the internet")
    }

    /// A URL with this scheme and path that leads to it.
    #[must_use]
    pub fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://{}{path}", self.address())
    }

    /// Listens from now on, and lets everybody through to the server at `to`.
    #[must_use]
    pub fn open(self, to: SocketAddr) -> Relay {
        self.socket.listen(128).expect("a listener");
        Relay::listen(self.socket.into(), to, [Passage::Pass])
    }
}

/// A socket with a port that does not listen yet.
fn bound() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&address.into()).expect("a port on the loopback interface");
    socket
}

/// A port of 127.0.0.1 where nobody listens, so that connecting to it is refused; it is free for whoever asks next.
#[must_use]
pub fn closed_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on the loopback interface");
    listener.local_addr().expect("the address of a listener").port()
}
