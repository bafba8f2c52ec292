//! Values of a Redis server, as contents.

use std::io::{BufRead, Read, Write};

use ganymede::{
    Connection, Connector, Context, Credentials, ErrorKind, Failure, Head, Method, Protocol, Reply, Request,
};
use percent_encoding::percent_decode_str;

use crate::failure::refused;

/// The port, unless the URL names another.
const PORT: u16 = 6379;

/// The longest line of an answer that is read, in bytes.
const LONGEST_LINE: u64 = 1024;

/// The protocol of `redis://HOST/KEY`: the string that a Redis server, or one that speaks like it, keeps under a key.
///
/// The key is the path, percent-decoded, of the server's first database. Ranges are fetched alone. Credentials are
/// those of the request; without a user, the server's default one is meant.
///
/// ```
/// use ganymede::Factory;
/// use ganymede_template::Redis;
///
/// let download = Factory::new().register("redis", Redis::new()).download("redis://cache.example.com/image")?;
/// # let _ = download;
/// # Ok::<(), ganymede::Failure>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Redis {
    connector: Connector,
}

impl Redis {
    /// Makes the protocol, with the default time-outs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Connects by this: with other time-outs, or a guard.
    #[must_use]
    pub fn connector(mut self, connector: Connector) -> Self {
        self.connector = connector;
        self
    }
}

impl Protocol for Redis {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        let url = request.url();
        let key: Vec<u8> = percent_decode_str(url.path().strip_prefix('/').unwrap_or_default()).collect();
        let mut session = Session::begin(&self.connector, request, context)?;
        let total = session.ask(&[b"STRLEN", &key])?;
        if total == 0 && session.ask(&[b"EXISTS", &key])? == 0 {
            return Err(Failure::new(ErrorKind::NotFound, format!("{} is no key", request.display_url())));
        }
        // Nothing tells one version of a value from another, so the head has no validator.
        let head = Head::new(url).answering(request, total)?;
        if request.method() == Method::Head {
            return Ok(Reply::bodiless(head));
        }
        let (first, length) = (head.offset(), head.length().unwrap_or(total));
        let (from, to) = (first.to_string(), (first + length).saturating_sub(1).to_string());
        if session.ask(&[b"GETRANGE", &key, from.as_bytes(), to.as_bytes()])? != length {
            return Err(Failure::new(ErrorKind::Incomplete, "the value has changed while it was asked for"));
        }
        session.0.served();
        Ok(Reply::new(head, session.0.body(length)))
    }
}

/// A connection on which the server's own language, RESP, is spoken.
struct Session(Connection);

impl Session {
    /// Connects, with the credentials of the request.
    fn begin(connector: &Connector, request: &Request, context: &Context) -> Result<Self, Failure> {
        let mut session = Self(connector.connect(request, PORT, context)?);
        if let Some(Credentials::Password { user, password }) = request.credentials() {
            let user = if user.is_empty() { "default" } else { &user };
            session.ask(&[b"AUTH", user.as_bytes(), password.as_bytes()])?;
        }
        Ok(session)
    }

    /// Sends a command, and returns the number that answers it: a result, or how many bytes follow.
    fn ask(&mut self, words: &[&[u8]]) -> Result<u64, Failure> {
        let mut command = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            command.extend(format!("${}\r\n", word.len()).into_bytes());
            command.extend([word, &b"\r\n"[..]].concat());
        }
        self.0.write_all(&command)?;
        let mut line = Vec::new();
        (&mut self.0).take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        let line = String::from_utf8_lossy(&line);
        let Some(line) = line.strip_suffix("\r\n") else {
            let cut = Failure::new(ErrorKind::Incomplete, "the answer breaks off in the middle of a line");
            return Err(self.0.failed(cut));
        };
        let malformed = || Failure::new(ErrorKind::Malformed, "the answer is none of a Redis server");
        match line.split_at_checked(1) {
            Some((":" | "$", number)) => number.parse().map_err(|_| malformed()),
            Some(("+", _)) => Ok(0),
            Some(("-", text)) => Err(self.0.failed(refused(text))),
            _ => Err(malformed()),
        }
    }
}
