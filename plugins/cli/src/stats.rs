//! Where the time of a run has gone: what `--stats` tells.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ganymede::{Timing, Url};
use parking_lot::Mutex;
use serde::{Serialize, Serializer};

use crate::observation::Attempt;

/// How many hosts are told apart; those that come after them are counted together.
const HOSTS: usize = 1000;

/// The attempts of a run, summed up as they end.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    hosts: Mutex<Hosts>,
    running: Arc<Gauge>,
}

#[derive(Debug, Default)]
struct Hosts {
    known: HashMap<String, Numbers>,
    others: Numbers,
}

/// How many attempts are under way, and how many there were at most.
#[derive(Debug, Default)]
struct Gauge {
    now: AtomicU64,
    peak: AtomicU64,
}

/// One attempt that is under way, until this is dropped.
#[derive(Debug)]
pub(crate) struct Running(Arc<Gauge>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What attempts have come to.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(crate) struct Numbers {
    /// How many have brought a file to its end.
    pub(crate) files: u64,
    /// How many bytes have come, for nothing or not.
    pub(crate) bytes: u64,
    pub(crate) attempts: u64,
    /// How many of them have failed.
    pub(crate) failures: u64,
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub(crate) timing: Timing,
}

/// What a run has come to.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    /// How many bytes have come in a second, on average.
    pub(crate) rate: u64,
    /// How many attempts were under way at once, at most, those that queue for their host included.
    pub(crate) peak: u64,
    pub(crate) total: Numbers,
    /// Those that took the most time come first.
    pub(crate) hosts: Vec<Host>,
    /// What those have come to that are not told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) others: Option<Numbers>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Host {
    pub(crate) host: String,
    #[serde(flatten)]
    pub(crate) numbers: Numbers,
}

impl Stats {
    /// Counts an attempt that begins.
    pub(crate) fn run(&self) -> Running {
        let now = self.running.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.running.peak.fetch_max(now, Ordering::Relaxed);
        Running(Arc::clone(&self.running))
    }

    /// Adds an attempt that has ended, to those of the host that was asked.
    pub(crate) fn add(&self, attempt: &Attempt) {
        let name = host(&attempt.source);
        let mut hosts = self.hosts.lock();
        let Hosts { known, others } = &mut *hosts;
        let numbers = match known.len() < HOSTS {
            true => known.entry(name).or_default(),
            false => known.get_mut(&name).unwrap_or(others),
        };
        numbers.add(Numbers {
            files: attempt.has_stored().into(),
            bytes: attempt.received,
            attempts: 1,
            failures: attempt.failure.is_some().into(),
            timing: attempt.timing,
        });
    }

    /// Returns what the attempts have come to that have ended, in a run of this length.
    pub(crate) fn summary(&self, elapsed: Duration) -> Summary {
        let hosts = self.hosts.lock();
        let others = hosts.others;
        let known = hosts.known.iter().map(|(host, numbers)| Host { host: host.clone(), numbers: *numbers });
        let mut known: Vec<_> = known.collect();
        drop(hosts);
        known.sort_by(|a, b| {
            let (longer, shorter) = (b.numbers.timing.total(), a.numbers.timing.total());
            longer.cmp(&shorter).then_with(|| a.host.cmp(&b.host))
        });
        let mut total = others;
        known.iter().for_each(|host| total.add(host.numbers));
        let millis = elapsed.as_millis().max(1);
        let rate = u128::from(total.bytes) * 1000 / millis;
        Summary {
            rate: u64::try_from(rate).unwrap_or(u64::MAX),
            peak: self.running.peak.load(Ordering::Relaxed),
            total,
            hosts: known,
            others: (others.attempts > 0).then_some(others),
        }
    }
}

impl Numbers {
    pub(crate) fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.attempts += other.attempts;
        self.failures += other.failures;
        self.timing += other.timing;
    }
}

/// Returns the parts of a timing under the names that they have in JSON, in the order in which they come.
pub(crate) fn phases(timing: &Timing) -> [(&'static str, Duration); 10] {
    [
        ("queue", timing.queueing),
        ("resolve", timing.resolving),
        ("connect", timing.connecting),
        ("tls", timing.securing),
        ("wait", timing.waiting),
        ("receive", timing.receiving),
        ("throttle", timing.throttling),
        ("check", timing.checking),
        ("write", timing.writing),
        ("commit", timing.committing),
    ]
}

/// Returns what hosts are told apart by: scheme, name and port.
fn host(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(name), Some(port)) => format!("{}://{name}:{port}", url.scheme()),
        (Some(name), None) => format!("{}://{name}", url.scheme()),
        (None, _) => format!("{}://", url.scheme()),
    }
}

/// Whole microseconds, in seconds: of many small files each takes less than a millisecond.
fn seconds<S: Serializer>(timing: &Timing, serializer: S) -> Result<S::Ok, S::Error> {
    let rounded = |time: Duration| (time.as_secs_f64() * 1_000_000.0).round() / 1_000_000.0;
    serializer.collect_map(phases(timing).map(|(phase, time)| (phase, rounded(time))))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn attempt(url: &str) -> Attempt {
        let (source, now) = (Url::parse(url).unwrap(), Instant::now());
        let mut timing = Timing::default();
        timing.waiting = Duration::from_millis(2);
        Attempt { source, number: 1, start: now, reply: None, end: now, received: 10, timing, failure: None }
    }

    #[test]
    fn hosts_past_the_most_are_counted_together_and_the_total_has_all() {
        let stats = Stats::default();
        for number in 0..HOSTS + 7 {
            let attempt = attempt(&format!("http://{number}.example.com/file"));
            stats.add(&attempt);
            stats.add(&attempt);
        }
        let summary = stats.summary(Duration::from_secs(2));
        let others = summary.others.unwrap();
        assert_eq!((summary.hosts.len(), others.attempts, others.bytes), (HOSTS, 14, 140));
        assert_eq!(summary.total.attempts, 2 * (HOSTS as u64 + 7));
        assert_eq!(summary.total.timing.waiting, Duration::from_millis(4) * (HOSTS as u32 + 7));
        assert_eq!(summary.rate, summary.total.bytes / 2);
    }

    #[test]
    fn a_host_is_a_scheme_a_name_and_a_port() {
        let of = |url: &str| host(&Url::parse(url).unwrap());
        assert_eq!(of("https://amy:secret@example.com:443/a?b"), "https://example.com");
        assert_eq!(of("http://example.com:8080/"), "http://example.com:8080");
        assert_eq!(of("file:///etc/hostname"), "file://");
    }

    #[test]
    fn the_peak_is_what_was_under_way_at_once() {
        let stats = Stats::default();
        drop((stats.run(), stats.run()));
        drop(stats.run());
        assert_eq!(stats.summary(Duration::ZERO).peak, 2);
    }
}
