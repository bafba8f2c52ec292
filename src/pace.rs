//! How fast a source has been lately.

use std::time::{Duration, Instant};

/// The least speed of a download, over a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MinSpeed {
    pub(crate) bytes_per_second: u64,
    pub(crate) over: Duration,
}

/// In how many steps the time is divided over which the speed is measured.
const STEPS: usize = 16;

/// The shortest time after which it is worth looking again, and the shortest step.
const GLANCE: Duration = Duration::from_millis(10);

/// The bytes of the last while, in which only the time counts that was spent waiting for the source.
#[derive(Debug)]
pub(crate) struct Pace {
    step: Duration,
    /// How many bytes are enough.
    enough: u128,
    /// What came in each step, the one under way first.
    steps: [u64; STEPS + 1],
    /// How many of them have ended, since the beginning.
    ended: usize,
    /// How far the one under way is.
    spent: Duration,
    waiting: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(speed: MinSpeed) -> Self {
        let step = (speed.over / 16).max(GLANCE);
        let over = step * 16;
        let enough = (u128::from(speed.bytes_per_second) * over.as_millis()).div_ceil(1_000);
        Self { step, enough, steps: [0; STEPS + 1], ended: 0, spent: Duration::ZERO, waiting: None }
    }

    /// The source is waited for from now on.
    pub(crate) fn wait(&mut self, now: Instant) {
        self.waiting.get_or_insert(now);
    }

    /// The source has sent something, and is not waited for until that is dealt with.
    pub(crate) fn receive(&mut self, bytes: u64, now: Instant) {
        self.count(now);
        self.waiting = None;
        self.steps[0] = self.steps[0].saturating_add(bytes);
    }

    /// Returns when it is too slow if nothing comes; that is now, if it is already.
    pub(crate) fn slow_at(&mut self, now: Instant) -> Instant {
        self.count(now);
        let mut sum: u128 = self.steps.iter().map(|bytes| u128::from(*bytes)).sum();
        let mut time = Duration::ZERO;
        // With each step that ends, the oldest is out.
        for (turn, oldest) in self.steps.iter().rev().enumerate() {
            if self.ended + turn >= STEPS && sum < self.enough {
                break;
            }
            sum -= u128::from(*oldest);
            time += self.step;
        }
        if time.is_zero() {
            return now;
        }
        // Who does something else may be back at any time, but need not.
        let least = if self.waiting.is_some() { GLANCE } else { self.step };
        now + time.saturating_sub(self.spent).max(least)
    }

    /// Counts the time since the source is waited for.
    fn count(&mut self, now: Instant) {
        let Some(since) = self.waiting.replace(now) else {
            self.waiting = None;
            return;
        };
        self.spent += now.saturating_duration_since(since);
        // What is longer ago than all steps does not matter.
        self.spent = self.spent.min(self.step * 18);
        while self.spent >= self.step {
            self.spent -= self.step;
            self.steps.rotate_right(1);
            self.steps[0] = 0;
            self.ended = self.ended.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace(start: Instant) -> Pace {
        let mut pace = Pace::new(MinSpeed { bytes_per_second: 1_000, over: SECOND * 16 });
        pace.wait(start);
        pace
    }

    #[test]
    fn a_source_that_sends_nothing_is_too_slow_when_the_time_is_over_and_not_before() {
        let start = Instant::now();
        let mut pace = pace(start);
        assert_eq!(pace.slow_at(start), start + SECOND * 16);
        assert_eq!(pace.slow_at(start + SECOND * 15), start + SECOND * 16);
        assert_eq!(pace.slow_at(start + SECOND * 16), start + SECOND * 16);
        assert_eq!(pace.slow_at(start + SECOND * 900), start + SECOND * 900);
    }

    #[test]
    fn a_source_that_is_fast_enough_never_is_too_slow_and_one_that_is_slower_is() {
        for (bytes, slow) in [(1_100, false), (900, true)] {
            let start = Instant::now();
            let (mut pace, mut now) = (pace(start), start);
            let mut found = false;
            for _ in 0..100 {
                now += SECOND;
                found |= pace.slow_at(now) <= now;
                pace.receive(bytes, now);
                pace.wait(now);
            }
            assert_eq!(found, slow, "{bytes}");
        }
    }

    #[test]
    fn what_came_at_once_is_enough_for_a_while_and_then_no_more() {
        let start = Instant::now();
        let mut pace = pace(start);
        pace.receive(16_000, start);
        pace.wait(start);
        let due = pace.slow_at(start);
        assert_eq!(due, start + SECOND * 17);
        assert_eq!(pace.slow_at(due), due);
    }

    #[test]
    fn time_spent_on_other_things_does_not_count() {
        let start = Instant::now();
        let mut pace = pace(start);
        pace.receive(1, start + SECOND * 8);
        let now = start + SECOND * 4_000;
        assert!(pace.slow_at(now) > now);
        pace.wait(now);
        assert_eq!(pace.slow_at(now), now + SECOND * 8);
    }
}
