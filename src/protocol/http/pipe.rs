//! The hand-over from the client's thread to the one that waits for the answer.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use parking_lot::{Condvar, Mutex};
use tokio::task::AbortHandle;

use crate::failure::{ErrorKind, Failure};
use crate::timing::Timing;

/// How many bytes may wait to be taken, before the client stops reading from its socket.
pub(super) const CAPACITY: usize = 1 << 20;

/// The same where bytes are taken slowly on purpose: the source is to be slowed, and not only what is done with them.
pub(super) const SLOW_CAPACITY: usize = 64 << 10;

/// How many bytes are worth waking the other thread for, although more may be there at once.
const WORTHWHILE: usize = 64 << 10;

/// What came before the body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) timing: Timing,
}

/// One answer on its way: a head, blocks, and an end.
///
/// A blocking face for one thread and an asynchronous one for the other; every wait of the former ends at once when
/// it is [cancelled](Pipe::cancel).
pub(super) struct Pipe {
    capacity: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    head: Option<Box<Answer>>,
    blocks: VecDeque<Bytes>,
    waiting: usize,
    end: Option<Result<(), Failure>>,
    cancelled: bool,
    writer: Option<Waker>,
    task: Option<AbortHandle>,
}

impl Pipe {
    /// Makes a pipe that takes no more while so many bytes wait in it.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits for the head.
    pub(super) fn head(&self) -> Result<Answer, Failure> {
        let mut state = self.state.lock();
        loop {
            if state.cancelled {
                return Err(Failure::cancelled());
            }
            if let Some(head) = state.head.take() {
                return Ok(*head);
            }
            match &state.end {
                Some(Err(failure)) => return Err(failure.clone()),
                Some(Ok(())) => return Err(ErrorKind::Incomplete.into()),
                None => self.changed.wait(&mut state),
            }
        }
    }

    /// Waits for the next block; `None` is the end of a complete body.
    pub(super) fn block(&self) -> Result<Option<Bytes>, Failure> {
        let mut state = self.state.lock();
        loop {
            if state.cancelled {
                return Err(Failure::cancelled());
            }
            if let Some(block) = state.blocks.pop_front() {
                state.waiting -= block.len();
                if state.waiting < self.capacity / 2
                    && let Some(writer) = state.writer.take()
                {
                    drop(state);
                    writer.wake();
                }
                return Ok(Some(block));
            }
            match &state.end {
                Some(Err(failure)) => return Err(failure.clone()),
                Some(Ok(())) => return Ok(None),
                None => self.changed.wait(&mut state),
            }
        }
    }

    /// Ends all waiting, for good, and the task that carries the answer.
    pub(super) fn cancel(&self) {
        let (writer, task) = {
            let mut state = self.state.lock();
            state.cancelled = true;
            (state.writer.take(), state.task.take())
        };
        self.changed.notify_all();
        if let Some(writer) = writer {
            writer.wake();
        }
        if let Some(task) = task {
            task.abort();
        }
    }

    /// Takes the task that carries the answer, to be ended when this is cancelled, or at once if it was.
    pub(super) fn carried_by(&self, task: AbortHandle) {
        let mut state = self.state.lock();
        if state.cancelled {
            drop(state);
            task.abort();
        } else {
            state.task = Some(task);
        }
    }

    /// Puts the head, to be seen with what follows it at once or at the next [flush](Self::flush).
    pub(super) fn put_head(&self, head: Answer) {
        self.state.lock().head = Some(Box::new(head));
    }

    /// Puts a block, to be seen at the next [flush](Self::flush) unless it is worth more than that.
    pub(super) fn put_block(&self, block: Bytes) {
        let mut state = self.state.lock();
        let before = state.waiting;
        state.waiting += block.len();
        state.blocks.push_back(block);
        // Who is behind finds the other blocks without being woken.
        let worthwhile = before < WORTHWHILE && state.waiting >= WORTHWHILE;
        drop(state);
        if worthwhile {
            self.changed.notify_one();
        }
    }

    /// Shows all that was put: to be called before waiting for more, since waking a thread costs more than a block.
    pub(super) fn flush(&self) {
        self.changed.notify_one();
    }

    /// Is ready when there is room for another block, or nobody who wants one.
    pub(super) fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.waiting < self.capacity || state.cancelled {
            return Poll::Ready(());
        }
        state.writer = Some(context.waker().clone());
        Poll::Pending
    }

    /// Ends the answer; a second end changes nothing.
    pub(super) fn finish(&self, end: Result<(), Failure>) {
        self.state.lock().end.get_or_insert(end);
        self.changed.notify_one();
    }
}
