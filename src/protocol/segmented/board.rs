//! Who fetches which piece from which source: what the reader and the fetchers of a body share.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::header::TRANSFER_ENCODING;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::content::Content;
use super::piece::Piece;
use super::source::{Share, Sources, Trouble};
use super::state::{Choice, Over, State};
use crate::context::Context;
use crate::failure::{ErrorKind, Failure};
use crate::parking::Parking;
use crate::protocol::Protocol;
use crate::reply::{Head, Reply};
use crate::request::Request;

/// How often a fetcher without work looks whether a piece has become a slow one.
const GLANCE: Duration = Duration::from_millis(100);

/// What the reader and the fetchers of a body share.
pub(super) struct Board {
    pub(super) content: Content,
    pub(super) protocol: Arc<dyn Protocol>,
    context: Context,
    /// How many bytes of pieces there may be at once.
    window: usize,
    /// How many bytes a piece has at most.
    piece: usize,
    state: Mutex<State>,
    /// There may be something to do for a fetcher.
    work: Condvar,
    /// There may be something for the reader.
    bytes: Condvar,
    /// The position that the reader waits for.
    awaited: AtomicU64,
    /// How many bytes have come in all.
    received: AtomicU64,
}

/// The rest of a piece, to be fetched by one.
pub(super) struct Job {
    pub(super) piece: Arc<Piece>,
    pub(super) from: usize,
    pub(super) source: usize,
    pub(super) request: Request,
    /// Whether it goes straight to where redirects led before.
    pub(super) direct: bool,
    pub(super) context: Context,
}

/// What the reader gets.
pub(super) enum Next {
    /// All bytes of a piece, of which so many were read before; to be [given back](Board::give_back).
    Whole(Vec<u8>, usize),
    /// Some bytes, which were copied.
    Some,
    /// Nothing until the moment that was named.
    Later,
}

impl Board {
    /// Makes the board for a content, with a window and pieces of so many bytes.
    pub(super) fn new(
        content: Content,
        sources: Sources,
        protocol: Arc<dyn Protocol>,
        context: &Context,
        (window, piece): (usize, usize),
    ) -> Self {
        Self {
            content,
            protocol,
            context: context.clone(),
            window,
            piece,
            state: Mutex::new(State::new(sources)),
            work: Condvar::new(),
            bytes: Condvar::new(),
            awaited: AtomicU64::new(u64::MAX),
            received: AtomicU64::new(0),
        }
    }

    /// Plans the first piece, from position `start` on, whose reply is there already: for fetcher 0, in `context`.
    pub(super) fn open(&self, start: u64, length: usize, context: Context) -> Job {
        let mut state = self.state.lock();
        state.planned = start;
        state.crew = 1;
        let (index, now) = (state.plan(length, self.piece), Instant::now());
        state.fetching.resize_with(1, || None);
        let piece = Arc::clone(&state.pieces[index].piece);
        let request = self.content.request().clone();
        state.engage(0, &piece, 0, &context, now);
        Job { piece, from: 0, source: 0, request, direct: false, context }
    }

    /// Returns how many other sources there are.
    pub(super) fn alternates(&self) -> usize {
        self.state.lock().sources.alternates()
    }

    /// Admits another fetcher, and returns its number.
    pub(super) fn join(&self) -> usize {
        let mut state = self.state.lock();
        state.crew += 1;
        state.fetching.push(None);
        state.fetching.len() - 1
    }

    /// Dismisses one fetcher, when it has done what it is at.
    pub(super) fn dismiss(&self) {
        self.state.lock().crew -= 1;
        self.work.notify_all();
    }

    /// Returns the next job of a fetcher; `None` if there will be none.
    pub(super) fn next(&self, me: usize) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.ended || me >= state.crew || self.context.is_cancelled() {
                return None;
            }
            let now = Instant::now();
            match state.choose(self.content.length, (self.window, self.piece), now) {
                Choice::Fetch { index, source } => {
                    if let Some(job) = self.assign(&mut state, me, index, source, now) {
                        return Some(job);
                    }
                }
                Choice::Later => drop(self.work.wait_for(&mut state, GLANCE)),
                Choice::Nothing => self.work.wait(&mut state),
                Choice::Done => return None,
            }
        }
    }

    fn assign(
        &self,
        state: &mut MutexGuard<'_, State>,
        me: usize,
        index: usize,
        source: usize,
        now: Instant,
    ) -> Option<Job> {
        let planned = state.pieces.get_mut(index)?;
        let piece = Arc::clone(&planned.piece);
        let from = piece.received();
        planned.seen = (from, now);
        let (request, direct) =
            state.sources.ask(source, &self.content, piece.start + from as u64, piece.end())?;
        let context = self.context.child();
        state.engage(me, &piece, source, &context, now);
        Some(Job { piece, from, source, request, direct, context })
    }

    /// Checks the reply to a job; returns whether it ends where the piece does.
    pub(super) fn greet(&self, me: usize, job: &Job, reply: &Reply) -> Result<bool, Trouble> {
        let (head, from) = (reply.head(), job.piece.start + job.from as u64);
        if !reply.has_body() || (head.offset() == 0 && head.length() == head.total() && from > 0) {
            let message = format!("{} does not send that part of the content", head.url());
            return Err(Trouble { failure: Failure::new(ErrorKind::Incomplete, message), differs: true });
        }
        let mut state = self.state.lock();
        state.sources.greet(job.source, head, &self.content, from)?;
        if let Some(Some(fetching)) = state.fetching.get_mut(me) {
            fetching.heard = true;
        }
        Ok(is_exact(head, job.piece.length - job.from))
    }

    /// Adds a block to a piece; returns whether that is whole by now.
    pub(super) fn add(&self, me: usize, job: &Job, at: usize, block: &[u8]) -> bool {
        let piece = &job.piece;
        let new = piece.add(at, block);
        self.received.fetch_add(new as u64, Ordering::Relaxed);
        if new > 0 && job.source > 0 {
            self.content.mix();
        }
        let whole = piece.received() == piece.length;
        if whole {
            self.complete(me, piece);
        } else if new > 0 && self.awaited.load(Ordering::SeqCst) == piece.start {
            // Taken, so that a reader between its look and its wait cannot miss this.
            drop(self.state.lock());
            self.bytes.notify_one();
        }
        whole
    }

    /// Notes that a piece is whole, and ends what others still do for it.
    fn complete(&self, me: usize, piece: &Piece) {
        let mut state = self.state.lock();
        let Some(planned) = state.pieces.iter_mut().find(|planned| planned.piece.start == piece.start) else {
            return;
        };
        planned.done = true;
        let others = state.fetching.iter().enumerate().filter(|(other, _)| *other != me);
        let beaten =
            others.filter_map(|(_, other)| other.as_ref()).filter(|other| other.start == piece.start);
        let beaten: Vec<Context> = beaten.map(|other| other.context.clone()).collect();
        drop(state);
        self.bytes.notify_one();
        // Whoever is told may be anybody's code: not under the lock.
        beaten.iter().for_each(Context::cancel);
    }

    /// Takes note of how a job has ended.
    pub(super) fn settle(&self, me: usize, job: &Job, end: Result<(), Trouble>, share: &Share) {
        let mut state = self.state.lock();
        if let Some(fetching) = state.fetching.get_mut(me) {
            *fetching = None;
        }
        state.sources.release(job.source, share);
        let pending = state.pieces.iter().any(|one| one.piece.start == job.piece.start && !one.done);
        if let Err(trouble) = end
            && pending
            && !job.context.is_cancelled()
        {
            tracing::debug!(source = %job.request.display_url(), failure = %trouble.failure, "a range failed");
            state.sources.fail(job.source, trouble, share, job.direct, Instant::now());
        }
        if !state.is_complete(self.content.length)
            && let Some(failure) = state.sources.exhausted()
        {
            state.over.get_or_insert(Over::Failed(failure));
            self.bytes.notify_one();
        }
        drop(state);
        self.work.notify_all();
    }

    /// Passes the panic of a fetcher on to the reader.
    pub(super) fn panic(&self, panic: Box<dyn Any + Send>) {
        self.state.lock().over = Some(Over::Panicked(Some(panic)));
        self.bytes.notify_one();
    }

    /// Tells whether a fetcher waits for other downloads.
    pub(super) fn wait_for_others(&self, me: usize, away: bool) {
        if let Some(Some(fetching)) = self.state.lock().fetching.get_mut(me) {
            fetching.away = away;
        }
        self.bytes.notify_one();
    }

    /// Waits for the byte at a position, and for those behind it, at most until a moment.
    pub(super) fn read(
        &self,
        position: u64,
        target: &mut Vec<u8>,
        until: Option<Instant>,
    ) -> Result<Next, Failure> {
        let mut parking: Option<Parking<'_>> = None;
        loop {
            let look = parking.as_mut().and_then(|parking| parking.look(false, Instant::now()));
            let mut state = self.state.lock();
            self.context.check()?;
            if let Some(next) = self.there(&mut state, position, target) {
                self.awaited.store(u64::MAX, Ordering::SeqCst);
                return Ok(next);
            }
            match &mut state.over {
                Some(Over::Failed(failure)) => return Err(failure.clone()),
                Some(Over::Panicked(panic)) => match panic.take() {
                    Some(panic) => {
                        drop(state);
                        std::panic::resume_unwind(panic)
                    }
                    None => return Err(ErrorKind::Panicked.into()),
                },
                None => {}
            }
            // As long as nobody fetches anything for this download, another one of its batch shall run.
            if parking.is_none() && state.is_away() {
                drop(state);
                parking = Some(Parking::new(self.context.token()));
                continue;
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(Next::Later);
            }
            match [until, look].into_iter().flatten().min() {
                Some(moment) => drop(self.bytes.wait_until(&mut state, moment)),
                None => self.bytes.wait(&mut state),
            }
        }
    }

    fn there(&self, state: &mut State, position: u64, target: &mut Vec<u8>) -> Option<Next> {
        let Some(first) = state.pieces.front() else {
            self.awaited.store(position, Ordering::SeqCst);
            return None;
        };
        let piece = Arc::clone(&first.piece);
        let read = usize::try_from(position.saturating_sub(piece.start)).unwrap_or(usize::MAX);
        if first.done {
            state.pieces.pop_front();
            return Some(Next::Whole(piece.take(), read));
        }
        // Before the look, so that who adds something after it knows that it is waited for.
        self.awaited.store(piece.start, Ordering::SeqCst);
        (piece.copy(read, target) > 0).then_some(Next::Some)
    }

    /// Gives a piece back that was read, so that there is room for another one.
    pub(super) fn give_back(&self, mut bytes: Vec<u8>) {
        let mut state = self.state.lock();
        state.held -= bytes.len();
        bytes.clear();
        state.spare.push(bytes);
        drop(state);
        self.work.notify_one();
    }

    /// Wakes all who wait: the context was cancelled.
    pub(super) fn wake(&self) {
        // Taken, so that nobody between a look and a wait can miss this.
        drop(self.state.lock());
        self.work.notify_all();
        self.bytes.notify_all();
    }

    /// Ends all fetching.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        let done = |start: u64| state.pieces.iter().all(|one| one.piece.start != start || one.done);
        // Who has received all of a piece is about to leave its connection in order.
        let busy = state
            .fetching
            .iter()
            .flatten()
            .filter(|one| state.planned < self.content.length || !done(one.start));
        let contexts: Vec<Context> = busy.map(|fetching| fetching.context.clone()).collect();
        drop(state);
        self.work.notify_all();
        contexts.iter().for_each(Context::cancel);
    }

    /// Returns how many bytes have come in all.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Tells whether every fetcher has had an answer to what it does.
    pub(super) fn all_heard(&self) -> bool {
        let state = self.state.lock();
        let busy = state.fetching.iter().flatten();
        busy.filter(|fetching| fetching.heard).count() >= state.crew
    }
}

/// Tells whether a body has just so many bytes, and no mark behind them that its end would be waited for.
pub(super) fn is_exact(head: &Head, length: usize) -> bool {
    head.length() == Some(length as u64) && !head.headers().contains_key(TRANSFER_ENCODING)
}
