//! Who stops a download on time that is over its deadline or too slow, whatever its protocol waits for.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufRead};
use std::sync::Arc;
use std::thread::{self, Builder, JoinHandle};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::cancel::CancelToken;
use crate::context::Context;
use crate::failure::{ErrorKind, Failure};
use crate::limits::spoken;
use crate::pace::{MinSpeed, Pace};

/// The watchdog of a room: a thread that is started with the first download to watch and ends with the room.
#[derive(Default)]
pub(crate) struct Watchdog {
    kennel: Arc<Kennel>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Kennel {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    watched: HashMap<u64, Arc<Watched>>,
    next: u64,
    /// When the thread looks again; `None` while it waits to be called.
    due: Option<Instant>,
    ended: bool,
}

struct Watched {
    token: CancelToken,
    deadline: Option<Instant>,
    speed: Option<MinSpeed>,
    pace: Mutex<Option<Pace>>,
    verdict: Mutex<Option<Failure>>,
}

/// One attempt that is watched, until this is dropped.
pub(crate) struct Watch {
    kennel: Arc<Kennel>,
    id: u64,
    watched: Arc<Watched>,
    context: Context,
}

impl Watchdog {
    /// Watches an attempt that runs in a child of this context; without a deadline and a least speed there is nothing
    /// to watch.
    pub(crate) fn watch(
        &self,
        context: &Context,
        deadline: Option<Instant>,
        speed: Option<MinSpeed>,
    ) -> Result<Option<Watch>, Failure> {
        if deadline.is_none() && speed.is_none() {
            return Ok(None);
        }
        self.start()?;
        let context = context.child();
        let (token, pace, verdict) = (context.token().clone(), Mutex::default(), Mutex::default());
        let watched = Arc::new(Watched { token, deadline, speed, pace, verdict });
        let mut state = self.kennel.state.lock();
        let id = state.next;
        state.next += 1;
        state.watched.insert(id, Arc::clone(&watched));
        drop(state);
        let watch = Watch { kennel: Arc::clone(&self.kennel), id, watched, context };
        watch.kennel.expect(deadline);
        Ok(Some(watch))
    }

    fn start(&self) -> Result<(), Failure> {
        let mut thread = self.thread.lock();
        if thread.is_none() {
            let kennel = Arc::clone(&self.kennel);
            let builder = Builder::new().name("ganymede-watch".to_owned());
            let started = builder.spawn(move || kennel.guard());
            *thread = Some(started.map_err(|error| {
                Failure::new(ErrorKind::Other, format!("cannot start the thread of the watchdog: {error}"))
            })?);
        }
        Ok(())
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.kennel.state.lock().ended = true;
        self.kennel.changed.notify_all();
        if let Some(own) = self.thread.get_mut().take()
            // What it cancelled last may have held the last context of the room.
            && own.thread().id() != thread::current().id()
        {
            // A panic of that thread was reported where it happened.
            let _ = own.join();
        }
    }
}

impl Kennel {
    fn guard(&self) {
        let mut state = self.state.lock();
        while !state.ended {
            let now = Instant::now();
            let (mut next, mut over) = (None, Vec::new());
            for watched in state.watched.values() {
                match watched.look(now) {
                    Look::Over(failure) => over.push((Arc::clone(watched), failure)),
                    Look::Again(due) => next = [next, due].into_iter().flatten().min(),
                }
            }
            state.due = next;
            if !over.is_empty() {
                drop(state);
                for (watched, failure) in over {
                    watched.verdict.lock().get_or_insert(failure);
                    watched.token.cancel();
                }
                state = self.state.lock();
                continue;
            }
            match state.due {
                Some(due) => drop(self.changed.wait_until(&mut state, due)),
                None => self.changed.wait(&mut state),
            }
        }
    }

    /// Makes the thread look at this moment at the latest.
    fn expect(&self, due: Option<Instant>) {
        let Some(due) = due else { return };
        let mut state = self.state.lock();
        if state.due.is_none_or(|planned| due < planned) {
            state.due = Some(due);
            drop(state);
            self.changed.notify_one();
        }
    }
}

impl Context {
    /// Runs what may wait for others in a child that is cancelled at the deadline, which is then why it failed.
    ///
    /// What it returns, such as a reply, is not cancelled any more.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use ganymede::{Context, ErrorKind};
    ///
    /// let soon = Instant::now() + Duration::from_millis(1);
    /// let ended = Context::new().until(Some(soon), |context| context.sleep(Duration::from_secs(60)));
    /// assert!(matches!(ended.unwrap_err().kind(), ErrorKind::Timeout));
    /// ```
    ///
    /// # Errors
    /// What `work` returned, or [`ErrorKind::Timeout`] when the deadline has stopped it.
    pub fn until<T>(
        &self,
        deadline: Option<Instant>,
        work: impl FnOnce(&Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let Some(watch) = self.watch(deadline, None)? else { return work(self) };
        work(watch.context()).map_err(|failure| match watch.verdict() {
            Some(verdict) if !self.is_cancelled() => verdict,
            _ => failure,
        })
    }
}

enum Look {
    Over(Failure),
    Again(Option<Instant>),
}

impl Watched {
    fn look(&self, now: Instant) -> Look {
        if self.token.is_cancelled() {
            return Look::Again(None);
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            let passed = Failure::new(ErrorKind::Timeout, "the deadline has passed");
            return Look::Over(passed.transient(false));
        }
        let due = match (&mut *self.pace.lock(), self.speed) {
            (Some(pace), Some(speed)) => match pace.slow_at(now) {
                due if due <= now => return Look::Over(too_slow(speed)),
                due => Some(due),
            },
            _ => None,
        };
        Look::Again([self.deadline, due].into_iter().flatten().min())
    }
}

fn too_slow(speed: MinSpeed) -> Failure {
    let (least, over) = (speed.bytes_per_second, spoken(speed.over));
    let message = format!("slower than {least} bytes a second over the last {over}");
    Failure::new(ErrorKind::Timeout, message)
}

impl Watch {
    /// Returns the context of the attempt, which is cancelled when it is over.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// Returns why it was stopped, if it was.
    pub(crate) fn verdict(&self) -> Option<Failure> {
        self.watched.verdict.lock().clone()
    }

    /// Waits for the next block of a body: that alone is time in which the source may be too slow.
    pub(crate) fn fill<'b>(&self, body: &'b mut (dyn BufRead + Send)) -> io::Result<&'b [u8]> {
        let Some(speed) = self.watched.speed else { return body.fill_buf() };
        self.begin(speed);
        let filled = body.fill_buf();
        let length = filled.as_ref().map_or(0, |block| block.len());
        if let Some(pace) = &mut *self.watched.pace.lock() {
            pace.receive(length as u64, Instant::now());
        }
        filled
    }

    fn begin(&self, speed: MinSpeed) {
        let now = Instant::now();
        let mut pace = self.watched.pace.lock();
        if let Some(pace) = &mut *pace {
            pace.wait(now);
            return;
        }
        let begun = pace.insert(Pace::new(speed));
        begun.wait(now);
        let due = begun.slow_at(now);
        drop(pace);
        self.kennel.expect(Some(due));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let watched = self.kennel.state.lock().watched.remove(&self.id);
        // It may hold what a hook of its token does: not under the lock.
        drop(watched);
    }
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog").finish_non_exhaustive()
    }
}
