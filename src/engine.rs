//! The engine: open, send, begin, read, check, write, commit, repair. It is written once, here.

use std::time::{Duration, Instant};

use crate::context::Context;
use crate::copy::{Copy, Specification};
use crate::download::Download;
use crate::error::{Attempt, DownloadError, redacted};
use crate::event::{Action, Event, EventHandler};
use crate::failure::{ErrorKind, Failure};
use crate::limits::spoken;
use crate::monitor::{DownloadMonitor, Phase};
use crate::protocol::Protocol;
use crate::request::{Method, Request};
use crate::timing::{Timing, timed};
use crate::transfer::{Receipt, Transfer};
use crate::watchdog::Watch;

/// One run of a download, with a request of its own, so that a second run starts from the caller's.
pub(crate) struct Run<'a, P> {
    pub(crate) transfer: &'a mut Transfer<P>,
    pub(crate) context: &'a Context,
    pub(crate) request: Request,
    /// What stops the attempt under way on time.
    pub(crate) watch: Option<Watch>,
    /// Where the time of the attempt under way has gone.
    pub(crate) timing: Timing,
}

/// Why an attempt ended without a content.
pub(crate) enum Broken {
    /// It is of no use any more.
    Failed(Failure),
    /// Its source broke off: what is there may be gone on with.
    Cut(Failure),
    /// A handler wants another attempt, in answer to an event other than `Error`.
    Retry(Duration),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        // What could not be written can be, once there is room for it; what was received is none the worse for that.
        if matches!(failure.kind(), ErrorKind::Write) { Self::Cut(failure) } else { Self::Failed(failure) }
    }
}

impl Broken {
    /// Names the reason, if there is another one than the cut that it led to.
    fn because(self, reason: Option<Failure>) -> Self {
        match (self, reason) {
            (Self::Failed(_), Some(reason)) => Self::Failed(reason),
            (Self::Cut(_), Some(reason)) => Self::Cut(reason),
            (broken, _) => broken,
        }
    }
}

impl<'a, P: Protocol> Run<'a, P> {
    pub(crate) fn new(transfer: &'a mut Transfer<P>, context: &'a Context) -> Self {
        let mut request = transfer.request.clone();
        request.set_deadline(transfer.deadline.and_then(|deadline| Instant::now().checked_add(deadline)));
        request.set_identified(transfer.identifies());
        Self { transfer, context, request, watch: None, timing: Timing::default() }
    }

    pub(crate) fn drive(mut self) -> Result<Receipt, DownloadError> {
        self.watched(DownloadMonitor::start);
        let result = self.attempts();
        let mut end = match &result {
            Ok(receipt) => {
                self.watched(|monitor| monitor.succeeded(&receipt.facts));
                Event::Succeeded { receipt }
            }
            Err(error) => {
                self.watched(|monitor| monitor.enter(Phase::Failed));
                tracing::debug!(%error, "failed");
                Event::Failed { error }
            }
        };
        for handler in &mut self.transfer.handlers {
            // There is nothing left to decide, so all of them are told.
            let _ = handler.handle(&mut end, self.context);
        }
        result
    }

    fn attempts(&mut self) -> Result<Receipt, DownloadError> {
        let mut error = DownloadError::new(self.request.url(), ErrorKind::Other.into());
        if self.transfer.writer.is_none() && self.request.method() == Method::Get {
            return Err(error.because(no_writer()));
        }
        let mut prepared = Event::Prepared { request: &mut self.request };
        match ask(&mut self.transfer.handlers, &mut prepared, self.context) {
            Action::Continue => {}
            Action::Fail(reason) => return Err(error.because(reason)),
            Action::Retry(_) => {
                let message = "a handler asked for another attempt before the first";
                return Err(error.because(Failure::new(ErrorKind::Other, message)));
            }
        }
        // What a broken attempt has left, for the next one to go on with.
        let mut copy = None;
        for attempt in 1..=self.transfer.attempts {
            self.watched(|monitor| monitor.sending(attempt));
            self.timing = Timing::default();
            // As the delegates named it: what a handler makes of it for sending, a signature say, is not its name.
            let source = self.request.url().clone();
            self.watch = match self.context.watch(self.request.deadline(), self.transfer.min_speed) {
                Ok(watch) => watch,
                Err(failure) => return Err(error.because(failure)),
            };
            let ended = self.attempt(attempt, &mut copy);
            let verdict = self.watch.take().and_then(|watch| watch.verdict());
            let broken = match ended {
                Ok(receipt) => return Ok(receipt),
                Err(broken) => broken.because(verdict),
            };
            let (received, expected) = copy.as_ref().map_or((0, None), |copy| (copy.size(), copy.expected()));
            let mixed = self.request.is_mixed() || copy.as_ref().is_some_and(Copy::is_mixed);
            let (failure, wanted) = match broken {
                Broken::Cut(failure) => (failure, None),
                Broken::Failed(failure) => {
                    if let Some(mut copy) = copy.take() {
                        copy.discard();
                    }
                    (failure, None)
                }
                // What was received is none the worse for a handler's impatience.
                Broken::Retry(after) => {
                    (Failure::new(ErrorKind::Other, "a handler asked for another attempt"), Some(after))
                }
            };
            if self.context.is_cancelled() {
                // Whatever the socket says: it was cut by the cancelling.
                error.attempted(
                    Attempt::new(&source, Failure::cancelled(), received, mixed, self.timing),
                    expected,
                );
                return Err(error);
            }
            tracing::debug!(source = %redacted(&source), attempt, %failure, "attempt failed");
            error.attempted(Attempt::new(&source, failure, received, mixed, self.timing), expected);
            self.watched(|monitor| monitor.enter(Phase::Repairing));
            let mut failed = Event::Error { request: &mut self.request, error: &error };
            let after = match (ask(&mut self.transfer.handlers, &mut failed, self.context), wanted) {
                (Action::Retry(after), _) | (Action::Continue, Some(after)) => after,
                (Action::Continue, None) => break,
                (Action::Fail(reason), _) => return Err(error.because(reason)),
            };
            if attempt < self.transfer.attempts
                && let Err(failure) = self.pause(after)
            {
                return Err(error.because(failure));
            }
        }
        Err(error)
    }

    /// Returns the context that the attempt under way runs in.
    pub(crate) fn here(&self) -> &Context {
        self.watch.as_ref().map_or(self.context, Watch::context)
    }

    /// Waits before the next attempt, if the deadline leaves time for that.
    fn pause(&self, after: Duration) -> Result<(), Failure> {
        let left = self.request.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if let Some(left) = left.filter(|left| *left <= after) {
            let (after, left) = (spoken(after), spoken(left));
            let message = format!("the next attempt is due in {after}, past the deadline in {left}");
            return Err(Failure::new(ErrorKind::Timeout, message).transient(false));
        }
        // Who waits for a place in a batch after that must not do so for longer than the deadline says.
        let watch = self.context.watch(self.request.deadline(), None)?;
        let slept = watch.as_ref().map_or(self.context, Watch::context).sleep(after);
        slept.map_err(|failure| watch.and_then(|watch| watch.verdict()).unwrap_or(failure))
    }

    fn attempt(&mut self, attempt: u32, kept: &mut Option<Copy>) -> Result<Receipt, Broken> {
        self.go_on()?;
        let mut sending = Event::Sending { request: &mut self.request, attempt };
        heed(ask(&mut self.transfer.handlers, &mut sending, self.context)).map_err(
            |broken| match broken {
                // Nothing was asked yet, so nothing is the worse for it.
                Broken::Failed(reason) => Broken::Cut(reason),
                broken => broken,
            },
        )?;
        self.go_on()?;
        // One that has not begun has nothing, and may be for a head alone.
        let mut copy = match kept.take().filter(Copy::has_begun) {
            Some(copy) => copy,
            None => self.open()?,
        };
        // What cannot be gone on with is kept only until something else is there.
        let there = copy.continuation(&self.request).map_or(0, |_| copy.size());
        self.watched(|monitor| monitor.received(there));
        let mut end = self.exchange(&mut copy);
        // What was gone on with, or came from several sources, may have been of another content; what is fetched in one
        // go from one of them is not.
        if let Err(Broken::Failed(failure)) = &end
            && (copy.is_doubtful() || self.request.is_mixed())
            && matches!(failure.kind(), ErrorKind::Validation(_))
        {
            tracing::debug!(%failure, "what was gone on with is of no use: starting again");
            self.request.ask_alone();
            end = self.start_again(&mut copy).map_err(Broken::from).and_then(|()| self.exchange(&mut copy));
        }
        match end {
            Ok(head) => {
                let (facts, warnings) = timed(&mut self.timing.committing, || copy.commit())?;
                for warning in &warnings {
                    tracing::warn!(source = %self.request.display_url(), "{warning}");
                }
                let (source, timing) = (self.request.display_url(), self.timing);
                Ok(Receipt { facts, head, source, attempts: attempt, timing, warnings })
            }
            Err(broken) => {
                *kept = Some(copy);
                Err(broken)
            }
        }
    }

    /// Fails if the run is over, for a reason that what was received is none the worse for.
    pub(crate) fn go_on(&self) -> Result<(), Broken> {
        self.here().check().and_then(|()| self.request.check_deadline()).map_err(Broken::Cut)
    }

    /// Opens the state of a new copy.
    fn open(&mut self) -> Result<Copy, Failure> {
        self.request.begin_copy();
        let wanted = self.transfer.monitors.iter().flat_map(DownloadMonitor::algorithms).copied();
        let of = Specification {
            // Of a head alone nothing is written, and nothing that is kept is the worse for it.
            writer: self.transfer.writer.as_deref().filter(|_| self.request.method() == Method::Get),
            context: self.context,
            validations: &self.transfer.validations,
            digests: wanted.collect(),
            url: self.transfer.request.url(),
            limit: self.transfer.max_size,
            resume: self.transfer.resume,
        };
        timed(&mut self.timing.writing, || Copy::open(of))
    }

    /// Opens a new copy in place of one that is of no use.
    pub(crate) fn start_again(&mut self, copy: &mut Copy) -> Result<(), Failure> {
        copy.discard();
        *copy = self.open()?;
        Ok(())
    }

    pub(crate) fn watched(&self, change: impl Fn(&DownloadMonitor)) {
        self.transfer.monitors.iter().for_each(change);
    }
}

impl<P> Drop for Run<'_, P> {
    /// Tells those who watch that nothing more will come, when a plugin or handler has panicked.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.transfer.monitors.iter().for_each(|monitor| monitor.enter(Phase::Failed));
        }
    }
}

pub(crate) fn no_writer() -> Failure {
    Failure::new(ErrorKind::Unsupported, "the download has no writer: set one before it is run")
}

/// Asks the handlers in order, until one acts.
pub(crate) fn ask(
    handlers: &mut [Box<dyn EventHandler>],
    event: &mut Event<'_>,
    context: &Context,
) -> Action {
    for handler in handlers {
        match handler.handle(event, context) {
            Action::Continue => {}
            action => return action,
        }
    }
    Action::Continue
}

/// Fails the attempt, if a handler wants that: what it has is what the handler does not want.
pub(crate) fn heed(action: Action) -> Result<(), Broken> {
    match action {
        Action::Continue => Ok(()),
        Action::Fail(reason) => Err(Broken::Failed(reason)),
        Action::Retry(after) => Err(Broken::Retry(after)),
    }
}
