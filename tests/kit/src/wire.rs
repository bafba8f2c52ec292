//! One connection, plain or over TLS, seen from the server.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A connection, with what was read of it too early.
///
/// On a plain connection the last byte of a request stays unread until [`Wire::release`]: the kernel answers a close
/// with unread bytes by an RST instead of a FIN, and that is the way to send one that the standard library offers.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: Shared,
    stream: Stream,
    early: Vec<u8>,
    held: bool,
}

#[derive(Debug)]
enum Stream {
    Plain(Shared),
    Tls(Box<StreamOwned<ServerConnection, Shared>>),
}

/// A socket that others may shut down.
#[derive(Clone, Debug)]
struct Shared(Arc<TcpStream>);

const LONGEST_HEAD: usize = 1 << 20;

impl Wire {
    pub(crate) fn plain(socket: Arc<TcpStream>) -> Self {
        let socket = Shared(socket);
        Self { stream: Stream::Plain(socket.clone()), socket, early: Vec::new(), held: false }
    }

    pub(crate) fn tls(socket: Arc<TcpStream>, config: Arc<ServerConfig>) -> io::Result<Self> {
        let connection = ServerConnection::new(config).map_err(io::Error::other)?;
        Ok(Self::secure(socket, connection))
    }

    pub(crate) fn secure(socket: Arc<TcpStream>, connection: ServerConnection) -> Self {
        let socket = Shared(socket);
        let stream = Stream::Tls(Box::new(StreamOwned::new(connection, socket.clone())));
        Self { socket, stream, early: Vec::new(), held: false }
    }

    pub(crate) fn client_certificate(&self) -> bool {
        match &self.stream {
            Stream::Plain(_) => false,
            Stream::Tls(stream) => stream.conn.peer_certificates().is_some(),
        }
    }

    /// Reads up to the empty line that ends a head, without it; `None` at the end of the connection.
    pub(crate) fn receive_head(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = end_of_head(&self.early) {
                let rest = self.early.split_off(end);
                let mut head = std::mem::replace(&mut self.early, rest);
                head.truncate(end - 4);
                return Ok(Some(head));
            }
            if self.early.len() > LONGEST_HEAD {
                return Err(io::Error::new(ErrorKind::InvalidData, "a head without an end"));
            }
            if self.fill(true)? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads exactly `length` bytes of a request's body.
    pub(crate) fn receive_body(&mut self, length: usize) -> io::Result<Vec<u8>> {
        self.release()?;
        while self.early.len() < length {
            if self.fill(false)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.early.split_off(length);
        Ok(std::mem::replace(&mut self.early, rest))
    }

    /// Reads the last byte of the request: from now on a close is a FIN.
    pub(crate) fn release(&mut self) -> io::Result<()> {
        if self.held {
            self.held = false;
            self.socket.read_exact(&mut [0])?;
        }
        Ok(())
    }

    /// Whether the client has closed the connection, without waiting.
    pub(crate) fn abandoned(&mut self) -> bool {
        if self.held || self.socket.0.set_nonblocking(true).is_err() {
            return false;
        }
        let mut block = [0; 4096];
        let read = self.stream.read(&mut block);
        let blocking = self.socket.0.set_nonblocking(false);
        match read {
            Ok(0) => true,
            Ok(length) => {
                self.early.extend_from_slice(&block[..length]);
                false
            }
            Err(error) => error.kind() != ErrorKind::WouldBlock || blocking.is_err(),
        }
    }

    /// Waits until the client closes the connection, or the server is stopped.
    pub(crate) fn wait_abandoned(&mut self) {
        let mut block = [0; 4096];
        while self.socket.read(&mut block).is_ok_and(|length| length > 0) {}
    }

    /// Says that nothing more will come, where the protocol has a way to say so; a cut does not.
    pub(crate) fn finish(&mut self) {
        if let Stream::Tls(stream) = &mut self.stream {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    }

    /// Reads what has come; with `hold`, not past a head, and all but its last byte.
    fn fill(&mut self, hold: bool) -> io::Result<usize> {
        let mut block = [0; 16 * 1024];
        match &mut self.stream {
            Stream::Plain(socket) if hold => {
                let seen = socket.0.peek(&mut block)?;
                let before = self.early.len();
                self.early.extend_from_slice(&block[..seen]);
                let mut taken = seen;
                if let Some(end) = end_of_head(&self.early) {
                    self.early.truncate(end);
                    self.held = true;
                    taken = end - before - 1;
                }
                socket.read_exact(&mut block[..taken])?;
                Ok(seen)
            }
            _ => {
                let length = self.stream.read(&mut block)?;
                self.early.extend_from_slice(&block[..length]);
                Ok(length)
            }
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(block),
            Self::Tls(stream) => stream.read(block),
        }
    }
}

impl Read for Shared {
    fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        self.0.as_ref().read(block)
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.as_ref().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|start| start + 4)
}
