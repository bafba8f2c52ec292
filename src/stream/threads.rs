//! The threads that streams run on.

use std::io;
use std::mem::take;
use std::sync::{Arc, Weak};
use std::thread::Builder;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::context::{Context, SlotKey};

/// How long a thread waits for another stream.
const IDLE: Duration = Duration::from_secs(1);

/// What a thread runs; it does not panic.
type Job = Box<dyn FnOnce() + Send>;

/// The threads of a context that have run a stream and wait for another: for a small one, starting a thread would be
/// most of the work.
#[derive(Default)]
pub(super) struct Threads(Mutex<Vec<Arc<Post>>>);

/// Where a thread waits for a job. It goes to sleep at once: looking again and again, as channels do, takes the time of
/// those who have something to do.
#[derive(Default)]
struct Post {
    order: Mutex<Order>,
    ordered: Condvar,
}

#[derive(Default)]
enum Order {
    #[default]
    Wait,
    Run(Job),
    /// Nobody is there to give one.
    Leave,
}

impl Post {
    fn give(&self, order: Order) {
        *self.order.lock() = order;
        self.ordered.notify_one();
    }

    /// Waits for a job for so long, or for as long as it takes.
    fn wait(&self, time: Option<Duration>) -> Order {
        let mut order = self.order.lock();
        while matches!(*order, Order::Wait) {
            match time {
                None => self.ordered.wait(&mut order),
                Some(time) => {
                    if self.ordered.wait_for(&mut order, time).timed_out() {
                        break;
                    }
                }
            }
        }
        take(&mut *order)
    }
}

#[derive(PartialEq, Eq, Hash)]
struct Key;

impl SlotKey for Key {
    type Value = Threads;
}

impl Threads {
    /// Returns those of a context.
    pub(super) fn of(context: &Context) -> Arc<Self> {
        // In one that is cancelled, the stream ends anyway.
        context.slot(Key, |_| Ok(Self::default())).unwrap_or_default()
    }

    /// Runs a job on a thread that waits, or on a new one.
    pub(super) fn run(self: &Arc<Self>, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let job: Job = Box::new(job);
        // The last to wait is the first to go on.
        let waiting = self.0.lock().pop();
        if let Some(post) = waiting {
            post.give(Order::Run(job));
            return Ok(());
        }
        let threads = Arc::downgrade(self);
        Builder::new().name("ganymede-stream".to_owned()).spawn(move || work(job, &threads)).map(drop)
    }

    /// Takes a thread from those that wait; false if somebody else has.
    fn strike(&self, post: &Arc<Post>) -> bool {
        let mut waiting = self.0.lock();
        let before = waiting.len();
        waiting.retain(|other| !Arc::ptr_eq(other, post));
        waiting.len() < before
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.get_mut().drain(..).for_each(|post| post.give(Order::Leave));
    }
}

/// Runs a job, and all that come before it has waited for too long.
fn work(job: Job, threads: &Weak<Threads>) {
    let (mut job, post) = (job, Arc::new(Post::default()));
    loop {
        job();
        let Some(waiting) = threads.upgrade() else { return };
        waiting.0.lock().push(Arc::clone(&post));
        drop(waiting);
        let mut next = post.wait(Some(IDLE));
        if matches!(next, Order::Wait) {
            match threads.upgrade() {
                Some(threads) if threads.strike(&post) => return,
                // Somebody is about to give it one, or to have it leave.
                _ => next = post.wait(None),
            }
        }
        let Order::Run(next) = next else { return };
        job = next;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::cell::RefCell;
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::thread::{self, ThreadId};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Runs a job, and returns its thread once that waits for another one.
    fn run(threads: &Arc<Threads>) -> ThreadId {
        let (sender, receiver) = channel();
        let before = threads.0.lock().len();
        threads.run(move || sender.send(thread::current().id()).unwrap()).unwrap();
        let thread = receiver.recv_timeout(PATIENCE).unwrap();
        while threads.0.lock().len() < before.max(1) {
            thread::yield_now();
        }
        thread
    }

    #[test]
    fn one_thread_runs_what_comes_one_after_the_other_and_several_what_comes_at_once() {
        let context = Context::new();
        let threads = Threads::of(&context.child());
        let first = run(&threads);
        assert_eq!([(); 50].map(|()| run(&Threads::of(&context))), [first; 50]);
        let (go, gate) = channel::<()>();
        threads.run(move || while gate.recv().is_ok() {}).unwrap();
        assert_ne!(run(&threads), first);
        drop(go);
    }

    #[test]
    fn a_thread_that_waits_for_too_long_ends_and_so_do_all_with_their_context() {
        let threads = Threads::of(&Context::new());
        let first = run(&threads);
        while !threads.0.lock().is_empty() {
            thread::yield_now();
        }
        assert_ne!(run(&threads), first);
        let (last, ended) = channel::<()>();
        threads.run(move || LAST.with(|one| drop(one.replace(Some(last))))).unwrap();
        drop(threads);
        assert_eq!(ended.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
    }

    thread_local! {
        /// What is dropped with the thread.
        static LAST: RefCell<Option<std::sync::mpsc::Sender<()>>> = const { RefCell::new(None) };
    }
}
