//! What is noted of each attempt of a run: for `--stats` and `--trace`.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ganymede::{Action, Context, DownloadError, Event, EventHandler, Failure, StatusCode, Timing, Url};

use crate::arguments::Output;
use crate::report::Report;
use crate::settings::Usage;
use crate::stats::{Running, Stats, Summary};
use crate::trace::Trace;

/// What a run notes of its attempts, if anything.
#[derive(Debug, Default)]
pub(crate) struct Observation {
    stats: Option<Stats>,
    trace: Option<Trace>,
}

/// An attempt that has ended, one way or the other.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// What was asked, without credentials.
    pub(crate) source: Url,
    pub(crate) number: u32,
    pub(crate) start: Instant,
    pub(crate) reply: Option<Answer>,
    pub(crate) end: Instant,
    /// How many bytes have come; what was there before counts for nothing.
    pub(crate) received: u64,
    pub(crate) timing: Timing,
    /// Why it failed, if it did.
    pub(crate) failure: Option<Failure>,
}

/// The head of a reply.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) at: Instant,
    /// Where it was found, after redirects.
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
}

impl Attempt {
    /// Tells whether the content was received, and not the one kept that was there.
    pub(crate) fn has_stored(&self) -> bool {
        let unchanged = |reply: &Answer| reply.status == StatusCode::NOT_MODIFIED;
        self.failure.is_none() && !self.reply.as_ref().is_some_and(unchanged)
    }
}

impl Observation {
    /// Prepares what is asked for: a trace that cannot be written is found before anything is sent.
    pub(crate) fn new(output: &Output) -> Result<Self, Usage> {
        let trace = output.trace.as_deref().map(Trace::create).transpose()?;
        Ok(Self { stats: output.stats.then(Stats::default), trace })
    }

    fn is_wanted(&self) -> bool {
        self.stats.is_some() || self.trace.is_some()
    }

    /// Returns what the attempts have come to, if that was asked for.
    pub(crate) fn summary(&self, elapsed: Duration) -> Option<Summary> {
        Some(self.stats.as_ref()?.summary(elapsed))
    }

    /// Notes an attempt. It fails once, when the trace cannot be written any more.
    pub(crate) fn add(&self, attempt: &Attempt) -> io::Result<()> {
        if let Some(stats) = &self.stats {
            stats.add(attempt);
        }
        self.trace.as_ref().map_or(Ok(()), |trace| trace.add(attempt))
    }

    /// Notes that a download has waited for its next attempt.
    pub(crate) fn paused(&self, start: Instant, end: Instant) -> io::Result<()> {
        self.trace.as_ref().map_or(Ok(()), |trace| trace.paused(start, end))
    }

    /// Ends the trace.
    pub(crate) fn finish(&self) -> io::Result<()> {
        self.trace.as_ref().map_or(Ok(()), Trace::finish)
    }
}

/// The handler that notes the attempts of a download; it must be asked before all others.
pub(crate) struct Observer {
    report: Arc<Report>,
    current: Option<Current>,
    /// When the last attempt ended.
    ended: Option<Instant>,
}

/// The attempt under way.
struct Current {
    source: Url,
    number: u32,
    start: Instant,
    reply: Option<Answer>,
    received: u64,
    _running: Option<Running>,
}

impl Observer {
    /// Makes one for a download, if anything is to be noted.
    pub(crate) fn new(report: &Arc<Report>) -> Option<Self> {
        let wanted = report.observation().is_wanted();
        wanted.then(|| Self { report: Arc::clone(report), current: None, ended: None })
    }

    fn begin(&mut self, source: Url, number: u32) {
        let start = Instant::now();
        if let Some(ended) = self.ended.take() {
            self.report.traced(self.report.observation().paused(ended, start));
        }
        let running = self.report.observation().stats.as_ref().map(Stats::run);
        let current = Current { source, number, start, reply: None, received: 0, _running: running };
        self.current = Some(current);
    }

    fn fail(&mut self, error: &DownloadError) {
        let last = error.history().last();
        let timing = last.map(ganymede::Attempt::timing).unwrap_or_default();
        self.end(timing, Some(error.failure().clone()));
    }

    /// Notes the attempt under way, if there is one: what is over before it has begun is none.
    fn end(&mut self, timing: Timing, failure: Option<Failure>) {
        let Some(current) = self.current.take() else { return };
        let Current { source, number, start, reply, received, _running } = current;
        let end = Instant::now();
        self.ended = Some(end);
        let attempt = Attempt { source, number, start, reply, end, received, timing, failure };
        self.report.traced(self.report.observation().add(&attempt));
    }
}

impl EventHandler for Observer {
    fn handle(&mut self, event: &mut Event<'_>, _: &Context) -> Action {
        match event {
            Event::Sending { request, attempt } => self.begin(request.display_url(), *attempt),
            Event::Replied { head } => {
                if let Some(current) = &mut self.current {
                    let (url, status) = (head.url().clone(), head.status());
                    current.reply = Some(Answer { at: Instant::now(), url, status });
                }
            }
            Event::Fetched { block, .. } => {
                if let Some(current) = &mut self.current {
                    current.received += block.len() as u64;
                }
            }
            Event::Error { error, .. } | Event::Failed { error } => self.fail(error),
            Event::Succeeded { receipt } => self.end(receipt.timing(), None),
            _ => {}
        }
        Action::Continue
    }
}
