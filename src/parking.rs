//! Giving a place in a batch up while a download waits for something else than its source.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::cancel::CancelToken;

/// What a wait may last before it is worth another thread.
const SHORT: Duration = Duration::from_millis(20);

/// The same for something that is being made, and is so for all: who gives the place up to a download of a source that
/// then stalls gets none for long.
const MADE: Duration = Duration::from_millis(500);

/// The place of a thread among those that a batch keeps active.
pub(crate) trait Seat {
    /// Gives it to another download.
    fn leave(&self);

    /// Waits for one again, unless it is cancelled.
    fn take_back(&self, token: &CancelToken);

    /// Counts bytes that the download which has it has received, if anybody wants to know.
    fn received(&self, _bytes: u64) {}
}

thread_local! {
    static SEAT: RefCell<Option<Rc<dyn Seat>>> = const { RefCell::new(None) };
    static MAKING: Cell<bool> = const { Cell::new(false) };
    static WAITED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Keeps a thread seated, or not; dropping it restores what was before.
pub(crate) struct Seated(Option<Rc<dyn Seat>>);

impl Drop for Seated {
    fn drop(&mut self) {
        let seat = SEAT.replace(self.0.take());
        // It may hold the last of a room: not while it is borrowed.
        drop(seat);
    }
}

/// Seats this thread.
#[must_use]
pub(crate) fn sit(seat: Rc<dyn Seat>) -> Seated {
    Seated(SEAT.replace(Some(seat)))
}

/// Counts bytes that were received on this thread, if it is seated.
pub(crate) fn received(bytes: usize) {
    SEAT.with_borrow(|seat| {
        if let Some(seat) = seat {
            seat.received(bytes as u64);
        }
    });
}

/// Runs what others wait for: during a wait that ends by itself, this thread's place is kept.
///
/// If it gave the place up, they would have to wait until it has one again. A wait for other downloads gives it up all
/// the same: one of them may want it before it can go on.
pub(crate) fn making<T>(work: impl FnOnce() -> T) -> T {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            MAKING.set(self.0);
        }
    }
    let _before = Before(MAKING.replace(true));
    work()
}

/// Returns how long this thread has waited in all: for a part of it, the difference counts.
pub(crate) fn waited() -> Duration {
    WAITED.get()
}

/// A wait of this thread, which gives the place up once that is worth it, and takes one again when it is dropped.
///
/// It must not be dropped with a lock held that an active download may want.
pub(crate) struct Parking<'a> {
    token: &'a CancelToken,
    seat: Option<Rc<dyn Seat>>,
    begin: Instant,
    /// How long it may last with the place kept.
    patience: Duration,
    left: bool,
}

impl<'a> Parking<'a> {
    /// Begins a wait of an unknown length, for other downloads.
    pub(crate) fn new(token: &'a CancelToken) -> Self {
        Self { token, seat: SEAT.take(), begin: Instant::now(), patience: SHORT, left: false }
    }

    /// Begins a wait for what another download is making.
    pub(crate) fn made(token: &'a CancelToken) -> Self {
        let mut parking = Self::new(token);
        parking.patience = MADE;
        parking
    }

    /// Begins a wait of a known length.
    pub(crate) fn lasting(token: &'a CancelToken, length: Duration) -> Self {
        let mut parking = Self::new(token);
        if length > SHORT && !MAKING.get() {
            parking.leave();
        }
        parking
    }

    /// Gives the place up if the wait has become a long one, or returns when to look again whether it has.
    ///
    /// A wait that ends by itself is none for other downloads.
    pub(crate) fn look(&mut self, ends: bool, now: Instant) -> Option<Instant> {
        if self.left || self.seat.is_none() || ends && MAKING.get() {
            return None;
        }
        let due = self.begin + self.patience;
        if now < due {
            return Some(due);
        }
        self.leave();
        None
    }

    fn leave(&mut self) {
        if let Some(seat) = &self.seat {
            self.left = true;
            seat.leave();
        }
    }
}

impl Drop for Parking<'_> {
    fn drop(&mut self) {
        if let Some(seat) = self.seat.take() {
            if self.left {
                seat.take_back(self.token);
            }
            SEAT.set(Some(seat));
        }
        WAITED.set(WAITED.get().saturating_add(self.begin.elapsed()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Journal(RefCell<Vec<&'static str>>);

    impl Seat for Journal {
        fn leave(&self) {
            self.0.borrow_mut().push("left");
        }

        fn take_back(&self, _: &CancelToken) {
            self.0.borrow_mut().push("back");
        }

        fn received(&self, _: u64) {
            self.0.borrow_mut().push("received");
        }
    }

    #[test]
    fn a_long_wait_gives_the_place_up_and_a_short_or_inner_one_does_not() {
        let (journal, token) = (Rc::new(Journal::default()), CancelToken::new());
        let _seated = sit(Rc::clone(&journal) as Rc<dyn Seat>);
        drop(Parking::lasting(&token, SHORT));
        let mut wait = Parking::new(&token);
        assert_eq!(wait.look(false, wait.begin), Some(wait.begin + SHORT));
        assert!(journal.0.borrow().is_empty());
        assert_eq!(wait.look(false, wait.begin + SHORT), None);
        assert_eq!(wait.look(false, wait.begin + SHORT * 2), None);
        drop(Parking::lasting(&token, Duration::MAX));
        drop(wait);
        assert_eq!(*journal.0.borrow(), ["left", "back"]);
        let mut wait = Parking::made(&token);
        assert_eq!(wait.look(false, wait.begin + SHORT), Some(wait.begin + MADE));
        assert_eq!(wait.look(false, wait.begin + MADE), None);
        drop(wait);
        assert_eq!(journal.0.borrow().len(), 4);
    }

    #[test]
    fn who_makes_what_others_wait_for_gives_the_place_up_only_to_wait_for_others() {
        let (journal, token) = (Rc::new(Journal::default()), CancelToken::new());
        let _seated = sit(Rc::clone(&journal) as Rc<dyn Seat>);
        making(|| {
            drop(Parking::lasting(&token, Duration::MAX));
            let mut wait = Parking::new(&token);
            assert_eq!(wait.look(true, wait.begin + SHORT), None);
            assert!(journal.0.borrow().is_empty());
            assert_eq!(wait.look(false, wait.begin + SHORT), None);
            drop(wait);
            assert_eq!(*journal.0.borrow(), ["left", "back"]);
        });
        drop(Parking::lasting(&token, Duration::MAX));
        assert_eq!(journal.0.borrow().len(), 4);
    }
}
