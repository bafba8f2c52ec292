//! The cells of the matrix: all combinations of a fault, a phase, and what there is against it.

use std::fmt;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nobody listens.
    Refused,
    /// The connection ends in good order.
    Closed,
    /// The connection ends with an RST.
    Reset,
    /// Nothing more comes.
    Stalled,
    /// What comes is slow, but never pauses for as long as a time-out.
    Dripped,
    /// What comes is not what the protocol says.
    Garbage,
    /// A status that is no success.
    Status(u16),
    /// An error page that is called a success; in the handshake, a certificate that nobody vouches for.
    Wrong,
    /// The body ends too early, and in good order.
    Truncated,
    /// There are more bytes than the content has.
    TooLong,
    /// Between two requests, the content is exchanged for another with a tag of its own.
    OtherTag,
    /// Between two requests, the content is exchanged for another under the same tag.
    SameTag,
    /// Between two requests, the content is exchanged for a longer one under the same tag.
    OtherLength,
    /// A 206 that begins before the byte that was asked for.
    PartEarlier,
    /// A 206 that begins behind it.
    PartLater,
    /// A 206 that names another total.
    PartTotal,
    /// A 206 that names another tag.
    PartTag,
    /// A range is passed over where `If-Range` is a tag.
    RangeDropped,
    /// A 416, whatever the range.
    NoSuchPart,
    /// A handler panics.
    Panic,
    /// A handler cancels.
    Cancel,
    /// The writer fails.
    Writer,
}

impl Fault {
    /// All there are.
    pub const ALL: [Self; 25] = [
        Self::Refused,
        Self::Closed,
        Self::Reset,
        Self::Stalled,
        Self::Dripped,
        Self::Garbage,
        Self::Status(500),
        Self::Status(503),
        Self::Status(404),
        Self::Status(403),
        Self::Wrong,
        Self::Truncated,
        Self::TooLong,
        Self::OtherTag,
        Self::SameTag,
        Self::OtherLength,
        Self::PartEarlier,
        Self::PartLater,
        Self::PartTotal,
        Self::PartTag,
        Self::RangeDropped,
        Self::NoSuchPart,
        Self::Panic,
        Self::Cancel,
        Self::Writer,
    ];

    /// Whether it happens on this side of the network.
    #[must_use]
    pub fn is_own(self) -> bool {
        matches!(self, Self::Panic | Self::Cancel | Self::Writer)
    }

    /// Whether it is how the source answers a range.
    #[must_use]
    pub fn is_about_a_part(self) -> bool {
        matches!(
            self,
            Self::PartEarlier
                | Self::PartLater
                | Self::PartTotal
                | Self::PartTag
                | Self::RangeDropped
                | Self::NoSuchPart
        )
    }

    fn is_a_change(self) -> bool {
        matches!(self, Self::OtherTag | Self::SameTag | Self::OtherLength)
    }
}

/// When it goes wrong. Faults of a second request come after a first one that was cut there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// While it is connected.
    Connect,
    /// In the handshake of TLS.
    Tls,
    /// Before the head is there.
    Header,
    /// Between the head and the first byte.
    FirstByte,
    /// In the middle of the body.
    MidBody,
    /// Before the last byte of the body.
    LastByte,
    /// When all bytes are there.
    Commit,
}

impl Phase {
    /// All there are, in their order.
    pub const ALL: [Self; 7] = [
        Self::Connect,
        Self::Tls,
        Self::Header,
        Self::FirstByte,
        Self::MidBody,
        Self::LastByte,
        Self::Commit,
    ];

    /// Whether it is one of a body.
    #[must_use]
    pub fn is_in_the_body(self) -> bool {
        matches!(self, Self::FirstByte | Self::MidBody | Self::LastByte)
    }

    /// Where in a content of that size it is.
    #[must_use]
    pub fn position(self, size: usize) -> usize {
        match self {
            Self::MidBody => size / 2,
            Self::LastByte => size - 1,
            _ => 0,
        }
    }
}

/// One cell.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// What goes wrong.
    pub fault: Fault,
    /// When it does.
    pub phase: Phase,
    /// Two attempts after the first are allowed.
    pub retry: bool,
    /// There is a mirror, which is good and has tags of its own.
    pub mirror: bool,
    /// The digest is expected.
    pub digest: bool,
    /// The size is expected.
    pub size: bool,
    /// The source announces the length.
    pub announced: bool,
    /// The source has a strong tag.
    pub tagged: bool,
    /// It happens every time, not once.
    pub always: bool,
}

impl Cell {
    /// All combinations, those too that are no cells for an [`excuse`](Self::excuse).
    pub fn all() -> impl Iterator<Item = Self> {
        let places = Fault::ALL.into_iter().flat_map(|fault| Phase::ALL.map(|phase| (fault, phase)));
        places.flat_map(|(fault, phase)| {
            (0..128_u8).map(move |bits| {
                let on = |bit: u32| bits >> bit & 1 == 1;
                Self {
                    fault,
                    phase,
                    retry: on(0),
                    mirror: on(1),
                    digest: on(2),
                    size: on(3),
                    announced: on(4),
                    tagged: on(5),
                    always: on(6),
                }
            })
        })
    }

    /// Whether what was received can be gone on with: something proves what the rest belongs to.
    #[must_use]
    pub fn resumes(&self) -> bool {
        (self.tagged || self.digest) && matches!(self.phase, Phase::MidBody | Phase::LastByte)
    }

    /// Whether it takes a time-out to end it.
    #[must_use]
    pub fn waits(&self) -> bool {
        matches!(self.fault, Fault::Stalled | Fault::Dripped)
    }

    /// Why there is no such cell, if there is none.
    #[must_use]
    pub fn excuse(&self) -> Option<&'static str> {
        self.misplaced().or_else(|| self.meaningless())
    }

    /// Why the fault cannot happen in that phase.
    fn misplaced(&self) -> Option<&'static str> {
        use Fault::{Cancel, Closed, Dripped, Garbage, Panic, Refused, Reset, Stalled, Status};
        use Fault::{TooLong, Truncated, Writer, Wrong};
        use Phase::{Commit, Connect, Header, LastByte, MidBody, Tls};
        let phase = self.phase;
        let (fits, excuse) = match self.fault {
            Refused => (phase == Connect, "only a connection is refused"),
            Closed | Reset | Stalled | Garbage => (phase != Commit, "the commit has no network in it"),
            Dripped => (!matches!(phase, Connect | Commit), "connections and commits have no bytes to drip"),
            Status(_) => (phase == Header || phase.is_in_the_body(), "a status is part of a reply"),
            Wrong => (matches!(phase, Tls | Header), "a page is wrong from its head on"),
            Truncated => (phase.is_in_the_body(), "only a body is truncated"),
            TooLong => (phase == LastByte, "only behind its last byte is a body too long"),
            Panic | Cancel | Writer => (phase != Tls, "nobody of this side has a part in the handshake"),
            Fault::PartLater => (phase == MidBody, "a part begins later where another byte follows"),
            fault if fault.is_a_change() => {
                (phase.is_in_the_body(), "what is asked for twice was cut in its body")
            }
            _ => (matches!(phase, MidBody | LastByte), "a part is asked for when another one is there"),
        };
        (!fits).then_some(excuse)
    }

    /// Why what there is against the fault cannot make a difference.
    fn meaningless(&self) -> Option<&'static str> {
        let (fault, body) = (self.fault, self.phase.is_in_the_body());
        let again =
            fault.is_a_change() || fault.is_about_a_part() || (body && matches!(fault, Fault::Status(_)));
        let indifferent = !body || fault.is_own() || fault == Fault::Dripped;
        if indifferent && !(self.announced && self.tagged) {
            return Some("it ends in the same way whatever the source says of its content");
        }
        if self.always && fault.is_own() {
            return Some("this side is not tried again");
        }
        if !self.always && (fault.is_a_change() || fault.is_about_a_part() || self.is_a_stranger()) {
            return Some("the source is like that, not now and then");
        }
        if again && !self.retry {
            return Some("without a retry nobody asks again");
        }
        if fault.is_about_a_part() && !self.resumes() {
            return Some("a part is asked for where something proves what it belongs to");
        }
        if matches!(fault, Fault::SameTag | Fault::PartTag | Fault::RangeDropped) && !self.tagged {
            return Some("there is no tag");
        }
        if self.announced && (fault == Fault::Truncated || (body && fault == Fault::Garbage)) {
            return Some("a body of a known length is cut instead, and has no frame to garble");
        }
        None
    }

    /// Whether the source shows a certificate that nobody vouches for.
    #[must_use]
    pub fn is_a_stranger(&self) -> bool {
        (self.fault, self.phase) == (Fault::Wrong, Phase::Tls)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} × {:?} ×", self.fault, self.phase)?;
        let all = [
            ("retry", self.retry),
            ("mirror", self.mirror),
            ("digest", self.digest),
            ("size", self.size),
            ("announced", self.announced),
            ("tagged", self.tagged),
            ("always", self.always),
        ];
        all.into_iter().try_for_each(|(name, on)| write!(f, " {}{name}", if on { "" } else { "no-" }))
    }
}
