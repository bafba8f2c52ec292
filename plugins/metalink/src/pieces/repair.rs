//! Asking other sources for what one had wrong.

use std::io::BufRead;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ganymede::{ByteRange, Context, Digest, ErrorKind, Failure, Protocol, Request};

use super::body::{digest_of, fill};

/// How long another source may take to answer while the connection to the first one is kept.
///
/// Who holds a connection and waits for another one may wait for somebody who does the same the other way round.
const PATIENCE: Duration = Duration::from_secs(10);

/// The sources of a content, of which one is preferred.
pub(super) struct Repair<P> {
    protocol: Arc<P>,
    request: Request,
    context: Context,
    total: Option<u64>,
    /// All sources once one was needed, the request's own first.
    sources: Vec<Request>,
    preferred: usize,
}

/// What a source had to say.
enum Answer {
    Good(Vec<u8>),
    /// It did not answer soon, or sends all or nothing: it is asked when there is no one else.
    Later,
    Useless,
}

type Source = Box<dyn BufRead + Send>;

impl<P: Protocol> Repair<P> {
    pub(super) fn new(protocol: Arc<P>, request: Request, context: Context, total: Option<u64>) -> Self {
        Self { protocol, request, context, total, sources: Vec::new(), preferred: 0 }
    }

    /// Returns how many bytes the content has.
    pub(super) fn total(&self) -> Option<u64> {
        self.total
    }

    /// Takes the rest of the content from this source.
    pub(super) fn prefer(&mut self, source: usize) {
        self.preferred = source;
    }

    /// Asks for a range until one source has what the digest is of, and says which; `None` if none has.
    ///
    /// What is open may have to be given up for it.
    pub(super) fn fetch(
        &mut self,
        start: u64,
        length: u64,
        expected: &Digest,
        open: &mut Option<Source>,
    ) -> Result<Option<(Vec<u8>, usize)>, Failure> {
        self.find();
        let mut later = Vec::new();
        for at in (0..self.sources.len()).filter(|at| *at != self.preferred) {
            // It may have no place for another connection before the open one is given up.
            if self.is_where_the_preferred_is(at) {
                later.push(at);
                continue;
            }
            match self.ask(at, start, length, expected, false)? {
                Answer::Good(piece) => return Ok(Some((piece, at))),
                Answer::Later => later.push(at),
                Answer::Useless => {}
            }
        }
        // From here on there is no limit on the time, so no connection is held meanwhile.
        *open = None;
        later.push(self.preferred);
        for at in later {
            if let Answer::Good(piece) = self.ask(at, start, length, expected, true)? {
                return Ok(Some((piece, at)));
            }
        }
        Ok(None)
    }

    /// Opens the rest of the content, up to before `end`.
    pub(super) fn resume(&mut self, start: u64, end: Option<u64>) -> Result<Source, Failure> {
        let mut request = match self.preferred {
            0 => self.request.clone(),
            at => self.sources.get(at).unwrap_or(&self.request).clone(),
        };
        request.set_range(ByteRange::new(start, end.map(|end| end.saturating_sub(1))));
        request.set_identified(true);
        match self.open(&request, start, true, &self.context)? {
            Some(source) => Ok(source),
            None => Err(Failure::new(ErrorKind::Incomplete, "the source does not go on where it was left")),
        }
    }

    fn is_where_the_preferred_is(&self, at: usize) -> bool {
        let origin = |at: usize| self.sources.get(at).map(|source| source.url().origin());
        origin(at) == origin(self.preferred)
    }

    /// Finds the sources, now that they are needed.
    fn find(&mut self) {
        if self.sources.is_empty() {
            let mut own = self.request.clone();
            own.ask_alone();
            self.sources.push(own);
            self.sources.extend(self.request.alternates());
        }
    }

    /// Asks a source for a range; the last time without haste, and also if it has to be looked for in all of it.
    fn ask(
        &self,
        at: usize,
        start: u64,
        length: u64,
        expected: &Digest,
        last: bool,
    ) -> Result<Answer, Failure> {
        self.context.check()?;
        self.request.check_deadline()?;
        let Some(mut request) = self.sources.get(at).cloned() else { return Ok(Answer::Useless) };
        request.set_range(ByteRange::new(start, start.checked_add(length - 1)));
        let soon = (!last).then(|| Instant::now() + PATIENCE);
        let asked = self.context.until(soon, |context| self.open(&request, start, last, context));
        let received = asked.and_then(|source| {
            let Some(mut source) = source else { return Ok(None) };
            let mut piece = Vec::new();
            fill(&mut *source, &mut piece, length)?;
            let good = digest_of(&piece, expected)? == *expected;
            Ok(Some(good.then_some(piece)))
        });
        match received {
            Ok(Some(Some(piece))) => {
                if at > 0 {
                    self.request.used_alternate();
                }
                Ok(Answer::Good(piece))
            }
            Ok(Some(None)) => Ok(Answer::Useless),
            Ok(None) => Ok(Answer::Later),
            Err(_) if self.context.is_cancelled() => Err(Failure::cancelled()),
            Err(failure) => {
                let source = request.display_url();
                tracing::debug!(%source, %failure, "does not have the piece");
                let late = matches!(failure.kind(), ErrorKind::Timeout) && !last;
                Ok(if late { Answer::Later } else { Answer::Useless })
            }
        }
    }

    /// Opens a source where a range begins; `None` if it sends all, and that is not wanted.
    fn open(
        &self,
        request: &Request,
        start: u64,
        skip: bool,
        context: &Context,
    ) -> Result<Option<Source>, Failure> {
        let mut request = request.clone();
        // That it is the same content, the digests of the pieces prove.
        request.set_if_range(None);
        request.set_if_changed(None);
        let reply = self.protocol.send(&request, context)?;
        let (head, body) = reply.into_parts();
        let other = self.total.zip(head.total()).is_some_and(|(ours, theirs)| ours != theirs);
        let Some(mut body) = body.filter(|_| !other && head.offset() <= start) else {
            return Err(Failure::new(ErrorKind::Incomplete, "it has another content"));
        };
        let mut before = start - head.offset();
        if before > 0 && !skip {
            return Ok(None);
        }
        while before > 0 {
            let there = match body.fill_buf() {
                Ok([]) => return Err(ErrorKind::Incomplete.into()),
                Ok(block) => block.len() as u64,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let passed = there.min(before);
            body.consume(usize::try_from(passed).unwrap_or(usize::MAX));
            before -= passed;
        }
        Ok(Some(body))
    }
}
