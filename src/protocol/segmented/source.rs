//! The sources of a content: how fast they are, and how they fail.

use std::time::{Duration, Instant};

use url::Url;

use super::content::Content;
use crate::failure::{ErrorKind, Failure};
use crate::reply::Head;
use crate::request::Request;

/// How often a source may fail in a row without being of any use.
const TRIES: u32 = 3;

/// How many bytes are so much use that a failure after them is none of the source.
const WORTHWHILE: u64 = 64 << 10;

/// How long a source is left alone that has failed once; twice as long each time after that.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a source that has failed is asked only if there is no other.
const DOUBT: Duration = Duration::from_secs(5);

/// The most that one of several sources is asked for before it is known how fast it is.
const FIRST: usize = 512 << 10;

/// How many times as long as for its head one should wait for a piece, so that asking costs little.
const TIMES: f64 = 4.0;

/// All that may be asked, the one that the request names first.
pub(super) struct Sources(Vec<Source>);

struct Source {
    request: Request,
    /// Where its redirects led.
    found: Option<Url>,
    /// The tag that all its parts must have.
    tag: Option<String>,
    /// How many bytes a second a connection brings; `None` until one has.
    speed: Option<f64>,
    /// How long it takes to answer.
    latency: Duration,
    active: usize,
    /// How many connections it serves at once, as far as is known.
    most: usize,
    /// How often it has failed in a row.
    failures: u32,
    rests_until: Option<Instant>,
    doubted_until: Option<Instant>,
    /// Why it is not asked any more.
    out: Option<Failure>,
}

/// What one request has brought.
#[derive(Default)]
pub(super) struct Share {
    pub(super) bytes: u64,
    pub(super) time: Duration,
    /// How long the head took, if there was one.
    pub(super) latency: Option<Duration>,
    /// Whether all that was asked for has come.
    pub(super) whole: bool,
}

/// Why a request has not brought what it was to bring.
pub(super) struct Trouble {
    pub(super) failure: Failure,
    /// Whether the source has another content, or cannot send the part.
    pub(super) differs: bool,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self { failure, differs: false }
    }
}

impl Sources {
    /// Takes the sources of a request that can prove to have the content; `head` is what the first has sent.
    pub(super) fn new(request: &Request, head: &Head, content: &Content) -> Self {
        let own = Source {
            found: (request.display_url() != *head.url()).then(|| head.url().clone()),
            tag: head.strong_etag().map(str::to_owned),
            ..Source::new(request.clone())
        };
        let others = request.alternates().filter(|other| content.range(other, 0, 1).is_some());
        Self(std::iter::once(own).chain(others.map(Source::new)).collect())
    }

    /// Returns how many there are besides the first.
    pub(super) fn alternates(&self) -> usize {
        self.0.len().saturating_sub(1)
    }

    /// Returns the request to a source for a range, and whether it goes where redirects led before.
    pub(super) fn ask(&self, at: usize, content: &Content, from: u64, to: u64) -> Option<(Request, bool)> {
        let source = self.0.get(at)?;
        let request = content.range(&source.request, from, to)?;
        let mut direct = request.clone();
        match source.found.as_ref().is_some_and(|found| direct.follow(found).is_ok()) {
            true => Some((direct, true)),
            false => Some((request, false)),
        }
    }

    /// Returns the best source for another connection now, not `other`.
    ///
    /// Each is tried once before the fastest gets all; those that have failed come last.
    pub(super) fn pick(&self, now: Instant, other: Option<usize>) -> Option<usize> {
        let free = |(at, source): &(usize, &Source)| {
            let rests = source.rests_until.is_some_and(|until| now < until);
            source.out.is_none() && !rests && source.active < source.most && Some(*at) != other
        };
        let worth = |source: &Source| {
            let untried = source.speed.is_none() && source.active == 0;
            let sound = source.doubted_until.is_none_or(|until| until <= now);
            (sound, untried, source.speed.unwrap_or(-1.0 - source.active as f64))
        };
        let candidates = self.0.iter().enumerate().filter(free);
        let best = candidates.reduce(|best, next| if worth(next.1) > worth(best.1) { next } else { best });
        best.map(|(at, _)| at)
    }

    /// Returns how many bytes a source is best asked for, if `share` would be its share of what is left.
    pub(super) fn portion(&self, at: usize, share: usize) -> usize {
        let Some(source) = self.0.get(at) else { return share };
        match source.speed {
            Some(speed) => share.max((speed * source.latency.as_secs_f64() * TIMES) as usize),
            None if self.0.len() > 1 => share.min(FIRST),
            None => share,
        }
    }

    /// Returns how many bytes a second a connection to it brings, if that is known.
    pub(super) fn speed(&self, at: usize) -> Option<f64> {
        self.0.get(at)?.speed
    }

    /// Returns how long it takes to answer.
    pub(super) fn latency(&self, at: usize) -> Duration {
        self.0.get(at).map_or(Duration::ZERO, |source| source.latency)
    }

    /// Another connection to it is made.
    pub(super) fn engage(&mut self, at: usize) {
        if let Some(source) = self.0.get_mut(at) {
            source.active += 1;
        }
    }

    /// Checks the head of a part, and learns from it.
    pub(super) fn greet(
        &mut self,
        at: usize,
        head: &Head,
        content: &Content,
        from: u64,
    ) -> Result<(), Trouble> {
        let Some(source) = self.0.get_mut(at) else { return Ok(()) };
        let tag = head.strong_etag();
        let constant = source.tag.is_none() || tag.is_none() || tag == source.tag.as_deref();
        if !constant || !content.agrees(head, &source.request, from) {
            let url = source.request.display_url();
            let failure = Failure::new(ErrorKind::Incomplete, format!("{url} has another content by now"));
            return Err(Trouble { failure, differs: true });
        }
        source.tag = source.tag.take().or_else(|| tag.map(str::to_owned));
        if source.request.display_url() != *head.url() {
            source.found = Some(head.url().clone());
        }
        Ok(())
    }

    /// A connection is done with.
    pub(super) fn release(&mut self, at: usize, share: &Share) {
        let Some(source) = self.0.get_mut(at) else { return };
        source.active -= 1;
        if share.whole {
            (source.failures, source.doubted_until) = (0, None);
        }
        if let Some(latency) = share.latency {
            source.latency = (source.latency + latency) / 2;
        }
        let seconds = share.time.as_secs_f64();
        if share.whole || (share.latency.is_some() && seconds > 0.1) {
            let speed = share.bytes as f64 / seconds.max(1e-6);
            source.speed = Some(source.speed.map_or(speed, |before| f64::midpoint(before, speed)));
        }
    }

    /// A connection, which was released, has ended badly.
    pub(super) fn fail(&mut self, at: usize, trouble: Trouble, share: &Share, direct: bool, now: Instant) {
        let Some(source) = self.0.get_mut(at) else { return };
        let Trouble { failure, differs } = trouble;
        let gone = matches!(failure.kind(), ErrorKind::NotFound);
        if direct && !differs && share.latency.is_none() {
            // Where the redirect leads by now is another question.
            source.found = None;
            return;
        }
        source.doubted_until = Some(now + DOUBT);
        match () {
            () if share.bytes >= WORTHWHILE => {}
            () if differs || gone => source.out = Some(failure),
            // It serves the others: this was one too many.
            () if source.active > 0 && share.latency.is_none() => source.most = source.active,
            () if !failure.is_transient() => source.out = Some(failure),
            () => {
                source.failures += 1;
                source.rests_until = Some(now + PAUSE * (1 << source.failures.min(8)));
                if source.failures >= TRIES {
                    source.out = Some(failure);
                }
            }
        }
    }

    /// Returns why there is nobody left to ask.
    pub(super) fn exhausted(&self) -> Option<Failure> {
        let over = self.0.iter().all(|source| source.out.is_some() && source.active == 0);
        // It is the named one's failure that the attempt ends with, since it bears its name.
        if over { self.0.iter().find_map(|source| source.out.clone()) } else { None }
    }
}

impl Source {
    fn new(request: Request) -> Self {
        Self {
            request,
            found: None,
            tag: None,
            speed: None,
            latency: Duration::ZERO,
            active: 0,
            most: usize::MAX,
            failures: 0,
            rests_until: None,
            doubted_until: None,
            out: None,
        }
    }
}
