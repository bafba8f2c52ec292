//! One fetch from the source, and those who read what it brings.

mod reader;
mod run;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use ganymede::{Context, DownloadError, Failure};
use http::{HeaderMap, StatusCode};
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::cache::Entry;
use crate::directives::RequestDirectives;
use crate::freshness::{Freshness, Use};
use crate::vary::selection;

pub(crate) use reader::{BLOCK, ReadError, Reader};
pub(crate) use run::{Job, run};

/// How long a reader may hold up others, in all, where what it has not read is not kept.
const GRACE: Duration = Duration::from_secs(1);

/// One fetch from the source, and those who read what it brings, each at its own speed.
///
/// What is kept grows in a file, so that each finds there what it has not read yet. What is not kept passes through a
/// buffer of bounded size: the source waits while all who read are behind, and one that is behind while another waits is
/// cut. When nobody reads any more, the source is left.
pub(crate) struct Fill {
    /// The headers that the source is sent.
    pub(crate) sent: HeaderMap,
    /// When it was begun.
    pub(crate) begun: SystemTime,
    /// Whether a digest is expected, so that before its end nothing is known to be right.
    pub(crate) verified: bool,
    context: Context,
    /// It goes on when nobody reads any more.
    finishes: bool,
    /// How many bytes are kept in memory, about.
    capacity: usize,
    state: Mutex<State>,
    /// There is more to read, or to know.
    changed: Notify,
    /// Somebody has read, or left; the source waits for that.
    read: Condvar,
}

#[derive(Default)]
struct State {
    start: Option<Start>,
    /// The latest blocks and their positions.
    ring: VecDeque<(u64, Bytes)>,
    /// How many bytes there are so far.
    end: u64,
    /// What is in the file, from the first byte on.
    file: Option<Arc<File>>,
    written: u64,
    /// What is not in the file yet will be.
    storing: bool,
    outcome: Option<Result<(), Arc<DownloadError>>>,
    readers: HashMap<u64, Progress>,
    next: u64,
    left: bool,
}

/// How far a reader is.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    position: u64,
    /// How long it has held up others.
    held_up: Duration,
}

/// What a source answers.
#[derive(Clone)]
pub(crate) enum Start {
    /// A content.
    Content(Arc<Opening>),
    /// What is stored still holds.
    Holds(Arc<Entry>),
    /// What the client has still holds.
    Unchanged(Arc<Opening>),
    /// Nothing.
    Failed(Arc<DownloadError>),
    /// It was not asked, since there is an answer already.
    Dismissed,
}

/// What is known of a content before its first byte.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) status: StatusCode,
    /// What is kept of the headers.
    pub(crate) headers: HeaderMap,
    pub(crate) length: Option<u64>,
    /// The range that it is of a whole, as its source says.
    pub(crate) range: Option<http::HeaderValue>,
    pub(crate) freshness: Freshness,
    /// It may answer other requests than the one that it was asked for by.
    pub(crate) shareable: bool,
    pub(crate) stored: bool,
}

/// What a fill is to a request that comes while it is under way.
pub(crate) enum Offer {
    /// It answers it.
    Suits(Reader),
    /// That will be known when it has begun.
    LaterBegun,
    /// That will be known when it has ended, which is soon.
    LaterEnded,
    /// Nothing.
    None,
}

impl Fill {
    /// Makes a fill that is not under way yet, and its first reader.
    pub(crate) fn new(
        sent: HeaderMap,
        verified: bool,
        context: Context,
        finishes: bool,
        capacity: usize,
    ) -> (Arc<Self>, Reader) {
        let fill = Arc::new(Self {
            sent,
            begun: SystemTime::now(),
            verified,
            context,
            finishes,
            capacity,
            state: Mutex::default(),
            changed: Notify::new(),
            read: Condvar::new(),
        });
        let reader = Reader::enter(&fill, &mut fill.state.lock());
        (fill, reader)
    }

    /// Says what it is to a request of which the source would be sent these headers.
    pub(crate) fn offer(self: &Arc<Self>, sent: &HeaderMap, wants: &RequestDirectives) -> Offer {
        let mut state = self.state.lock();
        if state.left || state.outcome.is_some() {
            return Offer::None;
        }
        match &state.start {
            None if *sent == self.sent => {}
            None => return Offer::LaterBegun,
            Some(Start::Content(opening)) => {
                let same = selection(&opening.headers, sent) == selection(&opening.headers, &self.sent);
                if !opening.shareable || !same || wants.no_store {
                    return Offer::None;
                }
                // Who has all of it may come back for more before it is stored.
                if state.is_all() {
                    return Offer::LaterEnded;
                }
                let judged = opening.freshness.judge(wants, SystemTime::now());
                if judged != Use::Fresh && (wants.no_cache || wants.max_age.is_some()) {
                    return Offer::None;
                }
            }
            Some(_) => return Offer::LaterEnded,
        }
        let from_the_first = state.first().is_none_or(|first| first <= state.written);
        if from_the_first { Offer::Suits(Reader::enter(self, &mut state)) } else { Offer::None }
    }

    /// Waits until it is known what the source answers.
    pub(crate) async fn started(&self) -> Start {
        self.wait(|state| {
            let failed = || match &state.outcome {
                Some(Err(error)) => Some(Start::Failed(Arc::clone(error))),
                _ => None,
            };
            state.start.clone().or_else(failed)
        })
        .await
    }

    /// Waits for its end; when that is a good one, what is kept of it is there.
    pub(crate) async fn ended(&self) -> Result<(), Arc<DownloadError>> {
        self.wait(|state| state.outcome.clone()).await
    }

    /// Waits for its end, unless it turns out that it is not kept.
    pub(crate) async fn kept(&self) -> Option<Result<(), Arc<DownloadError>>> {
        self.wait(|state| match &state.outcome {
            Some(outcome) => Some(Some(outcome.clone())),
            None => (!state.storing).then_some(None),
        })
        .await
    }

    /// Tells whether all of it has come, and is about to be stored.
    pub(crate) fn is_ending(&self) -> bool {
        let state = self.state.lock();
        state.storing && state.is_all() && state.outcome.is_none()
    }

    /// Returns how many bytes there are so far.
    pub(crate) fn available(&self) -> u64 {
        self.state.lock().end
    }

    async fn wait<T>(&self, mut look: impl FnMut(&State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            // From here on, nothing is missed.
            changed.as_mut().enable();
            if let Some(found) = look(&self.state.lock()) {
                return found;
            }
            changed.await;
        }
    }

    fn begin(&self, start: Start) {
        let mut state = self.state.lock();
        let content = matches!(start, Start::Content(_));
        state.storing = matches!(&start, Start::Content(opening) if opening.stored);
        state.start = Some(start);
        let left = state.leave_if_useless(self.finishes);
        drop(state);
        if left {
            self.context.cancel();
        }
        if !content {
            self.changed.notify_waiters();
        }
    }

    /// Gives up what was not run yet: who has come to read it looks again.
    pub(crate) fn dismiss(&self) {
        let mut state = self.state.lock();
        state.left = true;
        state.start = Some(Start::Dismissed);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Goes on without keeping what comes.
    fn keep_no_more(&self) {
        self.state.lock().storing = false;
        self.changed.notify_waiters();
    }

    /// Returns all of it, if all is there in one block.
    pub(crate) fn in_one_block(&self, length: u64) -> Option<Bytes> {
        let state = self.state.lock();
        let (at, block) = state.ring.front()?;
        let failed = matches!(state.outcome, Some(Err(_)));
        (*at == 0 && block.len() as u64 == length && !failed).then(|| block.clone())
    }

    /// Adds a block.
    fn push(&self, block: Bytes) {
        let mut state = self.state.lock();
        let at = state.end;
        state.end += block.len() as u64;
        state.ring.push_back((at, block));
        drop(state);
        self.changed.notify_waiters();
    }

    /// Notes how much is in the file.
    fn wrote(&self, file: &Arc<File>, written: u64) {
        let mut state = self.state.lock();
        state.file.get_or_insert_with(|| Arc::clone(file));
        state.written = written;
        state.trim(self.capacity);
    }

    /// Waits until there is room for another block; who holds up others for too long is left behind.
    fn room(self: &Arc<Self>) -> Result<(), Failure> {
        let mut state = self.state.lock();
        if state.has_room(self.capacity) {
            return Ok(());
        }
        let waits = Arc::downgrade(self);
        // It may be called right here, so not with the lock.
        let _hook = MutexGuard::unlocked(&mut state, || {
            self.context.on_cancel(move || {
                if let Some(fill) = waits.upgrade() {
                    // Whoever looks has seen that it is cancelled, or waits already.
                    drop(fill.state.lock());
                    fill.read.notify_all();
                }
            })
        });
        while !state.has_room(self.capacity) {
            self.context.check()?;
            let end = state.end;
            let waits = state.readers.values().any(|reader| reader.position >= end);
            let Some((id, slowest)) = state.slowest().filter(|_| waits) else {
                self.read.wait(&mut state);
                continue;
            };
            let left = GRACE.saturating_sub(slowest.held_up);
            if left.is_zero() {
                state.ring.pop_front();
                continue;
            }
            let began = Instant::now();
            let _ = self.read.wait_for(&mut state, left);
            if let Some(reader) = state.readers.get_mut(&id) {
                reader.held_up += began.elapsed();
            }
        }
        Ok(())
    }

    /// Ends it, and lets nobody in any more.
    fn end(&self, outcome: Result<(), Arc<DownloadError>>) {
        let mut state = self.state.lock();
        if outcome.is_ok() && state.written == state.end && state.end > BLOCK {
            // All of it is in the file, and who is slow may take from there what is not soon sent.
            state.ring.clear();
        }
        state.outcome = Some(outcome);
        drop(state);
        self.changed.notify_waiters();
    }
}

impl State {
    /// Notes that it is left, if nobody reads and nothing is kept; true if that is new.
    fn leave_if_useless(&mut self, finishes: bool) -> bool {
        let kept = finishes && (self.start.is_none() || self.storing);
        // What is all there is stored yet.
        let needed = kept || self.is_all() || self.outcome.is_some();
        let left = self.readers.is_empty() && !needed && !self.left;
        self.left |= left;
        left
    }

    /// Tells whether all of it has come, as far as that can be told before its end.
    fn is_all(&self) -> bool {
        matches!(&self.start, Some(Start::Content(opening)) if opening.length == Some(self.end))
    }

    /// Returns the position of the first byte in memory.
    fn first(&self) -> Option<u64> {
        self.ring.front().map(|(at, _)| *at)
    }

    fn slowest(&self) -> Option<(u64, Progress)> {
        let all = self.readers.iter().map(|(id, reader)| (*id, *reader));
        all.min_by_key(|(_, reader)| reader.position)
    }

    fn held(&self) -> usize {
        self.first().map_or(0, |first| usize::try_from(self.end - first).unwrap_or(usize::MAX))
    }

    /// Tells whether there is room for another block, or nobody who would need any.
    fn has_room(&mut self, capacity: usize) -> bool {
        self.trim(capacity);
        self.held() <= capacity || self.left
    }

    /// Forgets what is more than fits, as far as everybody has read it or finds it in the file.
    fn trim(&mut self, capacity: usize) {
        let slowest = self.slowest().map_or(self.end, |(_, reader)| reader.position);
        let free = if self.storing { self.written } else { slowest.max(self.written) };
        while self.held() > capacity {
            match self.ring.front() {
                Some((at, block)) if at + block.len() as u64 <= free => drop(self.ring.pop_front()),
                _ => break,
            }
        }
    }
}

impl fmt::Debug for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fill").field("available", &self.available()).finish_non_exhaustive()
    }
}
