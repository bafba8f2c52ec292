//! The threads of a batch, and which download has a place on one.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::mem::take;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::adaptive::{Adaptive, Sample};
use crate::cancel::CancelToken;
use crate::context::Context;
use crate::counters::Counters;
use crate::download::Download;
use crate::error::DownloadError;
use crate::failure::{ErrorKind, Failure};
use crate::parking::{self, Seat};
use crate::plan::Plan;

/// How long a caller that is quick to come back is left alone at least, while there is enough to do without it.
const REST: Duration = Duration::from_millis(1);

/// How often it is looked what running downloads receive, if that matters.
const LOOK: Duration = Duration::from_millis(100);

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
    /// What changes that while downloads run, if anything does.
    adaptive: Option<Adaptive>,
    /// How many downloads have come to an end that took their source some work.
    done: u64,
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
    /// How many of them have ended.
    gone: usize,
    caller: Caller,
    /// Who is to be woken when something is finished, or the last thread is gone, in place of a caller that waits.
    waker: Option<Waker>,
    closed: bool,
}

/// What the caller does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// Something else, since this moment.
    Busy(Option<Instant>),
    /// It is to be woken when it has to provide for more.
    Resting,
    /// It is to be woken when anything is finished.
    Waiting,
}

impl<D> State<D> {
    /// Tells whether the first of the queue may begin: those who want to go on come before it.
    fn has_turn(&self) -> bool {
        !self.queue.is_empty() && self.active + self.returning < self.concurrency
    }

    /// Tells whether there is soon nothing to do unless the caller comes.
    fn is_low(&self) -> bool {
        self.queue.len() <= self.active
    }

    /// Looks how things stand, and has as many run at a time as is best; true if these are more than before.
    fn adapt(&mut self, counters: &Counters, context: &Context) -> bool {
        let Some(adaptive) = &mut self.adaptive else { return false };
        let before = self.concurrency;
        let sample = Sample {
            received: counters.received(),
            done: self.done,
            congestions: context.congestions(),
            active: self.active,
            starved: self.queue.is_empty() && self.active + self.returning < before,
        };
        self.concurrency = adaptive.sample(Instant::now(), sample);
        if self.concurrency != before {
            counters.set_concurrency(self.concurrency);
            tracing::debug!(concurrency = self.concurrency, "adapted");
        }
        self.concurrency > before
    }
}

impl<D> Default for Workers<D> {
    fn default() -> Self {
        let state = State {
            queue: VecDeque::new(),
            finished: VecDeque::new(),
            concurrency: 0,
            adaptive: None,
            done: 0,
            active: 0,
            returning: 0,
            idle: 0,
            called: 0,
            starting: 0,
            threads: Vec::new(),
            hired: 0,
            gone: 0,
            caller: Caller::Busy(None),
            waker: None,
            closed: false,
        };
        let workers = Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            place: Condvar::new(),
            finished: Condvar::new(),
            counters: Arc::default(),
        };
        workers.set_concurrency(8);
        workers
    }
}

impl<D> Workers<D> {
    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    pub(crate) fn set_concurrency(&self, downloads: usize) {
        let mut state = self.state.lock();
        state.adaptive = None;
        state.concurrency = downloads;
        self.counters.set_concurrency(downloads);
    }

    /// Lets the number of downloads at a time change, up to `most`.
    pub(crate) fn adapt(&self, most: usize) {
        let adaptive = Adaptive::new(most);
        self.set_concurrency(adaptive.concurrency());
        self.state.lock().adaptive = Some(adaptive);
    }

    /// Returns all that is finished.
    pub(crate) fn finished(&self) -> VecDeque<Plan<D>> {
        take(&mut self.state.lock().finished)
    }

    /// Sets the task that is woken next.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        self.state.lock().waker = Some(waker.clone());
    }

    /// Wakes the task that waits, if one does.
    pub(crate) fn wake(&self) {
        wake(&mut self.state.lock());
    }

    /// Returns all that is finished; if nothing is, wakes a task when something is.
    pub(crate) fn finished_or_wake(&self, waker: &Waker) -> VecDeque<Plan<D>> {
        let mut state = self.state.lock();
        if state.finished.is_empty() {
            state.waker = Some(waker.clone());
        }
        take(&mut state.finished)
    }

    /// Tells whether all threads have ended after [`leave`](Self::leave); if not, wakes a task when they have.
    pub(crate) fn is_gone_or_wake(&self, waker: &Waker) -> bool {
        let mut state = self.state.lock();
        let gone = state.gone == state.hired;
        if !gone {
            state.waker = Some(waker.clone());
        }
        gone
    }

    /// Ends what is not running, and waits for nothing; what runs was cancelled before.
    pub(crate) fn leave(&self) {
        drop(self.close());
        self.state.lock().threads.clear();
    }

    /// Ends what is not running, and waits for the threads; what runs was cancelled before.
    pub(crate) fn end(&self) {
        let left = self.close();
        loop {
            let thread = self.state.lock().threads.pop();
            let Some(thread) = thread else { break };
            // Its downloads cannot panic it; what else could was reported where it happened.
            let _ = thread.join();
        }
        drop(left);
    }

    /// Returns what was not run or handed out: it is the caller's, and may do anything when dropped.
    fn close(&self) -> (VecDeque<D>, VecDeque<Plan<D>>) {
        let mut state = self.state.lock();
        state.closed = true;
        let left = (take(&mut state.queue), take(&mut state.finished));
        drop(state);
        self.work.notify_all();
        self.place.notify_all();
        left
    }
}

impl<D: Download + 'static> Workers<D> {
    /// Waits until something is finished, and returns all of it.
    ///
    /// To wake a thread costs as much as a small download. So a caller that comes back at once is not woken again for
    /// each, but when some are finished, or little is left to do: within [`REST`] in any case.
    pub(crate) fn wait(workers: &Arc<Self>, context: &Context) -> VecDeque<Plan<D>> {
        let mut state = workers.state.lock();
        if let Caller::Busy(Some(since)) = state.caller {
            let rested = since + REST;
            state.caller = Caller::Resting;
            while state.finished.is_empty() || !state.is_low() {
                if workers.finished.wait_until(&mut state, rested).timed_out() {
                    break;
                }
            }
        }
        state.caller = Caller::Waiting;
        while state.finished.is_empty() {
            if state.adaptive.is_none() {
                workers.finished.wait(&mut state);
            } else if workers.finished.wait_for(&mut state, LOOK).timed_out()
                && state.adapt(&workers.counters, context)
            {
                workers.place.notify_all();
                // If no thread can be started, those there are go on.
                let _ = Self::staff(workers, state, context);
                state = workers.state.lock();
            }
        }
        state.caller = Caller::Busy(Some(Instant::now()));
        take(&mut state.finished)
    }

    /// Takes one more, to be run when it is its turn.
    pub(crate) fn enqueue(workers: &Arc<Self>, download: D, context: &Context) {
        let mut state = workers.state.lock();
        state.queue.push_back(download);
        let Err(error) = Self::staff(workers, state, context) else { return };
        let mut state = workers.state.lock();
        // Without a single thread, the download that needs it fails.
        if state.hired == 0
            && let Some(download) = state.queue.pop_back()
        {
            let failure = Failure::new(ErrorKind::Other, format!("cannot start a thread: {error}"));
            let result = Err(DownloadError::new(download.request().url(), failure));
            workers.counters.refuse();
            state.finished.push_back(Plan::new(download, result));
            wake(&mut state);
        }
    }

    /// Gets a thread for the first of the queue if it may begin: one that is idle, or a new one.
    ///
    /// Who comes gets the next one, so that one is under way at a time, and the others are not woken for what it does.
    fn staff(workers: &Arc<Self>, mut state: MutexGuard<'_, State<D>>, context: &Context) -> io::Result<()> {
        if state.closed || !state.has_turn() || state.called + state.starting > 0 {
            return Ok(());
        }
        if state.idle > 0 {
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
        let received = Cell::new(0);
        let worker = Rc::new(Worker { workers: Arc::clone(workers), context: context.clone(), received });
        let _seated = parking::sit(Rc::clone(&worker) as Rc<dyn Seat>);
        let mut state = workers.state.lock();
        state.starting -= 1;
        loop {
            if state.has_turn()
                && let Some(download) = state.queue.pop_front()
            {
                state.active += 1;
                // If no thread can be started, those there are go on.
                let _ = Self::staff(workers, state, context);
                let plan = worker.run(download);
                state = workers.state.lock();
                state.active -= 1;
                state.done += u64::from(plan.result().err().is_none_or(|error| !error.is_transient()));
                state.finished.push_back(plan);
                if state.caller == Caller::Waiting || state.caller == Caller::Resting && state.is_low() {
                    workers.finished.notify_one();
                }
                if state.adapt(&workers.counters, context) {
                    workers.place.notify_all();
                } else if state.returning > 0 {
                    workers.place.notify_one();
                }
                wake(&mut state);
            } else if state.closed {
                state.gone += 1;
                return wake(&mut state);
            } else {
                state.idle += 1;
                workers.work.wait(&mut state);
                state.idle -= 1;
                state.called = state.called.saturating_sub(1);
            }
        }
    }
}

/// Wakes the task that waits, if one does: without the lock, since it may be dropped by that, and the pool with it.
fn wake<D>(state: &mut MutexGuard<'_, State<D>>) {
    if let Some(waker) = state.waker.take() {
        MutexGuard::unlocked(state, || waker.wake());
    }
}

/// The place of one thread of a batch.
struct Worker<D> {
    workers: Arc<Workers<D>>,
    context: Context,
    /// How many bytes its download has received.
    received: Cell<u64>,
}

impl<D: Download> Worker<D> {
    fn run(&self, mut download: D) -> Plan<D> {
        let counters = &self.workers.counters;
        counters.start();
        self.received.set(0);
        let run = || download.run(&self.context);
        let result = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
            Err(DownloadError::new(download.request().url(), Failure::panicked(&*panic)))
        });
        // One of another kind says what it has received when it has ended.
        if let (Ok(receipt), 0) = (&result, self.received.get()) {
            counters.receive(receipt.facts().size());
        }
        counters.end(&result);
        Plan::new(download, result)
    }
}

impl<D: Download + 'static> Seat for Worker<D> {
    fn leave(&self) {
        let mut state = self.workers.state.lock();
        state.active -= 1;
        if state.returning > 0 {
            self.workers.place.notify_one();
        }
        // If no thread can be started, this one goes on with the queue when it is back.
        let _ = Workers::staff(&self.workers, state, &self.context);
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

    fn received(&self, bytes: u64) {
        self.received.set(self.received.get() + bytes);
        self.workers.counters.receive(bytes);
    }
}
