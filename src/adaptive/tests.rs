//! The search in worlds of many kinds, in which the time is made up.

use std::time::{Duration, Instant};

use super::{Adaptive, Sample};

const TICK: Duration = Duration::from_millis(10);
const SECOND: Duration = Duration::from_secs(1);

/// Servers as a whole, and the clock: how much a second so many at a time get, and above how many it pushes back.
struct World<F> {
    adaptive: Adaptive,
    start: Instant,
    now: Instant,
    /// Bytes of a download.
    size: f64,
    rate: F,
    limit: usize,
    active: f64,
    work: f64,
    sample: Sample,
    held: u32,
}

impl<F: FnMut(f64, usize) -> f64> World<F> {
    /// Makes one of which `rate` says how many bytes a second come, by the second and the number at a time.
    fn new(most: usize, size: f64, rate: F) -> Self {
        let now = Instant::now();
        let (adaptive, sample) = (Adaptive::new(most), Sample::default());
        Self {
            adaptive,
            start: now,
            now,
            size,
            rate,
            limit: usize::MAX,
            active: 0.0,
            work: 0.0,
            sample,
            held: 0,
        }
    }

    fn concurrency(&self) -> usize {
        self.adaptive.concurrency()
    }

    /// Lets a time pass, and returns the numbers there were.
    fn run(&mut self, time: Duration) -> Vec<usize> {
        let end = self.now + time;
        let mut seen = Vec::new();
        while self.now < end {
            self.now += TICK;
            let wanted = self.concurrency();
            // Who has begun goes on to its end.
            let each = (self.rate)((self.now - self.start).as_secs_f64(), wanted.max(1)) / self.size / 100.0;
            self.active = (self.active - each).max(wanted as f64);
            let active = self.active as usize;
            self.held = self.held.saturating_sub(1);
            if active > self.limit && self.held == 0 {
                self.sample.congestions += 1;
                self.held = 40;
            }
            // It is left alone for a while, and then it serves as many as it does.
            if self.held < 20 {
                let served = active.min(self.limit);
                self.work += (self.rate)((self.now - self.start).as_secs_f64(), served) / 100.0;
            }
            self.sample.received = self.work as u64;
            self.sample.done = (self.work / self.size) as u64;
            self.sample.active = active;
            seen.push(self.adaptive.sample(self.now, self.sample));
        }
        seen
    }
}

fn mean(seen: &[usize]) -> f64 {
    seen.iter().sum::<usize>() as f64 / seen.len() as f64
}

/// A factor that changes by itself five times a second, repeatably: from 0.7 to 1.3.
fn varying() -> impl FnMut(f64) -> f64 {
    let (mut state, mut factor, mut until) = (0x9e37_79b9_7f4a_7c15_u64, 1.0, 0.0);
    move |time| {
        if time >= until {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (factor, until) = (0.7 + 0.6 * (state >> 11) as f64 / (1_u64 << 53) as f64, time + 0.2);
        }
        factor
    }
}

#[test]
fn where_each_download_only_waits_it_doubles_up_to_the_most_and_stays_there() {
    // 40 ms for each of 16 KiB.
    let mut world = World::new(64, 16_384.0, |_, n| n as f64 * 16_384.0 / 0.04);
    assert_eq!(world.concurrency(), 4);
    let climb = world.run(SECOND * 2);
    assert!(climb.is_sorted() && climb.last() == Some(&64), "{climb:?}");
    let seen = world.run(SECOND * 120);
    assert!(mean(&seen) > 62.0, "{}", mean(&seen));
}

#[test]
fn it_settles_near_the_number_that_a_link_is_full_with() {
    for (full, size) in [(6, 16_384.0), (12, 16_384.0), (12, 200e6), (25, 1_000_000.0), (40, 16_384.0)] {
        let mut world = World::new(64, size, |_, n| n.min(full) as f64 * 1_000_000.0);
        world.run(SECOND * 60);
        let seen = world.run(SECOND * 120);
        let (low, high) = (full as f64 * 0.75, full as f64 * 1.35);
        assert!((low..high).contains(&mean(&seen)), "{full}, {size}: {}", mean(&seen));
    }
}

#[test]
fn where_work_is_bound_by_processors_it_stays_with_a_few() {
    let mut world = World::new(64, 16_384.0, |_, n| n.min(2) as f64 * 1e8 / (1.0 + 0.02 * n as f64));
    let seen = world.run(SECOND * 120);
    assert!(seen.iter().all(|n| *n <= 10) && (1.5..5.0).contains(&mean(&seen)), "{}", mean(&seen));
}

#[test]
fn it_stays_below_what_a_host_allows_and_asks_later_whether_that_is_still_so() {
    let mut world = World::new(64, 16_384.0, |_, n| n as f64 * 16_384.0 / 0.04);
    world.limit = 10;
    world.run(SECOND * 2);
    let refused = world.sample.congestions;
    assert!(refused <= 2, "{refused}");
    let seen = world.run(SECOND * 300);
    assert!((6.0..=10.0).contains(&mean(&seen)), "{}", mean(&seen));
    // Once in a while it asks, and less often each time.
    let again = world.sample.congestions - refused;
    assert!((2..=12).contains(&again), "{again}");
    world.limit = usize::MAX;
    assert_eq!(world.run(SECOND * 120).last(), Some(&64));
}

#[test]
fn a_host_that_allows_one_at_a_time_gets_one() {
    let mut world = World::new(64, 16_384.0, |_, n| n as f64 * 16_384.0 / 0.04);
    world.limit = 1;
    world.run(SECOND * 10);
    assert_eq!(world.concurrency(), 1);
}

#[test]
fn what_varies_by_itself_neither_drives_it_up_nor_down() {
    let mut factor = varying();
    let mut waiting = World::new(32, 16_384.0, move |time, n| factor(time) * n as f64 * 16_384.0 / 0.04);
    waiting.run(SECOND * 20);
    let seen = waiting.run(SECOND * 200);
    assert!(mean(&seen) > 20.0, "{}", mean(&seen));
    let mut factor = varying();
    let mut full = World::new(32, 16_384.0, move |time, n| factor(time) * n.min(10) as f64 * 16_384.0 / 0.04);
    full.run(SECOND * 20);
    let seen = full.run(SECOND * 200);
    assert!((6.0..16.0).contains(&mean(&seen)), "{}", mean(&seen));
}

#[test]
fn it_finds_out_when_things_have_changed() {
    // First from near, on few processors, and then from afar.
    let mut world = World::new(64, 16_384.0, |time, n| match time {
        0.0..60.0 => n.min(2) as f64 * 1e8,
        _ => n as f64 * 16_384.0 / 0.1,
    });
    world.run(SECOND * 60);
    assert!(world.concurrency() <= 8, "{}", world.concurrency());
    assert!(world.run(SECOND * 30).contains(&64));
}

#[test]
fn with_nothing_to_do_for_more_it_asks_for_no_more() {
    let (mut adaptive, mut now, mut sample) = (Adaptive::new(64), Instant::now(), Sample::default());
    for _ in 0..10_000 {
        now += TICK;
        sample.done += 1;
        sample.starved = true;
        assert_eq!(adaptive.sample(now, sample), 4);
    }
}

#[test]
fn while_those_that_are_too_many_end_nothing_is_concluded() {
    let mut world = World::new(64, 16_384.0, |_, n| n as f64 * 16_384.0 / 0.04);
    world.run(SECOND * 3);
    let (mut now, mut sample, adaptive) = (world.now, world.sample, &mut world.adaptive);
    for _ in 0..1_000 {
        now += TICK;
        sample.congestions += 1;
        sample.done += 64;
        assert_eq!(adaptive.sample(now, sample), 48, "what it is told meanwhile is of before");
    }
    sample.active = 48;
    let mut lower = |adaptive: &mut Adaptive| {
        now += TICK;
        sample.congestions += 1;
        sample.done += 64;
        adaptive.sample(now, sample)
    };
    assert!((0..10).any(|_| lower(adaptive) < 48), "this is not");
}

#[test]
fn no_more_than_the_most_and_no_fewer_than_one_are_asked_for() {
    for most in [0, 1, 2, 3, 5] {
        let mut world = World::new(most, 1_000.0, |_, n| n as f64 * 1e6);
        let seen = world.run(SECOND * 60);
        assert!(seen.iter().all(|n| (1..=most.max(1)).contains(n)), "{most}");
        assert_eq!(world.run(SECOND).last(), Some(&most.max(1)));
    }
}
