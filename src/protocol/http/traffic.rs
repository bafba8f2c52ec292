//! What comes in on all connections of a driver: whether a link is down, or merely busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How many times as long as alone a pause may be, at most, on a link that is busy with others.
const MOST: u32 = 10;

/// What the exchanges of a driver receive, and when.
#[derive(Debug)]
pub(super) struct Traffic {
    start: Instant,
    /// When each exchange has received something last, in milliseconds since the start, and 0 for never.
    seen: Mutex<Vec<Arc<AtomicU64>>>,
    /// The same of those that have ended.
    ended: AtomicU64,
}

/// The share of one exchange.
#[derive(Debug)]
pub(super) struct Share {
    traffic: Arc<Traffic>,
    last: Arc<AtomicU64>,
}

impl Traffic {
    pub(super) fn new(now: Instant) -> Self {
        Self { start: now, seen: Mutex::default(), ended: AtomicU64::new(0) }
    }

    pub(super) fn join(traffic: &Arc<Self>) -> Share {
        let last = Arc::new(AtomicU64::new(0));
        traffic.seen.lock().push(Arc::clone(&last));
        Share { traffic: Arc::clone(traffic), last }
    }
}

impl Share {
    /// Something was received.
    pub(super) fn received(&self, now: Instant) {
        self.last.store(self.moment(now), Ordering::Relaxed);
    }

    /// Tells whether a pause may go on that has lasted so many times the time-out, which is over once more.
    pub(super) fn is_patient(&self, pauses: u32, timeout: Duration, now: Instant) -> bool {
        pauses < (1 + self.others(timeout, now)).min(MOST)
    }

    /// Counts the others that have received something within the last `period`.
    fn others(&self, period: Duration, now: Instant) -> u32 {
        let period = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
        let since = self.moment(now).saturating_sub(period).max(1);
        let recent = |last: u64| last >= since;
        let seen = self.traffic.seen.lock();
        let others = seen.iter().filter(|last| !Arc::ptr_eq(last, &self.last));
        let count = others.filter(|last| recent(last.load(Ordering::Relaxed))).count();
        let ended = usize::from(recent(self.traffic.ended.load(Ordering::Relaxed)));
        u32::try_from(count + ended).unwrap_or(u32::MAX - 1)
    }

    fn moment(&self, now: Instant) -> u64 {
        let time = now.saturating_duration_since(self.traffic.start);
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut seen = self.traffic.seen.lock();
        if let Some(at) = seen.iter().position(|last| Arc::ptr_eq(last, &self.last)) {
            seen.swap_remove(at);
        }
        self.traffic.ended.fetch_max(self.last.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[test]
    fn a_pause_is_as_long_as_the_time_out_while_nobody_receives_anything() {
        let start = Instant::now();
        let traffic = Arc::new(Traffic::new(start));
        let (one, other) = (Traffic::join(&traffic), Traffic::join(&traffic));
        one.received(start + TIMEOUT);
        let now = start + TIMEOUT * 2;
        assert!(!one.is_patient(1, TIMEOUT, now), "its own bytes are none of a sibling");
        assert!(other.is_patient(1, TIMEOUT, now) && !other.is_patient(2, TIMEOUT, now));
        assert!(!other.is_patient(1, TIMEOUT, now + TIMEOUT), "what came before does not count");
    }

    #[test]
    fn a_pause_may_be_longer_for_each_sibling_that_receives_up_to_ten_times() {
        let start = Instant::now();
        let traffic = Arc::new(Traffic::new(start));
        let waiting = Traffic::join(&traffic);
        let siblings: Vec<_> = (0..3).map(|_| Traffic::join(&traffic)).collect();
        let now = start + TIMEOUT;
        siblings.iter().for_each(|sibling| sibling.received(now));
        assert!(waiting.is_patient(3, TIMEOUT, now) && !waiting.is_patient(4, TIMEOUT, now));
        drop(siblings);
        // They have ended, and the link was busy all the same.
        assert!(waiting.is_patient(1, TIMEOUT, now) && !waiting.is_patient(2, TIMEOUT, now));
        let siblings: Vec<_> = (0..100).map(|_| Traffic::join(&traffic)).collect();
        siblings.iter().for_each(|sibling| sibling.received(now));
        assert!(waiting.is_patient(9, TIMEOUT, now) && !waiting.is_patient(10, TIMEOUT, now));
        drop(siblings);
        assert_eq!(traffic.seen.lock().len(), 1);
    }
}
