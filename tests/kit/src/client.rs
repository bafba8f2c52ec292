//! A client on a raw socket, which tells a complete response from one that was cut, and how.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

/// A request that was sent on a raw socket, and what has come of its response so far.
///
/// ```
/// use std::net::TcpStream;
/// use ganymede_kit::{Client, Origin, Reply};
///
/// let origin = Origin::start();
/// origin.on("/file", Reply::ok("hello"));
/// origin.on("/cut", Reply::ok("hello").reset_after(2));
/// let get = |path: &str| {
///     let socket = TcpStream::connect(origin.address()).unwrap();
///     Client::ask(socket, "GET", path, "HTTP/1.1", &[]).read()
/// };
/// get("/file").is_whole(b"hello");
/// get("/cut").is_cut();
/// ```
#[derive(Debug)]
pub struct Client {
    socket: TcpStream,
    method: String,
    received: Vec<u8>,
}

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As HTTP says that it is whole: by its length, or its last chunk.
    Whole,
    /// By a connection that was closed in good order, where that says nothing.
    Closed,
    /// By a connection that was reset.
    Reset,
}

/// A response, as far as it has come.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status; 0 if not even the head has come.
    pub status: u16,
    /// What has come of the body, without the marks of its chunks.
    pub body: Vec<u8>,
    /// How it ended.
    pub end: End,
    headers: Vec<(String, String)>,
}

impl Client {
    /// Sends a request that is the last of its connection; nothing is read yet.
    #[must_use]
    pub fn ask(
        mut socket: TcpStream,
        method: &str,
        target: &str,
        version: &str,
        headers: &[(&str, &str)],
    ) -> Self {
        let mut head = format!("{method} {target} {version}\r\nHost: x\r\nConnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        socket.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        Self { socket, method: method.to_owned(), received: Vec::new() }
    }

    /// Reads until so many bytes are there, head included, or the end.
    pub fn read_bytes(&mut self, count: usize) -> &[u8] {
        let mut buffer = vec![0; 64 << 10];
        while self.received.len() < count {
            match self.socket.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => self.received.extend_from_slice(&buffer[..length]),
                Err(error) => panic!("after {} bytes: {error}", self.received.len()),
            }
        }
        &self.received
    }

    /// Reads to the end.
    #[must_use]
    pub fn read(self) -> Response {
        self.read_slowly(64 << 10, Duration::ZERO)
    }

    /// Reads to the end, at most so many bytes at a time, and with such a pause between two.
    #[must_use]
    pub fn read_slowly(mut self, block: usize, pause: Duration) -> Response {
        let mut buffer = vec![0; block];
        let reset = loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => break false,
                Ok(length) => self.received.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break true,
                Err(error) => panic!("after {} bytes: {error}", self.received.len()),
            }
            if !pause.is_zero() {
                sleep(pause);
            }
        };
        Response::parse(&self.method, &self.received, reset)
    }

    /// Leaves.
    pub fn leave(self) {}
}

impl Response {
    fn parse(method: &str, bytes: &[u8], reset: bool) -> Self {
        let cut = if reset { End::Reset } else { End::Closed };
        let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Self { status: 0, headers: Vec::new(), body: bytes.to_vec(), end: cut };
        };
        let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        });
        let mut response =
            Self { status, headers: headers.collect(), body: bytes[at + 4..].to_vec(), end: cut };
        if method == "HEAD" || status == 304 {
            response.end = if response.body.is_empty() { End::Whole } else { cut };
        } else if response.header("transfer-encoding").is_some() {
            let (body, last) = dechunked(&response.body);
            (response.body, response.end) = (body, if last { End::Whole } else { cut });
        } else if let Some(length) = response.header("content-length") {
            let length: usize = length.parse().unwrap();
            assert!(response.body.len() <= length, "more bytes than announced");
            response.end = if response.body.len() == length { End::Whole } else { cut };
        }
        response
    }

    /// The value of the first header of that name, which is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What the server that is the nearest says of its cache (RFC 9211).
    #[must_use]
    pub fn cache(&self) -> &str {
        let own = self.headers.iter().rfind(|(known, _)| known == "cache-status");
        own.map_or("", |(_, value)| value.as_str())
    }

    /// Fails unless it has this status.
    #[track_caller]
    pub fn status_is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{:?}", self.headers);
        self
    }

    /// Whether it was in the cache of the server that is the nearest.
    #[must_use]
    pub fn is_hit(&self) -> bool {
        self.cache().split(';').nth(1).is_some_and(|first| first.trim() == "hit")
    }

    /// Fails unless it is complete, and has this content.
    #[track_caller]
    pub fn is_whole(&self, content: &[u8]) -> &Self {
        assert_eq!(
            (self.status, self.end, self.body.len()),
            (200, End::Whole, content.len()),
            "{:?}",
            self.headers
        );
        assert!(self.body == content, "another content");
        self
    }

    /// Fails if a client could take it for a complete 200. A reset may overtake all that was sent, the head too.
    #[track_caller]
    pub fn is_cut(&self) -> &Self {
        assert!(matches!(self.status, 0 | 200 | 206), "{}", self.status);
        assert_eq!(
            self.end,
            End::Reset,
            "{} with {} bytes: {:?}",
            self.status,
            self.body.len(),
            self.headers
        );
        self
    }
}

fn dechunked(bytes: &[u8]) -> (Vec<u8>, bool) {
    let (mut body, mut rest) = (Vec::new(), bytes);
    loop {
        let Some(at) = rest.windows(2).position(|window| window == b"\r\n") else { return (body, false) };
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..at]).unwrap(), 16).unwrap();
        rest = &rest[at + 2..];
        if size == 0 {
            return (body, rest == b"\r\n");
        }
        if rest.len() < size + 2 {
            body.extend_from_slice(&rest[..size.min(rest.len())]);
            return (body, false);
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
}
