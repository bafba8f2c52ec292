//! A gate at which replies wait until the test opens it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::process::PATIENCE;

/// Holds replies back until the test opens it, so that tests wait for events instead of sleeping.
///
/// Clones are the same gate. Once open it stays open.
///
/// ```no_run
/// use ganymede_kit::{Gate, Origin, Reply};
///
/// let gate = Gate::new();
/// let origin = Origin::start();
/// origin.on("/file", Reply::ok("hello").gate(&gate));
/// // .. start four downloads of it on other threads ..
/// gate.wait_arrived(4);
/// gate.open();
/// ```
#[derive(Clone, Debug, Default)]
pub struct Gate {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    standing: usize,
}

impl Gate {
    /// Makes a closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens the gate for good: all who stand at it go on, and all who come later.
    pub fn open(&self) {
        self.state().open = true;
        self.inner.changed.notify_all();
    }

    /// The number of requests that stand at the gate now.
    #[must_use]
    pub fn standing(&self) -> usize {
        self.state().standing
    }

    /// Waits until at least `count` requests stand at the gate at once.
    ///
    /// # Panics
    /// When that takes longer than [`PATIENCE`].
    pub fn wait_arrived(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state();
        while state.standing < count {
            let left = deadline.saturating_duration_since(Instant::now());
            let standing = state.standing;
            assert!(
                !left.is_zero(),
                "waited {PATIENCE:?} for {count} requests at a gate, {standing} stand there"
            );
            state = self.inner.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the gate is open, asking now and then whether waiting is still of use; false if it is not.
    pub(crate) fn pass(&self, mut abandoned: impl FnMut() -> bool) -> bool {
        let mut state = self.state();
        state.standing += 1;
        self.inner.changed.notify_all();
        while !state.open && !abandoned() {
            state = self.inner.changed.wait_timeout(state, GLANCE).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.standing -= 1;
        state.open
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often a waiting reply looks whether its client is still there.
pub(crate) const GLANCE: Duration = Duration::from_millis(10);
