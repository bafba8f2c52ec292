//! What comes in on all connections of a driver: whether a link is down, or merely busy.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How many times as long as alone a pause may be, at most, on a link that is busy with others.
const MOST: u32 = 10;

/// How many streams that have ended are remembered: as many as may end before the next ones are answered.
const ENDED: usize = 64;

/// What the exchanges of a driver receive, and when.
#[derive(Debug)]
pub(super) struct Traffic {
    start: Instant,
    /// The exchanges that are under way.
    seen: Mutex<Vec<Arc<Seen>>>,
    /// How many have begun.
    begun: AtomicUsize,
    /// The streams that have ended last.
    streams: Mutex<VecDeque<Arc<Seen>>>,
    /// When those that have ended have received something last.
    ended: AtomicU64,
}

#[derive(Debug)]
struct Seen {
    /// How many had begun before.
    number: usize,
    /// When it has received something last, in milliseconds since the start, and 0 for never.
    last: AtomicU64,
    /// Which connection it shares with others, and 0 for none.
    line: AtomicUsize,
}

/// The share of one exchange.
#[derive(Debug)]
pub(super) struct Share {
    traffic: Arc<Traffic>,
    seen: Arc<Seen>,
}

impl Traffic {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            start: now,
            seen: Mutex::default(),
            begun: AtomicUsize::new(0),
            streams: Mutex::default(),
            ended: AtomicU64::new(0),
        }
    }

    pub(super) fn join(traffic: &Arc<Self>) -> Share {
        let number = traffic.begun.fetch_add(1, Ordering::Relaxed);
        let seen = Arc::new(Seen { number, last: AtomicU64::new(0), line: AtomicUsize::new(0) });
        traffic.seen.lock().push(Arc::clone(&seen));
        Share { traffic: Arc::clone(traffic), seen }
    }
}

impl Share {
    /// Something was received.
    pub(super) fn received(&self, now: Instant) {
        self.seen.last.store(self.moment(now), Ordering::Relaxed);
    }

    /// It is one of the streams that share this connection.
    pub(super) fn streams(&self, line: usize) {
        self.seen.line.store(line, Ordering::Relaxed);
    }

    /// Returns how many exchanges have begun so far, this one included.
    pub(super) fn begun(&self) -> usize {
        self.traffic.begun.load(Ordering::Relaxed)
    }

    /// Tells whether, of the first so many exchanges, one that is a stream of this connection received something just
    /// now: a server takes so many at once, and what is beyond that has not even been sent.
    pub(super) fn is_behind(&self, begun: usize, line: usize, timeout: Duration, now: Instant) -> bool {
        let since = self.since(timeout, now);
        let before = |seen: &Arc<Seen>| {
            seen.number < begun
                && seen.line.load(Ordering::Relaxed) == line
                && seen.last.load(Ordering::Relaxed) >= since
        };
        let traffic = &self.traffic;
        line != 0 && (traffic.seen.lock().iter().any(before) || traffic.streams.lock().iter().any(before))
    }

    /// Expects nothing until something is received again; what was received counts all the same.
    pub(super) fn rest(&self) {
        self.traffic.ended.fetch_max(self.seen.last.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Tells whether a pause may go on that has lasted so many times the time-out, which is over once more.
    pub(super) fn is_patient(&self, pauses: u32, timeout: Duration, now: Instant) -> bool {
        pauses < (1 + self.others(timeout, now)).min(MOST)
    }

    /// Counts the others that have received something within the last `period`.
    fn others(&self, period: Duration, now: Instant) -> u32 {
        let since = self.since(period, now);
        let recent = |last: u64| last >= since;
        let seen = self.traffic.seen.lock();
        let others = seen.iter().filter(|seen| !Arc::ptr_eq(seen, &self.seen));
        let count = others.filter(|seen| recent(seen.last.load(Ordering::Relaxed))).count();
        let ended = usize::from(recent(self.traffic.ended.load(Ordering::Relaxed)));
        u32::try_from(count + ended).unwrap_or(u32::MAX - 1)
    }

    /// Returns the moment before which nothing is recent.
    fn since(&self, period: Duration, now: Instant) -> u64 {
        let period = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
        self.moment(now).saturating_sub(period).max(1)
    }

    fn moment(&self, now: Instant) -> u64 {
        let time = now.saturating_duration_since(self.traffic.start);
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut seen = self.traffic.seen.lock();
        if let Some(at) = seen.iter().position(|seen| Arc::ptr_eq(seen, &self.seen)) {
            seen.swap_remove(at);
        }
        drop(seen);
        if self.seen.line.load(Ordering::Relaxed) != 0 {
            let mut streams = self.traffic.streams.lock();
            streams.truncate(ENDED - 1);
            streams.push_front(Arc::clone(&self.seen));
        }
        self.traffic.ended.fetch_max(self.seen.last.load(Ordering::Relaxed), Ordering::Relaxed);
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

    #[test]
    fn a_stream_waits_for_those_before_it_on_its_connection_and_for_no_others() {
        let start = Instant::now();
        let traffic = Arc::new(Traffic::new(start));
        let [before, waiting] = [(); 2].map(|()| Traffic::join(&traffic));
        let begun = waiting.begun();
        let after = Traffic::join(&traffic);
        let now = start + TIMEOUT;
        [&before, &after].into_iter().for_each(|other| other.received(now));
        after.streams(7);
        assert!(!waiting.is_behind(begun, 7, TIMEOUT, now), "none before it is a stream of this connection");
        assert!(waiting.is_behind(waiting.begun(), 7, TIMEOUT, now));
        before.streams(7);
        assert!(waiting.is_behind(begun, 7, TIMEOUT, now));
        assert!(!waiting.is_behind(begun, 8, TIMEOUT, now) && !waiting.is_behind(begun, 0, TIMEOUT, now));
        assert!(!waiting.is_behind(begun, 7, TIMEOUT, now + TIMEOUT * 2), "it has stalled itself");
        drop(before);
        assert!(waiting.is_behind(begun, 7, TIMEOUT, now), "its turn may have come just now");
        assert!(!waiting.is_behind(begun, 7, TIMEOUT, now + TIMEOUT * 2));
        for _ in 0..ENDED {
            Traffic::join(&traffic).streams(7);
        }
        assert_eq!(traffic.streams.lock().len(), ENDED);
        assert!(!waiting.is_behind(begun, 7, TIMEOUT, now));
    }
}
