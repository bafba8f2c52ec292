//! One exchange with a source: send, begin, read, check, write.

use std::io::{self, BufRead};
use std::time::Instant;

use http::StatusCode;
use url::Url;

use crate::begun::Proof;
use crate::copy::{Copy, restarts};
use crate::engine::{Broken, Run, ask, heed, no_writer};
use crate::event::Event;
use crate::failure::{ErrorKind, Failure};
use crate::parking;
use crate::protocol::Protocol;
use crate::reply::{Head, Reply};
use crate::request::{Method, Request};
use crate::timing::{Stopwatch, timed};
use crate::watchdog::Watch;

/// What a source has to say to a request.
#[allow(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
enum Answer {
    Reply(Reply),
    /// Nothing is lacking.
    Whole,
}

impl<P: Protocol> Run<'_, P> {
    /// Sends, receives and verifies, so that the copy is ready to be committed.
    pub(crate) fn exchange(&mut self, copy: &mut Copy) -> Result<Head, Broken> {
        let reply = match self.send(copy)? {
            Answer::Reply(reply) => reply,
            Answer::Whole => {
                timed(&mut self.timing.writing, || copy.catch_up())?;
                timed(&mut self.timing.checking, || copy.verify())?;
                return Ok(Head::new(self.request.url()).with_length(Some(copy.size())));
            }
        };
        let (head, body) = reply.into_parts();
        heed(ask(&mut self.transfer.handlers, &mut Event::Replied { head: &head }, self.context))?;
        let offset = timed(&mut self.timing.writing, || copy.begin(&head, &self.request))?;
        self.watched(|monitor| monitor.receiving(offset, copy.expected()));
        if let Some(body) = body {
            self.receive(copy, body, head.url())?;
            timed(&mut self.timing.checking, || copy.verify())?;
            // The last look: what is committed after it counts as downloaded.
            self.here().check().map_err(Broken::Cut)?;
        } else {
            copy.abandon(&head);
        }
        Ok(head)
    }

    /// Asks for what the copy still lacks; if what comes does not continue it, for everything.
    fn send(&mut self, copy: &mut Copy) -> Result<Answer, Broken> {
        if self.transfer.writer.is_none() && self.request.method() == Method::Get {
            return Err(no_writer().into());
        }
        if copy.is_received(&self.request) {
            return Ok(Answer::Whole);
        }
        if let Some(rest) = copy.continuation(&self.request)
            && self.replayed(copy)?
        {
            if let Some(answer) = self.send_rest(copy, rest)? {
                return Ok(answer);
            }
            tracing::debug!(source = %self.request.display_url(), "cannot go on there: starting again");
        }
        // Another source, or a later run, may still go on with what is there.
        let reply = self.ask(None).map_err(Broken::Cut)?;
        if restarts(&reply, &self.request) {
            if copy.has_begun() {
                self.start_again(copy)?;
            }
            return Ok(Answer::Reply(reply));
        }
        let head = reply.head();
        let message = match (head.offset(), self.request.range()) {
            (0, Some(range)) => format!("the source sent everything instead of {range}"),
            (offset, Some(range)) => format!("the source sent the bytes from {offset} instead of {range}"),
            (offset, None) => format!("the source sent the bytes from {offset} although all were asked for"),
        };
        Err(Failure::new(ErrorKind::Unsupported, message).into())
    }

    /// Sends the request, or one for the rest, and notes where the time has gone.
    fn ask(&mut self, rest: Option<&Request>) -> Result<Reply, Failure> {
        let (start, before) = (Instant::now(), parking::waited());
        let sent = self.transfer.protocol.send(rest.unwrap_or(&self.request), self.here());
        let (took, queueing) = (start.elapsed(), parking::waited().saturating_sub(before));
        let told = match &sent {
            Ok(reply) => reply.timing(),
            Err(failure) => failure.timing(),
        };
        self.timing += told.completed(took.saturating_sub(queueing));
        self.timing.queueing += queueing;
        sent
    }

    /// Feeds what an earlier run has kept through the checks; false if it turns out to be of no use.
    fn replayed(&mut self, copy: &mut Copy) -> Result<bool, Broken> {
        let here = self.watch.as_ref().map_or(self.context, Watch::context);
        let go_on = || here.check().and_then(|()| self.request.check_deadline());
        let replayed = timed(&mut self.timing.checking, || copy.replay(go_on));
        let Err(failure) = replayed else { return Ok(true) };
        self.go_on()?;
        tracing::debug!(%failure, "what was kept is of no use");
        self.start_again(copy)?;
        Ok(false)
    }

    /// Asks for what the copy lacks; `None` if the source does not go on with it.
    fn send_rest(&mut self, copy: &mut Copy, mut rest: Request) -> Result<Option<Answer>, Broken> {
        let mut proof = Proof::Asked;
        loop {
            match self.ask(Some(&rest)) {
                Ok(reply) if reply.has_body() && copy.continues(reply.head(), &self.request, proof) => {
                    return Ok(Some(Answer::Reply(reply)));
                }
                Ok(reply)
                    if proof == Proof::Asked
                        && rest.if_range().is_some()
                        && copy.is_same_content(reply.head()) =>
                {
                    tracing::debug!(source = %self.request.display_url(), "asking for the range alone");
                    rest.set_if_range(None);
                    proof = Proof::Stated;
                }
                Ok(reply) => {
                    let everything = reply.head().offset() == 0 && restarts(&reply, &self.request);
                    if everything {
                        self.start_again(copy)?;
                    }
                    return Ok(everything.then_some(Answer::Reply(reply)));
                }
                Err(failure) if failure.status() == Some(StatusCode::RANGE_NOT_SATISFIABLE) => {
                    return Ok(copy.is_whole(&failure).then_some(Answer::Whole));
                }
                // There are no parts at all, or none for this request.
                Err(failure)
                    if matches!(failure.kind(), ErrorKind::Unsupported | ErrorKind::Status)
                        && !failure.is_transient() =>
                {
                    return Ok(None);
                }
                Err(failure) => return Err(Broken::Cut(failure)),
            }
        }
    }

    fn receive(
        &mut self,
        copy: &mut Copy,
        mut body: Box<dyn BufRead + Send>,
        from: &Url,
    ) -> Result<(), Broken> {
        let total = copy.expected();
        let meter = self.context.meter(from);
        loop {
            self.go_on()?;
            let mut watch = Stopwatch::start();
            let filled = match &self.watch {
                Some(watch) => watch.fill(&mut *body),
                None => body.fill_buf(),
            };
            self.timing.receiving += watch.lap();
            let block = match filled {
                Ok([]) => return copy.complete().map_err(Broken::Cut),
                Ok(block) => block,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Broken::Cut(error.into())),
            };
            let length = block.len();
            parking::received(length);
            let taken = copy.take(block);
            self.timing.checking += watch.lap();
            taken?;
            let put = copy.put(block);
            self.timing.writing += watch.lap();
            put?;
            if let Some(meter) = &meter {
                let spent = meter.spend(length, &self.request, self.here());
                self.timing.throttling += watch.lap();
                spent.map_err(Broken::Cut)?;
            }
            let received = copy.size();
            self.watched(|monitor| monitor.received(received));
            let mut fetched = Event::Fetched { block, received, total };
            heed(ask(&mut self.transfer.handlers, &mut fetched, self.context))?;
            body.consume(length);
        }
    }
}
