//! What downloads come to in a time.

use std::time::{Duration, Instant};

/// What a download that has ended is worth besides its bytes: small files are limited by their number.
const DOWNLOAD: u64 = 16 << 10;

/// How many downloads that have ended say something about a rate, unless it is taken over a second.
const MANY: u64 = 32;

/// How far apart those moments are that tell a steady stream from single arrivals.
const MOMENT: Duration = Duration::from_millis(90);

/// How things stand at a moment; the sums are those since the beginning.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    /// How many bytes were received.
    pub(crate) received: u64,
    /// How many downloads have come to an end that took their source some work.
    pub(crate) done: u64,
    /// How often a host has shown that it is asked for too much at once.
    pub(crate) congestions: u64,
    /// How many downloads are at work.
    pub(crate) active: usize,
    /// Whether there could be more at work, and there is nothing to do for them.
    pub(crate) starved: bool,
}

/// A time over which a rate is taken.
#[derive(Debug)]
pub(super) struct Span {
    start: Instant,
    first: Sample,
    /// At how many moments something had come.
    moments: u32,
    moment: (Instant, u64),
    samples: u32,
    starved: u32,
}

impl Span {
    pub(super) fn new(now: Instant, first: Sample) -> Self {
        Self { start: now, first, moments: 0, moment: (now, first.work()), samples: 0, starved: 0 }
    }

    pub(super) fn add(&mut self, now: Instant, sample: Sample) {
        self.samples += 1;
        self.starved += u32::from(sample.starved);
        let (then, work) = self.moment;
        if now.saturating_duration_since(then) >= MOMENT {
            self.moments += u32::from(sample.work() > work);
            self.moment = (now, sample.work());
        }
    }

    /// Tells whether enough has come to say something, be it by so many downloads or steadily: less, to settle.
    pub(super) fn is_enough(&self, now: Instant, sample: Sample, downloads: u64, settling: bool) -> bool {
        let (time, done) = (now.saturating_duration_since(self.start), sample.done - self.first.done);
        let (least, moments) =
            if settling { (Duration::from_millis(50), 8) } else { (Duration::from_millis(100), 16) };
        let many = settling || done >= MANY || time >= Duration::from_secs(1);
        many && done >= downloads && time >= least || self.moments >= moments
    }

    /// Returns what came in a second, if there always was enough to do.
    pub(super) fn rate(&self, now: Instant, sample: Sample) -> Option<f64> {
        let time = now.saturating_duration_since(self.start).as_secs_f64();
        let work = sample.work() - self.first.work();
        (self.starved * 4 <= self.samples && time > 0.0 && work > 0).then(|| work as f64 / time)
    }
}

impl Sample {
    fn work(&self) -> u64 {
        self.received + self.done * DOWNLOAD
    }
}
