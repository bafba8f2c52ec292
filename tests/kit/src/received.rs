//! Requests as they arrived.

use std::io;

use crate::wire::Wire;

/// A request as a server received it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Received {
    /// The method, such as `GET`.
    pub method: String,
    /// The target exactly as it stood on the request line: nothing is decoded or normalised.
    pub target: String,
    /// The version, such as `HTTP/1.1`.
    pub version: String,
    /// The headers in the order and spelling they came in.
    pub headers: Vec<(String, String)>,
    /// The body, if a `Content-Length` announced one.
    pub body: Vec<u8>,
    /// The number of the connection it came on, counted from 1.
    pub connection: u64,
    /// Whether the client showed a certificate (which was then verified).
    pub client_certificate: bool,
    /// How many bytes of a body were written in answer to it, until the journal was asked for.
    pub sent: u64,
}

impl Received {
    /// The value of the first header of that name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The target without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Whether the request is for this path, or for exactly this target.
    pub(crate) fn is_for(&self, path: &str) -> bool {
        self.target == path || self.path() == path
    }

    /// Whether the connection may serve another request after this one.
    pub(crate) fn keeps_alive(&self) -> bool {
        let close = self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        self.version == "HTTP/1.1" && !close
    }

    /// Reads the next request of a connection; `None` when the client has closed it between two.
    pub(crate) fn read(wire: &mut Wire, connection: u64) -> io::Result<Option<Self>> {
        let Some(head) = wire.receive_head()? else { return Ok(None) };
        let head = String::from_utf8_lossy(&head);
        let mut lines = head.split("\r\n");
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, "malformed request");
        let line = lines.next().unwrap_or_default();
        let (method, rest) = line.split_once(' ').ok_or_else(malformed)?;
        let (target, version) = rest.rsplit_once(' ').ok_or_else(malformed)?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let mut received = Self {
            method: method.to_owned(),
            target: target.to_owned(),
            version: version.to_owned(),
            headers,
            body: Vec::new(),
            connection,
            client_certificate: wire.client_certificate(),
            sent: 0,
        };
        if let Some(length) = received.header("content-length").and_then(|value| value.parse().ok()) {
            received.body = wire.receive_body(length)?;
        }
        Ok(Some(received))
    }
}
