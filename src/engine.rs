//! The engine: open, send, begin, read, check, write, commit, repair. It is written once, here.

use std::io::{self, BufRead};
use std::time::{Duration, Instant};

use http::StatusCode;

use crate::context::Context;
use crate::copy::{Copy, restarts};
use crate::error::{Attempt, DownloadError, redacted};
use crate::event::{Action, Event, EventHandler};
use crate::failure::{ErrorKind, Failure};
use crate::monitor::{DownloadMonitor, Phase};
use crate::protocol::Protocol;
use crate::reply::{Head, Reply, Timing};
use crate::request::{Method, Request};
use crate::transfer::{Receipt, Transfer};

/// One run of a download, with a request of its own, so that a second run starts from the caller's.
pub(crate) struct Run<'a, P> {
    transfer: &'a mut Transfer<P>,
    context: &'a Context,
    request: Request,
}

/// Why an attempt ended without a content.
enum Broken {
    /// It is of no use any more.
    Failed(Failure),
    /// Its source broke off: what is there may be gone on with.
    Cut(Failure),
    /// A handler wants another attempt, in answer to an event other than `Error`.
    Retry(Duration),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl<'a, P: Protocol> Run<'a, P> {
    pub(crate) fn new(transfer: &'a mut Transfer<P>, context: &'a Context) -> Self {
        let mut request = transfer.request.clone();
        request.set_deadline(transfer.deadline.and_then(|deadline| Instant::now().checked_add(deadline)));
        Self { transfer, context, request }
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
            // As the delegates named it: what a handler makes of it for sending, a signature say, is not its name.
            let source = self.request.url().clone();
            let broken = match self.attempt(attempt, &mut copy) {
                Ok(receipt) => return Ok(receipt),
                Err(broken) => broken,
            };
            let (received, expected) = copy.as_ref().map_or((0, None), |copy| (copy.size(), copy.expected()));
            let mixed = copy.as_ref().is_some_and(Copy::is_mixed);
            let (failure, wanted) = match broken {
                Broken::Cut(failure) => (failure, None),
                Broken::Failed(failure) => {
                    copy = None;
                    (failure, None)
                }
                // What was received is none the worse for a handler's impatience.
                Broken::Retry(after) => {
                    (Failure::new(ErrorKind::Other, "a handler asked for another attempt"), Some(after))
                }
            };
            if self.context.is_cancelled() {
                // Whatever the socket says: it was cut by the cancelling.
                error.attempted(Attempt::new(&source, Failure::cancelled(), received, mixed), expected);
                return Err(error);
            }
            tracing::debug!(source = %redacted(&source), attempt, %failure, "attempt failed");
            error.attempted(Attempt::new(&source, failure, received, mixed), expected);
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

    /// Waits before the next attempt, not past the deadline.
    fn pause(&self, after: Duration) -> Result<(), Failure> {
        let left = self.request.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
        self.context.sleep(left.map_or(after, |left| left.min(after)))?;
        self.request.check_deadline()
    }

    fn attempt(&mut self, attempt: u32, kept: &mut Option<Copy>) -> Result<Receipt, Broken> {
        self.context.check()?;
        let mut sending = Event::Sending { request: &mut self.request, attempt };
        heed(ask(&mut self.transfer.handlers, &mut sending, self.context))?;
        self.request.check_deadline()?;
        let rest = kept.as_ref().and_then(|copy| copy.continuation(&self.request));
        let mut copy = match kept.take().filter(|_| rest.is_some()) {
            Some(copy) => copy,
            None => self.open()?,
        };
        self.watched(|monitor| monitor.received(copy.size()));
        match self.exchange(&mut copy, rest.as_ref()) {
            Ok((head, timing)) => {
                let (facts, warnings) = copy.commit()?;
                for warning in &warnings {
                    tracing::warn!(source = %self.request.display_url(), "{warning}");
                }
                let source = self.request.display_url();
                Ok(Receipt { facts, head, source, attempts: attempt, timing, warnings })
            }
            Err(broken) => {
                *kept = Some(copy);
                Err(broken)
            }
        }
    }

    /// Opens the state of a new copy.
    fn open(&self) -> Result<Copy, Failure> {
        let wanted = self.transfer.monitors.iter().flat_map(DownloadMonitor::algorithms).copied();
        Copy::open(self.transfer.writer.as_deref(), &self.transfer.validations, wanted.collect())
    }

    /// Sends, receives and verifies, so that the copy is ready to be committed.
    fn exchange(&mut self, copy: &mut Copy, rest: Option<&Request>) -> Result<(Head, Timing), Broken> {
        let reply = self.send(copy, rest)?;
        let received_head = Instant::now();
        let mut timing = reply.timing();
        let (head, body) = reply.into_parts();
        heed(ask(&mut self.transfer.handlers, &mut Event::Replied { head: &head }, self.context))?;
        let offset = copy.begin(&head, &self.request)?;
        self.watched(|monitor| monitor.receiving(offset, copy.expected()));
        if let Some(body) = body {
            self.receive(copy, body)?;
            timing.receiving = received_head.elapsed();
            copy.verify()?;
            // The last look: what is committed after it counts as downloaded.
            self.context.check()?;
        } else {
            copy.abandon();
        }
        Ok((head, timing))
    }

    /// Asks for what the copy still lacks; if what comes does not continue it, once more for everything.
    fn send(&self, copy: &mut Copy, rest: Option<&Request>) -> Result<Reply, Broken> {
        if self.transfer.writer.is_none() && self.request.method() == Method::Get {
            return Err(no_writer().into());
        }
        if let Some(rest) = rest {
            match self.transfer.protocol.send(rest, self.context) {
                Ok(reply) if reply.has_body() && copy.continues(reply.head(), &self.request) => {
                    return Ok(reply);
                }
                Ok(reply) => {
                    *copy = self.open()?;
                    if reply.head().offset() == 0 && restarts(&reply, &self.request) {
                        return Ok(reply);
                    }
                }
                // There is no such part, or no parts at all.
                Err(failure)
                    if failure.status() == Some(StatusCode::RANGE_NOT_SATISFIABLE)
                        || matches!(failure.kind(), ErrorKind::Unsupported) =>
                {
                    *copy = self.open()?;
                }
                Err(failure) => return Err(Broken::Cut(failure)),
            }
            tracing::debug!(source = %self.request.display_url(), "cannot go on there: starting again");
        }
        let reply = self.transfer.protocol.send(&self.request, self.context)?;
        if restarts(&reply, &self.request) {
            return Ok(reply);
        }
        let head = reply.head();
        let message = match (head.offset(), self.request.range()) {
            (0, Some(range)) => format!("the source sent everything instead of {range}"),
            (offset, Some(range)) => format!("the source sent the bytes from {offset} instead of {range}"),
            (offset, None) => format!("the source sent the bytes from {offset} although all were asked for"),
        };
        Err(Failure::new(ErrorKind::Unsupported, message).into())
    }

    fn receive(&mut self, copy: &mut Copy, mut body: Box<dyn BufRead + Send>) -> Result<(), Broken> {
        let total = copy.expected();
        loop {
            self.context.check()?;
            self.request.check_deadline()?;
            let block = match body.fill_buf() {
                Ok([]) => return copy.complete().map_err(Broken::Cut),
                Ok(block) => block,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Broken::Cut(error.into())),
            };
            let length = block.len();
            copy.take(block)?;
            let received = copy.size();
            self.watched(|monitor| monitor.received(received));
            let mut fetched = Event::Fetched { block, received, total };
            heed(ask(&mut self.transfer.handlers, &mut fetched, self.context))?;
            body.consume(length);
        }
    }

    fn watched(&self, change: impl Fn(&DownloadMonitor)) {
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

fn no_writer() -> Failure {
    Failure::new(ErrorKind::Unsupported, "the download has no writer: set one before it is run")
}

/// Asks the handlers in order, until one acts.
fn ask(handlers: &mut [Box<dyn EventHandler>], event: &mut Event<'_>, context: &Context) -> Action {
    for handler in handlers {
        match handler.handle(event, context) {
            Action::Continue => {}
            action => return action,
        }
    }
    Action::Continue
}

/// Fails the attempt, if a handler wants that.
fn heed(action: Action) -> Result<(), Broken> {
    match action {
        Action::Continue => Ok(()),
        Action::Fail(reason) => Err(Broken::Failed(reason)),
        Action::Retry(after) => Err(Broken::Retry(after)),
    }
}
