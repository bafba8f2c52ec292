//! What a server answers, and what goes wrong on the way.

use std::sync::Arc;
use std::time::Duration;

use crate::answer::Credentials;
use crate::body::Body;
use crate::gate::Gate;
use crate::streams::Farewell;

/// An answer of an [`Origin`](crate::Origin), with its faults: a value to build once and clone.
///
/// ```
/// use std::time::Duration;
/// use ganymede_kit::Reply;
///
/// let whole = Reply::ok("hello world").etag("\"one\"").ranges();
/// let cut = whole.clone().cut_after(5);
/// let slow = whole.drip(1, Duration::from_millis(20));
/// let lost = Reply::error(404);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) etag: Option<String>,
    pub(crate) modified: Option<String>,
    pub(crate) body: Body,
    pub(crate) framing: Framing,
    pub(crate) ranges: Option<Ranges>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) pace: Pace,
    pub(crate) ending: Ending,
    pub(crate) close: bool,
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Framing {
    Length,
    WrongLength(u64),
    Close,
    Chunked,
    /// The body is the whole response, head and all.
    Raw,
}

/// How ranges are honoured, and how wrongly.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges {
    pub(crate) shift: i64,
    pub(crate) total: Option<u64>,
    pub(crate) etag: Option<String>,
    pub(crate) guard: Guard,
}

/// How `If-Range` is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Guard {
    #[default]
    Heeded,
    Ignored,
    /// Of a tag it is taken for a mismatch, whatever the tag.
    DatesOnly,
}

/// When things are sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    pub(crate) delay: Duration,
    pub(crate) header: Option<Duration>,
    pub(crate) drip: Option<(u64, Duration)>,
    pub(crate) gates: Vec<(Option<u64>, Gate)>,
}

/// How a reply ends, after so many bytes of its body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ending {
    Whole,
    Cut(u64),
    Reset(u64),
    Stall(u64),
    Mute,
    /// An error of the stream (HTTP/2), before the head or after so many bytes.
    Abort(Option<u64>, u32),
    /// The end of the connection is told (HTTP/2), before the head or after so many bytes.
    GoAway(Option<u64>, Farewell),
}

/// What is answered.
impl Reply {
    /// A 200 with this body and its length.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, Body::Bytes(Arc::new(body.into())))
    }

    /// A 200 with `length` bytes of [`pattern`](crate::pattern), of which none are held in memory.
    pub fn generated(length: u64) -> Self {
        Self::new(200, Body::Generated(length))
    }

    /// A status with a short text for a body, such as `error 404`.
    pub fn error(status: u16) -> Self {
        Self::ok(format!("error {status}\n")).status(status).header("Content-Type", "text/plain")
    }

    /// A redirect with this status to `location`, which is sent as it is.
    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::ok("").status(status).header("Location", location)
    }

    /// Exactly these bytes as the whole response, head and all; the connection is closed after them.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { framing: Framing::Raw, close: true, ..Self::ok(bytes) }
    }

    /// Another status; with 204 and 304 nothing is sent after the head.
    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// One more header, sent before all others.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The `ETag`, quotes included; an `If-None-Match` that names it is answered by 304.
    pub fn etag(self, etag: impl Into<String>) -> Self {
        Self { etag: Some(etag.into()), ..self }
    }

    /// The `Last-Modified` date; an `If-Modified-Since` of exactly that date is answered by 304.
    pub fn modified(self, date: impl Into<String>) -> Self {
        Self { modified: Some(date.into()), ..self }
    }

    /// Honours a single range of a GET: 206, 416 when it starts beyond the end, 200 when `If-Range` does not match.
    pub fn ranges(mut self) -> Self {
        self.ranges.get_or_insert_default();
        self
    }

    /// Answers 401 to requests without this user and password.
    pub fn require_basic(self, user: &str, password: &str) -> Self {
        Self { credentials: Some(Credentials::basic(user, password)), ..self }
    }

    /// Answers 401 to requests without this bearer token.
    pub fn require_bearer(self, token: &str) -> Self {
        Self { credentials: Some(Credentials::bearer(token)), ..self }
    }

    fn new(status: u16, body: Body) -> Self {
        Self {
            status,
            headers: Vec::new(),
            trailers: Vec::new(),
            etag: None,
            modified: None,
            body,
            framing: Framing::Length,
            ranges: None,
            credentials: None,
            pace: Pace::default(),
            ending: Ending::Whole,
            close: false,
        }
    }
}

/// How it is framed.
impl Reply {
    /// Announces this `Content-Length` whatever is sent, and closes the connection after the body.
    pub fn length(self, announced: u64) -> Self {
        Self { framing: Framing::WrongLength(announced), close: true, ..self }
    }

    /// Announces no length: the end of the connection is the end of the body.
    pub fn no_length(self) -> Self {
        Self { framing: Framing::Close, close: true, ..self }
    }

    /// Sends the body in chunks: of 64 KiB, or of what [`drip`](Self::drip) says.
    pub fn chunked(self) -> Self {
        Self { framing: Framing::Chunked, ..self }
    }

    /// One more field after the body, where the framing has a place for it: in chunks, or over HTTP/2.
    pub fn trailer(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.trailers.push((name.into(), value.into()));
        self
    }

    /// Says `Connection: close` and does; over HTTP/2, that this was the last request of the connection.
    pub fn close(self) -> Self {
        Self { close: true, ..self }
    }
}

/// When it is sent.
impl Reply {
    /// Waits before the head.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.pace.delay = delay;
        self
    }

    /// Sends the head byte by byte, with this long between two.
    pub fn slow_header(mut self, interval: Duration) -> Self {
        self.pace.header = Some(interval);
        self
    }

    /// Sends the body in blocks of `block` bytes, with this long between two.
    pub fn drip(mut self, block: u64, interval: Duration) -> Self {
        self.pace.drip = Some((block.max(1), interval));
        self
    }

    /// Waits at the gate before the head.
    pub fn gate(mut self, gate: &Gate) -> Self {
        self.pace.gates.push((None, gate.clone()));
        self
    }

    /// Waits at the gate after the head and `bytes` bytes of the body.
    pub fn gate_after(mut self, bytes: u64, gate: &Gate) -> Self {
        self.pace.gates.push((Some(bytes), gate.clone()));
        self
    }
}

/// What goes wrong; bytes are counted in the body of this very reply, which may be a part of the whole.
impl Reply {
    /// Closes the connection after `bytes` bytes of the body; over TLS without a farewell.
    ///
    /// As many as a chunked body has cuts off only the chunk that ends it.
    pub fn cut_after(self, bytes: u64) -> Self {
        Self { ending: Ending::Cut(bytes), ..self }
    }

    /// Resets the connection (RST) after `bytes` bytes of the body; over TLS it is a cut.
    pub fn reset_after(self, bytes: u64) -> Self {
        Self { ending: Ending::Reset(bytes), ..self }
    }

    /// Sends `bytes` bytes of the body and then nothing, until the client leaves or the server is dropped.
    pub fn stall_after(self, bytes: u64) -> Self {
        Self { ending: Ending::Stall(bytes), ..self }
    }

    /// Sends nothing at all, until the client leaves or the server is dropped.
    pub fn stall_header(self) -> Self {
        Self { ending: Ending::Mute, ..self }
    }

    /// Ends the stream by `RST_STREAM` with this code, before the head or after so many bytes of the body (HTTP/2).
    ///
    /// Over HTTP/1.1 the connection is closed.
    pub fn abort(self, after: Option<u64>, code: u32) -> Self {
        Self { ending: Ending::Abort(after, code), ..self }
    }

    /// Says by `GOAWAY` that the connection ends, before the head or after so many bytes of the body (HTTP/2).
    ///
    /// Without an error, code 0, the request that was `processed` is answered as if nothing had been said. One that was
    /// not gets no answer, and an error closes the connection. Over HTTP/1.1 the connection is closed.
    pub fn go_away(self, after: Option<u64>, processed: bool, code: u32) -> Self {
        Self { ending: Ending::GoAway(after, Farewell { processed, code }), ..self }
    }

    /// Starts a 206 so many bytes away from where it was asked to, and says so in `Content-Range`.
    pub fn range_shift(mut self, bytes: i64) -> Self {
        self.ranges.get_or_insert_default().shift = bytes;
        self
    }

    /// Names another total in the `Content-Range` of a 206.
    pub fn range_total(mut self, total: u64) -> Self {
        self.ranges.get_or_insert_default().total = Some(total);
        self
    }

    /// Answers a range whatever `If-Range` says.
    pub fn range_unguarded(mut self) -> Self {
        self.ranges.get_or_insert_default().guard = Guard::Ignored;
        self
    }

    /// Answers the whole to a range whose `If-Range` is a tag, even the right one, as some networks do.
    pub fn range_by_date(mut self) -> Self {
        self.ranges.get_or_insert_default().guard = Guard::DatesOnly;
        self
    }

    /// Names another `ETag` in a 206.
    pub fn range_etag(mut self, etag: impl Into<String>) -> Self {
        self.ranges.get_or_insert_default().etag = Some(etag.into());
        self
    }
}
