//! The threads of a batch without its iterator: for who is woken instead of waiting.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{self, Poll};

use crate::batch::CancelHandle;
use crate::cancel::Hook;
use crate::context::Context;
use crate::counters::Counters;
use crate::download::Download;
use crate::plan::Plan;
use crate::workers::Workers;

/// Runs downloads, a few at a time, and never blocks who gives them to it: what a [`Batch`](crate::Batch) does, for event
/// loops.
///
/// What is pushed is run on threads of the pool's own, as in a batch, and comes back as a [`Plan`] in order of
/// completion, whether it succeeded, failed or panicked. Who polls in vain is woken when there is more. It holds what
/// it is given: push no more while [`len`](Self::len) is what memory allows.
///
/// Dropping it cancels what runs, and waits for nothing; the threads end by themselves. [`poll_end`](Self::poll_end)
/// waits for them.
///
/// ```
/// use std::task::{Context, Poll, Waker};
/// use ganymede::{BufferWriter, FileDownload, Pool};
///
/// let mut pool = Pool::new().concurrency(2);
/// for n in 0..3 {
///     pool.push(FileDownload::get(&format!("file:///no/such/{n}"))?.writer(BufferWriter::new(1)));
/// }
/// // An event loop does something else here until it is woken.
/// let mut wake = Context::from_waker(Waker::noop());
/// while !pool.is_empty() {
///     if let Poll::Ready(Some(plan)) = pool.poll(&mut wake) {
///         assert!(plan.result().unwrap_err().is_not_found());
///     }
/// }
/// # Ok::<(), ganymede::Failure>(())
/// ```
pub struct Pool<D: Download> {
    workers: Arc<Workers<D>>,
    context: Context,
    /// Wakes the task when it is cancelled, once that is of interest.
    hook: Option<Hook>,
    /// What is finished and was not handed out.
    ready: VecDeque<Plan<D>>,
    /// How many are in memory.
    alive: usize,
}

impl<D: Download + 'static> Pool<D> {
    /// Makes an empty pool: 8 at a time, and a context of its own, unless set otherwise.
    #[must_use]
    pub fn new() -> Self {
        Self {
            workers: Arc::default(),
            context: Context::new(),
            hook: None,
            ready: VecDeque::new(),
            alive: 0,
        }
    }

    /// Sets how many downloads run at a time; at least 1.
    #[must_use]
    pub fn concurrency(self, downloads: usize) -> Self {
        self.workers.set_concurrency(downloads.max(1));
        self
    }

    /// Runs the downloads in a child of this context.
    #[must_use]
    pub fn context(mut self, context: &Context) -> Self {
        self.context = context.child();
        self
    }

    /// Returns a handle that cancels what is in the pool and what comes later; the context must be set before.
    #[must_use]
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle::new(&self.context)
    }

    /// Returns the counters of this pool.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(self.workers.counters())
    }

    /// Takes one more, to be run when it is its turn.
    pub fn push(&mut self, download: D) {
        self.alive += 1;
        self.workers.counters().pull();
        Workers::enqueue(&self.workers, download, &self.context);
    }

    /// Returns how many are in it: queued, running, or finished and not handed out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.alive
    }

    /// Tells whether none is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.alive == 0
    }

    /// Hands out one that is finished, or has the task woken when there is one; `None` if none is in it.
    pub fn poll(&mut self, wake: &mut task::Context<'_>) -> Poll<Option<Plan<D>>> {
        if self.alive == 0 {
            return Poll::Ready(None);
        }
        if self.ready.is_empty() {
            self.ready = self.workers.finished_or_wake(wake.waker());
        }
        let Some(plan) = self.ready.pop_front() else { return Poll::Pending };
        self.alive -= 1;
        Poll::Ready(Some(plan))
    }

    /// Tells when it is cancelled, by its handle or with its context; until then, has the task woken by that, too.
    pub fn poll_cancelled(&mut self, wake: &mut task::Context<'_>) -> Poll<()> {
        self.workers.set_waker(wake.waker());
        if self.hook.is_none() {
            let workers = Arc::downgrade(&self.workers);
            self.hook = Some(self.context.on_cancel(move || {
                if let Some(workers) = workers.upgrade() {
                    workers.wake();
                }
            }));
        }
        if self.context.is_cancelled() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Cancels all that is in it, and has the task woken when its threads are gone.
    pub fn poll_end(&mut self, wake: &mut task::Context<'_>) -> Poll<()> {
        self.close();
        if !self.workers.is_gone_or_wake(wake.waker()) {
            return Poll::Pending;
        }
        // What was running has come back.
        drop(self.workers.finished());
        Poll::Ready(())
    }
}

impl<D: Download + 'static> Default for Pool<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Download> Pool<D> {
    fn close(&mut self) {
        self.context.cancel();
        self.workers.leave();
        self.ready.clear();
        self.alive = 0;
    }
}

impl<D: Download> Drop for Pool<D> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<D: Download> fmt::Debug for Pool<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("concurrency", &self.workers.counters().concurrency())
            .field("len", &self.alive)
            .finish_non_exhaustive()
    }
}
