//! The threads that fetch pieces.

use std::io::{self, BufRead};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use super::board::{Board, Job};
use super::source::{Share, Trouble};
use crate::cancel::CancelToken;
use crate::failure::{ErrorKind, Failure};
use crate::parking::{Seat, sit};

/// A job whose reply is there already.
pub(super) struct Open {
    pub(super) job: Job,
    pub(super) body: Box<dyn BufRead + Send>,
    /// Whether the body ends where the piece does.
    pub(super) exact: bool,
}

/// Starts a fetcher, which ends when there is nothing left for it to do.
pub(super) fn start(board: &Arc<Board>, me: usize, open: Option<Open>) -> io::Result<JoinHandle<()>> {
    let board = Arc::clone(board);
    Builder::new().name(format!("ganymede-segment-{me}")).spawn(move || {
        let work = AssertUnwindSafe(|| Fetcher { board: &board, me }.work(open));
        if let Err(panic) = catch_unwind(work) {
            board.panic(panic);
        }
    })
}

/// What stands in a fetcher for the place in a batch that its download has: it has none of its own to give up, but
/// the reader shall know when it would.
struct Place {
    board: Arc<Board>,
    me: usize,
}

impl Seat for Place {
    fn leave(&self) {
        self.board.wait_for_others(self.me, true);
    }

    fn take_back(&self, _: &CancelToken) {
        self.board.wait_for_others(self.me, false);
    }
}

struct Fetcher<'a> {
    board: &'a Arc<Board>,
    me: usize,
}

impl Fetcher<'_> {
    fn work(&self, open: Option<Open>) {
        let _seated = sit(Rc::new(Place { board: Arc::clone(self.board), me: self.me }));
        if let Some(Open { job, body, exact }) = open {
            let mut share = Share::default();
            self.timed(&job, &mut share, |share| self.receive(&job, body, exact, share));
        }
        while let Some(job) = self.board.next(self.me) {
            let mut share = Share::default();
            self.timed(&job, &mut share, |share| self.fetch(&job, share));
        }
    }

    fn timed(&self, job: &Job, share: &mut Share, work: impl FnOnce(&mut Share) -> Result<(), Trouble>) {
        let begin = Instant::now();
        let end = work(share);
        if share.time.is_zero() {
            share.time = begin.elapsed();
        }
        self.board.settle(self.me, job, end, share);
    }

    fn fetch(&self, job: &Job, share: &mut Share) -> Result<(), Trouble> {
        let begin = Instant::now();
        let reply = self.board.protocol.send(&job.request, &job.context)?;
        share.latency = Some(begin.elapsed());
        let exact = self.board.greet(self.me, job, &reply)?;
        let (_, body) = reply.into_parts();
        // That there is one, the greeting has made sure.
        let body = body.ok_or_else(|| Failure::from(ErrorKind::Incomplete))?;
        self.receive(job, body, exact, share)
    }

    fn receive(
        &self,
        job: &Job,
        mut body: Box<dyn BufRead + Send>,
        exact: bool,
        share: &mut Share,
    ) -> Result<(), Trouble> {
        let (begin, before) = (Instant::now(), share.latency.unwrap_or_default());
        let mut at = job.from;
        loop {
            let block = match body.fill_buf() {
                Ok([]) => {
                    let message = "a part ended before all of it was there";
                    return Err(Failure::new(ErrorKind::Incomplete, message).into());
                }
                Ok(block) => block,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::from(error).into()),
            };
            let length = block.len().min(job.piece.length - at);
            let whole = self.board.add(self.me, job, at, &block[..length]);
            body.consume(length);
            at += length;
            share.bytes += length as u64;
            if at == job.piece.length {
                share.whole = true;
                share.time = before + begin.elapsed();
                if exact {
                    // Seen to its end, so that the connection may be used again.
                    let _ = body.fill_buf();
                }
                return Ok(());
            }
            if whole {
                return Ok(());
            }
        }
    }
}
