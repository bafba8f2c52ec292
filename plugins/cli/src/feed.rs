//! Reading ahead on a thread, so that waiting for input can be interrupted.

use std::io;
use std::mem::take;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use std::vec::IntoIter;

use ganymede::{Context, Hook};
use parking_lot::{Condvar, Mutex};

/// How many items are read ahead, at most.
const AHEAD: usize = 256;

/// How many are worth waking for who has taken some a moment ago, and how long it waits for so many.
const MANY: usize = AHEAD / 2;
const MOMENT: Duration = Duration::from_millis(1);

/// The items of another iterator, which runs on a thread; it ends when the context is cancelled.
///
/// All that has been read is taken at once: waking a thread for each item would cost more than reading it. What is at
/// hand without waiting is the lower bound of the [size hint](Iterator::size_hint).
pub(crate) struct Feed<T> {
    shared: Arc<Shared<T>>,
    items: IntoIter<T>,
    /// When some were taken last.
    taken: Option<Instant>,
    _hook: Hook,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// There are items, or none will come any more.
    read: Condvar,
    /// There is room, or nobody wants items any more.
    taken: Condvar,
}

struct State<T> {
    items: Vec<T>,
    /// For how many is to be woken who waits for items.
    wanted: usize,
    ended: bool,
    stopped: bool,
}

impl<T: Send + 'static> Feed<T> {
    pub(crate) fn new(
        source: impl Iterator<Item = T> + Send + 'static,
        context: &Context,
    ) -> io::Result<Self> {
        let state = State { items: Vec::new(), wanted: 0, ended: false, stopped: false };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), read: Condvar::new(), taken: Condvar::new() });
        let (stopping, reading) = (Arc::clone(&shared), Arc::clone(&shared));
        let hook = context.on_cancel(move || stopping.stop());
        // Never joined: nobody can wake it when it waits for standard input.
        thread::Builder::new().name("ganymede-input".to_owned()).spawn(move || reading.fill(source))?;
        Ok(Self { shared, items: Vec::new().into_iter(), taken: None, _hook: hook })
    }
}

impl<T> Iterator for Feed<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if let Some(item) = self.items.next() {
            return Some(item);
        }
        let mut state = self.shared.state.lock();
        if let Some(taken) = self.taken {
            state.wanted = MANY;
            while state.is_short() && !self.shared.read.wait_until(&mut state, taken + MOMENT).timed_out() {}
        }
        state.wanted = 1;
        while state.is_short() {
            self.shared.read.wait(&mut state);
        }
        state.wanted = 0;
        self.taken = Some(Instant::now());
        self.items = match state.stopped {
            true => Vec::new().into_iter(),
            false => take(&mut state.items).into_iter(),
        };
        drop(state);
        self.shared.taken.notify_one();
        self.items.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.items.len(), None)
    }
}

impl<T> Drop for Feed<T> {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl<T> State<T> {
    /// Tells whether there are fewer items than are waited for, and more may come.
    fn is_short(&self) -> bool {
        self.items.len() < self.wanted && !self.ended && !self.stopped
    }
}

impl<T> Shared<T> {
    fn fill(&self, source: impl Iterator<Item = T>) {
        for item in source {
            let mut state = self.state.lock();
            while state.items.len() >= AHEAD && !state.stopped {
                self.taken.wait(&mut state);
            }
            if state.stopped {
                return;
            }
            state.items.push(item);
            let enough = state.items.len() == state.wanted;
            drop(state);
            if enough {
                self.read.notify_one();
            }
        }
        self.state.lock().ended = true;
        self.read.notify_one();
    }

    fn stop(&self) {
        self.state.lock().stopped = true;
        self.read.notify_one();
        self.taken.notify_one();
    }
}
