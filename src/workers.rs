//! The threads of a batch, and which download has a place on one.

use std::collections::VecDeque;
use std::io;
use std::mem::take;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::cancel::CancelToken;
use crate::context::Context;
use crate::counters::Counters;
use crate::download::Download;
use crate::error::DownloadError;
use crate::failure::{ErrorKind, Failure};
use crate::parking::{self, Seat};
use crate::plan::Plan;

/// The downloads of a batch between its caller and its threads.
pub(crate) struct Workers<D> {
    state: Mutex<State<D>>,
    /// There is something to do, or nothing more to come.
    work: Condvar,
    /// A place is free, for one who has waited and wants to go on.
    place: Condvar,
    /// Something is finished.
    finished: Condvar,
    counters: Arc<Counters>,
}

struct State<D> {
    queue: VecDeque<D>,
    finished: VecDeque<Plan<D>>,
    concurrency: usize,
    /// How many downloads have a place.
    active: usize,
    /// How many want theirs back: they come before the queue.
    returning: usize,
    /// How many threads have nothing to do.
    idle: usize,
    /// How many of them were called, and have not come yet.
    called: usize,
    /// How many threads are being started.
    starting: usize,
    threads: Vec<JoinHandle<()>>,
    hired: usize,
    waiting: bool,
    closed: bool,
}

impl<D> State<D> {
    /// Tells whether the first of the queue may begin: those who want to go on come before it.
    fn has_turn(&self) -> bool {
        !self.queue.is_empty() && self.active + self.returning < self.concurrency
    }
}

impl<D> Default for Workers<D> {
    fn default() -> Self {
        let state = State {
            queue: VecDeque::new(),
            finished: VecDeque::new(),
            concurrency: 8,
            active: 0,
            returning: 0,
            idle: 0,
            called: 0,
            starting: 0,
            threads: Vec::new(),
            hired: 0,
            waiting: false,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            place: Condvar::new(),
            finished: Condvar::new(),
            counters: Arc::default(),
        }
    }
}

impl<D> Workers<D> {
    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Returns how many downloads may have a place.
    pub(crate) fn concurrency(&self) -> usize {
        self.state.lock().concurrency
    }

    pub(crate) fn set_concurrency(&self, downloads: usize) {
        self.state.lock().concurrency = downloads;
    }

    /// Returns what is finished, if anything is.
    pub(crate) fn finished(&self) -> Option<Plan<D>> {
        self.state.lock().finished.pop_front()
    }

    /// Waits until something is finished.
    pub(crate) fn wait(&self) {
        let mut state = self.state.lock();
        state.waiting = true;
        while state.finished.is_empty() {
            self.finished.wait(&mut state);
        }
        state.waiting = false;
    }

    /// Ends what is not running, and waits for the threads; what runs was cancelled before.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        // They are the caller's, and may do anything when dropped: not under the lock.
        let left = (take(&mut state.queue), take(&mut state.finished));
        drop(state);
        self.work.notify_all();
        self.place.notify_all();
        loop {
            let thread = self.state.lock().threads.pop();
            let Some(thread) = thread else { break };
            // Its downloads cannot panic it; what else could was reported where it happened.
            let _ = thread.join();
        }
        drop(left);
    }
}

impl<D: Download + 'static> Workers<D> {
    /// Takes one more, to be run when it is its turn.
    pub(crate) fn enqueue(self: &Arc<Self>, download: D, context: &Context) {
        let mut state = self.state.lock();
        state.queue.push_back(download);
        let Err(error) = Self::hand_over(self, state, context) else { return };
        let mut state = self.state.lock();
        // Without a single thread, the download that needs it fails.
        if state.hired == 0
            && let Some(download) = state.queue.pop_back()
        {
            let failure = Failure::new(ErrorKind::Other, format!("cannot start a thread: {error}"));
            let result = Err(DownloadError::new(download.request().url(), failure));
            self.counters.refuse();
            state.finished.push_back(Plan::new(download, result));
        }
    }

    /// Hands a free place to who has a claim on it: who waits to go on, or the queue, on a thread that is idle or new.
    fn hand_over(
        workers: &Arc<Self>,
        mut state: MutexGuard<'_, State<D>>,
        context: &Context,
    ) -> io::Result<()> {
        if state.returning > 0 {
            workers.place.notify_one();
        }
        let free = state.concurrency.saturating_sub(state.active + state.returning);
        if state.closed || state.queue.len().min(free) <= state.called + state.starting {
            return Ok(());
        }
        if state.idle > state.called {
            state.called += 1;
            drop(state);
            workers.work.notify_one();
            return Ok(());
        }
        state.starting += 1;
        state.hired += 1;
        let name = format!("ganymede-{}", state.hired);
        drop(state);
        let (worker, context) = (Arc::clone(workers), context.clone());
        let spawned = Builder::new().name(name).spawn(move || Self::work(&worker, &context));
        let mut state = workers.state.lock();
        match spawned {
            Ok(thread) => state.threads.push(thread),
            Err(error) => {
                // Those there are do it, one after the other.
                state.starting -= 1;
                state.hired -= 1;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Runs downloads, one after the other, until there are no more. It never waits for the caller.
    fn work(workers: &Arc<Self>, context: &Context) {
        let worker = Worker { workers: Arc::clone(workers), context: context.clone() };
        let _seated = parking::sit(Rc::new(worker));
        let mut state = workers.state.lock();
        state.starting -= 1;
        loop {
            if state.has_turn()
                && let Some(mut download) = state.queue.pop_front()
            {
                state.active += 1;
                drop(state);
                workers.counters.start();
                let run = || download.run(context);
                let result = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
                    Err(DownloadError::new(download.request().url(), Failure::panicked(&*panic)))
                });
                workers.counters.end(&result);
                state = workers.state.lock();
                state.active -= 1;
                state.finished.push_back(Plan::new(download, result));
                if state.waiting {
                    workers.finished.notify_one();
                }
                if state.returning > 0 {
                    workers.place.notify_one();
                }
            } else if state.closed {
                return;
            } else {
                state.idle += 1;
                workers.work.wait(&mut state);
                state.idle -= 1;
                state.called = state.called.saturating_sub(1);
            }
        }
    }
}

/// The place of one thread of a batch.
struct Worker<D> {
    workers: Arc<Workers<D>>,
    context: Context,
}

impl<D: Download + 'static> Seat for Worker<D> {
    fn leave(&self) {
        let mut state = self.workers.state.lock();
        state.active -= 1;
        // If no thread can be started, this one goes on with the queue when it is back.
        let _ = Workers::hand_over(&self.workers, state, &self.context);
    }

    fn take_back(&self, token: &CancelToken) {
        let weak = Arc::downgrade(&self.workers);
        let _hook = token.on_cancel(move || {
            if let Some(workers) = weak.upgrade() {
                // Taken, so that a waiter between its look at the flag and its wait cannot miss this.
                drop(workers.state.lock());
                workers.place.notify_all();
            }
        });
        let mut state = self.workers.state.lock();
        state.returning += 1;
        while state.active >= state.concurrency && !state.closed && !token.is_cancelled() {
            self.workers.place.wait(&mut state);
        }
        state.returning -= 1;
        state.active += 1;
    }
}
