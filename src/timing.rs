//! Where the time of an attempt goes.

use std::ops::AddAssign;
use std::time::{Duration, Instant};

/// Where the time of an attempt, or of several together, has gone.
///
/// A protocol tells what it knows of the time until the head, with [`Reply::with_timing`] or, if there is no reply,
/// [`Failure::with_timing`]; what it does not account for counts as waiting. The engine measures the rest. What
/// handlers take is in none of it.
///
/// ```
/// use ganymede::{Context, Download, DownloadError, FileDownload, BufferWriter, Timing};
///
/// let mut download = FileDownload::get("file:///no/such/file")?.writer(BufferWriter::new(1024));
/// let mut spent = Timing::default();
/// match download.run(&Context::new()) {
///     Ok(receipt) => spent += receipt.timing(),
///     Err(error) => error.history().iter().for_each(|attempt| spent += attempt.timing()),
/// }
/// assert!(spent.waiting > spent.receiving);
/// # Ok::<(), ganymede::Failure>(())
/// ```
///
/// [`Reply::with_timing`]: crate::Reply::with_timing
/// [`Failure::with_timing`]: crate::Failure::with_timing
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// Until it might be sent: for a place that the [limits](crate::Limits) leave, for a host that is left alone, or
    /// for what another download makes for all, such as a login.
    pub queueing: Duration,
    /// For names to be resolved; zero on a connection that was there already, as are the next two.
    pub resolving: Duration,
    /// For the connection, to a proxy and through it if there is one.
    pub connecting: Duration,
    /// For the handshake of a secure connection (TLS).
    ///
    /// An [`Http`](crate::Http) with a [hook](crate::Http::client_hook) counts it as connecting: the client library makes
    /// both in one step, and how it does is the hook's affair.
    pub securing: Duration,
    /// From then until the head was there, redirects included.
    pub waiting: Duration,
    /// For the source to send the content, while nothing of it was there to go on with.
    pub receiving: Duration,
    /// For a [limit](crate::Limits::rate) on the rate.
    pub throttling: Duration,
    /// For digests and validations, also of what was there already.
    pub checking: Duration,
    /// For the writer to open its output and take the content: a slow disk, or a slow reader of a stream.
    pub writing: Duration,
    /// For the commit, which makes the content real.
    pub committing: Duration,
}

impl Timing {
    /// Returns the sum of all.
    #[must_use]
    pub fn total(&self) -> Duration {
        let parts = [self.waiting, self.receiving, self.throttling, self.checking, self.writing];
        let before = [self.queueing, self.resolving, self.connecting, self.securing, self.committing];
        parts.into_iter().chain(before).fold(Duration::ZERO, Duration::saturating_add)
    }

    /// Completes what a protocol has told of a time that it took: the rest of it was waiting.
    ///
    /// Who tells of more than there was, as of several connections at once, is not believed.
    pub(crate) fn completed(self, took: Duration) -> Self {
        match took.checked_sub(self.total()) {
            Some(rest) => Self { waiting: self.waiting + rest, ..self },
            None => Self { waiting: took, ..Self::default() },
        }
    }
}

impl AddAssign for Timing {
    fn add_assign(&mut self, other: Self) {
        *self = Self {
            queueing: self.queueing.saturating_add(other.queueing),
            resolving: self.resolving.saturating_add(other.resolving),
            connecting: self.connecting.saturating_add(other.connecting),
            securing: self.securing.saturating_add(other.securing),
            waiting: self.waiting.saturating_add(other.waiting),
            receiving: self.receiving.saturating_add(other.receiving),
            throttling: self.throttling.saturating_add(other.throttling),
            checking: self.checking.saturating_add(other.checking),
            writing: self.writing.saturating_add(other.writing),
            committing: self.committing.saturating_add(other.committing),
        };
    }
}

/// Runs `work`, and adds what it took to `spent`.
pub(crate) fn timed<T>(spent: &mut Duration, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    *spent += start.elapsed();
    done
}

/// Measures what follows each other, with one look at the clock for each.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the time since the last lap, or the start.
    pub(crate) fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now.saturating_duration_since(std::mem::replace(&mut self.0, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_a_protocol_does_not_account_for_is_waiting() {
        let told = Timing { connecting: SECOND, waiting: SECOND, ..Timing::default() };
        let completed = told.completed(SECOND * 5);
        assert_eq!(completed, Timing { waiting: SECOND * 4, ..told });
        assert_eq!(completed.total(), SECOND * 5);
    }

    #[test]
    fn a_protocol_that_tells_of_more_time_than_there_was_is_not_believed() {
        let told = Timing { connecting: SECOND * 3, waiting: SECOND * 3, ..Timing::default() };
        assert_eq!(told.completed(SECOND * 5), Timing { waiting: SECOND * 5, ..Timing::default() });
    }

    #[test]
    fn each_part_is_in_the_sum_and_in_the_total_once() {
        let parts = (1..=10).map(|n| SECOND * 2_u32.pow(n)).collect::<Vec<_>>();
        let timing = Timing {
            queueing: parts[0],
            resolving: parts[1],
            connecting: parts[2],
            securing: parts[3],
            waiting: parts[4],
            receiving: parts[5],
            throttling: parts[6],
            checking: parts[7],
            writing: parts[8],
            committing: parts[9],
        };
        assert_eq!(timing.total(), parts.iter().sum());
        let mut twice = timing;
        twice += timing;
        assert_eq!(twice.total(), timing.total() * 2);
        assert_eq!((twice.queueing, twice.committing), (parts[1], parts[9] * 2));
    }
}
