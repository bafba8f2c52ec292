//! The source of a cell, as it is scripted: what it answers to which request.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::faults::{Cell, Content, Fault, Phase};
use crate::received::Received;
use crate::relay::{Break, Passage};
use crate::reply::Reply;

/// The tag of the right content, if there is one.
pub const TAG: &str = "\"one\"";
const OTHER_TAG: &str = "\"two\"";

/// Between two bytes that are dripped: far less than any time-out.
const DRIP: Duration = Duration::from_millis(100);

/// What answers for a cell, and what it was asked.
///
/// ```
/// use std::sync::Arc;
/// use ganymede_kit::Origin;
/// use ganymede_kit::faults::{Cell, Source};
///
/// let cell = Cell::all().find(|cell| cell.excuse().is_none()).unwrap();
/// let (origin, source) = (Origin::start(), Arc::new(Source::new(cell, 30_000)));
/// let answering = Arc::clone(&source);
/// let url = origin.handle("/file", move |received| answering.reply(received));
/// // .. download it ..
/// assert!(source.asked().is_empty());
/// ```
#[derive(Debug)]
pub struct Source {
    cell: Cell,
    size: usize,
    /// The `Range` and `If-Range` of each request.
    asked: Mutex<Vec<[Option<String>; 2]>>,
}

impl Source {
    /// Makes the source of a cell, whose content has this size.
    #[must_use]
    pub fn new(cell: Cell, size: usize) -> Self {
        Self { cell, size, asked: Mutex::default() }
    }

    /// The `Range` and `If-Range` of each request so far.
    #[must_use]
    pub fn asked(&self) -> Vec<[Option<String>; 2]> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The answer to the next request.
    pub fn reply(&self, received: &Received) -> Reply {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = asked.len();
        asked.push(["range", "if-range"].map(|name| received.header(name).map(str::to_owned)));
        drop(asked);
        let range =
            received.header("range").and_then(|range| range.strip_prefix("bytes=")?.split('-').next());
        let start = range.and_then(|first| first.parse().ok());
        match self.cell.phase {
            _ if self.cell.fault.is_own() => self.whole(Content::Right),
            Phase::Connect | Phase::Tls | Phase::Commit => self.whole(Content::Right),
            Phase::Header if self.strikes(turn) => self.head(),
            Phase::Header => self.whole(Content::Right),
            _ => self.body(turn, start),
        }
    }

    fn strikes(&self, turn: usize) -> bool {
        self.cell.always || turn == 0
    }

    fn whole(&self, content: Content) -> Reply {
        self.framed(Reply::ok(content.bytes(self.size)), TAG)
    }

    fn framed(&self, reply: Reply, tag: &str) -> Reply {
        let reply = reply.ranges();
        let reply = if self.cell.tagged { reply.etag(tag) } else { reply };
        if self.cell.announced { reply } else { reply.chunked() }
    }

    /// A fault in the head, or instead of one.
    fn head(&self) -> Reply {
        match self.cell.fault {
            Fault::Closed => Reply::raw(""),
            Fault::Reset => Reply::raw("").reset_after(0),
            Fault::Stalled => self.whole(Content::Right).stall_header(),
            Fault::Dripped => self.whole(Content::Right).slow_header(DRIP),
            Fault::Garbage => Reply::raw("\u{1}\u{2} no head at all\r\n\r\n"),
            Fault::Status(status) => Reply::error(status),
            _ => Reply::ok(Content::Page.bytes(self.size)),
        }
    }

    /// A fault in the body, or after one that was cut there; `start` is where a range begins.
    fn body(&self, turn: usize, start: Option<usize>) -> Reply {
        let (right, at) = (self.whole(Content::Right), self.cell.phase.position(self.size));
        // Counted from the beginning of this very reply.
        let left = (at - start.unwrap_or(0).min(at)) as u64;
        match self.cell.fault {
            Fault::Closed if self.strikes(turn) => right.cut_after(left),
            Fault::Reset if self.strikes(turn) => right.reset_after(left),
            Fault::Stalled if self.strikes(turn) => right.stall_after(left),
            Fault::Dripped => right.drip(at.max(1) as u64, Duration::from_secs(20)),
            Fault::Garbage if self.strikes(turn) => self.garbled(start, at),
            Fault::Truncated if self.strikes(turn) => {
                self.framed(Reply::ok(Content::Short(at).bytes(self.size)), TAG).no_length()
            }
            Fault::TooLong if !self.strikes(turn) => right,
            Fault::TooLong if self.cell.announced => self.whole(Content::Long).length(self.size as u64),
            Fault::TooLong => self.whole(Content::Long),
            Fault::Closed | Fault::Reset | Fault::Stalled | Fault::Garbage | Fault::Truncated => right,
            _ if turn == 0 => right.cut_after(left),
            Fault::Status(status) if self.cell.always || turn == 1 => Reply::error(status),
            Fault::OtherTag => self.framed(Reply::ok(Content::Other.bytes(self.size)), OTHER_TAG),
            Fault::SameTag => self.whole(Content::Other),
            Fault::OtherLength => self.whole(Content::OtherLonger),
            Fault::PartEarlier => right.range_shift(-7),
            Fault::PartLater => right.range_shift(7),
            Fault::PartTotal => right.range_total(self.size as u64 + 1000),
            Fault::PartTag => right.range_etag(OTHER_TAG),
            Fault::RangeDropped => right.range_by_date(),
            Fault::NoSuchPart if start.is_some() => Reply::error(416),
            _ => right,
        }
    }

    /// A chunked body, or a part of it, up to `at`; then what is no chunk.
    fn garbled(&self, start: Option<usize>, at: usize) -> Reply {
        let mut head = match start {
            None => "HTTP/1.1 200 OK\r\n".to_owned(),
            Some(start) => format!(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{}/{}\r\n",
                self.size - 1,
                self.size
            ),
        };
        if self.cell.tagged {
            head.push_str(&format!("ETag: {TAG}\r\n"));
        }
        head.push_str("Transfer-Encoding: chunked\r\n\r\n");
        let part = Content::Right.bytes(self.size)[start.unwrap_or(0).min(at)..at].to_vec();
        let mut bytes = head.into_bytes();
        if !part.is_empty() {
            bytes.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
            bytes.extend_from_slice(&part);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"no chunk at all\r\n");
        Reply::raw(bytes)
    }
}

/// What happens to the connections of a cell whose fault is below HTTP.
pub(super) fn passages(cell: &Cell) -> Vec<Passage> {
    let breaking = match cell.fault {
        Fault::Reset => Break::Reset,
        Fault::Stalled => Break::Stall,
        Fault::Dripped => Break::Drip(DRIP),
        Fault::Garbage => Break::Say(b"SSH-2.0-nonsense\r\n".to_vec()),
        _ => Break::Close,
    };
    let fault = match cell.phase {
        Phase::Tls => Passage::After(0, breaking),
        _ => Passage::Refuse(breaking),
    };
    if cell.always { vec![fault] } else { vec![fault, Passage::Pass] }
}
