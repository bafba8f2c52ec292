//! How many downloads at a time are worth it, found out while they run.

mod span;

use std::time::{Duration, Instant};

pub(crate) use span::Sample;
use span::Span;

/// How many downloads it begins with.
const START: usize = 4;

/// Up to how many downloads at a time are cheap, so that little is asked of more and much of fewer.
const FEW: usize = 8;

/// How much faster twice as many must be for it to double them again.
const WORTH_DOUBLING: f64 = 1.3;

/// How long it stays with what it has found before it tries another number, at first and at most.
const PATIENCE: Duration = Duration::from_secs(1);
const MOST_PATIENCE: Duration = Duration::from_secs(30);

/// How long it stays with fewer after it was told that there were too many, at first and at most.
const CAUTION: Duration = Duration::from_secs(5);
const MOST_CAUTION: Duration = Duration::from_secs(60);

/// How much faster or slower everything must have become for it to try another number soon.
const CHANGE: f64 = 1.5;

/// A search for the best number of downloads at a time; what has happened and what time it is, it is told.
///
/// It doubles the number while that makes everything faster, and then tries a few more or fewer now and then. The
/// rate of a number is taken when it has been in effect for a while, over a span in which each place has come to
/// something twice.
#[derive(Debug)]
pub(crate) struct Adaptive {
    most: usize,
    concurrency: usize,
    search: Search,
    /// What is looked at, from the first sample on.
    span: Option<Span>,
    /// Whether the span only waits for the number to be in effect.
    settling: bool,
    /// Whether the number was lowered for having been too high, and that is not in effect yet.
    relieving: bool,
    congestions: Option<u64>,
    patience: Duration,
    caution: Duration,
    /// When another number is tried, and before when no greater one is.
    due: Option<Instant>,
    wary: Option<Instant>,
    /// Whether fewer are tried next.
    downward: bool,
}

#[derive(Debug, Clone, Copy)]
enum Search {
    /// It doubles; what is known is the rate of half as many.
    Climbing(Option<Known>),
    /// It stays; the rate is that of the beginning.
    Staying(Option<f64>),
    /// It tries another number than this one, by so large a part of it.
    Trying(Known, f64),
}

/// The rate of a number of downloads at a time.
#[derive(Debug, Clone, Copy)]
struct Known {
    concurrency: usize,
    rate: f64,
}

impl Adaptive {
    /// Makes one that begins with a few and goes up to `most`.
    pub(crate) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self {
            most,
            concurrency: START.min(most),
            search: Search::Climbing(None),
            span: None,
            settling: true,
            relieving: false,
            congestions: None,
            patience: PATIENCE,
            caution: CAUTION,
            due: None,
            wary: None,
            downward: false,
        }
    }

    /// Returns how many downloads are to run at a time now.
    pub(crate) fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Takes note of how things stand, and returns how many downloads are to run at a time from now on.
    pub(crate) fn sample(&mut self, now: Instant, sample: Sample) -> usize {
        // What was before is another batch's.
        let seen = self.congestions.replace(sample.congestions);
        let congested = seen.is_some_and(|seen| seen < sample.congestions);
        if congested && !self.relieving {
            self.relieve(now);
            return self.concurrency;
        }
        let Some(span) = &mut self.span else {
            self.span = Some(Span::new(now, sample));
            return self.concurrency;
        };
        if sample.active > self.concurrency {
            // Those that are too many are not interrupted: it begins when they have ended.
            *span = Span::new(now, sample);
        } else {
            span.add(now, sample);
            let each = if self.relieving { 1 } else { 2 };
            if span.is_enough(now, sample, self.concurrency as u64 * each, self.settling) {
                let measured = span.rate(now, sample).filter(|_| !self.settling);
                *span = Span::new(now, sample);
                (self.settling, self.relieving) = (false, false);
                if let Some(rate) = measured {
                    self.decide(rate, now);
                }
            }
        }
        self.concurrency
    }

    fn decide(&mut self, rate: f64, now: Instant) {
        let here = Known { concurrency: self.concurrency, rate };
        match self.search {
            Search::Climbing(Some(half)) if rate < half.rate * WORTH_DOUBLING => {
                // As many as would have been needed for that rate.
                let useful = half.concurrency as f64 * (rate / half.rate).max(1.0);
                self.stay(useful.round() as usize, now);
            }
            Search::Climbing(_) if self.concurrency == self.most => self.stay(self.most, now),
            Search::Climbing(_) => {
                self.search = Search::Climbing(Some(here));
                self.go(self.concurrency * 2);
            }
            Search::Staying(None) => self.search = Search::Staying(Some(rate)),
            Search::Staying(Some(first)) => {
                if rate > first * CHANGE || rate * CHANGE < first {
                    self.search = Search::Staying(Some(rate));
                    self.patience = PATIENCE;
                    self.due = self.due.map(|due| due.min(now + PATIENCE));
                }
                let may = |since: Option<Instant>| since.is_none_or(|since| since <= now);
                if may(self.due) && (self.downward || may(self.wary)) {
                    self.attempt(here, 0.25);
                }
            }
            Search::Trying(known, part) => {
                let ratio = here.concurrency as f64 / known.concurrency as f64;
                if rate >= known.rate * ratio.powf(worth(known.concurrency, here.concurrency)) {
                    self.patience = PATIENCE;
                    if !self.downward {
                        self.caution = CAUTION;
                    }
                    // Upward, each step that was worth it makes the next one bolder.
                    self.attempt(here, if self.downward { part } else { (part * 2.0).min(1.0) });
                } else {
                    self.downward = !self.downward;
                    self.patience = (self.patience * 2).min(MOST_PATIENCE);
                    self.stay(known.concurrency, now);
                }
            }
        }
    }

    /// Goes down for having gone too far, and stays there for a while.
    fn relieve(&mut self, now: Instant) {
        let lower = match self.search {
            Search::Climbing(Some(known)) => known.concurrency,
            Search::Trying(known, _) if known.concurrency < self.concurrency => known.concurrency,
            _ => self.concurrency * 3 / 4,
        };
        self.relieving = true;
        self.downward = false;
        self.stay(lower, now);
        self.wary = Some(now + self.caution);
        self.caution = (self.caution * 2).min(MOST_CAUTION);
    }

    /// Tries a few more or fewer than is known.
    fn attempt(&mut self, known: Known, part: f64) {
        let many = known.concurrency;
        self.downward = (self.downward || many == self.most) && many > 1;
        let step = ((many as f64 * part) as usize).max(1);
        let other = if self.downward { many - step.min(many - 1) } else { many.saturating_add(step) };
        self.search = Search::Trying(known, part);
        self.go(other);
        if self.concurrency == many {
            self.search = Search::Staying(Some(known.rate));
        }
    }

    fn stay(&mut self, concurrency: usize, now: Instant) {
        self.search = Search::Staying(None);
        self.due = Some(now + self.patience);
        self.go(concurrency);
    }

    fn go(&mut self, concurrency: usize) {
        self.concurrency = concurrency.clamp(1, self.most);
        self.span = None;
        self.settling = true;
    }
}

/// Returns the power of the ratio of two numbers that the ratio of their rates must come up to.
///
/// More must be worth half of what they could be, and fewer may cost a fifth of it; of a [few](FEW) at a time, more need
/// only be worth a fifth, and fewer may cost next to nothing.
fn worth(from: usize, to: usize) -> f64 {
    match (to > from, from.min(to) < FEW) {
        (true, false) => 0.5,
        (true, true) | (false, false) => 0.2,
        (false, true) => 0.1,
    }
}

#[cfg(test)]
mod tests;
