//! What each cell must end in, from the rules at the head of the crate and nothing of the engine.

use std::ops::RangeInclusive;

use ganymede_kit::faults::{Cell, Content, Fault, Phase};

/// How long the content is.
pub(crate) const SIZE: usize = 30_000;

/// How many attempts may follow the first one at a source.
pub(crate) const RETRIES: u32 = 2;

/// What is to be seen of a cell.
#[derive(Debug)]
pub(crate) struct Expected {
    /// What is at the target; nothing is a failure.
    pub(crate) target: Option<Content>,
    /// The name of the error's kind, if it is one; where there are two, it depends on who is faster.
    pub(crate) kinds: Vec<&'static str>,
    /// How many attempts are told of.
    pub(crate) attempts: RangeInclusive<u32>,
    /// How many requests the source got.
    pub(crate) requests: RangeInclusive<usize>,
    /// How many requests the mirror got.
    pub(crate) mirrored: usize,
    /// Whether a failure leaves what another run could go on with; nothing where that is left open.
    pub(crate) kept: Option<bool>,
    /// Whether the second request to the source asks for the rest only.
    pub(crate) rest: Option<bool>,
}

/// How a source serves a download, before anybody judges what it served.
struct Course {
    end: Result<Content, &'static str>,
    attempts: RangeInclusive<u32>,
    requests: RangeInclusive<usize>,
}

impl Course {
    fn new(end: Result<Content, &'static str>, attempts: u32, requests: usize) -> Self {
        Self { end, attempts: attempts..=attempts, requests: requests..=requests }
    }
}

/// Where in the content a phase is.
pub(crate) fn position(phase: Phase) -> usize {
    phase.position(SIZE)
}

pub(crate) fn expect(cell: &Cell) -> Expected {
    if cell.fault.is_own() {
        return this_side(cell);
    }
    let course = course(cell);
    let served = course.end.is_ok();
    let judged = course.end.and_then(|content| judge(content, cell));
    // Where time is up, it is up for the mirror as well.
    let saved = cell.mirror && judged.is_err() && !is_over(cell);
    let (target, kinds) = match judged {
        _ if saved => (Some(Content::Right), vec![]),
        Ok(content) => (Some(content), vec![]),
        // An RST may come before the client knows that it was let in.
        Err(kind) if (cell.fault, cell.phase) == (Fault::Reset, Phase::Connect) => {
            (None, vec![kind, "connect"])
        }
        Err(kind) => (None, vec![kind]),
    };
    let (first, last) = course.attempts.into_inner();
    let more = u32::from(saved);
    let again = *course.requests.end() > 1 && cell.fault != Fault::Reset;
    let rest = (again && cell.phase.is_in_the_body()).then(|| cell.resumes());
    let requests = course.requests;
    let kept = match (cell.fault, cell.phase) {
        // A content that was judged is thrown away.
        _ if served || cell.phase <= Phase::Header => Some(false),
        (Fault::PartTotal, _) => Some(false),
        // Some bytes come, in each phase of a body.
        (Fault::Dripped, _) => Some(true),
        // What an RST leaves of it, or a refusal makes of it, is open.
        (Fault::Reset | Fault::Status(403 | 404), _) => None,
        _ => Some(cell.resumes()),
    };
    Expected {
        target,
        kinds,
        attempts: first + more..=last + more,
        requests,
        mirrored: usize::from(saved),
        kept,
        rest,
    }
}

/// Rule 1: what fails here, fails for good.
fn this_side(cell: &Cell) -> Expected {
    let committed = cell.phase == Phase::Commit && cell.fault != Fault::Writer;
    let kinds = match cell.fault {
        Fault::Panic => vec!["panicked"],
        Fault::Cancel if committed => vec![],
        Fault::Cancel => vec!["cancelled"],
        _ => vec!["write"],
    };
    let requests = match (cell.phase, cell.fault) {
        // It may be under way when it is cancelled.
        (Phase::Connect, Fault::Cancel) => 0..=1,
        (Phase::Connect, _) => 0..=0,
        _ => 1..=1,
    };
    let target = committed.then_some(Content::Right);
    Expected { target, kinds, attempts: 1..=1, requests, mirrored: 0, kept: None, rest: None }
}

/// Whether the deadline has passed.
fn is_over(cell: &Cell) -> bool {
    cell.fault == Fault::Dripped && cell.phase.is_in_the_body()
}

/// Rule 5: a content is judged by what is expected of it, and by nothing else.
fn judge(content: Content, cell: &Cell) -> Result<Content, &'static str> {
    match content {
        Content::Right => Ok(content),
        _ if cell.size && content.bytes(SIZE).len() != SIZE => Err("size-mismatch"),
        _ if cell.digest => Err("digest-mismatch"),
        _ => Ok(content),
    }
}

/// Rules 2 to 4: what the source serves, however often it is asked.
fn course(cell: &Cell) -> Course {
    use Fault::{Closed, Dripped, Garbage, NoSuchPart, OtherLength, OtherTag, PartEarlier, PartLater};
    use Fault::{PartTag, PartTotal, RangeDropped, Refused, Reset, SameTag, Stalled, Status};
    use Fault::{TooLong, Truncated, Wrong};
    use Phase::{Connect, Header, Tls};
    let (phase, at) = (cell.phase, position(cell.phase));
    match cell.fault {
        Refused => transient("connect", cell),
        Closed | Reset if phase == Tls => transient("tls", cell),
        Closed | Reset => transient("incomplete", cell),
        Stalled => transient("timeout", cell),
        Dripped if is_over(cell) => refusal("timeout", cell),
        Dripped => transient("timeout", cell),
        Garbage if phase == Tls => refusal("tls", cell),
        Garbage if matches!(phase, Connect | Header) => refusal("other", cell),
        Garbage => transient("incomplete", cell),
        Status(500 | 503) => transient("status", cell),
        Status(404) => refusal("not-found", cell),
        Status(_) => refusal("unauthorized", cell),
        Wrong if phase == Tls => refusal("tls", cell),
        Wrong => Course::new(Ok(Content::Page), 1, 1),
        Truncated => Course::new(Ok(Content::Short(at)), 1, 1),
        // A length that was announced is where a body ends.
        TooLong if cell.announced => Course::new(Ok(Content::Right), 1, 1),
        TooLong => Course::new(Ok(Content::Long), 1, 1),
        // What has no tag goes on with anything that a digest then has to judge, and is asked for whole when it fails.
        OtherTag if cell.resumes() && !cell.tagged => Course::new(Ok(Content::Other), 2, 3),
        OtherTag => Course::new(Ok(Content::Other), 2, 2),
        // A tag that lies can only be found out by a digest.
        SameTag if cell.resumes() => Course::new(Ok(Content::Mixed(at)), 2, 2),
        SameTag => Course::new(Ok(Content::Other), 2, 2),
        OtherLength if cell.resumes() && cell.announced => Course::new(Ok(Content::OtherLonger), 2, 3),
        OtherLength if cell.resumes() && !cell.tagged => Course::new(Ok(Content::OtherLonger), 2, 3),
        OtherLength if cell.resumes() => Course::new(Ok(Content::MixedLonger(at)), 2, 2),
        OtherLength => Course::new(Ok(Content::OtherLonger), 2, 2),
        // One that is not the expected size is as bad as a content of that size.
        PartTotal if !cell.announced && cell.size && cell.tagged => Course::new(Err("size-mismatch"), 2, 2),
        PartTotal if !cell.announced && cell.size => Course::new(Ok(Content::Right), 2, 3),
        // A total that nothing contradicts is believed, until there is nothing behind the end.
        PartTotal if !cell.announced => Course { end: Ok(Content::Right), attempts: 2..=3, requests: 3..=4 },
        // Asked for once more without the guard, it comes.
        RangeDropped => Course::new(Ok(Content::Right), 2, 3),
        PartEarlier | PartLater | PartTotal | PartTag | NoSuchPart => Course::new(Ok(Content::Right), 2, 3),
        Fault::Panic | Fault::Cancel | Fault::Writer => unreachable!("it is no fault of the source"),
    }
}

/// Whether the fault answers a second request, after a cut.
fn is_second(cell: &Cell) -> bool {
    matches!(cell.fault, Fault::Status(_)) && cell.phase.is_in_the_body()
}

/// Rule 2: it may pass, and is tried again as often as allowed.
fn transient(kind: &'static str, cell: &Cell) -> Course {
    let tries = if cell.retry { 1 + RETRIES } else { 1 };
    let faults = match (cell.always, is_second(cell)) {
        (true, _) => u32::MAX,
        (false, second) => 1 + u32::from(second),
    };
    let attempts = tries.min(faults.saturating_add(1));
    let end = if attempts > faults { Ok(Content::Right) } else { Err(kind) };
    let arrived = match cell.phase {
        Phase::Connect | Phase::Tls => attempts.saturating_sub(faults),
        _ => attempts,
    };
    Course::new(end, attempts, arrived as usize)
}

/// Rule 3: it will not pass, and is not tried again.
fn refusal(kind: &'static str, cell: &Cell) -> Course {
    let attempts = 1 + u32::from(is_second(cell));
    let arrived = if cell.phase <= Phase::Tls { 0 } else { attempts as usize };
    Course::new(Err(kind), attempts, arrived)
}
