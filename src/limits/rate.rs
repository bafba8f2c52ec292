//! How many bytes a second may be received.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::context::Context;
use crate::failure::Failure;
use crate::request::Request;

/// How much of the time that was not made use of may be caught up with.
const BURST: Duration = Duration::from_millis(100);

/// A budget of bytes a second: the generic cell rate algorithm, which is a clock that is set forward by what is spent.
#[derive(Debug)]
pub(super) struct Rate {
    bytes_per_second: u64,
    /// When all that was spent is earned.
    free: Instant,
}

impl Rate {
    pub(super) fn new(bytes_per_second: u64, now: Instant) -> Self {
        Self { bytes_per_second, free: now }
    }

    /// Spends some bytes, and returns how long to wait until they are earned.
    pub(super) fn spend(&mut self, bytes: u64, now: Instant) -> Duration {
        let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second.max(1));
        let cost = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let free = self.free.max(earliest);
        self.free = free.checked_add(cost).unwrap_or(free);
        self.free.saturating_duration_since(now)
    }

    /// Tells whether nothing of it is spent.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.free <= now
    }
}

/// What one body spends from: the budgets of its host and of all.
pub(crate) struct Meter(pub(super) Vec<Arc<Mutex<Rate>>>);

impl Meter {
    /// Spends what was received, and waits until that is earned or the deadline has come.
    ///
    /// Who waits for that keeps its place in a batch: with more downloads none would be faster.
    pub(crate) fn spend(&self, bytes: usize, request: &Request, context: &Context) -> Result<(), Failure> {
        let now = Instant::now();
        let waits = self.0.iter().map(|rate| rate.lock().spend(bytes as u64, now));
        let wait = waits.max().unwrap_or_default();
        if wait.is_zero() {
            return Ok(());
        }
        let left = request.deadline().map(|deadline| deadline.saturating_duration_since(now));
        context.stay(left.map_or(wait, |left| left.min(wait)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_spent_is_waited_for() {
        let start = Instant::now();
        let mut rate = Rate::new(1_000, start);
        assert_eq!(rate.spend(500, start), SECOND / 2);
        assert_eq!(rate.spend(500, start), SECOND);
        assert_eq!(rate.spend(250, start + SECOND), SECOND / 4);
        assert!(!rate.is_idle(start + SECOND) && rate.is_idle(start + SECOND * 2));
    }

    #[test]
    fn of_the_time_that_was_not_used_only_a_burst_is_caught_up_with() {
        let start = Instant::now();
        let mut rate = Rate::new(1_000, start);
        let later = start + SECOND * 3_600;
        assert_eq!(rate.spend(100, later), Duration::ZERO);
        assert_eq!(rate.spend(100, later), SECOND / 10);
    }

    #[test]
    fn in_the_long_run_it_is_the_rate_whatever_the_blocks() {
        let start = Instant::now();
        let (mut rate, mut now, mut bytes) = (Rate::new(10_000, start), start, 0);
        for block in [1, 7, 65_536, 100, 9_999].into_iter().cycle().take(500) {
            bytes += block;
            now += rate.spend(block, now);
        }
        let exact = Duration::from_millis(bytes / 10);
        let taken = now - start;
        assert!(taken + BURST >= exact && taken <= exact + Duration::from_millis(2), "{taken:?}, {exact:?}");
    }

    #[test]
    fn no_number_of_bytes_is_too_large_for_it() {
        let start = Instant::now();
        let mut rate = Rate::new(1, start);
        for _ in 0..3 {
            rate.spend(u64::MAX, start);
        }
    }
}
