//! The threads that streams run on.

use std::io;
use std::sync::{Arc, Weak};
use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, SendError, Sender, bounded};
use parking_lot::Mutex;

use crate::context::{Context, SlotKey};

/// How long a thread waits for another stream.
const IDLE: Duration = Duration::from_secs(1);

/// What a thread runs; it does not panic.
type Job = Box<dyn FnOnce() + Send>;

/// The threads of a context that have run a stream and wait for another: for a small one, starting a thread would be
/// most of the work.
#[derive(Default)]
pub(super) struct Threads(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// The last to wait is the first to go on.
    threads: Vec<(u64, Sender<Job>)>,
    next: u64,
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
        let mut job: Job = Box::new(job);
        let waiting = self.0.lock().threads.pop();
        if let Some((_, thread)) = waiting {
            match thread.send(job) {
                Ok(()) => return Ok(()),
                Err(SendError(unsent)) => job = unsent,
            }
        }
        let threads = Arc::downgrade(self);
        Builder::new().name("ganymede-stream".to_owned()).spawn(move || work(job, &threads)).map(drop)
    }

    fn enlist(&self, thread: Sender<Job>) -> u64 {
        let mut waiting = self.0.lock();
        let number = waiting.next;
        waiting.next += 1;
        waiting.threads.push((number, thread));
        number
    }

    /// Takes a thread from the list; false if somebody else has.
    fn strike(&self, number: u64) -> bool {
        let mut waiting = self.0.lock();
        let before = waiting.threads.len();
        waiting.threads.retain(|(other, _)| *other != number);
        waiting.threads.len() < before
    }
}

/// Runs a job, and all that come before it has waited for too long.
fn work(job: Job, threads: &Weak<Threads>) {
    let mut job = job;
    loop {
        job();
        let (sender, receiver) = bounded(1);
        let Some(number) = threads.upgrade().map(|threads| threads.enlist(sender)) else { return };
        let next = match receiver.recv_timeout(IDLE) {
            Err(RecvTimeoutError::Timeout) => match threads.upgrade() {
                Some(threads) if !threads.strike(number) => receiver.recv().ok(),
                _ => return,
            },
            next => next.ok(),
        };
        // With nobody to send one, the context is gone.
        let Some(next) = next else { return };
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
        let before = threads.0.lock().next;
        threads.run(move || sender.send(thread::current().id()).unwrap()).unwrap();
        let thread = receiver.recv_timeout(PATIENCE).unwrap();
        while threads.0.lock().next == before {
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
        while !threads.0.lock().threads.is_empty() {
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
