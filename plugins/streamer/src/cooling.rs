//! Sources that have sent a wrong body, and are left alone for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ganymede::{Action, Context, ErrorKind, Event, EventHandler, Request, Url};
use parking_lot::Mutex;

/// What the bases of a remote have done, shared by all its downloads.
#[derive(Debug, Clone)]
pub(crate) struct Cooling {
    bases: Arc<[Base]>,
    rest: Duration,
}

#[derive(Debug)]
struct Base {
    url: Url,
    /// Without credentials, as the history of a download has it.
    shown: Url,
    until: Mutex<Option<Instant>>,
}

impl Cooling {
    /// Leaves a base alone for `rest` when it has sent a wrong body.
    pub(crate) fn new(bases: &[Url], rest: Duration) -> Self {
        let shown = |url: &Url| Request::new(url.clone()).display_url();
        let base = |url: &Url| Base { url: url.clone(), shown: shown(url), until: Mutex::default() };
        Self { bases: bases.iter().map(base).collect(), rest }
    }

    /// Returns the bases in the order in which they are asked: those that are left alone come last, as what is better
    /// than nothing.
    pub(crate) fn ordered(&self) -> Vec<&Url> {
        let now = Instant::now();
        let rests = |base: &&Base| base.until.lock().is_some_and(|until| until > now);
        let (resting, ready): (Vec<_>, Vec<_>) = self.bases.iter().partition(rests);
        ready.into_iter().chain(resting).map(|base| &base.url).collect()
    }

    fn blame(&self, source: &Url) {
        if self.rest.is_zero() {
            // Whoever has looked at the clock just before would take it for resting.
            return;
        }
        // Of bases that lie within each other, the nearest is meant.
        let fits = |base: &&Base| source.as_str().starts_with(base.shown.as_str());
        if let Some(base) = self.bases.iter().filter(fits).max_by_key(|base| base.shown.as_str().len()) {
            tracing::warn!(base = %base.shown, "sent a wrong body: it is left alone for a while");
            *base.until.lock() = Instant::now().checked_add(self.rest);
        }
    }
}

impl EventHandler for Cooling {
    fn handle(&mut self, event: &mut Event<'_>, _: &Context) -> Action {
        if let Event::Error { error, .. } = event
            && let Some(last) = error.history().last()
            && matches!(last.failure().kind(), ErrorKind::Validation(_))
            // What went on with another source's beginning may be wrong for that.
            && !last.continued()
        {
            self.blame(last.source());
        }
        Action::Continue
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_blamed_base_comes_last_unless_it_is_to_rest_for_no_time() {
        let bases =
            ["http://a.example.com/", "http://b.example.com/"].map(|base| base.parse::<Url>().unwrap());
        let source = bases[0].join("file").unwrap();
        for (rest, first) in [(Duration::from_secs(60), 1), (Duration::ZERO, 0)] {
            let cooling = Cooling::new(&bases, rest);
            cooling.blame(&source);
            assert_eq!(cooling.ordered()[0], &bases[first]);
            assert_eq!(cooling.bases[0].until.lock().is_some(), !rest.is_zero());
        }
    }
}
