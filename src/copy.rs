//! The state of one copy of the bytes: its output, its checks, its tally.

use std::io::{self, Read};

use http::StatusCode;
use url::Url;

use crate::begun::{Begun, Proof, first};
use crate::context::Context;
use crate::digest::{Algorithm, Digest};
use crate::facts::{Facts, Tally};
use crate::failure::{ErrorKind, Failure};
use crate::integrity;
use crate::reply::{Head, Reply};
use crate::request::Request;
use crate::validation::{Check, Validation, ValidationError};
use crate::writer::{Output, Writer};

/// What a copy is opened from.
pub(crate) struct Specification<'a> {
    pub(crate) writer: Option<&'a dyn Writer>,
    /// What an output may keep for as long as the run lasts.
    pub(crate) context: &'a Context,
    pub(crate) validations: &'a [Box<dyn Validation>],
    /// The digests that somebody wants to see.
    pub(crate) digests: Vec<Algorithm>,
    /// The download's own URL.
    pub(crate) url: &'a Url,
    pub(crate) limit: Option<u64>,
    pub(crate) resume: bool,
}

/// Fresh state for one copy, opened from the specifications; one that resumes is carried on.
pub(crate) struct Copy {
    output: Option<Box<dyn Output>>,
    /// What the output did not take of the last block.
    pending: Vec<u8>,
    checks: Vec<Running>,
    tally: Tally,
    digests: Vec<Algorithm>,
    facts: Option<Facts>,
    warnings: Vec<ValidationError>,
    /// Whether passing the checks proves what the bytes are, wherever they came from.
    identified: bool,
    /// The digests that the content must have.
    expected: Vec<Digest>,
    begun: Option<Begun>,
    /// How many bytes an earlier run has kept that were not read again yet.
    unread: u64,
    /// What the source says of the body that is being received, and what it has so far.
    body: Option<(Vec<Digest>, Tally)>,
    url: Url,
    limit: Option<u64>,
    resume: bool,
    /// Whether the output was not told yet what to keep.
    unkept: bool,
}

/// From how many bytes on the output is told what to keep as soon as that is known.
const LITTLE: u64 = 256 << 10;

struct Running {
    check: Box<dyn Check>,
    enforced: bool,
}

impl Running {
    fn begin(validation: &impl AsRef<dyn Validation>) -> Self {
        let validation = validation.as_ref();
        Self { check: validation.begin(), enforced: validation.enforced() }
    }
}

impl Copy {
    pub(crate) fn open(of: Specification<'_>) -> Result<Self, Failure> {
        let mut digests = of.digests;
        digests.extend(of.validations.iter().flat_map(Validation::needs));
        let enforced = || of.validations.iter().filter(|validation| validation.enforced());
        let opened = of.writer.map(|writer| writer.open_in(of.context)).transpose();
        let output = opened.map_err(Failure::writing)?;
        let mut copy = Self {
            output,
            pending: Vec::new(),
            checks: of.validations.iter().map(Running::begin).collect(),
            tally: Tally::new(digests.clone()),
            digests,
            facts: None,
            warnings: Vec::new(),
            identified: enforced().any(Validation::identifies),
            expected: enforced().filter_map(Validation::expected).collect(),
            begun: None,
            unread: 0,
            body: None,
            url: of.url.clone(),
            limit: of.limit,
            resume: of.resume,
            unkept: false,
        };
        copy.restore();
        Ok(copy)
    }

    /// Takes up what an earlier run has kept, if it was after the same content.
    fn restore(&mut self) {
        let Some(output) = self.output.as_ref().filter(|_| self.resume) else { return };
        let offset = output.offset();
        let Some(record) = output.kept().filter(|_| offset > 0) else { return };
        let other = |noted: &Digest| {
            self.expected.iter().any(|digest| digest.algorithm() == noted.algorithm() && digest != noted)
        };
        let promised = record.expected.iter().any(|noted| self.expected.contains(noted));
        let same = promised || record.download == crate::record::identity(&self.url);
        if same && !record.expected.iter().any(other) {
            self.tally.add(record.stated.iter().map(Digest::algorithm));
            self.begun = Some(Begun::restore(record));
            self.unread = offset;
        }
    }

    /// Returns how many bytes are there.
    pub(crate) fn size(&self) -> u64 {
        self.unread + self.tally.size()
    }

    /// Returns how many bytes there should be in the end.
    pub(crate) fn expected(&self) -> Option<u64> {
        self.begun.as_ref()?.expected
    }

    /// Tells whether anything is known of the content.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Tells whether its bytes are from several sources, so that none of them is proved bad when a check fails.
    pub(crate) fn is_mixed(&self) -> bool {
        self.begun.as_ref().is_some_and(|begun| begun.mixed)
    }

    /// Tells whether its first bytes may be of another content than the last ones, although they are of one source.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.begun.as_ref().is_some_and(|begun| begun.restored || (begun.unguarded && !begun.mixed))
    }

    /// Tells whether its end will be proved, so that whoever sends it may go on with it.
    fn is_identified(&self) -> bool {
        self.identified || self.begun.as_ref().is_some_and(|begun| !begun.stated.is_empty())
    }

    /// Tells whether nothing is lacking but room for what was received last.
    pub(crate) fn is_received(&self, request: &Request) -> bool {
        let whole = |begun: &Begun| begun.is_whole_at(self.size(), request);
        !self.pending.is_empty() && self.can_go_on() && self.begun.as_ref().is_some_and(whole)
    }

    /// Returns the request for what is lacking, if its source can go on where this copy stops.
    pub(crate) fn continuation(&self, request: &Request) -> Option<Request> {
        let begun = self.begun.as_ref().filter(|_| self.can_go_on())?;
        begun.continuation(request, self.size(), self.is_identified())
    }

    /// Tells whether the output stands where this copy stops.
    fn can_go_on(&self) -> bool {
        let at = self.output.as_ref().map(|output| output.offset() + self.pending.len() as u64);
        self.resume && at == Some(self.size())
    }

    /// Tells whether a reply to the [`continuation`](Self::continuation) continues this copy.
    pub(crate) fn continues(&self, head: &Head, request: &Request, proof: Proof) -> bool {
        let Some(begun) = &self.begun else { return false };
        begun.continues(head, request, self.size(), self.is_identified(), proof)
    }

    /// Tells whether a reply of everything is of the very content that was begun.
    pub(crate) fn is_same_content(&self, head: &Head) -> bool {
        self.begun.as_ref().is_some_and(|begun| begun.is_same_content(head))
    }

    /// Tells whether all bytes are there already, now that a source says how many it has.
    pub(crate) fn is_whole(&self, failure: &Failure) -> bool {
        let ends = |begun: &Begun| begun.may_end_at(self.size(), failure.total());
        self.unread == 0 && self.begun.as_ref().is_some_and(ends)
    }

    /// Writes what the output did not take before, now that no reply will follow.
    pub(crate) fn catch_up(&mut self) -> Result<(), Failure> {
        let pending = std::mem::take(&mut self.pending);
        self.put(&pending)
    }

    /// Lets the checks see what an earlier run has kept, once.
    pub(crate) fn replay(&mut self, mut go_on: impl FnMut() -> Result<(), Failure>) -> Result<(), Failure> {
        let Some(output) = self.output.as_mut().filter(|_| self.unread > 0) else { return Ok(()) };
        let mut kept = output.replay().map_err(Failure::writing)?;
        let mut block = vec![0; 128 << 10];
        while self.unread > 0 {
            go_on()?;
            let length = match kept.read(&mut block) {
                Ok(0) => return Err(Failure::writing(io::ErrorKind::UnexpectedEof.into())),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::writing(error)),
            };
            check(&mut self.checks, &mut self.warnings, |check| check.update(&block[..length]))?;
            self.tally.update(&block[..length]);
            self.unread = self.unread.saturating_sub(length as u64);
        }
        Ok(())
    }

    /// Tells the output what comes, and returns at which byte of the content that begins.
    pub(crate) fn begin(&mut self, head: &Head, request: &Request) -> Result<u64, Failure> {
        let last = request.range().and_then(|range| range.last());
        let end = |total: u64| last.map_or(total, |last| total.min(last.saturating_add(1)));
        // The source may send less of a range than there is: what it said of the whole counts.
        let of_total = head.total().map(|total| end(total).saturating_sub(first(request)));
        let expected = of_total.or_else(|| Some(self.size() + head.length()?));
        match &mut self.begun {
            Some(begun) => begun.go_on(head, request, expected),
            None => {
                let begun = self.begun.insert(Begun::with(head, request, expected));
                self.tally.add(begun.stated.iter().map(Digest::algorithm));
            }
        }
        if !head.is_alone() {
            self.announce()?;
        }
        let of_body = integrity::of_body(head);
        // Twice the same would be computed twice.
        let known = self.begun.as_ref().is_some_and(|begun| self.size() == 0 && begun.stated == of_body);
        self.body = (!of_body.is_empty() && !known).then(|| {
            let algorithms = of_body.iter().map(Digest::algorithm).collect();
            (of_body, Tally::new(algorithms))
        });
        let offset = self.size();
        let completed = self.begun.as_ref().filter(|_| offset > 0).map(|begun| begun.completed(head));
        if let Some(output) = &mut self.output {
            let written = offset - self.pending.len() as u64;
            output.begin(completed.as_ref().unwrap_or(head), written).map_err(Failure::writing)?;
        }
        if !head.is_alone() {
            // What is so little is noted when it is interrupted, and not before.
            self.unkept = offset == 0 && self.expected().is_some_and(|expected| expected <= LITTLE);
            if !self.unkept {
                self.keep();
            }
        }
        self.catch_up()?;
        Ok(offset)
    }

    /// Fails if the announced size is not what it should be.
    fn announce(&mut self) -> Result<(), Failure> {
        let Some(size) = self.expected() else { return Ok(()) };
        if self.limit.is_some_and(|limit| size > limit) {
            return Err(self.too_large());
        }
        check(&mut self.checks, &mut self.warnings, |check| check.announced(size))
    }

    fn too_large(&self) -> Failure {
        let limit = self.limit.unwrap_or_default();
        let size = self.expected().filter(|size| *size > limit);
        let size = size.map_or_else(|| "more".to_owned(), |size| format!("{size} bytes, more"));
        Failure::new(ErrorKind::TooLarge, format!("it has {size} than the {limit} bytes that are allowed"))
    }

    /// Tells the output what to keep if this is interrupted.
    fn keep(&mut self) {
        let begun = self.begun.as_ref().filter(|_| self.resume);
        let record = begun.and_then(|begun| begun.record(&self.url, &self.expected));
        if let Some(output) = &mut self.output
            && let Err(error) = output.keep(record.as_ref())
        {
            tracing::debug!(%error, "cannot note what is received");
        }
    }

    /// Checks and counts a block.
    pub(crate) fn take(&mut self, block: &[u8]) -> Result<(), Failure> {
        let size = self.size() + block.len() as u64;
        if let Some(expected) = self.expected()
            && size > expected
        {
            let message = format!("more than the {expected} bytes that were announced");
            return Err(Failure::new(ErrorKind::Incomplete, message));
        }
        if self.limit.is_some_and(|limit| size > limit) {
            return Err(self.too_large());
        }
        check(&mut self.checks, &mut self.warnings, |check| check.update(block))?;
        self.tally.update(block);
        if let Some((_, tally)) = &mut self.body {
            tally.update(block);
        }
        Ok(())
    }

    /// Writes a block that was taken. What cannot be written is kept for the next [`begin`](Self::begin).
    pub(crate) fn put(&mut self, mut block: &[u8]) -> Result<(), Failure> {
        let Some(output) = &mut self.output else { return Ok(()) };
        while !block.is_empty() {
            match output.write(block) {
                Ok(0) => {
                    self.pending = block.to_vec();
                    return Err(Failure::writing(io::ErrorKind::WriteZero.into()));
                }
                Ok(length) => block = block.get(length..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.pending = block.to_vec();
                    return Err(Failure::writing(error));
                }
            }
        }
        Ok(())
    }

    /// Fails if fewer bytes are there than were announced.
    pub(crate) fn complete(&self) -> Result<(), Failure> {
        match self.expected() {
            Some(expected) if self.size() != expected => {
                let message = format!("the body ended after {} of {expected} bytes", self.size());
                Err(Failure::new(ErrorKind::Incomplete, message))
            }
            _ => Ok(()),
        }
    }

    /// Decides the checks, now that all bytes are there.
    pub(crate) fn verify(&mut self) -> Result<(), Failure> {
        if let Some((stated, mut tally)) = self.body.take() {
            agree(&stated, &tally.finish())?;
        }
        let facts = self.facts.insert(self.tally.finish());
        if let Some(begun) = &self.begun {
            agree(&begun.stated, facts)?;
        }
        facts.retain(&self.digests);
        for running in self.checks.drain(..) {
            match running.check.finish(facts) {
                Ok(()) => {}
                Err(error) if running.enforced => return Err(error.into()),
                Err(error) => self.warnings.push(error),
            }
        }
        Ok(())
    }

    /// Ends a copy that has a head only: there is nothing to commit.
    pub(crate) fn abandon(&mut self, head: &Head) {
        // What an earlier run has kept is for a content that is there already, now.
        if head.status() == StatusCode::NOT_MODIFIED {
            self.discard();
        }
        self.output = None;
    }

    /// Ends a copy whose bytes are of no use any more: nothing of it is kept.
    pub(crate) fn discard(&mut self) {
        if let Some(mut output) = self.output.take()
            && let Err(error) = output.keep(None)
        {
            tracing::debug!(%error, "cannot remove what was kept");
        }
    }

    /// Makes the content real.
    pub(crate) fn commit(mut self) -> Result<(Facts, Vec<ValidationError>), Failure> {
        if let Some(output) = self.output.take() {
            output.commit().map_err(Failure::writing)?;
        }
        let facts = self.facts.take().unwrap_or_else(|| self.tally.finish());
        Ok((facts, std::mem::take(&mut self.warnings)))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // Neither committed nor discarded: it was interrupted.
        if self.unkept && self.size() > 0 {
            self.keep();
        }
    }
}

/// Asks all checks; one that is not enforced is removed when it fails.
fn check(
    checks: &mut Vec<Running>,
    warnings: &mut Vec<ValidationError>,
    mut ask: impl FnMut(&mut dyn Check) -> Result<(), ValidationError>,
) -> Result<(), Failure> {
    let mut at = 0;
    while let Some(running) = checks.get_mut(at) {
        match ask(&mut *running.check) {
            Ok(()) => at += 1,
            Err(error) if running.enforced => return Err(error.into()),
            Err(error) => {
                warnings.push(error);
                checks.remove(at);
            }
        }
    }
    Ok(())
}

/// Fails if a digest that the source has stated is not that of what came.
fn agree(stated: &[Digest], facts: &Facts) -> Result<(), ValidationError> {
    for expected in stated {
        if let Some(actual) = facts.digest(expected.algorithm())
            && actual != *expected
        {
            return Err(ValidationError::Digest { expected: Box::new(*expected), actual: Box::new(actual) });
        }
    }
    Ok(())
}

/// Tells whether a reply gives all of what was asked for, from its first byte.
pub(crate) fn restarts(reply: &Reply, request: &Request) -> bool {
    let head = reply.head();
    let most = request.range().and_then(|range| Some((range.last()? - range.first()).saturating_add(1)));
    let fits = most.is_none_or(|most| head.length().is_some_and(|length| length <= most));
    !reply.has_body() || (head.offset() == first(request) && fits)
}
