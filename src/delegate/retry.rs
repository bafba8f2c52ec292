//! Trying the same source again, after a while.

use std::time::Duration;

use crate::context::Context;
use crate::event::{Action, Event, EventHandler};

/// Retries transient failures with exponential backoff and full jitter.
///
/// The wait before retry *n* is a random time up to `base` · 2ⁿ⁻¹, at most `cap`; where the source says with
/// `Retry-After` how long to wait (RFC 9110 §10.2.3), it is that, up to what the context's
/// [`Limits`](crate::Limits::max_retry_after) allow. What is transient, [`Failure::is_transient`] says.
/// The retries are counted for each source, so a [`MirrorDelegate`](crate::MirrorDelegate) added after this one gives
/// the next mirror as many.
///
/// ```
/// use std::time::Duration;
/// use ganymede::{HttpDownload, RetryDelegate};
///
/// let retry = RetryDelegate::new(5).base(Duration::from_millis(100)).cap(Duration::from_secs(10));
/// let download = HttpDownload::get("https://example.com/")?.handler(retry);
/// # let _ = download;
/// # Ok::<(), ganymede::Failure>(())
/// ```
///
/// [`Failure::is_transient`]: crate::Failure::is_transient
#[derive(Debug, Clone)]
pub struct RetryDelegate {
    retries: u32,
    base: Duration,
    cap: Duration,
}

impl RetryDelegate {
    /// Makes up to `retries` attempts after the first, for each source.
    #[must_use]
    pub fn new(retries: u32) -> Self {
        let (base, cap) = (Duration::from_secs(1), Duration::from_secs(30));
        Self { retries, base, cap }
    }

    /// Sets the upper bound of the first wait; a second unless set.
    #[must_use]
    pub fn base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// Sets the upper bound of all waits that the source did not ask for; 30 seconds unless set.
    #[must_use]
    pub fn cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }
}

impl Default for RetryDelegate {
    /// Makes up to 3 attempts after the first.
    fn default() -> Self {
        Self::new(3)
    }
}

impl EventHandler for RetryDelegate {
    fn handle(&mut self, event: &mut Event<'_>, context: &Context) -> Action {
        let Event::Error { error, .. } = event else { return Action::Continue };
        let history = error.history();
        let Some(last) = history.last() else { return Action::Continue };
        let tried = history.iter().filter(|attempt| attempt.source() == last.source()).count();
        // The first of those attempts was no retry.
        let retries = u32::try_from(tried).unwrap_or(u32::MAX).saturating_sub(1);
        if !last.failure().is_transient() || retries >= self.retries {
            return Action::Continue;
        }
        match last.failure().wait() {
            Some(asked) if asked > context.limits().longest_wait() => Action::Continue,
            Some(asked) => Action::Retry(asked),
            None => {
                let bound = self.base.saturating_mul(1 << retries.min(20)).min(self.cap);
                Action::Retry(bound.mul_f64(rand::random::<f64>()))
            }
        }
    }
}
