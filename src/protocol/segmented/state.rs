//! What is planned, what is being fetched, and what is most useful to fetch next.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::piece::Piece;
use super::source::Sources;
use crate::context::Context;
use crate::failure::Failure;

/// The smallest piece, in bytes, but for the last one.
pub(super) const SMALLEST: usize = 256 << 10;

/// How long a piece gets nothing before another fetcher is set on it, and how long it is given at least.
const STALL: Duration = Duration::from_secs(2);
const CHANCE: Duration = Duration::from_millis(500);

/// What a [board](super::board::Board) has on it.
pub(super) struct State {
    pub(super) sources: Sources,
    /// The pieces from the reader's position on, without a gap.
    pub(super) pieces: VecDeque<Planned>,
    /// The position after the last of them.
    pub(super) planned: u64,
    /// How many bytes of the window are taken, by these and by what the reader reads.
    pub(super) held: usize,
    pub(super) spare: Vec<Vec<u8>>,
    /// What each fetcher does.
    pub(super) fetching: Vec<Option<Fetching>>,
    /// How many fetchers there are to be.
    pub(super) crew: usize,
    pub(super) over: Option<Over>,
    pub(super) ended: bool,
}

pub(super) struct Planned {
    pub(super) piece: Arc<Piece>,
    pub(super) done: bool,
    /// How many bytes were there when it was looked at, and since when.
    pub(super) seen: (usize, Instant),
}

pub(super) struct Fetching {
    pub(super) start: u64,
    pub(super) source: usize,
    pub(super) context: Context,
    pub(super) since: Instant,
    pub(super) from: usize,
    /// Whether it waits for other downloads.
    pub(super) away: bool,
    pub(super) heard: bool,
}

/// Why there is nothing more to come.
pub(super) enum Over {
    Failed(Failure),
    Panicked(Option<Box<dyn Any + Send>>),
}

/// What a fetcher may do next.
pub(super) enum Choice {
    Fetch {
        index: usize,
        source: usize,
    },
    /// Look again soon.
    Later,
    /// Nothing, while the window is full of what the reader has not read.
    Nothing,
    Done,
}

impl State {
    pub(super) fn new(sources: Sources) -> Self {
        Self {
            sources,
            pieces: VecDeque::new(),
            planned: 0,
            held: 0,
            spare: Vec::new(),
            fetching: Vec::new(),
            crew: 0,
            over: None,
            ended: false,
        }
    }

    /// Decides what is most useful to fetch.
    pub(super) fn choose(&mut self, length: u64, (window, largest): (usize, usize), now: Instant) -> Choice {
        let idle = |one: &Planned| !one.done && !self.is_fetched(one.piece.start);
        if let Some(index) = self.pieces.iter().position(idle) {
            let source = self.sources.pick(now, None);
            return source.map_or(Choice::Later, |source| Choice::Fetch { index, source });
        }
        if self.planned < length {
            let Some(source) = self.sources.pick(now, None) else { return Choice::Later };
            let left = usize::try_from(length - self.planned).unwrap_or(usize::MAX);
            let portion = self.sources.portion(source, left / self.crew.max(1));
            let portion = portion.clamp(SMALLEST, largest).min(left);
            if self.held + portion <= window || self.held == 0 {
                let index = self.plan(portion, largest);
                return Choice::Fetch { index, source };
            }
        }
        if let Some((index, source)) = self.slow(now) {
            return Choice::Fetch { index, source };
        }
        match self.pieces.iter().all(|planned| planned.done) {
            true if self.planned == length => Choice::Done,
            true => Choice::Nothing,
            false => Choice::Later,
        }
    }

    /// Plans the next piece.
    pub(super) fn plan(&mut self, length: usize, capacity: usize) -> usize {
        let buffer = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(capacity));
        let piece = Arc::new(Piece::new(self.planned, length, buffer));
        self.planned = piece.end();
        self.held += length;
        self.pieces.push_back(Planned { piece, done: false, seen: (0, Instant::now()) });
        self.pieces.len() - 1
    }

    pub(super) fn engage(
        &mut self,
        me: usize,
        piece: &Piece,
        source: usize,
        context: &Context,
        now: Instant,
    ) {
        let (start, from, context) = (piece.start, piece.received(), context.clone());
        self.sources.engage(source);
        if let Some(fetching) = self.fetching.get_mut(me) {
            *fetching =
                Some(Fetching { start, source, context, since: now, from, away: false, heard: false });
        }
    }

    /// Tells whether all bytes are there, or were read.
    pub(super) fn is_complete(&self, length: u64) -> bool {
        self.planned == length && self.pieces.iter().all(|planned| planned.done)
    }

    fn is_fetched(&self, start: u64) -> bool {
        self.fetching.iter().flatten().any(|fetching| fetching.start == start)
    }

    /// Tells whether all who fetch something wait for other downloads.
    pub(super) fn is_away(&self) -> bool {
        let mut busy = self.fetching.iter().flatten().peekable();
        busy.peek().is_some() && busy.all(|fetching| fetching.away)
    }

    /// Finds a piece that another connection would complete sooner, and whom to ask.
    fn slow(&mut self, now: Instant) -> Option<(usize, usize)> {
        for (index, planned) in self.pieces.iter_mut().enumerate().filter(|(_, planned)| !planned.done) {
            let piece = &planned.piece;
            let mut at_it = self.fetching.iter().flatten().filter(|one| one.start == piece.start);
            let (Some(one), None) = (at_it.next(), at_it.next()) else { continue };
            let received = piece.received();
            if received > planned.seen.0 {
                planned.seen = (received, now);
            }
            // A connection may be at fault alone, but not one that waits for a place.
            let same = || self.sources.pick(now, None).filter(|_| !one.away);
            let Some(best) = self.sources.pick(now, Some(one.source)).or_else(same) else { continue };
            let age = now - one.since;
            let patience = if one.away { CHANCE } else { STALL + 3 * self.sources.latency(one.source) };
            let stalled = now - planned.seen.1 >= patience;
            let left = (piece.length - received) as f64;
            let speed = received.saturating_sub(one.from) as f64 / age.as_secs_f64().max(1e-3);
            let sooner = |other: f64| left / speed > 2.0 * left / other.max(1.0) + 0.2;
            let late = age >= CHANCE && speed > 0.0 && self.sources.speed(best).is_some_and(sooner);
            if stalled || late {
                return Some((index, best));
            }
        }
        None
    }
}
