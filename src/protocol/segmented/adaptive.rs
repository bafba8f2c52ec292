//! Connections that are added while they bring something.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::MOST;
use super::board::Board;
use super::body::Body;
use super::fetcher::Open;
use crate::context::{Context, SlotKey};
use crate::failure::Failure;

/// How long a number of connections is watched before it is judged.
const PERIOD: Duration = Duration::from_millis(500);

/// For how long there must be something left to fetch, in seconds, to be worth another connection.
const WORTHWHILE: f64 = 2.0;

/// The share of the time in which the network must be waited for, to be what is to be made faster.
const WAITING: f64 = 0.75;

/// How much more those that are added must bring at least; where they could bring less than twice that, half of what
/// they could.
const GAIN: f64 = 0.2;

/// The connections of all watched replies of a context.
#[derive(PartialEq, Eq, Hash)]
struct ConnectionsKey;

impl SlotKey for ConnectionsKey {
    type Value = AtomicUsize;
}

/// How many of them one reply has; given back when it is dropped.
struct Connections {
    all: Arc<AtomicUsize>,
    own: usize,
}

impl Connections {
    fn of(context: &Context) -> Result<Self, Failure> {
        let all = context.slot(ConnectionsKey, |_| Ok(AtomicUsize::new(0)))?;
        all.fetch_add(1, Ordering::Relaxed);
        Ok(Self { all, own: 1 })
    }

    /// Takes so many more, or as many as there are.
    fn take(&mut self, wanted: usize) -> usize {
        let more = |all: usize| (all < MOST).then(|| MOST.min(all + wanted));
        let before = self.all.try_update(Ordering::Relaxed, Ordering::Relaxed, more);
        let taken = before.map_or(0, |all| wanted.min(MOST - all));
        self.own += taken;
        taken
    }

    fn give_back(&mut self, number: usize) {
        self.all.fetch_sub(number, Ordering::Relaxed);
        self.own -= number;
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.all.fetch_sub(self.own, Ordering::Relaxed);
    }
}

/// A body that begins as the plain reply, and is divided when that is worth it.
pub(super) struct Watched {
    stage: Stage,
    context: Context,
    connections: Connections,
    /// How many bytes a piece has.
    piece: usize,
    /// How many bytes the reader has taken.
    position: u64,
    judge: Judge,
}

enum Stage {
    /// One reply, in a context of its own, and what to divide the rest with.
    Plain {
        body: Box<dyn BufRead + Send>,
        own: Context,
        board: Box<Board>,
    },
    Divided {
        body: Box<Body>,
        /// How many connections were added last; none once their number is settled.
        added: usize,
    },
    Over,
}

/// What is measured of a number of connections.
struct Judge {
    since: Option<Instant>,
    bytes: u64,
    waited: Duration,
    /// How many bytes a second came before connections were added.
    before: f64,
}

impl Judge {
    /// Begins anew, with so many bytes received.
    fn reset(&mut self, bytes: u64) {
        (self.since, self.bytes, self.waited) = (Some(Instant::now()), bytes, Duration::ZERO);
    }

    /// Returns how many bytes a second came, once that can be told; `None` too if it was not the network that was
    /// waited for.
    fn verdict(&mut self, bytes: u64) -> Option<f64> {
        let Some(since) = self.since else {
            self.reset(bytes);
            return None;
        };
        let time = since.elapsed();
        if time < PERIOD {
            return None;
        }
        let (seconds, waited) = (time.as_secs_f64(), self.waited.as_secs_f64());
        let speed = bytes.saturating_sub(self.bytes) as f64 / seconds;
        self.reset(bytes);
        (waited >= WAITING * seconds).then_some(speed)
    }
}

impl Watched {
    pub(super) fn new(
        board: Board,
        body: Box<dyn BufRead + Send>,
        own: Context,
        context: &Context,
        piece: usize,
    ) -> Result<Self, Failure> {
        Ok(Self {
            stage: Stage::Plain { body, own, board: Box::new(board) },
            context: context.clone(),
            connections: Connections::of(context)?,
            piece,
            position: 0,
            judge: Judge { since: None, bytes: 0, waited: Duration::ZERO, before: 0.0 },
        })
    }

    /// Divides what is left of the plain reply, if it is slow and much.
    fn consider(&mut self) -> Result<(), Failure> {
        let Stage::Plain { board, .. } = &self.stage else { return Ok(()) };
        let Some(speed) = self.judge.verdict(self.position) else { return Ok(()) };
        let left = board.content.length.saturating_sub(self.position);
        if left < 2 * self.piece as u64 || (left as f64) < WORTHWHILE * speed {
            return Ok(());
        }
        // Other sources are asked at once: how fast they are, only they can show.
        let added = self.connections.take(board.alternates().max(1));
        if added == 0 {
            return Ok(());
        }
        let Stage::Plain { body, own, board } = std::mem::replace(&mut self.stage, Stage::Over) else {
            return Ok(());
        };
        tracing::debug!(source = %board.content.request().display_url(), left, "fetching the rest in ranges");
        // What is left of the reply is one of the pieces: nothing that was sent is asked for again.
        let open = Open { job: board.open(self.position, self.piece, own), body, exact: false };
        let body = Box::new(Body::start(Arc::from(board), &self.context, open, 1 + added)?);
        self.stage = Stage::Divided { body, added };
        self.judge.before = speed;
        self.judge.since = None;
        Ok(())
    }

    /// Adds as many connections as there are if the last ones have brought something, and takes those back if not.
    fn judge(body: &mut Body, added: &mut usize, judge: &mut Judge, connections: &mut Connections) {
        if *added == 0 || (judge.since.is_none() && !body.board().all_heard()) {
            return;
        }
        let Some(speed) = judge.verdict(body.board().received()) else { return };
        let could = *added as f64 / (connections.own - *added).max(1) as f64;
        if speed < judge.before * (1.0 + GAIN.min(could / 2.0)) {
            (0..*added).for_each(|_| body.board().dismiss());
            connections.give_back(*added);
            *added = 0;
        } else if (body.left() as f64) < WORTHWHILE * speed {
            *added = 0;
        } else {
            let taken = connections.take(connections.own);
            *added = (0..taken).take_while(|_| body.reinforce()).count();
            connections.give_back(taken - *added);
            judge.before = speed;
            judge.since = None;
        }
    }
}

impl BufRead for Watched {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.consider()?;
        if let Stage::Divided { body, added } = &mut self.stage {
            loop {
                let begin = Instant::now();
                let until = (*added > 0).then_some(begin + PERIOD / 5);
                let filled = body.fill(until)?;
                self.judge.waited += begin.elapsed();
                Self::judge(body, added, &mut self.judge, &mut self.connections);
                if filled {
                    break;
                }
            }
        }
        match &mut self.stage {
            Stage::Plain { body, .. } => {
                let begin = Instant::now();
                let block = body.fill_buf();
                self.judge.waited += begin.elapsed();
                block
            }
            Stage::Divided { body, .. } => Ok(body.filled()),
            Stage::Over => Ok(&[]),
        }
    }

    fn consume(&mut self, length: usize) {
        match &mut self.stage {
            Stage::Plain { body, .. } => body.consume(length),
            Stage::Divided { body, .. } => body.consume(length),
            Stage::Over => {}
        }
        self.position += length as u64;
    }
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}
